// Signs of life: receipts, who is there, who is typing.

import { proto } from 'baileys';

import { doing } from './report.mjs';

const { Status } = proto.WebMessageInfo;

const reached = (id, status) => (item) => item.key.id === id && item.update.status === status;

/** Two Baileys clients. */
export async function betweenClients({ ada, bo }) {
  const sent = await ada.send(bo.jid, { text: 'read me' });
  const received = await bo.received(sent.key.id);
  await doing('a delivery and a read receipt between two clients', async () => {
    await ada.event('messages.update', 'the delivery', reached(sent.key.id, Status.DELIVERY_ACK));
    await bo.socket.readMessages([received.key]);
    await ada.event('messages.update', 'that it is read', reached(sent.key.id, Status.READ));
  });
  await doing('presence between two clients', async () => {
    await bo.socket.sendPresenceUpdate('available');
    await ada.socket.presenceSubscribe(bo.jid);
    await ada.presence('that Bo is there', ({ from, lastKnownPresence }) => bo.is(from) && lastKnownPresence === 'available');
    await bo.socket.sendPresenceUpdate('unavailable');
    await ada.presence('that Bo is gone', ({ from, lastKnownPresence }) => bo.is(from) && lastKnownPresence === 'unavailable');
    await bo.socket.sendPresenceUpdate('available');
  });
  await doing('typing between two clients', async () => {
    for (const state of ['composing', 'recording', 'paused']) {
      await bo.socket.sendPresenceUpdate(state, ada.jid);
      const wanted = state === 'paused' ? 'available' : state;
      await ada.presence(`that Bo is ${state}`, ({ from, lastKnownPresence }) => bo.is(from) && lastKnownPresence === wanted);
    }
  });
}

/** A Baileys client and a phone. */
export async function withPhone({ ada, phone }) {
  await doing('receipts of a phone', async () => {
    const sent = await ada.send(phone.jid, { text: 'read me' });
    await phone.showsId(sent.key.id);
    await ada.event('messages.update', 'the delivery', reached(sent.key.id, Status.DELIVERY_ACK));
    await phone.act('receipts', { message_id: sent.key.id });
    await ada.event('messages.update', 'that it is read', reached(sent.key.id, Status.READ));
  });
  await doing('presence of a phone', async () => {
    await ada.socket.presenceSubscribe(phone.jid);
    await phone.act('presence', { state: 'available' });
    const isPhone = (jid) => jid.startsWith(phone.number) || jid === phone.lid;
    await ada.presence('that the phone is there', ({ from, lastKnownPresence }) => isPhone(from) && lastKnownPresence === 'available');
    await phone.act('chatstate', { state: 'composing', to: ada.jid });
    await ada.presence('that the phone is typing', ({ from, lastKnownPresence }) => isPhone(from) && lastKnownPresence === 'composing');
  });
}

/** A Baileys client and a Switchboard session. */
export async function withSession({ ada, session }) {
  await doing('receipts with a session', async () => {
    const sent = await ada.send(session.jid, { text: 'are you there?' });
    await ada.event('messages.update', 'the delivery', reached(sent.key.id, Status.DELIVERY_ACK));
    const id = await session.send(ada.jid, 'read me');
    const received = await ada.received(id);
    await session.became(id, 'delivered');
    await ada.socket.readMessages([received.key]);
    await session.became(id, 'read');
  });
}
