// An independent client of the simulated network: an unmodified Baileys pairs, logs in, writes to a Switchboard session,
// gets its automatic reply, receives what is sent over Switchboard's HTTP API, and logs out.
//
// Run by the whole-host tests as `node talk.mjs` after `npm ci`; everything comes by environment (see `environment`).
// Each step prints one line, `ok <n> <what>`. The first failure prints `failed: <step>: <why>` and ends with exit code 1.

import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import makeWASocket, { DisconnectReason, initAuthCreds, WA_CERT_DETAILS } from 'baileys';

/** The whole conversation; a step that hangs must not hang the test run. */
const DEADLINE_MS = 60_000;
/** Warnings of the client that a failure shows. */
const LOG_LINES_MAX = 40;
/** Characters of one such line. */
const LOG_CHARS_MAX = 300;

const begun = Date.now();
const log = [];
let step = 'read the environment';
let steps = 0;

/** What the test hands over. */
const NAMES = {
  simWs: 'SIM_WS', // ws://127.0.0.1:PORT/ws/chat
  simRootKey: 'SIM_ROOT_KEY', // hex of the 32 bytes that the network's certificates are signed with
  simControl: 'SIM_CONTROL', // http base of /switchboard/v1/sim
  simAdminKey: 'SIM_ADMIN_KEY',
  host: 'HOST', // http base of a Switchboard host with the `wasender` dialect at /api/v1
  sessionKey: 'SESSION_KEY', // API key of a connected session that answers `ping` with `pong`
  sessionNumber: 'SESSION_NUMBER',
  baileysNumber: 'BAILEYS_NUMBER',
};

async function talk() {
  const env = environment();
  // The one constant of the client that names the real network. This release checks that there is a signature, but not
  // whether it holds, so nothing here proves that the network signs its certificates well.
  WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(env.simRootKey, 'hex');
  const auth = memoryAuth();
  const nonce = process.env.NONCE ?? randomUUID();
  const peer = `${env.sessionNumber.replace('+', '')}@s.whatsapp.net`;

  step = 'pair by QR';
  await post(`${env.simControl}/phones`, env.simAdminKey, { number: env.baileysNumber });
  const pairing = new Client(env.simWs, auth);
  const { qr } = await pairing.connection('a QR', (update) => update.qr);
  // Already waiting for the restart, which may come before the scan is answered.
  const restart = pairing.connection('the restart after pairing', closedWith(DisconnectReason.restartRequired));
  await Promise.all([
    restart,
    post(`${env.simControl}/phones/${env.baileysNumber}/scan`, env.simAdminKey, { code: qr }),
  ]);
  done('paired by QR');

  step = 'log in';
  const client = new Client(env.simWs, auth);
  await client.connection('an open connection', (update) => update.connection === 'open');
  done('logged in after the restart');

  step = 'write to the Switchboard session';
  await client.send(peer, `baileys to switchboard ${nonce}`);
  done(`sent "baileys to switchboard ${nonce}"`);

  step = 'get the automatic reply';
  await client.send(peer, 'ping');
  await client.message('a text with "pong"', ({ text }) => text.toLowerCase().includes('pong'));
  done('received the automatic reply');

  step = 'receive what is sent over HTTP';
  const text = `switchboard to baileys ${nonce}`;
  const answer = await post(`${env.host}/api/v1/send-message`, env.sessionKey, { to: env.baileysNumber, text });
  if (answer.success !== true || !answer.messageId) {
    throw new Error(`expected success and a messageId, got ${JSON.stringify(answer)}`);
  }
  const id = String(answer.messageId);
  const received = await client.message(`the text under id ${id}`, (message) => message.text === text);
  if (received.id !== id) throw new Error(`the text came under id ${received.id}, but the host promised ${id}`);
  done('received what was sent over HTTP, under the promised id');

  step = 'log out';
  const closed = client.connection('the end of the connection', closedWith(DisconnectReason.loggedOut));
  await client.logout();
  await closed;
  done('logged out');
}

/** One connection. Everything it says is kept from the start on, so that nobody can subscribe too late. */
class Client {
  #connection = new Seen();
  #messages = new Seen();
  #sent = new Map();
  #socket;

  constructor(url, auth) {
    this.#socket = makeWASocket({
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
    this.#socket.ev.on('connection.update', (update) => this.#connection.add(update));
    this.#socket.ev.on('messages.upsert', ({ messages }) => messages.forEach((message) => this.#take(message)));
  }

  /** Waits for an update of the connection; fails at once if it has closed in another way. */
  connection(what, wanted) {
    return this.#connection.find(what, wanted, (update) => update.connection === 'close' && !wanted(update));
  }

  /** Waits for a message of somebody else. */
  message(what, wanted) {
    const lost = this.connection(what, () => false);
    return Promise.race([this.#messages.find(what, wanted), lost]);
  }

  async send(jid, text) {
    const sent = await this.#socket.sendMessage(jid, { text });
    this.#sent.set(sent.key.id, sent.message);
  }

  logout() {
    return this.#socket.logout();
  }

  #take({ key, message, messageStubType, messageStubParameters }) {
    if (key.fromMe) return;
    // What cannot be decrypted shows as a stub; the client asks for it again by itself.
    if (messageStubType) remember('stub', `${key.id} ${messageStubType} ${messageStubParameters}`);
    const text = message?.conversation ?? message?.extendedTextMessage?.text;
    if (text) this.#messages.add({ id: key.id, from: key.remoteJid, text });
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

async function post(url, key, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${url} answered ${response.status}: ${text}`);
  return text ? JSON.parse(text) : {};
}

function environment() {
  const missing = Object.values(NAMES).filter((name) => !process.env[name]);
  if (missing.length > 0) throw new Error(`not set: ${missing.join(', ')}`);
  return Object.fromEntries(Object.entries(NAMES).map(([field, name]) => [field, process.env[name]]));
}

/** Keeps the client's warnings for the case that a step fails. */
function logger() {
  const quiet = () => {};
  const keep = (level) => (fields, text) => remember(level, `${text ?? ''} ${shown(fields)}`);
  const made = { level: 'warn', trace: quiet, debug: quiet, info: quiet };
  return Object.assign(made, { warn: keep('warn'), error: keep('error'), fatal: keep('fatal'), child: () => made });
}

function remember(level, what) {
  log.push(`${level} ${String(what)}`.slice(0, LOG_CHARS_MAX));
  if (log.length > LOG_LINES_MAX) log.shift();
}

function shown(value) {
  const error = value?.lastDisconnect?.error ?? value?.error ?? value?.err ?? value;
  if (error instanceof Error) return `${error.message} (${error.output?.statusCode ?? 'no status'})`;
  try {
    return typeof error === 'string' ? error : JSON.stringify(error);
  } catch {
    return String(error);
  }
}

function done(what) {
  steps += 1;
  writeSync(1, `ok ${steps} ${what}\n`);
}

function fail(error) {
  const cause = error?.cause ? ` (${error.cause.message ?? error.cause})` : '';
  const lines = [`failed: ${step}: ${error?.message ?? error}${cause}`, ...log.map((line) => `  ${line}`)];
  writeSync(1, `${lines.join('\n')}\n`);
  process.exit(1);
}

setTimeout(() => fail(new Error(`not done after ${DEADLINE_MS} ms`)), DEADLINE_MS);
process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);
// The Signal library writes sessions to the console; standard output is ours.
for (const level of ['debug', 'error', 'info', 'log', 'trace', 'warn']) {
  console[level] = (...parts) => remember(level, parts[0]);
}

await talk().catch(fail);
writeSync(1, `total ${Date.now() - begun} ms\n`);
process.exit(0);
