// A session of a Switchboard host: what it sends over HTTP, and what its tenant's event log tells of what it received.

import { check, shown } from './report.mjs';
import { exchange } from './network.mjs';

/** Between two looks at the event log. */
const LOOK_AGAIN_MS = 100;

export class Session {
  #host;
  #sessionKey;
  #tenantKey;

  constructor(host, sessionKey, tenantKey, number) {
    this.#host = host;
    this.#sessionKey = sessionKey;
    this.#tenantKey = tenantKey;
    this.number = number;
    this.jid = `${number}@s.whatsapp.net`;
  }

  /** Sends a text through the dialect; the id it promises. */
  async send(to, text) {
    const answer = await exchange('POST', `${this.#host}/api/v1/send-message`, this.#sessionKey, { to, text });
    check(answer.success === true && answer.messageId, `expected success and a messageId, got ${shown(answer)}`);
    return String(answer.messageId);
  }

  /** The message of this id in the event log, which must be of this kind. */
  async received(id, kind) {
    const message = await this.#find(`message ${id}`, (event) => event.id === id);
    check(message.kind === kind, `message ${id} came to the session as ${message.kind}, not as ${kind}`);
    return message;
  }

  /** A change of state of a message that the session sent. */
  became(id, state) {
    return this.#find(`that ${id} is ${state}`, (event) => event.sent === id && event.state === state);
  }

  async #find(what, wanted) {
    for (let after = 0; ; ) {
      const page = await exchange('GET', `${this.#host}/switchboard/v1/events?after=${after}`, this.#tenantKey);
      for (const event of page.events) {
        after = event.n;
        const read = readEvent(event);
        if (wanted(read)) return read;
      }
      if (page.events.length === 0) await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}

/** The event log in the words of these conversations: the one place that knows its form. */
function readEvent({ type, data }) {
  switch (type) {
    case 'message.received':
    case 'message.reaction':
    case 'message.edited':
    case 'message.revoked': {
      const { content } = data;
      // Types that a version does not open are named under `other`.
      const kind = content.type === 'other' ? content.value : content.type;
      return { id: data.whatsapp_id, kind, chat: data.chat, value: content.value, group: data.group };
    }
    case 'message.acknowledged':
    case 'message.delivered':
    case 'message.read':
      return { sent: data.whatsapp_id, state: data.state };
    default:
      return {};
  }
}
