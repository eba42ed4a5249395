// A text, through `fetch`.
const response = await fetch("BASE_URL/api/v1/send-message", {
  method: "POST",
  headers: { "Content-Type": "application/json", Authorization: "Bearer YOUR_KEY" },
  body: JSON.stringify({ to: "PHONE", text: "wasender by node" }),
});
const answer = await response.json();
if (!answer.messageId) throw new Error(JSON.stringify(answer));
console.log(JSON.stringify(answer));
