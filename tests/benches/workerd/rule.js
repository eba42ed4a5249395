// The rule of tests/guests/rule, for workerd.
const REPLIES = [
  ['hours', '9 to 17'],
  ['price', '10 a piece'],
  ['address', 'Main Street 1'],
  ['help', 'Say hours, price or address'],
];

export default {
  async fetch(request) {
    const { text } = await request.json();
    const asked = text.toLowerCase();
    const found = REPLIES.find(([keyword]) => asked.includes(keyword));
    return Response.json({ reply: found ? found[1] : null });
  },
};
