// Groups: made by a Baileys client, with another one, a phone and a Switchboard session in them.

import { check, doing, same } from './report.mjs';

/** Baileys clients and a phone. */
export async function betweenClients({ ada, bo, phone, nonce }) {
  const group = await doing('a new group', async () => {
    const made = await ada.socket.groupCreate(`Club ${nonce}`, [bo.jid, phone.jid]);
    await bo.event('groups.upsert', 'the new group', ({ id }) => id === made.id);
    const seen = await bo.socket.groupMetadata(made.id);
    same([seen.subject, seen.participants.length], [`Club ${nonce}`, 3], 'the group');
    return made.id;
  });
  const sent = await doing('a text to a group', async () => {
    const sent = await ada.send(group, { text: 'hello all' });
    const received = await bo.received(sent.key.id);
    same([received.text, received.chat], ['hello all', group], 'what the other client got');
    const shown = await phone.showsId(sent.key.id);
    same([shown.text, shown.chat], ['hello all', group], 'what the phone shows');
    return sent;
  });
  await doing('texts of others in a group', async () => {
    const byBo = await bo.send(group, { text: 'hello Ada' });
    check(bo.is((await ada.received(byBo.key.id)).key.participant), 'it came under another name');
    await phone.showsId(byBo.key.id);
    const byPhone = await phone.send(group, { text: 'hello both' });
    for (const client of [ada, bo]) same((await client.received(byPhone)).text, 'hello both', 'the text');
  });
  await doing('a reaction and a read receipt in a group', async () => {
    const { key } = await bo.received(sent.key.id);
    await bo.send(group, { react: { text: '👏', key } });
    await ada.event('messages.reaction', 'the reaction', (item) => item.key.id === sent.key.id);
    await bo.socket.readMessages([key]);
    const wanted = ({ key, receipt }) => key.id === sent.key.id && receipt.readTimestamp && bo.is(receipt.userJid);
    await ada.event('message-receipt.update', 'that it is read', wanted);
  });
  await doing('a new name of a group', async () => {
    await ada.socket.groupUpdateSubject(group, 'Sports club');
    await bo.event('groups.update', 'the new name', ({ id, subject }) => id === group && subject === 'Sports club');
    same((await bo.socket.groupMetadata(group)).subject, 'Sports club', 'the name');
  });
  await doing('a promotion and a link of a group', async () => {
    await ada.socket.groupParticipantsUpdate(group, [bo.jid], 'promote');
    await bo.event('group-participants.update', 'the promotion', ({ id, action }) => id === group && action === 'promote');
    const code = await bo.socket.groupInviteCode(group);
    same((await ada.socket.groupGetInviteInfo(code)).id, group, 'where the link leads');
  });
  await doing('leaving a group', async () => {
    await bo.socket.groupLeave(group);
    await ada.event('group-participants.update', 'that Bo is gone', ({ id, action }) => id === group && action === 'remove');
    same((await ada.socket.groupMetadata(group)).participants.length, 2, 'how many are left');
  });
}

/** A Baileys client and a Switchboard session. */
export async function withSession({ ada, session, nonce }) {
  await doing('a text to a group with a session in it', async () => {
    const group = await ada.socket.groupCreate(`Office ${nonce}`, [session.jid]);
    const sent = await ada.send(group.id, { text: 'good morning' });
    const received = await session.received(sent.key.id, 'text');
    same([received.value, received.chat, received.group], ['good morning', group.id, true], 'what the session got');
  });
}
