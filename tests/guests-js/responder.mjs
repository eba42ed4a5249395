// A responder in JavaScript: it answers a message with the event's own text.

export const responder = {
  // The event types that it wants.
  eventKinds() {
    return ["message.received"];
  },

  respond(run, event) {
    if (event.fact.tag !== "message-received") {
      return [];
    }
    const incoming = event.fact.val;
    if (incoming.fromMe || incoming.content.tag !== "text") {
      return [];
    }
    const text = incoming.content.val;
    // The host tries again what ends so.
    if (text === "fail") {
      throw "told to fail";
    }
    const extras = { quote: null, mentions: [], viewOnce: false };
    return [{ tag: "send", val: { to: incoming.chat, content: { tag: "text", val: text }, extras } }];
  },
};
