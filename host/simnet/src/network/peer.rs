//! What the devices of one account say to each other in messages that nobody sees: keys of the app state, requests that
//! only the phone can answer, and its answers. Copies of what a companion sent come the same way.
//!
//! (Kinds and answers as `pdo.rs` and `message/receive.rs` of whatsapp-rust 0.7.0 and `process-message.js` of Baileys 7
//! have them.)

use std::collections::VecDeque;

use wacore_binary::{Jid, Node};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::media_retry_notification::ResultType;
use waproto::whatsapp::message::peer_data_operation_request_response_message::PeerDataOperationResult;
use waproto::whatsapp::message::peer_data_operation_request_response_message::peer_data_operation_result::{
    FullHistorySyncOnDemandRequestResponse, FullHistorySyncOnDemandResponseCode, HistorySyncChunkRetryResponse,
    HistorySyncChunkRetryResponseCode, PlaceholderMessageResendResponse, SyncDSnapshotFatalRecoveryResponse,
};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage, PeerDataOperationRequestType, ProtocolMessage,
};
use waproto::whatsapp::{Message, MessageKey, WebMessageInfo};

use super::Network;
use super::stanza::{MessageHead, enc_node};
use crate::address::{DeviceKey, Space};
use crate::phone::{collection_name, sent_in};
use crate::{random, wire};

/// Messages of one phone to its companions that it can send again.
const SENT_MAX: usize = 64;
/// How often a companion may ask for one of them.
const RETRIES_MAX: u64 = 5;
/// Requests answered in one message.
const REQUESTS_MAX: usize = 64;

/// A message that a phone sent to a companion, in case it cannot be read.
pub(super) struct PeerSent {
    id: String,
    companion: DeviceKey,
    message: Message,
}

impl PeerSent {
    pub(super) fn companion(&self) -> &DeviceKey {
        &self.companion
    }
}

impl Network {
    /// Gives a companion the keys of the app state: all of them, or those it asked for.
    pub(super) fn share_app_state_keys(&mut self, companion: &DeviceKey, wanted: Option<&[Vec<u8>]>) {
        let Some(account) = self.accounts.get(&companion.number) else { return };
        let message = account.phone.share_sync_keys(wanted);
        self.tell_companion(companion, message);
    }

    /// A phone sends a message to one of its companions; returns the message's id.
    pub(super) fn tell_companion(&mut self, companion: &DeviceKey, message: Message) -> String {
        let id = random::message_id();
        self.send_peer_message(companion, &id, &message);
        let sent: &mut VecDeque<PeerSent> = self.own.sent.entry(companion.number.clone()).or_default();
        if sent.len() >= SENT_MAX {
            sent.pop_front();
        }
        sent.push_back(PeerSent { id: id.clone(), companion: companion.clone(), message });
        id
    }

    fn send_peer_message(&mut self, companion: &DeviceKey, id: &str, message: &Message) {
        let chat = Jid::pn(companion.number.as_str());
        let head = MessageHead::from_phone(id.to_owned(), chat.clone(), Some("peer"));
        let phone = DeviceKey::new(companion.number.as_str(), 0);
        match self.seal(&phone, companion, message) {
            Ok(sealed) => self.deliver(&phone, &head, companion, &chat, vec![enc_node(&sealed)]),
            Err(error) => tracing::warn!(number = companion.number, %error, "a phone cannot write to its companion"),
        }
    }

    /// A companion cannot read what its phone told it, and gets it again.
    pub(super) fn peer_sends_again(&mut self, asker: &DeviceKey, to: &Jid, id: &str, receipt: &Node) {
        let phone = self.key_of(to).filter(|key| key.device == 0 && key.number == asker.number);
        let retry = receipt.get_optional_child("retry");
        let count = retry.and_then(|retry| wire::attribute(retry, "count")?.parse::<u64>().ok()).unwrap_or(1);
        if phone.is_none() || count > RETRIES_MAX {
            return;
        }
        if let Some(message) = self.peer_sent(asker, id) {
            self.send_peer_message(asker, id, &message);
        }
    }

    /// A companion could not fetch the file of a message from its phone, and gets the message again. False for a receipt
    /// about anything else. (`build_history_sync_server_error_receipt` of wacore 0.7.0 makes these.)
    pub(super) fn peer_sends_file_again(&mut self, asker: &DeviceKey, to: &Jid, id: &str, receipt: &Node) -> bool {
        let about_own =
            wire::attribute_is(receipt, "type", "server-error") && wire::attribute_is(receipt, "category", "peer");
        let own_phone = self.key_of(to).is_some_and(|key| key.device == 0 && key.number == asker.number);
        let message = if about_own && own_phone { self.peer_sent(asker, id) } else { None };
        let Some(message) = message else { return false };
        self.tell_companion(asker, message);
        true
    }

    fn peer_sent(&self, companion: &DeviceKey, id: &str) -> Option<Message> {
        let mut sent = self.own.sent.get(&companion.number)?.iter();
        sent.find(|sent| sent.id == id && sent.companion == *companion).map(|sent| sent.message.clone())
    }

    /// A phone reads what a device of its own account wrote.
    pub(super) fn phone_reads_own(&mut self, sender: &DeviceKey, head: &MessageHead, message: &Message) {
        if let Some((chat, message)) = sent_in(message) {
            self.phone_keeps_sent(&sender.number, chat, &head.id, &message);
        }
        // Baileys 7 wraps what is for the phone like a copy of something sent.
        let wrapped = message.device_sent_message.as_option().filter(|_| head.is_peer());
        let message = wrapped.and_then(|wrapped| wrapped.message.as_option()).unwrap_or(message);
        let Some(protocol) = message.protocol_message.as_option() else { return };
        if let Some(request) = protocol.app_state_sync_key_request.as_option() {
            let wanted: Vec<Vec<u8>> = request.key_ids.iter().filter_map(|id| id.key_id.clone()).collect();
            self.share_app_state_keys(sender, Some(&wanted));
        }
        if let Some(share) = protocol.app_state_sync_key_share.as_option()
            && let Some(account) = self.accounts.get_mut(&sender.number)
        {
            account.phone.learn_sync_keys(share);
            self.record_phone(&sender.number);
        }
        if let Some(request) = protocol.peer_data_operation_request_message.as_option() {
            self.answer_request(sender, &head.id, request);
        }
    }

    /// Remembers a message that the owner of a phone has sent, to a chat or to the account of a number.
    pub(super) fn phone_keeps_sent(&mut self, number: &str, to: &str, id: &str, message: &Message) {
        let now_ms = self.now_ms;
        let chat = if to.contains('@') { self.chat_text(to) } else { Jid::pn(to).to_string() };
        if let Some(account) = self.accounts.get_mut(number) {
            account.phone.keep_sent(&chat, id, now_ms, message);
            self.record_phone(number);
        }
    }

    /// A phone learns the name under which the sender of a message presents itself.
    pub(super) fn phone_learns_name(&mut self, number: &str, sender: &DeviceKey) {
        let device = self.device(sender).map(|device| device.record.push_name.as_str()).filter(|name| !name.is_empty());
        let account = self.accounts.get(&sender.number).map(|account| account.name.as_str());
        let Some(name) = device.or(account).map(str::to_owned) else { return };
        let jid = self.jid_of(&DeviceKey::new(sender.number.as_str(), 0), Space::Number).to_string();
        if let Some(account) = self.accounts.get_mut(number) {
            account.phone.learn_name(&jid, &name);
            self.record_phone(number);
        }
    }

    /// A chat as phones address it, whichever of its addresses a client used.
    pub(super) fn chat_text(&self, text: &str) -> String {
        let Ok(jid) = text.parse::<Jid>() else { return text.to_owned() };
        match self.number_of(&jid) {
            Some(number) => Jid::pn(number.as_str()).to_string(),
            None => jid.to_non_ad_string(),
        }
    }

    /// Answers a request that a companion made of its phone.
    fn answer_request(&mut self, companion: &DeviceKey, id: &str, request: &PeerDataOperationRequestMessage) {
        let Some(kind) = request.peer_data_operation_request_type else { return };
        let results = match kind {
            PeerDataOperationRequestType::HISTORY_SYNC_ON_DEMAND => {
                // The answer is a piece of history, not a response.
                if let Some(asked) = request.history_sync_on_demand_request.as_option() {
                    self.hand_over_older(companion, id, asked);
                }
                return;
            }
            PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND => {
                let keys = request.placeholder_message_resend_request.iter().take(REQUESTS_MAX);
                keys.filter_map(|asked| asked.message_key.as_option())
                    .map(|key| self.placeholder_answer(&companion.number, key))
                    .collect()
            }
            PeerDataOperationRequestType::FULL_HISTORY_SYNC_ON_DEMAND => {
                let response = FullHistorySyncOnDemandRequestResponse {
                    request_metadata: request.full_history_sync_on_demand_request.request_metadata.clone(),
                    response_code: Some(FullHistorySyncOnDemandResponseCode::REQUEST_SUCCESS),
                };
                self.hand_over_everything(companion, &response.request_metadata);
                vec![PeerDataOperationResult {
                    full_history_sync_on_demand_request_response: MessageField::some(response),
                    ..PeerDataOperationResult::default()
                }]
            }
            PeerDataOperationRequestType::HISTORY_SYNC_CHUNK_RETRY => {
                vec![self.repeat_chunk(companion, id, request)]
            }
            PeerDataOperationRequestType::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY => {
                let asked = request.syncd_collection_fatal_recovery_request.collection_name.as_deref();
                vec![self.recovery_answer(&companion.number, asked.unwrap_or_default())]
            }
            // Files, previews and accounts elsewhere that this phone does not have.
            _ => vec![PeerDataOperationResult {
                media_upload_result: Some(ResultType::NOT_FOUND),
                ..PeerDataOperationResult::default()
            }],
        };
        self.tell_companion(companion, response(kind, id, results));
    }

    /// A message that a companion could not read, as far as the phone has it.
    fn placeholder_answer(&self, number: &str, key: &MessageKey) -> PeerDataOperationResult {
        let chat = self.chat_text(key.remote_jid.as_deref().unwrap_or_default());
        let id = key.id.as_deref().unwrap_or_default();
        let kept = self.accounts.get(number).and_then(|account| account.phone.kept_message(&chat, id));
        // Without its content the companion knows that there is no use in waiting.
        let info = kept.unwrap_or_else(|| WebMessageInfo {
            key: MessageField::some(MessageKey { remote_jid: Some(chat), ..key.clone() }),
            ..WebMessageInfo::default()
        });
        let answer = PlaceholderMessageResendResponse { web_message_info_bytes: Some(info.encode_to_vec()) };
        PeerDataOperationResult {
            placeholder_message_resend_response: MessageField::some(answer),
            ..PeerDataOperationResult::default()
        }
    }

    /// Sends a piece of history again that a companion could not use.
    fn repeat_chunk(
        &mut self,
        companion: &DeviceKey,
        id: &str,
        request: &PeerDataOperationRequestMessage,
    ) -> PeerDataOperationResult {
        let asked = &request.history_sync_chunk_retry_request;
        let chunk = asked.chunk_notification_id.as_deref().and_then(|chunk| self.peer_sent(companion, chunk));
        let chunk = chunk.filter(|chunk| chunk.protocol_message.history_sync_notification.is_set());
        let answer = HistorySyncChunkRetryResponse {
            sync_type: asked.sync_type,
            chunk_order: asked.chunk_order,
            request_id: Some(id.to_owned()),
            response_code: chunk.is_none().then_some(HistorySyncChunkRetryResponseCode::CHUNK_EXHAUSTED),
            can_recover: Some(chunk.is_some()),
        };
        if let Some(chunk) = chunk {
            self.tell_companion(companion, chunk);
        }
        PeerDataOperationResult {
            history_sync_chunk_retry_response: MessageField::some(answer),
            ..PeerDataOperationResult::default()
        }
    }

    fn recovery_answer(&self, number: &str, name: &str) -> PeerDataOperationResult {
        let account = self.accounts.get(number);
        let recovery = collection_name(name).and_then(|name| Some(account?.phone.state_recovery(name)));
        let Some(recovery) = recovery else {
            return PeerDataOperationResult::default();
        };
        let answer = SyncDSnapshotFatalRecoveryResponse {
            collection_snapshot: Some(recovery.encode_to_vec()),
            is_compressed: Some(false),
        };
        PeerDataOperationResult {
            syncd_snapshot_fatal_recovery_response: MessageField::some(answer),
            ..PeerDataOperationResult::default()
        }
    }
}

fn response(kind: PeerDataOperationRequestType, id: &str, results: Vec<PeerDataOperationResult>) -> Message {
    let response = PeerDataOperationRequestResponseMessage {
        peer_data_operation_request_type: Some(kind),
        stanza_id: Some(id.to_owned()),
        peer_data_operation_result: results,
    };
    Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(ProtocolType::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE),
            peer_data_operation_request_response_message: MessageField::some(response),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    }
}
