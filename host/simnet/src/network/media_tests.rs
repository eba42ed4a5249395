//! What a client hears of media over its connection: where the hosts are, and files that its phone uploads again.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use waproto::buffa::MessageField;
use waproto::whatsapp::media_retry_notification::ResultType;
use waproto::whatsapp::message::ImageMessage;
use waproto::whatsapp::{ClientPayload, MediaRetryNotification, Message};

use super::account::{Device, DeviceRecord, SignedKey};
use super::media::ShownFile;
use super::media_faults::Pace;
use super::queue::DeviceQueue;
use super::{Effect, LinkId, MediaRefusal, Network};
use crate::address::DeviceKey;
use crate::phone::media::{MediaKind, SealedMedia, seal};
use crate::phone::media_retry_client as retry;
use crate::phone::{Envelope, SealedRetry, device_sent};
use crate::wire;

const NUMBER: &str = "15550001111";
const PEER: &str = "15550002222";
const NOW_MS: u64 = 1_700_000_000_000;

/// A network with two phones, and a companion of the first that is logged in.
fn network() -> (Network, LinkId) {
    let mut network = Network::default();
    network.set_now(NOW_MS);
    network.ensure_phone(NUMBER, None).unwrap();
    network.ensure_phone(PEER, None).unwrap();
    let record = DeviceRecord {
        noise: [1; 32],
        registration_id: 1,
        identity: [2; 32],
        signed_prekey: SignedKey { id: 1, public: [3; 32], signature: [4; 64] },
        device_identity: Vec::new(),
        key_index: 1,
        push_name: String::new(),
    };
    let device = Device { record, one_time: BTreeMap::new(), queue: DeviceQueue::default() };
    network.accounts.get_mut(NUMBER).unwrap().devices.insert(1, device);
    network.device_by_noise_key.insert([1; 32], DeviceKey::new(NUMBER, 1));
    let link = network.open_link();
    network.admit(link, [1; 32], &ClientPayload::default());
    network.take_outbox();
    (network, link)
}

fn image(sealed: &SealedMedia) -> Message {
    let image = ImageMessage {
        direct_path: Some(sealed.direct_path.clone()),
        media_key: Some(sealed.key.to_vec()),
        file_enc_sha256: Some(sealed.sealed_sha256.to_vec()),
        file_sha256: Some(sealed.sha256.to_vec()),
        ..ImageMessage::default()
    };
    Message { image_message: MessageField::some(image), ..Message::default() }
}

/// For the tests of the hosts as well.
impl Network {
    /// A phone has received a picture from its peer.
    pub(crate) fn show_image(&mut self, number: &str, id: &str, sealed: &SealedMedia) {
        let from = Jid::pn(PEER).to_string();
        let envelope = Envelope { id: id.to_owned(), chat: from.clone(), from, at_ms: NOW_MS };
        self.accounts.get_mut(number).unwrap().phone.receive(envelope, &image(sealed)).unwrap();
        self.record_phone(number);
    }

    /// A companion asks for a file without the sealed part.
    pub(crate) fn ask_for_file(&mut self, number: &str, id: &str) {
        let receipt = NodeBuilder::new("receipt").attr("type", "server-error").attr("id", id).build();
        self.receive_media_retry(&DeviceKey::new(number, 1), id, &receipt);
    }

    pub(crate) fn path_of_shown(&self, number: &str, n: u64) -> String {
        self.accounts[number].phone.file_of_shown(n).unwrap().direct_path.clone()
    }
}

fn receive_image(network: &mut Network, id: &str) -> SealedMedia {
    let sealed = seal(MediaKind::Image, id.as_bytes()).unwrap();
    network.show_image(NUMBER, id, &sealed);
    sealed
}

fn retry_request(id: &str, key: &[u8], with_place: bool) -> Node {
    let sealed = retry::seal_request(key, id);
    let parts = [wire::leaf("enc_p", sealed.bytes), wire::leaf("enc_iv", sealed.iv)];
    let mut children = vec![NodeBuilder::new("encrypt").children(parts).build()];
    if with_place {
        children.push(NodeBuilder::new("rmr").attr("jid", Jid::pn(PEER)).attr("from_me", "false").build());
    }
    let receipt = NodeBuilder::new("receipt").attr("type", "server-error").attr("to", Jid::pn(NUMBER)).attr("id", id);
    receipt.children(children).build()
}

fn sent(network: &mut Network, link: LinkId) -> Vec<Node> {
    let effects = network.take_outbox().effects.into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Send { link: to, node } if to == link => Some(node),
            _ => None,
        })
        .collect()
}

/// The notification that waits for the companion.
fn answer(network: &mut Network) -> Option<Node> {
    let key = DeviceKey::new(NUMBER, 1);
    let queue = network.device(&key).unwrap().queue.nodes_after(0, 99);
    let answers = queue.into_iter().map(|(_, node)| node).filter(|node| wire::attribute_is(node, "type", "mediaretry"));
    let queued = answers.collect::<Vec<_>>();
    assert!(queued.len() < 2);
    queued.into_iter().next()
}

fn opened(node: &Node, key: &[u8], id: &str) -> MediaRetryNotification {
    let encrypt = node.get_optional_child("encrypt").unwrap();
    let bytes = wire::child_content(encrypt, "enc_p").unwrap().to_vec();
    retry::open_answer(key, id, &SealedRetry { iv: wire::child_key(encrypt, "enc_iv").unwrap(), bytes })
}

fn error_code(node: &Node) -> Option<String> {
    wire::attribute(node.get_optional_child("error")?, "code")
}

#[test]
fn media_hosts_are_where_the_client_has_reached_the_network() {
    let (mut network, link) = network();
    network.reached_at(link, "sim.test:9000");
    let asks = NodeBuilder::new("iq").attr("xmlns", "w:m").attr("type", "set").attr("id", "1");
    network.receive(link, &asks.children([NodeBuilder::new("media_conn").build()]).build());
    let answers = sent(&mut network, link);
    let media_conn = answers[0].get_optional_child("media_conn").unwrap();
    let hosts: Vec<_> = media_conn.get_children_by_tag("host").map(|host| wire::attribute(host, "hostname")).collect();
    assert_eq!(hosts, [Some("sim.test:9000".to_owned()), Some("sim.test:9000".to_owned())]);
    assert_eq!(wire::attribute(media_conn, "ttl").as_deref(), Some("300"));
    let auth = wire::attribute(media_conn, "auth").unwrap();
    assert_eq!(network.admit_download("/v/a", Some(&auth)), Ok(Pace::default()));
    assert_eq!(network.media_url_for(link, "/v/a"), "https://sim.test:9000/v/a");
    network.close_link(link);
    assert!(network.media.authorities.is_empty());
}

#[test]
fn auth_ends_with_its_time_and_outlives_a_restart() {
    let (mut network, _) = network();
    let auth = network.grant_media_auth();
    let records = network.take_outbox().records.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let mut restored = Network::restore(records.filter(|(key, _)| key.starts_with("media/")).collect()).unwrap();
    for network in [&mut network, &mut restored] {
        network.set_now(NOW_MS + 21_600_000);
        assert!(network.admit_upload(Some(&auth)).is_ok());
        network.set_now(NOW_MS + 21_600_001);
        assert_eq!(network.admit_upload(Some(&auth)), Err(MediaRefusal::ExpiredAuth));
        assert_eq!(network.admit_upload(Some("AAAA")), Err(MediaRefusal::UnknownAuth));
        assert_eq!(network.admit_upload(None), Err(MediaRefusal::NoAuth));
    }
}

#[test]
fn phone_uploads_again_what_its_companion_cannot_download() {
    let (mut network, link) = network();
    let sealed = receive_image(&mut network, "A1");
    network.receive(link, &retry_request("A1", &sealed.key, true));
    let acks = sent(&mut network, link);
    assert!(wire::attribute_is(&acks[0], "class", "receipt") && wire::attribute_is(&acks[0], "type", "server-error"));
    assert!(answer(&mut network).is_none(), "nothing is said before the file is there");

    let reupload = network.next_reupload().unwrap();
    assert_eq!(reupload.from(), sealed.direct_path);
    assert_ne!(reupload.to, sealed.direct_path);
    let to = reupload.to.clone();
    network.answer_reupload(reupload, true);
    let node = answer(&mut network).unwrap();
    assert!(wire::attribute_is(&node, "type", "mediaretry") && wire::attribute_is(&node, "id", "A1"));
    assert!(wire::attribute_is(node.get_optional_child("rmr").unwrap(), "from_me", "false"));
    let answered = opened(&node, &sealed.key, "A1");
    assert_eq!((answered.result, answered.direct_path.as_ref()), (Some(ResultType::SUCCESS), Some(&to)));
    let ShownFile::File(file) = network.shown_file(NUMBER, 1) else { panic!("the phone has lost the file") };
    assert_eq!(file.direct_path, to);
}

#[test]
fn phone_also_has_the_files_that_its_companions_sent() {
    let (mut network, link) = network();
    let sealed = seal(MediaKind::Image, b"sent").unwrap();
    let copy = device_sent(&Jid::pn(PEER).to_string(), &image(&sealed));
    network.phone_keeps_file(NUMBER, "S1", &copy);
    assert!(network.take_outbox().records.iter().any(|(key, _)| key == &format!("phone/{NUMBER}/file/1")));
    network.receive(link, &retry_request("S1", &sealed.key, false));
    let reupload = network.next_reupload().unwrap();
    network.answer_reupload(reupload, false);
    let answered = opened(&answer(&mut network).unwrap(), &sealed.key, "S1");
    assert_eq!((answered.result, answered.direct_path), (Some(ResultType::NOT_FOUND), None));
}

#[test]
fn phone_says_that_it_knows_no_such_message_or_cannot_read_the_request() {
    for (id, key, code) in [("A2", [9; 32], "2"), ("A1", [9; 32], "3")] {
        let (mut network, link) = network();
        receive_image(&mut network, "A1");
        network.receive(link, &retry_request(id, &key, true));
        assert!(network.next_reupload().is_none());
        assert_eq!(error_code(&answer(&mut network).unwrap()).as_deref(), Some(code));
    }
}

#[test]
fn answer_leaves_the_queue_once_it_is_acknowledged() {
    let (mut network, link) = network();
    network.receive(link, &retry_request("A9", &[9; 32], true));
    let key = DeviceKey::new(NUMBER, 1);
    network.activate(link, &key);
    assert!(!network.pull(link, 99).is_empty());
    let ack = NodeBuilder::new("ack").attr("class", "notification").attr("id", "A9").attr("to", Jid::pn(NUMBER));
    network.receive(link, &ack.attr("type", "mediaretry").build());
    assert!(answer(&mut network).is_none());
}

#[test]
fn shown_message_has_a_file_only_if_it_names_one() {
    let (mut network, _) = network();
    receive_image(&mut network, "A1");
    let from = Jid::pn(PEER).to_string();
    let envelope = Envelope { id: "A2".to_owned(), chat: from.clone(), from, at_ms: NOW_MS };
    let text = Message { conversation: Some("no file".to_owned()), ..Message::default() };
    network.accounts.get_mut(NUMBER).unwrap().phone.receive(envelope, &text).unwrap();
    assert!(matches!(network.shown_file(NUMBER, 1), ShownFile::File(_)));
    assert_eq!(network.shown_file(&format!("+{NUMBER}"), 2), ShownFile::NoFile);
    assert_eq!(network.shown_file(NUMBER, 3), ShownFile::NoMessage);
    assert_eq!(network.shown_file("15550009999", 1), ShownFile::NoPhone);
}
