// Polls and votes. Baileys opens polls but has no call to vote, so the vote is sealed here with the client's own tools.

import { createHash, randomBytes } from 'node:crypto';
import { aesEncryptGCM, decryptPollVote, hmacSign, proto } from 'baileys';

import { doing, same } from './report.mjs';

const OPTIONS = ['Soup', 'Bread', 'Cake'];
const poll = { name: 'Lunch?', values: OPTIONS, selectableCount: 1 };

const hash = (option) => createHash('sha256').update(option).digest();

/** What has been chosen, by name. */
function chosen({ selectedOptions }) {
  const hashes = selectedOptions.map((selected) => Buffer.from(selected).toString('hex'));
  return OPTIONS.filter((option) => hashes.includes(hash(option).toString('hex')));
}

/** A vote on a received poll, by `voter`. */
function vote(voter, asked, creator, options) {
  const { messageSecret } = asked.content.messageContextInfo;
  const parts = [asked.id, creator, voter, 'Poll Vote'].map((part) => Buffer.from(part));
  const key = hmacSign(Buffer.concat([...parts, Buffer.from([1])]), hmacSign(messageSecret, new Uint8Array(32), 'sha256'), 'sha256');
  const encIv = randomBytes(12);
  const plain = proto.Message.PollVoteMessage.encode({ selectedOptions: options.map(hash) }).finish();
  const encPayload = aesEncryptGCM(plain, key, encIv, Buffer.from(`${asked.id}\u0000${voter}`));
  return {
    pollUpdateMessage: {
      pollCreationMessageKey: { remoteJid: creator, fromMe: false, id: asked.id },
      vote: { encPayload, encIv },
      senderTimestampMs: Date.now(),
    },
  };
}

/** What a received vote chose. */
function opened(received, { pollId, creator, voter, secret }) {
  const { vote } = received.content.pollUpdateMessage;
  return chosen(decryptPollVote(vote, { pollMsgId: pollId, pollCreatorJid: creator, voterJid: voter, pollEncKey: secret }));
}

/** Two Baileys clients. */
export async function betweenClients({ ada, bo }) {
  await doing('a poll and a vote between two clients', async () => {
    const sent = await ada.send(bo.jid, { poll });
    const asked = await bo.received(sent.key.id);
    same(asked.content.pollCreationMessageV3.options.map((option) => option.optionName), OPTIONS, 'the options');
    const id = await bo.socket.relayMessage(ada.jid, vote(bo.jid, asked, ada.jid, ['Bread']), {});
    const received = await ada.received(id);
    const secret = sent.message.messageContextInfo.messageSecret;
    same(opened(received, { pollId: sent.key.id, creator: ada.jid, voter: bo.jid, secret }), ['Bread'], 'the vote');
  });
}

/** A Baileys client and a phone. */
export async function withPhone({ ada, phone }) {
  await doing('a poll and a vote with a phone', async () => {
    const sent = await ada.send(phone.jid, { poll });
    const shown = await phone.showsId(sent.key.id);
    same([shown.poll.name, shown.poll.options, shown.poll.selectable_count], ['Lunch?', OPTIONS, 1], 'what the phone shows');
    const id = await phone.send(ada.jid, { poll_vote: { poll_id: sent.key.id, options: ['Cake'] } });
    const received = await ada.received(id);
    const secret = sent.message.messageContextInfo.messageSecret;
    same(opened(received, { pollId: sent.key.id, creator: ada.jid, voter: phone.jid, secret }), ['Cake'], 'the vote');
  });
  await doing('a poll of a phone', async () => {
    const id = await phone.send(ada.jid, { poll: { name: 'Lunch?', options: OPTIONS, selectable_count: 1 } });
    const asked = await ada.received(id);
    const voted = await ada.socket.relayMessage(phone.jid, vote(ada.jid, asked, phone.jid, ['Soup']), {});
    const shown = await phone.showsId(voted);
    same([shown.type, shown.poll_vote.options], ['poll_vote', ['Soup']], 'what the phone shows');
  });
}

/** A Baileys client and a Switchboard session. */
export async function withSession({ ada, session }) {
  await doing('a poll to a session', async () => {
    const sent = await ada.send(session.jid, { poll });
    await session.received(sent.key.id, 'poll');
  });
}
