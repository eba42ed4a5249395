//! Messages that were decrypted and then lost: the client library may store how far the encryption has come a moment before it
//! stores what it decrypted. Killed in between, it takes the next delivery for a repetition, and would confirm it. Such a
//! message is not confirmed but asked for again, as if it could not be read; its sender seals it anew under the same id.
//!
//! So is a message that could not be read. The library asks for it by itself, but counts what a breaking connection swallowed,
//! and confirms the message when it has counted to five (whatsapp-rust 0.7.0, src/message/retry.rs): after every break,
//! whatever is still missing is asked for here.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::wacore_binary::{JidExt as _, Node};
use whatsapp_rust::{Client, Jid, NodeBuilder, async_trait};

use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::storage::{Storage, StorageError};

use super::storage::Repetitions;

/// How often one message is asked for in the life of a client; its sender may be gone for good.
const ASKS_MAX: u32 = 16;
/// The highest count that an asking names: a sender leaves higher ones unanswered (`MAX_RETRY_COUNT` of wacore 0.7.0).
const COUNT_NAMED_MAX: u32 = 5;
/// Messages that could not be read and are remembered. The oldest are left to what the library asked for by itself.
const UNREAD_MAX: usize = 256;
/// Messages whose askings are counted. Beyond that the count begins anew, which costs a few more askings.
const COUNTED_MAX: usize = 4096;
/// Askings that may wait for the session's task. What is over stays unconfirmed and comes again with the next connection.
pub(super) const LOST_MAX: usize = 256;

/// A message to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    chat: Jid,
    sender: Jid,
    id: String,
    /// The account's own phone sent it: then the chat is named as well.
    own: bool,
    count: u32,
}

/// Tells repetitions from what was lost.
pub(super) struct LostInbound {
    storage: Storage,
    tenant: TenantId,
    session: SessionId,
    asked: Mutex<HashMap<String, u32>>,
    unread: Mutex<VecDeque<Unread>>,
    asks: mpsc::Sender<Lost>,
}

/// A message that could not be read, by its names.
#[derive(Clone, PartialEq, Eq)]
struct Unread {
    chat: String,
    sender: String,
    id: String,
}

impl LostInbound {
    /// For one session, with the queue of what it is to ask for.
    pub(super) fn new(storage: Storage, tenant: TenantId, session: SessionId) -> (Arc<Self>, mpsc::Receiver<Lost>) {
        let (asks, queue) = mpsc::channel(LOST_MAX);
        (Arc::new(Self { storage, tenant, session, asked: Mutex::default(), unread: Mutex::default(), asks }), queue)
    }

    /// Remembers a message that came and could not be read.
    pub(super) fn note_unread(&self, info: &MessageInfo) {
        let (chat, sender) = (info.source.chat.to_string(), info.source.sender.to_string());
        let unread = Unread { chat, sender, id: info.id.to_string() };
        let Ok(mut known) = self.unread.lock() else { return };
        if known.contains(&unread) {
            return;
        }
        if known.len() >= UNREAD_MAX {
            known.pop_front();
            tracing::warn!(session = %self.session, limit = UNREAD_MAX, "too many messages could not be read; the oldest is let go");
        }
        known.push_back(unread);
    }

    /// Asks for all that could not be read before a connection broke and has not come since.
    pub(super) async fn ask_for_unread(&self) {
        let all = self.unread.lock().map(|mut unread| std::mem::take(&mut *unread)).unwrap_or_default();
        for unread in all {
            let missing = match self.is_lost(&unread.chat, &unread.sender, &unread.id).await {
                Ok(missing) => missing,
                Err(error) => {
                    tracing::warn!(session = %self.session, id = unread.id, %error, "whether a message came is not known");
                    true
                }
            };
            if missing
                && let Ok(mut known) = self.unread.lock()
                && !known.contains(&unread)
            {
                known.push_back(unread);
            }
        }
    }

    /// How often it has been asked for, this time included.
    fn count(&self, chat: &str, sender: &str, id: &str) -> u32 {
        let Ok(mut asked) = self.asked.lock() else { return ASKS_MAX + 1 };
        if asked.len() >= COUNTED_MAX {
            asked.clear();
        }
        let count = asked.entry(format!("{chat} {sender} {id}")).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

#[async_trait]
impl Repetitions for LostInbound {
    async fn is_lost(&self, chat: &str, sender: &str, id: &str) -> Result<bool, StorageError> {
        let (Ok(chat_jid), Ok(sender_jid)) = (chat.parse::<Jid>(), sender.parse::<Jid>()) else { return Ok(false) };
        let (chat_name, from) = (chat_jid.to_non_ad_string(), sender_jid.to_non_ad_string());
        if self.storage.has_inbound(self.tenant, self.session, &chat_name, &from, id).await? {
            return Ok(false);
        }
        let Some(session) = self.storage.session(self.tenant, self.session).await? else { return Ok(false) };
        let names = [&session.jid, &session.lid];
        let own_jids = names.into_iter().flatten().filter_map(|name| name.parse::<Jid>().ok());
        let (mut own, mut to_itself) = (false, false);
        for name in own_jids {
            own |= name.is_same_user_as(&sender_jid);
            to_itself |= name.is_same_user_as(&chat_jid);
        }
        // What the phone tells its companion alone is repeated by the phone itself; posts and channels are not asked for.
        let is_talk = chat_jid.is_group() || chat_jid.is_pn() || chat_jid.is_lid();
        if !is_talk || (own && to_itself) {
            return Ok(false);
        }
        let count = self.count(chat, sender, id);
        if count > ASKS_MAX {
            tracing::error!(session = %self.session, id, asked = ASKS_MAX, "a message that was lost or could not be read is given up");
            return Ok(false);
        }
        let lost = Lost { chat: chat_jid, sender: sender_jid, id: id.to_owned(), own, count };
        if self.asks.try_send(lost).is_err() {
            tracing::warn!(session = %self.session, id, limit = LOST_MAX, "a lost message is asked for later");
        }
        Ok(true)
    }
}

/// Asks for a message again.
pub(super) async fn ask(client: &Client, lost: &Lost) {
    let registration_id = client.persistence_manager().get_device_snapshot().registration_id;
    tracing::info!(id = lost.id, count = lost.count, "a message that was lost or could not be read is asked for again");
    if let Err(error) = client.send_node(request(lost, registration_id)).await {
        // It is not confirmed, so it comes again, and is asked for again.
        tracing::warn!(id = lost.id, %error, "a lost message could not be asked for");
    }
}

/// A retry receipt, of the shape that the client library gives its own (whatsapp-rust 0.7.0, src/retry.rs,
/// `send_retry_receipt`), without keys: the session with the sender is sound, or the library has sent keys when it asked.
fn request(lost: &Lost, registration_id: u32) -> Node {
    let retry =
        NodeBuilder::new("retry").attr("v", "1").attr("id", &lost.id).attr("count", lost.count.min(COUNT_NAMED_MAX)).build();
    let registration = NodeBuilder::new("registration").bytes(registration_id.to_be_bytes().to_vec()).build();
    let is_group = lost.chat.is_group();
    let to = if is_group { &lost.chat } else { &lost.sender };
    let mut receipt = NodeBuilder::new("receipt").attr("to", to).attr("id", &lost.id).attr("type", "retry");
    if is_group {
        receipt = receipt.attr("participant", &lost.sender);
    } else if lost.own {
        receipt = receipt.attr("recipient", &lost.chat);
    }
    receipt.children([retry, registration]).build()
}

#[cfg(test)]
mod tests {
    use switchboard_core::clock::Timestamp;
    use switchboard_core::records::content::{Content, Extras};
    use switchboard_core::records::event::Incoming;
    use switchboard_core::records::id::{SessionId, TenantId};
    use switchboard_core::storage::{MasterKey, SessionChange, Storage};
    use wacore::store::traits::ProtocolStore as _;
    use whatsapp_rust::types::message::{MessageInfo, MessageSource};
    use whatsapp_rust::wacore_binary::Node;

    use super::super::storage::DeviceBackend;
    use super::super::storage::test_support::memory_session;
    use super::{ASKS_MAX, Lost, LostInbound, UNREAD_MAX, request};

    const CUSTOMER: &str = "491520000001@s.whatsapp.net";
    const OWN: &str = "491510000001@s.whatsapp.net";

    fn incoming(id: &str) -> Incoming {
        Incoming {
            whatsapp_id: id.to_owned(),
            chat: CUSTOMER.to_owned(),
            chat_phone: None,
            chat_lid: None,
            from: CUSTOMER.to_owned(),
            from_phone: None,
            from_lid: None,
            push_name: None,
            from_me: false,
            group: false,
            sent_at: Timestamp(1),
            content: Content::Text("hello".to_owned()),
            extras: Extras::default(),
        }
    }

    #[tokio::test]
    async fn a_repeated_message_is_confirmed_only_if_it_was_written_down() {
        let storage = Storage::in_memory(MasterKey::new([7; 32]));
        let (tenant, session) = memory_session(&storage, 1);
        let jids = SessionChange { paired: Some((OWN.to_owned(), None)), ..SessionChange::default() };
        storage.change_session(tenant, session, Timestamp(1), &jids).await.unwrap();
        storage.record_inbound(tenant, session, Timestamp(1), &[incoming("THERE")]).await.unwrap();
        let (repetitions, mut asks) = LostInbound::new(storage.clone(), tenant, session);
        let backend = DeviceBackend::new(storage.device(tenant, session)).with_repetitions(repetitions);
        let from_device = "491520000001:3@s.whatsapp.net";
        assert_eq!(backend.get_pending_inbound(CUSTOMER, from_device, "THERE").await.unwrap(), None);
        assert_eq!(backend.get_pending_inbound(OWN, OWN, "KEYS").await.unwrap(), None, "the phone repeats it by itself");
        assert_eq!(backend.get_pending_inbound("status@broadcast", CUSTOMER, "POST").await.unwrap(), None);
        assert!(asks.try_recv().is_err());
        for count in 1..=ASKS_MAX {
            let error = backend.get_pending_inbound(CUSTOMER, from_device, "GONE").await.unwrap_err();
            assert!(error.to_string().contains("GONE"), "{error}");
            let asked = asks.try_recv().unwrap();
            assert_eq!((asked.id.as_str(), asked.count, asked.own), ("GONE", count, false));
        }
        assert_eq!(backend.get_pending_inbound(CUSTOMER, from_device, "GONE").await.unwrap(), None, "given up");
        assert!(backend.get_pending_inbound(CUSTOMER, OWN, "COPY").await.is_err());
        assert!(asks.try_recv().unwrap().own);
    }

    fn unread(id: &str) -> MessageInfo {
        let (chat, sender) = (CUSTOMER.parse().unwrap(), "491520000001:3@s.whatsapp.net".parse().unwrap());
        let source = MessageSource { chat, sender, ..MessageSource::default() };
        MessageInfo { id: id.to_owned(), source, ..MessageInfo::default() }
    }

    #[tokio::test]
    async fn after_each_break_is_asked_for_what_could_not_be_read_until_it_has_come() {
        let storage = Storage::in_memory(MasterKey::new([7; 32]));
        let (tenant, session) = memory_session(&storage, 1);
        let (lost, mut asks) = LostInbound::new(storage.clone(), tenant, session);
        lost.ask_for_unread().await;
        assert!(asks.try_recv().is_err(), "nothing is missing");
        for id in ["COMES", "GONE", "GONE"] {
            lost.note_unread(&unread(id));
        }
        assert!(asks.try_recv().is_err(), "the library asks for it by itself at first");
        let mut asked = async || {
            lost.ask_for_unread().await;
            std::iter::from_fn(|| asks.try_recv().ok()).map(|lost| (lost.id, lost.count)).collect::<Vec<_>>()
        };
        let of = |id: &str, count: u32| (id.to_owned(), count);
        assert_eq!(asked().await, [of("COMES", 1), of("GONE", 1)]);
        storage.record_inbound(tenant, session, Timestamp(1), &[incoming("COMES")]).await.unwrap();
        for count in 2..=ASKS_MAX {
            assert_eq!(asked().await, [of("GONE", count)]);
        }
        assert_eq!(asked().await, [], "given up");
        assert!(lost.unread.lock().unwrap().is_empty());
    }

    #[test]
    fn so_many_messages_that_could_not_be_read_are_remembered() {
        let storage = Storage::in_memory(MasterKey::new([7; 32]));
        let (lost, _asks) = LostInbound::new(storage, TenantId(1), SessionId(1));
        (0..=UNREAD_MAX).for_each(|n| lost.note_unread(&unread(&n.to_string())));
        let unread = lost.unread.lock().unwrap();
        assert_eq!((unread.len(), unread.front().unwrap().id.as_str()), (UNREAD_MAX, "1"));
    }

    fn asking(chat: &str, sender: &str, own: bool) -> Lost {
        Lost { chat: chat.parse().unwrap(), sender: sender.parse().unwrap(), id: "M1".to_owned(), own, count: 1 }
    }

    fn lost(chat: &str, sender: &str, own: bool) -> Node {
        request(&Lost { count: 2, ..asking(chat, sender, own) }, 7)
    }

    fn attribute(node: &Node, name: &str) -> Option<String> {
        node.attrs.get(name).map(|value| value.to_string())
    }

    #[test]
    fn a_request_names_whoever_can_send_it_again() {
        let direct = lost("491520000001@s.whatsapp.net", "491520000001:3@s.whatsapp.net", false);
        assert_eq!(attribute(&direct, "to").as_deref(), Some("491520000001:3@s.whatsapp.net"));
        assert_eq!((attribute(&direct, "participant"), attribute(&direct, "recipient")), (None, None));
        let group = lost("1203@g.us", "491520000001@s.whatsapp.net", false);
        assert_eq!(attribute(&group, "to").as_deref(), Some("1203@g.us"));
        assert_eq!(attribute(&group, "participant").as_deref(), Some("491520000001@s.whatsapp.net"));
        let copy = lost("491520000001@s.whatsapp.net", "491510000001@s.whatsapp.net", true);
        assert_eq!(attribute(&copy, "to").as_deref(), Some("491510000001@s.whatsapp.net"));
        assert_eq!(attribute(&copy, "recipient").as_deref(), Some("491520000001@s.whatsapp.net"));
        let retry = copy.get_optional_child("retry").unwrap();
        assert_eq!((attribute(retry, "id").as_deref(), attribute(retry, "count").as_deref()), (Some("M1"), Some("2")));
        assert_eq!(attribute(&copy, "type").as_deref(), Some("retry"));
    }

    #[test]
    fn a_request_names_no_higher_count_than_senders_answer() {
        let often = Lost { count: ASKS_MAX, ..asking(CUSTOMER, CUSTOMER, false) };
        assert_eq!(attribute(request(&often, 7).get_optional_child("retry").unwrap(), "count").as_deref(), Some("5"));
    }
}
