// @ts-check
// A router that says how often this copy of it was asked, from where its configuration says.

import { read } from "switchboard:plugin/config@0.1.0";

/** @typedef {import("switchboard:plugin/router@0.1.0").Router} Router */
/** @typedef {import("switchboard:plugin/router@0.1.0").Response} Response */
/** @typedef {import("switchboard:plugin/configurable@0.1.0").Configurable} Configurable */

/**
 * What stands outside of functions runs when it is built, where there is no configuration.
 * @type {number | undefined}
 */
let count;

/**
 * @param {number} status
 * @param {string} text
 * @returns {Response}
 */
function answer(status, text) {
  const bytes = Uint8Array.from(text, (symbol) => symbol.charCodeAt(0));
  return { status, headers: [], body: { tag: "bytes", val: bytes } };
}

/** @type {Router} */
export const router = {
  routes() {
    const body = { jsonBytesMax: 1024, base64Keys: [], form: null, raw: null, formOnly: false };
    return [{ method: "GET", path: "/count", credentials: [], body, rate: null }];
  },
  handle() {
    count = (count ?? JSON.parse(read()).from ?? 0) + 1;
    return answer(200, String(count));
  },
  refuse(request) {
    return answer(404, request.path);
  },
};

/** @type {Configurable} */
export const configurable = {
  check(configuration) {
    const from = JSON.parse(configuration).from ?? 0;
    return Number.isInteger(from) ? [] : [{ path: ["from"], why: "a whole number is expected" }];
  },
};
