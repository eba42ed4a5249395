// An unmodified Baileys client of the simulated network. Everything it says is kept from the start on, so that nobody can
// begin to wait too late.

import makeWASocket, {
  DisconnectReason,
  downloadMediaMessage,
  initAuthCreds,
  jidNormalizedUser,
  normalizeMessageContent,
  WA_CERT_DETAILS,
} from 'baileys';

import { logger, remember, shown } from './report.mjs';

/** Events of the client that somebody may wait for. */
const KEPT = [
  'group-participants.update',
  'groups.update',
  'groups.upsert',
  'message-receipt.update',
  'messages.reaction',
  'messages.update',
];

/**
 * Lets clients trust the simulated network: the one constant of Baileys that names the real one. This release checks that
 * there is a signature, but not whether it holds, so nothing here proves that the network signs its certificates well.
 */
export function trust(rootKeyHex) {
  WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(rootKeyHex, 'hex');
}

/** A client that the phone has linked, logged in after the restart that pairing asks for. */
export async function linked(url, phone) {
  const auth = memoryAuth();
  const pairing = new Client(url, auth);
  const { qr } = await pairing.connection('a QR', (update) => update.qr);
  // Already waiting for the restart, which may come before the scan is answered.
  const restart = pairing.connection('the restart after pairing', closedWith(DisconnectReason.restartRequired));
  await Promise.all([restart, phone.scan(qr)]);
  const client = new Client(url, auth);
  await client.connection('an open connection', (update) => update.connection === 'open');
  return client;
}

/** One connection. */
export class Client {
  #connection = new Seen();
  #messages = new Seen();
  #presence = new Seen();
  #events = new Map(KEPT.map((name) => [name, new Seen()]));
  #sent = new Map();

  constructor(url, auth) {
    this.auth = auth;
    this.socket = makeWASocket({
      waWebSocketUrl: url,
      version: [2, 3000, 0],
      browser: ['Ubuntu', 'Chrome', '22.04.4'],
      auth,
      logger: logger(),
      syncFullHistory: false,
      shouldSyncHistoryMessage: () => false,
      // A receiver that could not decrypt asks for the message again.
      getMessage: async (key) => this.#sent.get(key.id),
    });
    const { ev } = this.socket;
    ev.on('connection.update', (update) => this.#connection.add(update));
    ev.on('messages.upsert', ({ messages }) => messages.forEach((message) => this.#take(message)));
    ev.on('presence.update', ({ id, presences }) => {
      for (const [from, presence] of Object.entries(presences)) this.#presence.add({ chat: id, from, ...presence });
    });
    for (const [name, seen] of this.#events) {
      ev.on(name, (items) => [items].flat().forEach((item) => seen.add(item)));
    }
  }

  /** Its own JIDs, without the device. */
  get jid() {
    return jidNormalizedUser(this.auth.creds.me.id);
  }

  get lid() {
    return jidNormalizedUser(this.auth.creds.me.lid);
  }

  /** Whether a JID is one of its account's. */
  is(jid) {
    const account = jidNormalizedUser(jid);
    return account === this.jid || account === this.lid;
  }

  /** Waits for an update of the connection; fails at once if it has closed in another way. */
  connection(what, wanted) {
    return this.#connection.find(what, wanted, (update) => update.connection === 'close' && !wanted(update));
  }

  /** Waits for a message: its `content` is what is inside of all wrappers. */
  message(what, wanted) {
    return this.#or(what, this.#messages.find(what, wanted));
  }

  /** The message of this id. */
  received(id) {
    return this.message(`message ${id}`, (message) => message.id === id);
  }

  /** Waits for an event, or for one of its items where it has several. */
  event(name, what, wanted) {
    return this.#or(what, this.#events.get(name).find(`${what} (${name})`, wanted));
  }

  /** Waits to hear that somebody is there, gone or typing. */
  presence(what, wanted) {
    return this.#or(what, this.#presence.find(what, wanted));
  }

  /** Sends; the whole message as it went out. */
  async send(jid, content, options) {
    const sent = await this.socket.sendMessage(jid, content, options);
    this.keep(sent.key.id, sent.message);
    return sent;
  }

  /** Remembers what it sent, in case somebody asks for it again. */
  keep(id, message) {
    this.#sent.set(id, message);
  }

  /** The file in a message. */
  download(message) {
    return downloadMediaMessage(message.whole, 'buffer', {});
  }

  async logout() {
    const closed = this.connection('the end of the connection', closedWith(DisconnectReason.loggedOut));
    await this.socket.logout();
    await closed;
  }

  /** What is waited for, unless the connection is lost before. */
  #or(what, wanted) {
    return Promise.race([wanted, this.connection(what, () => false)]);
  }

  #take(whole) {
    const { key, message, messageStubType, messageStubParameters } = whole;
    // What cannot be decrypted shows as a stub; the client asks for it again by itself.
    if (messageStubType) remember('stub', `${key.id} ${messageStubType} ${messageStubParameters}`);
    const content = normalizeMessageContent(message);
    if (!content) return;
    const text = content.conversation || content.extendedTextMessage?.text || undefined;
    this.#messages.add({ id: key.id, chat: key.remoteJid, mine: key.fromMe === true, key, text, content, whole });
  }
}

/** Things that happened, and those who wait for one of them. */
class Seen {
  #all = [];
  #waiting = new Set();

  add(item) {
    this.#all.push(item);
    for (const look of this.#waiting) look(item);
  }

  /** The first item that is wanted, past or future; `fatal` items end the wait. */
  find(what, wanted, fatal = () => false) {
    return new Promise((resolve, reject) => {
      const look = (item) => {
        const found = wanted(item);
        if (!found && !fatal(item)) return false;
        this.#waiting.delete(look);
        if (found) resolve(item);
        else reject(new Error(`closed while waiting for ${what}: ${shown(item)}`));
        return true;
      };
      if (!this.#all.some(look)) this.#waiting.add(look);
    });
  }
}

/** Credentials and keys in memory, shared by the connections of one device. */
function memoryAuth() {
  const kept = new Map();
  return {
    creds: initAuthCreds(),
    keys: {
      get: async (type, ids) => Object.fromEntries(ids.map((id) => [id, kept.get(`${type} ${id}`)])),
      set: async (data) => {
        for (const [type, values] of Object.entries(data)) {
          for (const [id, value] of Object.entries(values)) {
            if (value) kept.set(`${type} ${id}`, value);
            else kept.delete(`${type} ${id}`);
          }
        }
      },
    },
  };
}

function closedWith(code) {
  return (update) => update.connection === 'close' && update.lastDisconnect?.error?.output?.statusCode === code;
}
