// A responder that asks somebody on the internet, which no plugin may do in this way, and answers what came of it.

export const responder = {
  eventKinds() {
    return ["message.received"];
  },

  async respond(run, event) {
    let said;
    try {
      const answer = await fetch("https://example.com/");
      said = `answered ${answer.status}`;
    } catch (error) {
      said = `refused: ${error}`;
    }
    const extras = { quote: null, mentions: [], viewOnce: false };
    return [{ tag: "send", val: { to: event.fact.val.chat, content: { tag: "text", val: said }, extras } }];
  },
};
