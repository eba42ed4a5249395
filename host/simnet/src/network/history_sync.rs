//! How a phone's past reaches its companions: each piece is a message that names a file on the media hosts, or carries
//! it when it is the first and small.

use std::collections::BTreeMap;

use waproto::buffa::MessageField;
use waproto::whatsapp::history_sync::HistorySyncType as PieceType;
use waproto::whatsapp::message::peer_data_operation_request_message::HistorySyncOnDemandRequest;
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    FullHistorySyncOnDemandRequestMetadata, HistorySyncNotification, HistorySyncType, ProtocolMessage,
};
use waproto::whatsapp::{DeviceProps, HistorySync, Message};

use super::Network;
use crate::address::{DeviceKey, Space};
use crate::blobs::Blob;
use crate::phone::media::{MediaKind, seal};
use crate::phone::{Lids, OlderThan, PhoneError, compress};

/// Bytes of a first piece that travels inside its message.
const INLINE_BYTES_MAX: usize = 32 * 1024;
/// Messages in an answer whose asker names no number.
const ON_DEMAND_MESSAGES: usize = 50;

/// What a piece says beside its content.
#[derive(Default)]
struct Wrapping {
    may_be_inline: bool,
    /// The request that it answers.
    answers: Option<String>,
    metadata: MessageField<FullHistorySyncOnDemandRequestMetadata>,
}

impl Network {
    /// Hands a new companion the past.
    pub(super) fn hand_over_history(&mut self, companion: &DeviceKey, props: &DeviceProps) {
        let lids = self.lids_of(&companion.number);
        let Some(account) = self.accounts.get(&companion.number) else { return };
        let salt = self.history_nct_salt(&companion.number);
        let everything = props.require_full_sync.unwrap_or(false);
        let pieces = account.phone.histories(&lids, everything, salt);
        let config = props.history_sync_config.as_option();
        let inline = config.is_none_or(|config| config.inline_initial_payload_in_e2_ee_msg != Some(false));
        for piece in pieces {
            let may_be_inline = inline && piece.sync_type == PieceType::INITIAL_BOOTSTRAP;
            self.hand_over(companion, &piece, Wrapping { may_be_inline, ..Wrapping::default() });
        }
    }

    /// Answers a companion that wants to see further back in a chat.
    pub(super) fn hand_over_older(&mut self, companion: &DeviceKey, request: &str, asked: &HistorySyncOnDemandRequest) {
        let chat = self.chat_text(asked.chat_jid.as_deref().unwrap_or_default());
        let lids = self.lids_of(&companion.number);
        let Some(account) = self.accounts.get(&companion.number) else { return };
        let count = asked.on_demand_msg_count.and_then(|count| usize::try_from(count).ok());
        let older = OlderThan {
            chat: &chat,
            id: asked.oldest_msg_id.as_deref().unwrap_or_default(),
            at_ms: asked.oldest_msg_timestamp_ms,
            count: count.filter(|count| *count > 0).unwrap_or(ON_DEMAND_MESSAGES),
        };
        let piece = account.phone.history_before(&older, &lids);
        let answers = Some(request.to_owned());
        self.hand_over(companion, &piece, Wrapping { answers, ..Wrapping::default() });
    }

    /// Hands over the whole past to a companion that asked for it.
    pub(super) fn hand_over_everything(
        &mut self,
        companion: &DeviceKey,
        metadata: &MessageField<FullHistorySyncOnDemandRequestMetadata>,
    ) {
        let lids = self.lids_of(&companion.number);
        let Some(account) = self.accounts.get(&companion.number) else { return };
        let mut pieces = account.phone.histories(&lids, true, None);
        pieces.retain(|piece| !piece.conversations.is_empty());
        for mut piece in pieces {
            piece.sync_type = PieceType::FULL;
            self.hand_over(companion, &piece, Wrapping { metadata: metadata.clone(), ..Wrapping::default() });
        }
    }

    fn hand_over(&mut self, companion: &DeviceKey, piece: &HistorySync, wrapping: Wrapping) {
        match self.history_message(piece, wrapping) {
            Ok(message) => {
                self.tell_companion(companion, message);
            }
            Err(error) => tracing::warn!(number = companion.number, %error, "a phone cannot pack its history"),
        }
    }

    fn history_message(&mut self, piece: &HistorySync, wrapping: Wrapping) -> Result<Message, PhoneError> {
        let packed = compress(piece)?;
        let oldest = piece.conversations.iter().flat_map(|conversation| &conversation.messages);
        let oldest = oldest.filter_map(|message| message.message.message_timestamp).min();
        let mut notification = HistorySyncNotification {
            sync_type: Some(kind_of(piece.sync_type)),
            chunk_order: piece.chunk_order,
            progress: piece.progress,
            oldest_msg_in_chunk_timestamp_sec: oldest.and_then(|at| i64::try_from(at).ok()),
            peer_data_request_session_id: wrapping.answers,
            full_history_sync_on_demand_request_metadata: wrapping.metadata,
            ..HistorySyncNotification::default()
        };
        if wrapping.may_be_inline && packed.len() <= INLINE_BYTES_MAX {
            notification.initial_hist_bootstrap_inline_payload = Some(packed);
        } else {
            let media = seal(MediaKind::History, &packed)?;
            self.out.blobs.push(Blob { path: media.direct_path.clone(), bytes: media.sealed });
            notification.file_sha256 = Some(media.sha256.to_vec());
            notification.file_length = Some(media.bytes);
            notification.media_key = Some(media.key.to_vec());
            notification.file_enc_sha256 = Some(media.sealed_sha256.to_vec());
            notification.direct_path = Some(media.direct_path);
        }
        Ok(Message {
            protocol_message: MessageField::some(ProtocolMessage {
                r#type: Some(ProtocolType::HISTORY_SYNC_NOTIFICATION),
                history_sync_notification: MessageField::some(notification),
                ..ProtocolMessage::default()
            }),
            ..Message::default()
        })
    }

    /// The other addresses of everybody a phone has to do with, and of its owner.
    fn lids_of(&self, number: &str) -> Lids {
        let people = self.accounts.get(number).map(|account| account.phone.people()).unwrap_or_default();
        let known = people.iter().filter_map(|person| self.number_of(&person.parse().ok()?));
        let pair = |number: String| {
            let phone = DeviceKey::new(number, 0);
            (self.jid_of(&phone, Space::Number).to_string(), self.jid_of(&phone, Space::Lid).to_string())
        };
        known.chain([number.to_owned()]).map(pair).collect::<BTreeMap<_, _>>()
    }
}

fn kind_of(piece: PieceType) -> HistorySyncType {
    match piece {
        PieceType::INITIAL_BOOTSTRAP => HistorySyncType::INITIAL_BOOTSTRAP,
        PieceType::INITIAL_STATUS_V3 => HistorySyncType::INITIAL_STATUS_V3,
        PieceType::FULL => HistorySyncType::FULL,
        PieceType::RECENT => HistorySyncType::RECENT,
        PieceType::PUSH_NAME => HistorySyncType::PUSH_NAME,
        PieceType::NON_BLOCKING_DATA => HistorySyncType::NON_BLOCKING_DATA,
        PieceType::ON_DEMAND => HistorySyncType::ON_DEMAND,
    }
}
