// What the conversation tells the test that runs it: each step on a line of its own, and why it stopped.

import { writeSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

/** Warnings of the clients that a failure shows. */
const LOG_LINES_MAX = 40;
/** Characters of one such line. */
const LOG_CHARS_MAX = 300;

const log = [];
let step = 'begin';
let steps = 0;

/** Names what is going on, for the case that it fails. */
export function begin(what) {
  step = what;
}

/** Tells that it went well. */
export function done(what) {
  steps += 1;
  writeSync(1, `ok ${steps} ${what}\n`);
}

/** Runs one step. */
export async function doing(what, act) {
  begin(what);
  const result = await act();
  done(what);
  return result;
}

/** Ends the process. */
export function fail(error) {
  const cause = error?.cause ? ` (${error.cause.message ?? error.cause})` : '';
  const lines = [`failed: ${step}: ${error?.message ?? error}${cause}`, ...log.map((line) => `  ${line}`)];
  writeSync(1, `${lines.join('\n')}\n`);
  process.exit(1);
}

/** Ends the wait for one thing. */
export function check(holds, why) {
  if (!holds) throw new Error(why);
}

/** Two values that must be the same. */
export function same(actual, wanted, what) {
  check(isDeepStrictEqual(actual, wanted), `${what} is ${shown(actual)}, not ${shown(wanted)}`);
}

/** Keeps the warnings of a client. */
export function logger() {
  const quiet = () => {};
  const keep = (level) => (fields, text) => remember(level, `${text ?? ''} ${shown(fields)}`);
  const made = { level: 'warn', trace: quiet, debug: quiet, info: quiet };
  return Object.assign(made, { warn: keep('warn'), error: keep('error'), fatal: keep('fatal'), child: () => made });
}

export function remember(level, what) {
  log.push(`${level} ${String(what)}`.slice(0, LOG_CHARS_MAX));
  if (log.length > LOG_LINES_MAX) log.shift();
}

/** A value on one line. */
export function shown(value) {
  const error = value?.lastDisconnect?.error ?? value?.error ?? value?.err ?? value;
  if (error instanceof Error) return `${error.message} (${error.output?.statusCode ?? 'no status'})`;
  try {
    return typeof error === 'string' ? error : JSON.stringify(error, (_, field) => (typeof field === 'bigint' ? `${field}` : field));
  } catch {
    return String(error);
  }
}

/** Everything that goes wrong ends the process, and standard output stays ours. */
export function watch(deadlineMs) {
  setTimeout(() => fail(new Error(`not done after ${deadlineMs} ms`)), deadlineMs);
  process.on('unhandledRejection', fail);
  process.on('uncaughtException', fail);
  // The Signal library writes sessions to the console.
  for (const level of ['debug', 'error', 'info', 'log', 'trace', 'warn']) {
    console[level] = (...parts) => remember(level, parts[0]);
  }
}
