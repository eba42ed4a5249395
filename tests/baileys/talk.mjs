// An independent client of the simulated network: unmodified Baileys clients pair, log in, and talk with each other, with a
// simulated phone and with a Switchboard session.
//
// Run by the whole-host tests as `node talk.mjs with-network` or `node talk.mjs with-session` after `npm ci`; further
// arguments name the conversations, all of them when there are none. Everything else comes by environment (see `NAMES`).
// Each step prints one line, `ok <n> <what>`. The first failure prints `failed: <step>: <why>` and ends with exit code 1.

import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';

import { linked, trust } from './client.mjs';
import * as files from './files.mjs';
import * as groups from './groups.mjs';
import { Network } from './network.mjs';
import * as polls from './polls.mjs';
import { begin, doing, fail, watch } from './report.mjs';
import { Session } from './session.mjs';
import * as signs from './signs.mjs';
import * as words from './words.mjs';

/** The whole conversation; a step that hangs must not hang the test run. */
const DEADLINE_MS = 100_000;
const CONVERSATIONS = { words, signs, polls, groups, files };

/** What the test hands over. */
const NAMES = {
  simWs: 'SIM_WS', // ws://127.0.0.1:PORT/ws/chat
  simRootKey: 'SIM_ROOT_KEY', // hex of the 32 bytes that the network's certificates are signed with
  simControl: 'SIM_CONTROL', // http base of /switchboard/v1/sim
  simAdminKey: 'SIM_ADMIN_KEY',
  adaNumber: 'ADA_NUMBER',
};
const NETWORK_NAMES = { boNumber: 'BO_NUMBER', phoneNumber: 'PHONE_NUMBER' };
const SESSION_NAMES = {
  host: 'HOST', // http base of a Switchboard host with the `wasender` dialect at /api/v1
  sessionKey: 'SESSION_KEY', // API key of a connected session that answers `ping` with `pong`
  sessionNumber: 'SESSION_NUMBER',
  tenantKey: 'TENANT_KEY', // reads the event log of the session's tenant
};

async function withNetwork(network, env, conversations, nonce) {
  const [ada, bo] = await doing('two clients pair and log in', async () => {
    const phones = [await network.phone(env.adaNumber), await network.phone(env.boNumber)];
    return Promise.all(phones.map((phone) => linked(env.simWs, phone)));
  });
  const phone = await network.phone(env.phoneNumber);
  const stage = { ada, bo, phone, nonce };
  for (const conversation of conversations) {
    for (const part of ['betweenClients', 'withPhone', 'byPhone']) await conversation[part]?.(stage);
  }
  await doing('logging out', () => Promise.all([ada.logout(), bo.logout()]));
}

async function withSession(network, env, conversations, nonce) {
  const ada = await doing('a client pairs and logs in', async () => linked(env.simWs, await network.phone(env.adaNumber)));
  const session = new Session(env.host, env.sessionKey, env.tenantKey, env.sessionNumber);
  for (const conversation of conversations) await conversation.withSession?.({ ada, session, nonce });
  await doing('logging out', () => ada.logout());
}

async function talk() {
  begin('read the arguments and the environment');
  const [mode, ...names] = process.argv.slice(2);
  const modes = { 'with-network': [withNetwork, NETWORK_NAMES], 'with-session': [withSession, SESSION_NAMES] };
  if (!modes[mode]) throw new Error(`expected one of ${Object.keys(modes).join(', ')}, got ${mode}`);
  const unknown = names.filter((name) => !CONVERSATIONS[name]);
  if (unknown.length > 0) throw new Error(`no such conversation: ${unknown.join(', ')}`);
  const [run, more] = modes[mode];
  const env = environment({ ...NAMES, ...more });
  trust(env.simRootKey);
  const chosen = (names.length > 0 ? names : Object.keys(CONVERSATIONS)).map((name) => CONVERSATIONS[name]);
  await run(new Network(env.simControl, env.simAdminKey), env, chosen, process.env.NONCE ?? randomUUID());
}

function environment(names) {
  const missing = Object.values(names).filter((name) => !process.env[name]);
  if (missing.length > 0) throw new Error(`not set: ${missing.join(', ')}`);
  return Object.fromEntries(Object.entries(names).map(([field, name]) => [field, process.env[name]]));
}

const begun = Date.now();
watch(DEADLINE_MS);
await talk().catch(fail);
writeSync(1, `total ${Date.now() - begun} ms\n`);
process.exit(0);
