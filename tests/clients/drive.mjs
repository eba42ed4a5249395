// Calls every method of the published npm client once, unmodified, against a live host, and prints a line of JSON for each.
// SCENE (JSON) says where everything is; see tests/host/clients.rs.
import { createWasender } from "wasenderapi";

const scene = JSON.parse(process.env.SCENE);
const client = createWasender(scene.session_key, scene.personal_token, scene.base);
const customer = scene.customer;
// What the client has for itself.
const INNER = ["constructor", "request", "parseRateLimitHeaders", "postInternal", "getInternal", "putInternal", "deleteInternal"];
const driven = new Set();
let failed = 0;

async function call(name, ...args) {
  driven.add(name);
  try {
    const result = await client[name](...args);
    console.log(JSON.stringify({ call: name, ok: true }));
    return result.response ?? result;
  } catch (error) {
    failed += 1;
    console.log(JSON.stringify({ call: name, ok: false, error: String(error.message), details: error.apiMessage ?? null }));
    return { data: {} };
  }
}

// The client sends an empty body in place of a form: the refusal is right.
async function refused(name, ...args) {
  driven.add(name);
  try {
    await client[name](...args);
    failed += 1;
    console.log(JSON.stringify({ call: name, ok: false, error: "was not refused" }));
  } catch (error) {
    console.log(JSON.stringify({ call: name, ok: error.statusCode === 422, refused: error.statusCode }));
    failed += error.statusCode === 422 ? 0 : 1;
  }
}

// Waits until WhatsApp has a message: whoever leaves a group before that does not get it.
async function gone(msgId) {
  for (let tries = 0; tries < 100; tries += 1) {
    const info = await client.getMessageInfo(msgId);
    if (info.response.data.status >= 2) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const file = (name) => `${scene.files}${name}`;
await call("send", { messageType: "text", to: customer, text: "npm send" });
const sent = await call("sendText", { to: customer, text: "npm sendText" });
const msgId = sent.data.msgId;
await call("sendImage", { to: customer, imageUrl: file("photo.png"), text: "npm sendImage", viewOnce: true });
await call("sendVideo", { to: customer, videoUrl: file("film.mp4"), text: "npm sendVideo" });
await call("sendDocument", { to: customer, documentUrl: file("invoice.pdf"), text: "npm sendDocument", fileName: "npm.pdf" });
await call("sendAudio", { to: customer, audioUrl: file("sound.ogg") });
await call("sendSticker", { to: customer, stickerUrl: file("sticker.webp") });
await call("sendContact", { to: customer, contact: { name: "npm contact", phone: "+491520000009" } });
await call("sendLocation", { to: customer, location: { latitude: "1.5", longitude: "2.5", name: "npm place", address: "a" } });
await call("sendQuotedMessage", { to: customer, text: "npm quote", replyTo: msgId });
await call("getMessageInfo", msgId);
await call("editMessage", msgId, "npm edited");
const doomed = await call("sendText", { to: customer, text: "npm doomed" });
await call("deleteMessage", doomed.data.msgId);
await call("sendPresenceUpdate", `${customer}@s.whatsapp.net`, "composing", 1000);

await call("checkIfOnWhatsapp", `+${customer}`);
await call("getContacts");
await call("getContactInfo", `+${customer}`);
await call("getContactProfilePicture", customer);
await call("blockContact", customer);
await call("unblockContact", customer);

const group = (await call("createGroup", "npm group", [customer])).data.id;
await call("getGroups");
await call("getGroupMetadata", group);
await call("getGroupParticipants", group);
const mention = await call("sendMessageWithMentions", group, "npm mention", [`${customer}@s.whatsapp.net`]);
await gone(mention.data.msgId);
await call("updateGroupParticipants", group, "promote", [customer]);
await call("removeGroupParticipants", group, [customer]);
await call("addGroupParticipants", group, [customer]);
await call("updateGroupSettings", group, { subject: "npm renamed", announce: true });
await call("getGroupInviteLink", group);
await call("getGroupProfilePicture", group);
await call("getGroupInviteInfo", scene.invite);
await call("acceptGroupInvite", scene.invite);
await call("leaveGroup", group);

await call("uploadMediaFile", { base64: scene.picture, mimetype: "image/png" });
const form = new FormData();
form.append("file", new Blob(["x"]), "x.txt");
await refused("uploadMediaFile", form, true);
await call("decryptMediaFile", scene.sealed);

await call("getAllWhatsAppSessions");
const wish = { name: "npm session", phone_number: "+491510000009", account_protection: true, log_messages: true };
const made = await call("createWhatsAppSession", { ...wish, webhook_url: null, webhook_enabled: false, webhook_events: [] });
const session = made.data.id;
await call("getWhatsAppSessionDetails", session);
await call("updateWhatsAppSession", session, { name: "npm renamed session" });
await call("connectWhatsAppSession", session, true);
await call("connectWhatsAppSession", session);
await call("getWhatsAppSessionQRCode", session);
await call("disconnectWhatsAppSession", session);
await call("regenerateApiKey", session);
await call("deleteWhatsAppSession", session);
await call("getSessionStatus");

// What the host delivered, as it came: the client must know the signature and the names.
const signed = createWasender(scene.session_key, scene.personal_token, scene.base, undefined, undefined, scene.hooks[0].signature);
driven.add("handleWebhookEvent");
for (const hook of scene.hooks) {
  const request = {
    getHeader: (name) => (name.toLowerCase() === "x-webhook-signature" ? hook.signature : undefined),
    getRawBody: async () => hook.body,
  };
  try {
    const read = await signed.handleWebhookEvent(request);
    const ok = read.event === JSON.parse(hook.body).event && read.data !== undefined;
    failed += ok ? 0 : 1;
    console.log(JSON.stringify({ call: "handleWebhookEvent", ok }));
  } catch (error) {
    failed += 1;
    console.log(JSON.stringify({ call: "handleWebhookEvent", ok: false, error: String(error.message) }));
  }
}

const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(client)).filter((name) => !INNER.includes(name));
const missed = methods.filter((name) => !driven.has(name));
console.log(JSON.stringify({ methods: methods.length, missed, failed }));
process.exit(failed === 0 && missed.length === 0 ? 0 : 1);
