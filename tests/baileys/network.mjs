// The simulated network's control API: phones that scan, write and show what they received.

import { shown } from './report.mjs';

/** How long one look at a phone waits for something new. */
const LOOK_MS = 5_000;
/** Characters of a request that a failure shows. */
const BODY_CHARS_MAX = 300;

export class Network {
  #base;
  #key;

  constructor(base, key) {
    this.#base = base;
    this.#key = key;
  }

  get(path) {
    return this.#ask('GET', path);
  }

  post(path, body) {
    return this.#ask('POST', path, body);
  }

  /** Makes a phone, or finds the one that has the number. */
  async phone(number) {
    return new Phone(this, number, await this.post('phones', { number }));
  }

  async #ask(method, path, body) {
    return exchange(method, `${this.#base}/${path}`, this.#key, body);
  }
}

/** A simulated phone. */
export class Phone {
  #network;

  constructor(network, number, summary) {
    this.#network = network;
    this.number = number;
    this.jid = summary.jid;
    this.lid = summary.lid;
  }

  scan(code) {
    return this.#network.post(`phones/${this.number}/scan`, { code });
  }

  /** Its user sends something; the message's id. */
  async send(to, content) {
    const { id } = await this.#network.post(`phones/${this.number}/messages`, { to, ...content });
    return id;
  }

  /** Anything else that its user does. */
  act(what, body) {
    return this.#network.post(`phones/${this.number}/${what}`, body);
  }

  /** The first message that is wanted, past or future. */
  async shows(what, wanted) {
    for (let after = 0; ; ) {
      const page = await this.#network.get(`phones/${this.number}/messages?after=${after}&wait_ms=${LOOK_MS}`);
      for (const message of page.messages) {
        after = message.n;
        if (wanted(message)) return message;
      }
      if (page.messages.length === 0) throw new Error(`+${this.number} does not show ${what} within ${LOOK_MS} ms`);
    }
  }

  /** The message of this id. */
  showsId(id) {
    return this.shows(`message ${id}`, (message) => message.id === id);
  }

  /** The file that a shown message refers to, opened by the phone. */
  async file(message) {
    const file = await this.#network.get(`phones/${this.number}/messages/${message.n}/media`);
    return Buffer.from(file);
  }
}

/** A body as a failure shows it; files make it long. */
function short(body) {
  return (shown(body) ?? '').slice(0, BODY_CHARS_MAX);
}

/** One HTTP exchange; JSON is parsed, other bodies come as they are. */
export async function exchange(method, url, key, body) {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const bytes = await response.arrayBuffer();
  const text = () => Buffer.from(bytes).toString();
  if (!response.ok) throw new Error(`${method} ${url} ${short(body)} answered ${response.status}: ${text()}`);
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  return isJson ? JSON.parse(text()) : bytes;
}
