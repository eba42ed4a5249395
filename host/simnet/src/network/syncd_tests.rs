//! The app state between a phone, its companions and the server, as the clients read it.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::message::protocol_message::Type as ProtocolType;
use waproto::whatsapp::message::{AppStateSyncKeyId, AppStateSyncKeyRequest, AppStateSyncKeyShare, ProtocolMessage};
use waproto::whatsapp::{ExternalBlobReference, Message, SyncdMutations, SyncdPatch, SyncdSnapshot};

use super::test_devices::{ANN, Companion, NOW_MS, Net, qr};
use crate::phone::media::{MediaKind, open};
use crate::phone::{StateAction, collection_name};
use crate::wire;

const LOW: &str = "regular_low";

/// A companion that has got the keys.
fn ready(net: &mut Net) -> Companion {
    let mut companion = net.companion(ANN);
    let shares = shares(net, &mut companion);
    companion.signal.adopt_sync_keys(shares.last().expect("no key share"));
    companion
}

fn shares(net: &mut Net, companion: &mut Companion) -> Vec<AppStateSyncKeyShare> {
    let messages = net.messages(companion);
    let protocols = messages.into_iter().filter_map(|(_, mut message)| message.protocol_message.take());
    protocols.filter_map(|mut protocol| protocol.app_state_sync_key_share.take()).collect()
}

fn act(net: &mut Net, body: &str) {
    let action: StateAction = serde_json::from_str(body).unwrap();
    net.network.act_on_state(ANN, &action).unwrap();
    net.settle();
}

fn state(net: &Net) -> serde_json::Value {
    serde_json::to_value(net.network.state_of(ANN).unwrap()).unwrap()
}

/// The entries of a collection as the phone shows them: index and value.
fn entries(net: &Net, name: &str) -> Vec<(String, String)> {
    let state = state(net);
    let all = state["collections"].as_array().unwrap();
    let collection = all.iter().find(|collection| collection["name"] == name).unwrap();
    let entries = collection["entries"].as_array().unwrap();
    entries.iter().map(|entry| (entry["index"].to_string(), entry["value"].to_string())).collect()
}

fn sync(net: &mut Net, companion: &Companion, collection: Node) -> Node {
    let sync = NodeBuilder::new("sync").children([collection]).build();
    let answer = net.ask(companion.link, "w:sync:app:state", "set", vec![sync]);
    answer.get_optional_child_by_tag(&["sync", "collection"]).unwrap().clone()
}

fn asked(name: &str, version: u64, snapshot: bool) -> NodeBuilder {
    let version_text = version.to_string();
    NodeBuilder::new("collection")
        .attr("name", name)
        .attr("version", version_text)
        .attr("return_snapshot", if snapshot { "true" } else { "false" })
}

fn patches(answer: &Node) -> Vec<SyncdPatch> {
    let patches = answer.get_optional_child("patches").map(wire::children).unwrap_or_default();
    patches.iter().map(|patch| waproto::codec::syncd_patch_decode(wire::content(patch).unwrap()).unwrap()).collect()
}

/// The companion fetches a collection until it has all of it, and verifies everything.
fn pull(net: &mut Net, companion: &mut Companion, name: &str, mut version: u64) -> u64 {
    let name = collection_name(name).unwrap();
    loop {
        let answer = sync(net, companion, asked(name, version, version == 0).build());
        assert!(answer.get_optional_child("snapshot").is_none());
        for patch in patches(&answer) {
            companion.signal.take_state_patch(name, &patch).unwrap();
            version = patch.version.version.unwrap();
        }
        assert!(wire::attribute_is(&answer, "version", &version.to_string()));
        if wire::attribute_is(&answer, "has_more_patches", "false") {
            return version;
        }
    }
}

/// The companion makes a patch of an action; like the client libraries it leaves the number to the server.
fn compose(companion: &Companion, body: &str) -> (&'static str, SyncdPatch) {
    let action: StateAction = serde_json::from_str(body).unwrap();
    let change = companion.signal.compose_state(&action).unwrap().unwrap();
    (change.collection, SyncdPatch { version: MessageField::default(), ..change.patch })
}

fn push(net: &mut Net, companion: &Companion, base: u64, name: &str, patch: &SyncdPatch) -> Node {
    let patch = wire::leaf("patch", waproto::codec::syncd_patch_to_vec(patch));
    sync(net, companion, asked(name, base, false).children([patch]).build())
}

fn blob(net: &Net, reference: &ExternalBlobReference) -> Vec<u8> {
    let sealed = &net.blobs[reference.direct_path.as_deref().unwrap()];
    open(MediaKind::AppState, reference.media_key.as_deref().unwrap(), sealed).unwrap()
}

fn error_code(answer: &Node) -> Option<String> {
    assert!(wire::attribute_is(answer, "type", "error"));
    wire::attribute(answer.get_optional_child("error")?, "code")
}

fn announced(nodes: &[Node]) -> Vec<(String, String)> {
    let notifications = nodes.iter().filter(|node| wire::attribute_is(node, "type", "server_sync"));
    let collections = notifications.map(|node| node.get_optional_child("collection").unwrap().clone());
    collections.map(|node| (wire::attribute(&node, "name").unwrap(), wire::attribute(&node, "version").unwrap())).collect()
}

#[test]
fn session_learns_its_name_from_the_app_state() {
    let mut net = Net::new();
    let mut companion = ready(&mut net);
    pull(&mut net, &mut companion, "critical_block", 0);
    assert_eq!(companion.signal.shared_push_name().as_deref(), Some("Ann"));
    for name in ["critical_unblock_low", "regular", "regular_low", "regular_high"] {
        assert_eq!(pull(&mut net, &mut companion, name, 0), 0, "{name} is empty and has nothing more");
    }
}

#[test]
fn owner_without_a_name_takes_the_first_companions() {
    let mut net = Net::new();
    let number = "15550009999";
    net.network.ensure_phone(number, None).unwrap();
    let newcomer = net.newcomer(number, Some("Desk"), None);
    let (_, key) = net.network.scan(&qr(&newcomer, 0), Some(number)).unwrap();
    net.settle();
    net.accept(newcomer, key);
    assert_eq!(net.network.accounts[number].phone.shared_push_name().as_deref(), Some("Desk"));
    let silent = "15550008888";
    net.network.ensure_phone(silent, None).unwrap();
    net.companion(silent);
    assert_eq!(net.network.accounts[silent].phone.shared_push_name().as_deref(), Some(silent));
}

#[test]
fn scenario_says_which_way_the_salt_goes() {
    let mut net = Net::new();
    let linked = |net: &mut Net, login_name: &str| {
        let newcomer = net.newcomer(ANN, Some(login_name), None);
        let (_, key) = net.network.scan(&qr(&newcomer, 0), None).unwrap();
        (net.network.app_state_nct_salt(&key.number), net.network.history_nct_salt(&key.number), key.number)
    };
    assert!(matches!(linked(&mut net, "an ordinary name"), (None, None, _)));
    assert!(matches!(linked(&mut net, "scenario:nct_send_ab=1,nct_history_delivery=0:a"), (None, None, _)));
    assert!(matches!(linked(&mut net, "scenario:nct_history_delivery=1,nct_syncd_delivery=0:b"), (None, Some(_), _)));
    let (by_state, by_history, number) = linked(&mut net, "scenario:nct_syncd_delivery=1:c");
    assert!(by_state.is_some() && by_history.is_none());
    assert_eq!(net.network.collection_version(&number, "regular_high"), 1);
}

#[test]
fn companions_change_reaches_the_phone_and_the_other_companions() {
    let mut net = Net::new();
    let (one, mut other) = (ready(&mut net), ready(&mut net));
    net.queue(&one);
    let (name, patch) = compose(&one, r#"{"action":"pin","chat":"15550002222"}"#);
    let answer = push(&mut net, &one, 0, name, &patch);
    assert!(wire::attribute_is(&answer, "version", "1"));
    assert!(wire::attribute(&answer, "type").is_none());
    let pinned = (r#"["pin_v1","15550002222@s.whatsapp.net"]"#.to_owned(), r#"{"pinned":true}"#.to_owned());
    assert_eq!(entries(&net, LOW), [pinned]);
    let queue = net.queue(&other);
    assert_eq!(announced(&queue), [(LOW.to_owned(), "1".to_owned())]);
    assert!(announced(&net.queue(&one)).is_empty(), "whoever made the change knows of it");
    assert_eq!(pull(&mut net, &mut other, LOW, 0), 1);
    let (name, undo) = compose(&other, r#"{"action":"pin","chat":"15550002222","value":false}"#);
    push(&mut net, &other, 1, name, &undo);
    assert_eq!(entries(&net, LOW)[0].1, r#"{"pinned":false}"#);
}

#[test]
fn new_name_set_by_a_companion_is_the_accounts() {
    let mut net = Net::new();
    let mut companion = ready(&mut net);
    let version = pull(&mut net, &mut companion, "critical_block", 0);
    let (name, patch) = compose(&companion, r#"{"action":"push_name","name":"Annabel"}"#);
    push(&mut net, &companion, version, name, &patch);
    assert_eq!(net.network.accounts[ANN].name, "Annabel");
    assert_eq!(net.network.accounts[ANN].phone.name(), "Annabel");
    assert_eq!(net.restart().network.accounts[ANN].phone.shared_push_name().as_deref(), Some("Annabel"));
}

#[test]
fn patch_on_an_old_version_is_a_conflict_with_what_is_missing() {
    let mut net = Net::new();
    let (one, mut other) = (ready(&mut net), ready(&mut net));
    let (name, first) = compose(&one, r#"{"action":"archive","chat":"15550002222"}"#);
    push(&mut net, &one, 0, name, &first);
    let (_, second) = compose(&other, r#"{"action":"pin","chat":"15550002222"}"#);
    let conflict = push(&mut net, &other, 0, name, &second);
    assert_eq!(error_code(&conflict).as_deref(), Some("409"));
    assert!(wire::attribute_is(&conflict, "has_more_patches", "false"));
    let missed = patches(&conflict);
    assert_eq!(missed.len(), 1);
    other.signal.take_state_patch(collection_name(name).unwrap(), &missed[0]).unwrap();
    let (_, again) = compose(&other, r#"{"action":"pin","chat":"15550002222"}"#);
    let answer = push(&mut net, &other, 1, name, &again);
    assert!(wire::attribute_is(&answer, "version", "2"));
    assert_eq!(entries(&net, LOW).len(), 2);
}

#[test]
fn patch_that_the_phone_cannot_verify_is_refused_and_named() {
    let mut net = Net::new();
    let companion = ready(&mut net);
    let (name, mut patch) = compose(&companion, r#"{"action":"pin","chat":"15550002222"}"#);
    patch.patch_mac = Some(vec![0; 32]);
    assert_eq!(error_code(&push(&mut net, &companion, 0, name, &patch)).as_deref(), Some("400"));
    let malformed = asked(name, 0, false).children([wire::leaf("patch", [0xff; 9])]).build();
    assert_eq!(error_code(&sync(&mut net, &companion, malformed)).as_deref(), Some("400"));
    let huge = asked(name, 0, false).children([wire::leaf("patch", vec![0; 1024 * 1024 + 1])]).build();
    assert_eq!(error_code(&sync(&mut net, &companion, huge)).as_deref(), Some("400"));
    let (_, mut elsewhere) = compose(&companion, r#"{"action":"pin","chat":"15550002222"}"#);
    elsewhere.external_mutations = MessageField::some(ExternalBlobReference::default());
    assert_eq!(error_code(&push(&mut net, &companion, 0, name, &elsewhere)).as_deref(), Some("400"));
    let unknown = asked("regular_lower", 0, true).build();
    assert_eq!(error_code(&sync(&mut net, &companion, unknown)).as_deref(), Some("404"));
    let future = asked(name, 7, false).build();
    assert_eq!(error_code(&sync(&mut net, &companion, future)).as_deref(), Some("400"));
    let state = state(&net);
    assert_eq!(state["refused"][0]["collection"], LOW);
    assert_eq!(state["refused"][0]["device"], 1);
    assert!(entries(&net, LOW).is_empty());
}

#[test]
fn old_collection_comes_as_a_snapshot_and_the_patches_behind_it() {
    let mut net = Net::new();
    for count in 0..70 {
        let chat = 15_550_003_000_u64 + count % 50;
        act(&mut net, &format!(r#"{{"action":"pin","chat":"{chat}","value":{}}}"#, count % 2 == 0));
    }
    let mut net = net.restart();
    let companion = ready(&mut net);
    let answer = sync(&mut net, &companion, asked(LOW, 0, true).build());
    let reference = wire::child_content(&answer, "snapshot").unwrap();
    let reference = waproto::codec::external_blob_reference_decode(reference).unwrap();
    let snapshot = SyncdSnapshot::decode_from_slice(&blob(&net, &reference)).unwrap();
    assert_eq!(snapshot.version.version, Some(32));
    assert_eq!(snapshot.records.len(), 32);
    assert!(verify_snapshot(&net, &snapshot));
    let page = patches(&answer);
    assert_eq!(page.first().unwrap().version.version, Some(33));
    assert!(wire::attribute_is(&answer, "has_more_patches", "true"));
    let rest = sync(&mut net, &companion, asked(LOW, 64, false).build());
    assert_eq!(patches(&rest).len(), 6);
    assert!(wire::attribute_is(&rest, "has_more_patches", "false"));
    // A device that lost its state asks for everything at once, and a second time gets the same file.
    let files = net.blobs.len();
    for _ in 0..2 {
        let answer = sync(&mut net, &companion, asked(LOW, 70, true).build());
        let reference = wire::child_content(&answer, "snapshot").unwrap();
        let reference = waproto::codec::external_blob_reference_decode(reference).unwrap();
        let whole = SyncdSnapshot::decode_from_slice(&blob(&net, &reference)).unwrap();
        assert_eq!((whole.version.version, whole.records.len()), (Some(70), 50));
        assert!(verify_snapshot(&net, &whole));
        assert!(patches(&answer).is_empty());
    }
    assert_eq!(net.blobs.len(), files + 1);
}

/// Verifies a snapshot as a client does.
fn verify_snapshot(net: &Net, snapshot: &SyncdSnapshot) -> bool {
    let share = net.network.accounts[ANN].phone.share_sync_keys(None);
    let key = &share.protocol_message.app_state_sync_key_share.keys[0];
    let keys = wacore_appstate::expand_app_state_keys(key.key_data.key_data.as_deref().unwrap());
    let keys = std::sync::Arc::new(keys);
    let mut state = wacore_appstate::hash::HashState::default();
    wacore_appstate::process_snapshot(snapshot, &mut state, |_| Ok(keys.clone()), true, LOW).is_ok()
}

#[test]
fn large_change_lies_on_the_media_hosts() {
    let mut net = Net::new();
    let contacts: Vec<String> = (0..150)
        .map(|count| format!(r#"{{"jid":"{}","full_name":"Person {count}"}}"#, 15_550_004_000_u64 + count))
        .collect();
    act(&mut net, &format!(r#"{{"action":"contacts","contacts":[{}]}}"#, contacts.join(",")));
    let mut companion = ready(&mut net);
    let answer = sync(&mut net, &companion, asked("critical_unblock_low", 0, true).build());
    let mut patch = patches(&answer).remove(0);
    assert!(patch.mutations.is_empty());
    let mutations = SyncdMutations::decode_from_slice(&blob(&net, &patch.external_mutations)).unwrap();
    patch.mutations = mutations.mutations;
    companion.signal.take_state_patch("critical_unblock_low", &patch).unwrap();
    assert_eq!(entries(&net, "critical_unblock_low").len(), 150);
    act(&mut net, r#"{"action":"contact","jid":"15550004000","remove":true}"#);
    assert_eq!(entries(&net, "critical_unblock_low").len(), 149);
}

#[test]
fn device_that_was_away_hears_of_each_collection_once() {
    let mut net = Net::new();
    let mut companion = ready(&mut net);
    net.network.close_link(companion.link);
    for value in [true, false, true] {
        act(&mut net, &format!(r#"{{"action":"pin","chat":"15550002222","value":{value}}}"#));
    }
    act(&mut net, r#"{"action":"mute","chat":"15550002222"}"#);
    net.log_in(&mut companion);
    let queue = net.queue(&companion);
    assert_eq!(announced(&queue), [(LOW.to_owned(), "3".to_owned()), ("regular_high".to_owned(), "1".to_owned())]);
    assert_eq!(pull(&mut net, &mut companion, LOW, 0), 3);
}

#[test]
fn unlinked_companion_cannot_read_what_comes_after() {
    let mut net = Net::new();
    let (gone, mut stays) = (ready(&mut net), ready(&mut net));
    let before = stays.signal.sync_key_ids();
    net.network.unlink_companion(ANN, gone.key.device).unwrap();
    net.settle();
    let last_word = std::iter::from_fn(|| net.next(gone.link)).last().unwrap();
    assert_eq!(last_word.tag, "stream:error");
    assert!(wire::attribute_is(&last_word, "code", "401"));
    assert!(net.is_closed(gone.link));
    let share = shares(&mut net, &mut stays).pop().expect("the new key is shared");
    stays.signal.adopt_sync_keys(&share);
    assert_eq!(stays.signal.sync_key_ids().len(), before.len() + 1);
    act(&mut net, r#"{"action":"pin","chat":"15550002222"}"#);
    let answer = sync(&mut net, &stays, asked(LOW, 0, true).build());
    let used = hex::encode(patches(&answer)[0].key_id.id.as_ref().unwrap());
    assert!(!before.contains(&used));
    assert_eq!(pull(&mut net, &mut stays, LOW, 0), 1);
    assert!(net.network.unlink_companion(ANN, gone.key.device).is_err());
}

#[test]
fn companion_that_lost_a_key_gets_it_from_the_phone() {
    let mut net = Net::new();
    let mut companion = ready(&mut net);
    act(&mut net, r#"{"action":"rotate_key"}"#);
    shares(&mut net, &mut companion);
    let wanted = companion.signal.sync_key_ids().remove(0);
    let key_ids = vec![AppStateSyncKeyId { key_id: Some(hex::decode(&wanted).unwrap()) }];
    let request = Message {
        protocol_message: MessageField::some(ProtocolMessage {
            r#type: Some(ProtocolType::APP_STATE_SYNC_KEY_REQUEST),
            app_state_sync_key_request: MessageField::some(AppStateSyncKeyRequest { key_ids }),
            ..ProtocolMessage::default()
        }),
        ..Message::default()
    };
    net.tell_phone(&mut companion, "R1", &request);
    let shared = shares(&mut net, &mut companion).pop().unwrap();
    assert_eq!(shared.keys.len(), 1);
    assert_eq!(shared.keys[0].key_id.key_id.as_ref().map(hex::encode), Some(wanted));
    assert!(shared.keys[0].key_data.is_set());
}

#[test]
fn collections_survive_a_restart() {
    let mut net = Net::new();
    act(&mut net, r#"{"action":"label","label_id":"1","name":"Work","color":3}"#);
    act(&mut net, r#"{"action":"label_chat","label_id":"1","chat":"120363000000000001@g.us"}"#);
    let before = state(&net);
    let mut net = net.restart();
    assert_eq!(state(&net), before);
    act(&mut net, r#"{"action":"label","label_id":"1","deleted":true,"name":"Work"}"#);
    let mut companion = ready(&mut net);
    assert_eq!(pull(&mut net, &mut companion, "regular", 0), 3);
}

#[test]
fn marks_are_told_until_they_are_clean() {
    let mut net = Net::new();
    let mut companion = ready(&mut net);
    let marks = |net: &mut Net, link| -> Vec<String> {
        let nodes: Vec<Node> = std::iter::from_fn(|| net.next(link)).collect();
        let dirty = nodes.iter().filter_map(|node| node.get_optional_child("dirty"));
        dirty.map(|dirty| wire::attribute(dirty, "type").unwrap()).collect()
    };
    net.network.close_link(companion.link);
    let mut net = net.restart();
    net.log_in(&mut companion);
    assert_eq!(marks(&mut net, companion.link), ["account_sync", "groups"]);
    let clean = |kind: &'static str, at_s: u64| NodeBuilder::new("clean").attr("type", kind).attr("timestamp", at_s).build();
    let now_s = NOW_MS / 1000;
    let children = vec![clean("account_sync", now_s - 1), clean("groups", now_s)];
    net.ask(companion.link, "urn:xmpp:whatsapp:dirty", "set", children);
    net.log_in(&mut companion);
    assert_eq!(marks(&mut net, companion.link), ["account_sync"], "an older timestamp does not clean a newer mark");
    let body = serde_json::from_str(r#"{"type":"syncd_app_state"}"#).unwrap();
    assert_eq!(net.network.make_dirty(ANN, &body).unwrap(), 1);
    net.settle();
    assert_eq!(marks(&mut net, companion.link), ["syncd_app_state"]);
    let body = serde_json::from_str(r#"{"type":"everything"}"#).unwrap();
    assert!(net.network.make_dirty(ANN, &body).is_err());
}
