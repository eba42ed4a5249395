// Conversations in words: texts, replies, reactions, edits and revokes, between Baileys clients and with a phone.

import { doing, same } from './report.mjs';

/** Two Baileys clients. */
export async function betweenClients({ ada, bo, nonce }) {
  await doing('a text and its reply between two clients', async () => {
    const sent = await ada.send(bo.jid, { text: `hello ${nonce}` });
    const received = await bo.received(sent.key.id);
    same(received.text, `hello ${nonce}`, 'the text');
    const reply = await bo.send(ada.jid, { text: 'hello yourself' }, { quoted: received.whole });
    const context = (await ada.received(reply.key.id)).content.extendedTextMessage.contextInfo;
    same(context.stanzaId, sent.key.id, 'what it replies to');
  });

  const sent = await ada.send(bo.jid, { text: 'frist' });
  const { key } = await bo.received(sent.key.id);
  await doing('a reaction between two clients', async () => {
    await bo.send(ada.jid, { react: { text: '😂', key } });
    const { reaction } = await ada.event('messages.reaction', 'the reaction', (item) => item.key.id === sent.key.id);
    same(reaction.text, '😂', 'the reaction');
  });
  await doing('an edit between two clients', async () => {
    await ada.send(bo.jid, { text: 'first', edit: sent.key });
    const wanted = ({ key, update }) => key.id === sent.key.id && update.message?.editedMessage;
    const { update } = await bo.event('messages.update', 'the edit', wanted);
    const edited = update.message.editedMessage.message;
    same(edited.conversation || edited.extendedTextMessage?.text, 'first', 'the edited text');
  });
  await doing('a revoke between two clients', async () => {
    await ada.send(bo.jid, { delete: sent.key });
    const wanted = ({ key, update }) => key.id === sent.key.id && update.message === null;
    await bo.event('messages.update', 'the revoke', wanted);
  });
}

/** A Baileys client and a phone. */
export async function withPhone({ ada, phone, nonce }) {
  const sent = await doing('a text to a phone', async () => {
    const sent = await ada.send(phone.jid, { text: `to the phone ${nonce}` });
    same((await phone.showsId(sent.key.id)).text, `to the phone ${nonce}`, 'what the phone shows');
    return sent;
  });
  const asked = await doing('a text from a phone', async () => {
    const id = await phone.send(ada.jid, { text: 'from the phone' });
    const received = await ada.received(id);
    same(received.text, 'from the phone', 'the text');
    return received;
  });
  await doing('a reply and a mention to a phone', async () => {
    const reply = await ada.send(phone.jid, { text: '@you an answer', mentions: [phone.jid] }, { quoted: asked.whole });
    const shown = await phone.showsId(reply.key.id);
    same([shown.quoted_id, shown.mentions], [asked.id, [phone.jid]], 'what it refers to');
  });
  await doing('a reaction to a phone', async () => {
    const reaction = await ada.send(phone.jid, { react: { text: '👍', key: asked.key } });
    same((await phone.showsId(reaction.key.id)).reaction, { message_id: asked.id, emoji: '👍' }, 'the reaction');
  });
  await doing('an edit and a revoke to a phone', async () => {
    await ada.send(phone.jid, { text: 'better words', edit: sent.key });
    same((await phone.shows('the edit', (shown) => shown.edited === sent.key.id)).text, 'better words', 'the edit');
    await ada.send(phone.jid, { delete: sent.key });
    await phone.shows('the revoke', (shown) => shown.revoked === sent.key.id);
  });
}

/** What a phone does to its own messages and to those of others. */
export async function byPhone({ ada, phone }) {
  const sent = await ada.send(phone.jid, { text: 'react to this' });
  await phone.showsId(sent.key.id);
  await doing('a reaction from a phone', async () => {
    await phone.send(ada.jid, { reaction: { message_id: sent.key.id, emoji: '🎉' } });
    const { reaction } = await ada.event('messages.reaction', 'the reaction', (item) => item.key.id === sent.key.id);
    same(reaction.text, '🎉', 'the reaction');
  });
  const id = await phone.send(ada.jid, { text: 'frist' });
  await ada.received(id);
  await doing('an edit from a phone', async () => {
    await phone.send(ada.jid, { edit: { message_id: id, text: 'first' } });
    await ada.event('messages.update', 'the edit', ({ key, update }) => key.id === id && update.message?.editedMessage);
  });
  await doing('a revoke from a phone', async () => {
    await phone.send(ada.jid, { revoke: { message_id: id } });
    await ada.event('messages.update', 'the revoke', ({ key, update }) => key.id === id && update.message === null);
  });
}

/** A Baileys client and a Switchboard session. */
export async function withSession({ ada, session, nonce }) {
  const sent = await doing('a text to a session', async () => {
    const sent = await ada.send(session.jid, { text: `baileys to switchboard ${nonce}` });
    same((await session.received(sent.key.id, 'text')).value, `baileys to switchboard ${nonce}`, 'the text');
    return sent;
  });
  await doing('the automatic reply of a session', async () => {
    await ada.send(session.jid, { text: 'ping' });
    await ada.message('a text with "pong"', ({ text, mine }) => !mine && text?.toLowerCase().includes('pong'));
  });
  const received = await doing('a text of a session, under the promised id', async () => {
    const text = `switchboard to baileys ${nonce}`;
    const id = await session.send(ada.jid, text);
    const received = await ada.received(id);
    same(received.text, text, 'the text');
    await session.became(id, 'delivered');
    return received;
  });
  await doing('a reaction to a session', async () => {
    const reaction = await ada.send(session.jid, { react: { text: '❤️', key: received.key } });
    await session.received(reaction.key.id, 'reaction');
  });
  await doing('an edit and a revoke to a session', async () => {
    const edit = await ada.send(session.jid, { text: 'better words', edit: sent.key });
    await session.received(edit.key.id, 'edit');
    const revoke = await ada.send(session.jid, { delete: sent.key });
    await session.received(revoke.key.id, 'revoke');
  });
}
