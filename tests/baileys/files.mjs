// Files, through the network's media hosts: pictures, documents and voice notes. Node must trust the network's
// certificate (NODE_EXTRA_CA_CERTS), since Baileys speaks nothing but TLS to media hosts.

import { randomBytes } from 'node:crypto';

import { check, doing, same } from './report.mjs';

/** What to send, by kind: everything that Baileys would otherwise compute from the file is given. */
const KINDS = {
  image: (file) => ({ image: file, caption: 'a picture', jpegThumbnail: '' }),
  document: (file) => ({ document: file, mimetype: 'application/pdf', fileName: 'invoice.pdf' }),
  audio: (file) => ({ audio: file, mimetype: 'audio/ogg; codecs=opus', ptt: true, seconds: 3, waveform: new Uint8Array(64) }),
};

/** Two Baileys clients. */
export async function betweenClients({ ada, bo }) {
  for (const [kind, content] of Object.entries(KINDS)) {
    await doing(`${kind} between two clients`, async () => {
      const file = randomBytes(70_000);
      const sent = await ada.send(bo.jid, content(file));
      const received = await bo.received(sent.key.id);
      check(file.equals(await bo.download(received)), 'it arrived as another file');
    });
  }
  await doing('a large file between two clients', async () => {
    const file = randomBytes(6 * 1024 * 1024);
    const sent = await ada.send(bo.jid, KINDS.document(file));
    check(file.equals(await bo.download(await bo.received(sent.key.id))), 'it arrived as another file');
  });
}

/** A Baileys client and a phone. */
export async function withPhone({ ada, phone }) {
  for (const [kind, content] of Object.entries(KINDS)) {
    await doing(`${kind} to a phone`, async () => {
      const file = randomBytes(20_000);
      const sent = await ada.send(phone.jid, content(file));
      const shown = await phone.showsId(sent.key.id);
      same([shown.type, shown.media.size], [kind, file.length], 'what the phone shows');
      if (kind === 'image') same(shown.caption, 'a picture', 'the caption');
      if (kind === 'document') same(shown.media.file_name, 'invoice.pdf', 'the name');
      if (kind === 'audio') same(shown.ptt, true, 'that it is a voice note');
      check(file.equals(await phone.file(shown)), 'the phone opened another file');
    });
  }
  await doing('a file from a phone', async () => {
    const file = randomBytes(20_000);
    const id = await phone.send(ada.jid, { image: { base64: file.toString('base64'), mime: 'image/jpeg' } });
    check(file.equals(await ada.download(await ada.received(id))), 'it arrived as another file');
  });
}

/** A Baileys client and a Switchboard session. */
export async function withSession({ ada, session }) {
  for (const [kind, content] of Object.entries(KINDS)) {
    await doing(`${kind} to a session`, async () => {
      const sent = await ada.send(session.jid, content(randomBytes(20_000)));
      await session.received(sent.key.id, kind);
    });
  }
}
