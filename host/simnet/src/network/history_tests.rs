//! The past that a phone hands to its companions, and what it finds again for them.

use std::io::Read as _;

use flate2::read::ZlibDecoder;
use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::MessageField;
use waproto::whatsapp::device_props::HistorySyncConfig;
use waproto::whatsapp::history_sync::HistorySyncType as PieceType;
use waproto::whatsapp::message::peer_data_operation_request_message::{
    HistorySyncChunkRetryRequest, HistorySyncOnDemandRequest, PlaceholderMessageResendRequest,
    SyncDCollectionFatalRecoveryRequest,
};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{
    HistorySyncNotification, PeerDataOperationRequestMessage, PeerDataOperationRequestResponseMessage,
    PeerDataOperationRequestType, ProtocolMessage,
};
use waproto::whatsapp::{DeviceProps, HistorySync, Message, MessageKey};

use super::test_devices::{ANN, BOB, Companion, Net, qr};
use crate::phone::device_sent;
use crate::phone::media::{MediaKind, open};
use crate::wire;

const BOBS_JID: &str = "15550002222@s.whatsapp.net";

fn unpack(net: &Net, notification: &HistorySyncNotification) -> HistorySync {
    let packed = match &notification.initial_hist_bootstrap_inline_payload {
        Some(inline) => inline.clone(),
        None => {
            let sealed = &net.blobs[notification.direct_path.as_deref().unwrap()];
            open(MediaKind::History, notification.media_key.as_deref().unwrap(), sealed).unwrap()
        }
    };
    let mut plain = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut plain).unwrap();
    waproto::codec::history_sync_decode(&plain).unwrap()
}

/// The pieces of history in a companion's queue, with the ids of their messages.
fn pieces(net: &mut Net, companion: &mut Companion) -> Vec<(String, HistorySyncNotification, HistorySync)> {
    let mut pieces = Vec::new();
    for (id, mut message) in net.messages(companion) {
        let Some(mut protocol) = message.protocol_message.take() else { continue };
        if let Some(notification) = protocol.history_sync_notification.take() {
            let history = unpack(net, &notification);
            pieces.push((id, notification, history));
        }
    }
    pieces
}

fn answers(net: &mut Net, companion: &mut Companion) -> Vec<PeerDataOperationRequestResponseMessage> {
    let messages = net.messages(companion);
    let protocols = messages.into_iter().filter_map(|(_, mut message)| message.protocol_message.take());
    protocols.filter_map(|mut protocol| protocol.peer_data_operation_request_response_message.take()).collect()
}

fn request(message: PeerDataOperationRequestMessage) -> Message {
    Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(ProtocolType::PEER_DATA_OPERATION_REQUEST_MESSAGE),
            peer_data_operation_request_message: MessageField::some(message),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    }
}

fn texts(history: &HistorySync) -> Vec<(bool, String)> {
    let messages = history.conversations.iter().flat_map(|conversation| &conversation.messages);
    let infos = messages.map(|message| &message.message);
    infos.map(|info| (info.key.from_me.unwrap(), info.message.conversation.clone().unwrap())).collect()
}

/// Ann and Bob have written to each other `count` times each.
fn talk(net: &mut Net, count: usize) {
    for turn in 0..count {
        net.network.send_text(BOB, ANN, &format!("question {turn}"), Some(format!("Q{turn}"))).unwrap();
        net.network.send_text(ANN, BOB, &format!("answer {turn}"), Some(format!("A{turn}"))).unwrap();
    }
    net.settle();
}

fn newcomer_with(net: &mut Net, props: &DeviceProps) -> Companion {
    let newcomer = net.newcomer(ANN, None, Some(props));
    let (_, key) = net.network.scan(&qr(&newcomer, 0), Some(ANN)).unwrap();
    net.settle();
    net.accept(newcomer, key)
}

#[test]
fn new_companion_gets_the_past_in_order() {
    let mut net = Net::new();
    talk(&mut net, 8);
    let mut net = net.restart();
    let mut companion = net.companion(ANN);
    let pieces = pieces(&mut net, &mut companion);
    let kinds: Vec<PieceType> = pieces.iter().map(|(_, _, history)| history.sync_type).collect();
    use PieceType::{INITIAL_BOOTSTRAP, NON_BLOCKING_DATA, PUSH_NAME, RECENT};
    assert_eq!(kinds, [INITIAL_BOOTSTRAP, PUSH_NAME, RECENT, NON_BLOCKING_DATA]);
    let (_, first, bootstrap) = &pieces[0];
    assert!(first.initial_hist_bootstrap_inline_payload.is_some(), "the first piece is small and comes with its message");
    assert_eq!(texts(bootstrap).first(), Some(&(true, "answer 7".to_owned())), "the newest message comes first");
    assert_eq!(texts(bootstrap).len(), 10);
    let chat = &bootstrap.conversations[0];
    assert_eq!((chat.id.as_str(), chat.name.as_deref()), (BOBS_JID, Some("Bob")));
    assert!(chat.lid_jid.as_deref().is_some_and(|lid| lid.ends_with("@lid")));
    assert!(bootstrap.nct_salt.is_none());
    let (_, second, names) = &pieces[1];
    assert!(second.direct_path.is_some() && second.initial_hist_bootstrap_inline_payload.is_none());
    let names: Vec<_> = names.pushnames.iter().map(|name| name.pushname.clone().unwrap()).collect();
    assert_eq!(names, ["Ann", "Bob"]);
    let recent = texts(&pieces[2].2);
    assert_eq!(recent.last(), Some(&(false, "question 0".to_owned())));
    assert_eq!(recent.len(), 6);
    let mappings = &pieces[3].2.phone_number_to_lid_mappings;
    assert!(mappings.iter().any(|mapping| mapping.pn_jid.as_deref() == Some(BOBS_JID)));
}

#[test]
fn companion_says_how_much_of_the_past_it_wants_and_in_which_form() {
    let mut net = Net::new();
    talk(&mut net, 60);
    let config = HistorySyncConfig { inline_initial_payload_in_e2_ee_msg: Some(false), ..HistorySyncConfig::default() };
    let props = DeviceProps {
        require_full_sync: Some(true),
        history_sync_config: MessageField::some(config),
        ..DeviceProps::default()
    };
    let mut companion = newcomer_with(&mut net, &props);
    let pieces = pieces(&mut net, &mut companion);
    assert!(pieces.iter().all(|(_, notification, _)| notification.direct_path.is_some()));
    let full = pieces.iter().find(|(_, _, history)| history.sync_type == PieceType::FULL).unwrap();
    assert_eq!(texts(&full.2).len(), 20);
    let all: usize = pieces.iter().map(|(_, _, history)| texts(history).len()).sum();
    assert_eq!(all, 120, "every message once");
}

#[test]
fn older_messages_come_on_demand() {
    let mut net = Net::new();
    talk(&mut net, 10);
    let mut companion = net.companion(ANN);
    pieces(&mut net, &mut companion);
    let lid = net.network.jid_of(&crate::address::DeviceKey::new(BOB, 0), crate::address::Space::Lid).to_string();
    let asked = HistorySyncOnDemandRequest {
        chat_jid: Some(lid),
        oldest_msg_id: Some("Q5".to_owned()),
        on_demand_msg_count: Some(3),
        ..HistorySyncOnDemandRequest::default()
    };
    let message = request(PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::HISTORY_SYNC_ON_DEMAND),
        history_sync_on_demand_request: MessageField::some(asked),
        ..PeerDataOperationRequestMessage::default()
    });
    net.tell_phone(&mut companion, "REQUEST", &message);
    let (_, notification, history) = pieces(&mut net, &mut companion).remove(0);
    assert_eq!(notification.peer_data_request_session_id.as_deref(), Some("REQUEST"));
    assert_eq!(history.sync_type, PieceType::ON_DEMAND);
    let expected = [(true, "answer 4"), (false, "question 4"), (true, "answer 3")];
    assert_eq!(texts(&history), expected.map(|(from_me, text)| (from_me, text.to_owned())));
}

#[test]
fn message_that_could_not_be_read_comes_from_the_phone() {
    let mut net = Net::new();
    talk(&mut net, 1);
    let mut companion = net.companion(ANN);
    pieces(&mut net, &mut companion);
    let key = |id: &str| PlaceholderMessageResendRequest {
        message_key: MessageField::some(MessageKey {
            remote_jid: Some(BOBS_JID.to_owned()),
            id: Some(id.to_owned()),
            ..MessageKey::default()
        }),
    };
    let message = request(PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::PLACEHOLDER_MESSAGE_RESEND),
        placeholder_message_resend_request: vec![key("Q0"), key("unknown")],
        ..PeerDataOperationRequestMessage::default()
    });
    net.tell_phone(&mut companion, "REQUEST", &message);
    let answer = answers(&mut net, &mut companion).remove(0);
    assert_eq!(answer.stanza_id.as_deref(), Some("REQUEST"));
    let infos: Vec<_> = answer
        .peer_data_operation_result
        .iter()
        .map(|result| result.placeholder_message_resend_response.web_message_info_bytes.as_deref().unwrap())
        .map(|bytes| waproto::codec::web_message_info_decode(bytes).unwrap())
        .collect();
    assert_eq!(infos[0].key.remote_jid.as_deref(), Some(BOBS_JID));
    assert_eq!(infos[0].message.conversation.as_deref(), Some("question 0"));
    assert_eq!(infos[0].push_name.as_deref(), Some("Bob"));
    assert!(!infos[1].message.is_set(), "what the phone does not have it says so");
}

#[test]
fn other_requests_are_answered_too() {
    let mut net = Net::new();
    talk(&mut net, 1);
    let mut companion = net.companion(ANN);
    let first = pieces(&mut net, &mut companion).remove(0).0;
    let retry =
        HistorySyncChunkRetryRequest { chunk_notification_id: Some(first), ..HistorySyncChunkRetryRequest::default() };
    let message = request(PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::HISTORY_SYNC_CHUNK_RETRY),
        history_sync_chunk_retry_request: MessageField::some(retry),
        ..PeerDataOperationRequestMessage::default()
    });
    net.tell_phone(&mut companion, "R1", &message);
    assert_eq!(pieces(&mut net, &mut companion).len(), 1, "the piece comes again");
    let recovery = SyncDCollectionFatalRecoveryRequest {
        collection_name: Some("critical_block".to_owned()),
        ..SyncDCollectionFatalRecoveryRequest::default()
    };
    let message = request(PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY),
        syncd_collection_fatal_recovery_request: MessageField::some(recovery),
        ..PeerDataOperationRequestMessage::default()
    });
    net.tell_phone(&mut companion, "R2", &message);
    let answer = answers(&mut net, &mut companion).remove(0);
    let recovered = &answer.peer_data_operation_result[0].syncd_snapshot_fatal_recovery_response;
    assert!(recovered.collection_snapshot.as_ref().is_some_and(|snapshot| !snapshot.is_empty()));
    let message = request(PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(PeerDataOperationRequestType::GENERATE_LINK_PREVIEW),
        ..PeerDataOperationRequestMessage::default()
    });
    // One of the client libraries sends requests wrapped like copies.
    let own = format!("{ANN}@s.whatsapp.net");
    net.tell_phone(&mut companion, "R3", &device_sent(&own, &message));
    assert!(answers(&mut net, &mut companion)[0].peer_data_operation_result[0].media_upload_result.is_some());
}

#[test]
fn what_a_companion_sent_is_part_of_the_past() {
    let mut net = Net::new();
    let mut companion = net.companion(ANN);
    pieces(&mut net, &mut companion);
    let text = Message { conversation: Some("from my desk".to_owned()), ..Message::default() };
    net.tell_phone(&mut companion, "C1", &device_sent(BOBS_JID, &text));
    let mut second = net.companion(ANN);
    let pieces = pieces(&mut net, &mut second);
    assert_eq!(texts(&pieces[0].2), [(true, "from my desk".to_owned())]);
}

#[test]
fn receipts_for_the_past_go_nowhere_else() {
    let mut net = Net::new();
    let (mut one, other) = (net.companion(ANN), net.companion(ANN));
    let first = pieces(&mut net, &mut one).remove(0).0;
    net.queue(&other);
    let receipt = NodeBuilder::new("receipt").attr("id", &first).attr("type", "hist_sync").attr("to", Jid::pn(ANN)).build();
    net.receive(one.link, &receipt);
    let ack = std::iter::from_fn(|| net.next(one.link)).last().unwrap();
    assert!(ack.tag == "ack" && wire::attribute_is(&ack, "type", "hist_sync"));
    assert!(net.queue(&other).is_empty());
}

#[test]
fn message_between_own_devices_is_sent_again_to_whoever_cannot_read_it() {
    let mut net = Net::new();
    let mut companion = net.companion(ANN);
    let first = pieces(&mut net, &mut companion).remove(0).0;
    let retry = NodeBuilder::new("retry").attr("count", "1").attr("id", &first).build();
    let receipt = NodeBuilder::new("receipt")
        .attr("id", &first)
        .attr("type", "retry")
        .attr("to", Jid::pn(ANN))
        .children([retry])
        .build();
    net.receive(companion.link, &receipt);
    let again = pieces(&mut net, &mut companion);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].0, first);
    let receipt = NodeBuilder::new("receipt")
        .attr("id", &first)
        .attr("type", "server-error")
        .attr("category", "peer")
        .attr("to", Jid::pn(ANN))
        .build();
    net.receive(companion.link, &receipt);
    let anew = pieces(&mut net, &mut companion);
    assert!(anew.len() == 1 && anew[0].0 != first, "a file that cannot be fetched comes in a new message");
}
