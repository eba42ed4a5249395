//! What a client hears beside messages: receipts, changes of groups, presence, typing, calls. Each becomes an event.
//!
//! They wait in a bounded queue for a task of the session, which writes down in one commit whatever has come together. Until
//! then the `barrier` keeps the client from telling WhatsApp that they arrived; only presence and typing, which come and go,
//! wait for nothing and are left out when there is no room.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::sync::{mpsc, oneshot};
use whatsapp_rust::wacore::stanza::groups::{GroupNotificationAction, GroupParticipantInfo};
use whatsapp_rust::wacore::types::call::{CallAction, ElsewhereOutcome, IncomingCall};
use whatsapp_rust::wacore::types::events::{
    ChatPresenceUpdate, Event, GroupUpdate, InboundMessage, PictureUpdate, PresenceUpdate, Receipt,
};
use whatsapp_rust::wacore::types::presence::{ChatPresence, ChatPresenceMedia, ReceiptType};
use whatsapp_rust::wacore_binary::JidExt as _;
use whatsapp_rust::{Client, Jid};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::inbox::Inbox;
use switchboard_core::records::content::Person;
use switchboard_core::records::event::{Call, ChatActivity, Fact, GroupChange, NewFact, Once};
use switchboard_core::records::message::{self, MessageState};
use switchboard_core::records::people::Learned;
use switchboard_core::rules::ephemeral::EphemeralGate;
use switchboard_core::rules::group_limits::check_contact_name;
use switchboard_core::storage::StorageError;

use super::barrier::Barrier;
use super::desk::Desk;
use super::inbound;
use super::names::Names;

/// Events of the library that may wait for the session's task.
pub(super) const OBSERVED_MAX: usize = 4096;
/// Those that come and go are let in only while this many places are free.
const KEPT_FREE: usize = OBSERVED_MAX / 2;
/// Events that are written down together.
const TOGETHER_MAX: usize = 64;
/// Calls that are remembered until they end. Beyond that the memory begins anew; an end is told with less then.
const CALLS_MAX: usize = 256;

/// How long the task rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);

/// Where the library's events begin their way.
pub(super) struct Ear {
    queue: mpsc::Sender<Arc<Event>>,
    barrier: Arc<Barrier>,
}

impl Ear {
    pub(super) fn new(barrier: Arc<Barrier>) -> (Self, mpsc::Receiver<Arc<Event>>) {
        let (queue, heard) = mpsc::channel(OBSERVED_MAX);
        (Self { queue, barrier }, heard)
    }

    /// Lets what is of interest here into the queue.
    pub(super) fn hear(&self, event: &Arc<Event>) {
        if comes_and_goes(event) {
            if self.queue.capacity() >= KEPT_FREE {
                // There is no room: the next one tells more anyway.
                let _ = self.queue.try_send(Arc::clone(event));
            }
        } else if must_be_told(event) {
            self.barrier.heard();
            if self.queue.try_send(Arc::clone(event)).is_err() {
                tracing::warn!(limit = OBSERVED_MAX, "too much waits to be written down; WhatsApp is to tell it again");
                self.barrier.lost();
            }
        }
    }
}

/// Names of the address book are among them: an account that is linked anew hears them all again.
fn comes_and_goes(event: &Event) -> bool {
    matches!(event, Event::Presence(_) | Event::ChatPresence(_) | Event::ContactUpdate(_))
}

fn must_be_told(event: &Event) -> bool {
    match event {
        Event::GroupUpdate(_) | Event::IncomingCall(_) | Event::MissedCall(_) | Event::CallEndedElsewhere(_) => true,
        Event::PictureUpdate(update) => update.jid.is_group(),
        Event::Receipt(receipt) => state_of(&receipt.r#type).is_some(),
        Event::Messages(batch) => batch.iter().any(passed_the_hook_by),
        _ => false,
    }
}

fn saved_name(event: &Event) -> Option<(&Jid, &str)> {
    let Event::ContactUpdate(update) = event else { return None };
    let name = update.action.full_name.as_deref().or(update.action.first_name.as_deref());
    name.filter(|name| check_contact_name(name).is_ok()).map(|name| (&update.jid, name))
}

/// How far a receipt says that messages have come.
fn state_of(receipt: &ReceiptType) -> Option<MessageState> {
    match receipt {
        ReceiptType::Delivered => Some(MessageState::Delivered),
        ReceiptType::Read => Some(MessageState::Read),
        ReceiptType::Played => Some(MessageState::Played),
        _ => None,
    }
}

/// Posts of channels, and messages that the phone gave again, are not shown to the durability hook.
fn passed_the_hook_by(message: &InboundMessage) -> bool {
    message.info.source.chat.is_newsletter() || message.info.unavailable_request_id.is_some()
}

/// Writes down what one session's client hears.
pub(super) struct Observer {
    client: Arc<Client>,
    inbox: Inbox,
    barrier: Arc<Barrier>,
    desk: Arc<Desk>,
    gate: EphemeralGate,
    calls: HashMap<String, Call>,
}

impl Observer {
    pub(super) fn new(client: Arc<Client>, inbox: Inbox, barrier: Arc<Barrier>, desk: Arc<Desk>) -> Self {
        Self { client, inbox, barrier, desk, gate: EphemeralGate::default(), calls: HashMap::new() }
    }

    /// Runs until `stop` and then until the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Arc<Event>>, mut stop: oneshot::Receiver<()>) {
        let mut events = Vec::with_capacity(TOGETHER_MAX);
        let mut stopped = false;
        let mut broken = None;
        loop {
            tokio::select! {
                taken = queue.recv_many(&mut events, TOGETHER_MAX) => if taken == 0 { return },
                _ = &mut stop, if !stopped => {
                    stopped = true;
                    queue.close();
                }
            }
            let mut read = ReadFacts::default();
            while let Err(error) = self.write(&events, &mut read).await {
                let session = self.inbox.session;
                tracing::error!(%session, %error, events = events.len(), "what a session heard cannot be written down");
                if stopped || matches!(error, StorageError::Closed) {
                    // WhatsApp was not told that it arrived, and tells it again.
                    return;
                }
                tokio::select! {
                    () = self.inbox.clock.sleep_until(self.inbox.clock.now().plus(STORAGE_REST)) => {}
                    _ = &mut stop => {
                        stopped = true;
                        queue.close();
                    }
                }
            }
            self.barrier.written(events.iter().filter(|event| !comes_and_goes(event)).count() as u64);
            events.clear();
            if !stopped && self.barrier.broken() != broken {
                broken = self.barrier.broken();
                let client = Arc::clone(&self.client);
                tokio::spawn(async move { client.reconnect_immediately().await });
            }
        }
    }

    /// Writes down what `events` tell; what was `read` of them in an earlier try is not read again.
    async fn write(&mut self, events: &[Arc<Event>], read: &mut ReadFacts) -> Result<(), StorageError> {
        // They share a sync of the disk as well.
        join_all(events.iter().filter_map(|event| saved_name(event)).map(|saved| self.saved(saved))).await;
        for receipts in side_by_side(events.iter().filter_map(|event| receipt_in(event))) {
            // They share a sync of the disk.
            try_join_all(receipts.iter().map(|receipt| self.inbox.receipt(receipt))).await?;
        }
        for event in events.iter().skip(read.events) {
            let mut facts = Vec::new();
            self.read(event, &mut facts).await?;
            read.facts.append(&mut facts);
            read.events += 1;
        }
        match self.inbox.record(&read.facts).await {
            // The session was deleted meanwhile.
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self, event: &Event, facts: &mut Vec<NewFact>) -> Result<(), StorageError> {
        match event {
            Event::GroupUpdate(update) => {
                self.desk.group_changed();
                facts.push(self.group(update).await);
            }
            Event::PictureUpdate(update) => facts.push(self.picture(update).await),
            Event::Receipt(receipt) => self.receipt(receipt, facts).await?,
            Event::Presence(update) => facts.extend(self.presence(update).await),
            Event::ChatPresence(update) => facts.extend(self.activity(update).await),
            Event::IncomingCall(call) => facts.extend(self.call(call).await),
            Event::MissedCall(call) => {
                let missed = self.known_call(&call.call_id, &call.from, millis(call.timestamp.timestamp_millis())).await;
                facts.push(ended(missed, "missed"));
            }
            Event::CallEndedElsewhere(call) => {
                let over = self.known_call(&call.call_id, &call.from, millis(call.timestamp.timestamp_millis())).await;
                let accepted = matches!(call.outcome, ElsewhereOutcome::Accepted);
                facts.push(ended(over, if accepted { "accepted_elsewhere" } else { "rejected_elsewhere" }));
            }
            Event::Messages(batch) => {
                let missed: Vec<InboundMessage> =
                    batch.iter().filter(|message| passed_the_hook_by(message)).cloned().collect();
                facts.extend(inbound::facts(&self.inbox, &self.client, &missed).await?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Somebody stands in the address book under this name.
    async fn saved(&self, (jid, name): (&Jid, &str)) {
        let person = self.person(jid, None).await;
        self.inbox.learn(&Learned { name: Some(name.to_owned()), ..Learned::of(&person) }).await;
    }

    async fn person(&self, jid: &Jid, also: Option<&Jid>) -> Person {
        Names(&self.client).person(jid, &[also]).await
    }

    async fn group(&self, update: &GroupUpdate) -> NewFact {
        let by = match &update.participant {
            Some(jid) => Some(self.person(jid, update.participant_pn.as_ref()).await),
            None => None,
        };
        let (value, people) = what_changed(&update.action);
        let mut participants = Vec::with_capacity(people.len());
        for (jid, also) in people {
            participants.push(Names(&self.client).person(jid, &also).await);
        }
        let mut change = update.action.tag_name().to_owned();
        if let ("remove", Some(by), [one]) = (change.as_str(), &by, participants.as_slice())
            && same_person(by, one)
        {
            "leave".clone_into(&mut change);
        }
        let chat = update.group_jid.to_non_ad_string();
        let once = update.notification_id.as_ref().map(|id| Once {
            chat: chat.clone(),
            from: "group".to_owned(),
            id: format!("{id}#{}", update.action_index),
        });
        let changed_at = millis(update.timestamp.timestamp_millis());
        let change = GroupChange { chat, change, value, by, participants, changed_at };
        NewFact { fact: Fact::GroupChanged(Box::new(change)), once, poll: None }
    }

    async fn picture(&self, update: &PictureUpdate) -> NewFact {
        let by = match &update.author {
            Some(author) => Some(self.person(author, None).await),
            None => None,
        };
        let chat = update.jid.to_non_ad_string();
        let value = if update.removed { Some("off".to_owned()) } else { update.picture_id.clone() };
        let changed_at = millis(update.timestamp.timestamp_millis());
        let id = format!("picture:{}:{}", changed_at.0, value.as_deref().unwrap_or_default());
        let once = Once { chat: chat.clone(), from: "group".to_owned(), id };
        let change = GroupChange { chat, change: "picture".to_owned(), value, by, participants: Vec::new(), changed_at };
        NewFact { fact: Fact::GroupChanged(Box::new(change)), once: Some(once), poll: None }
    }

    /// In a group each member's receipt is a fact of its own: the message's state tells only of the first.
    async fn receipt(&self, receipt: &Receipt, facts: &mut Vec<NewFact>) -> Result<(), StorageError> {
        let Some(state) = state_of(&receipt.r#type) else { return Ok(()) };
        let own = [self.client.pn(), self.client.lid()];
        let by_own = own.into_iter().flatten().any(|own| own.user == receipt.source.sender.user);
        if by_own || !receipt.source.chat.is_group() {
            return Ok(());
        }
        let by = self.person(&receipt.source.sender, receipt.source.sender_alt.as_ref()).await;
        let Inbox { storage, tenant, session, .. } = &self.inbox;
        for whatsapp_id in &receipt.message_ids {
            let Some(message) = storage.message_of_whatsapp_id(*tenant, *session, whatsapp_id).await? else { continue };
            let id = format!("receipt:{}:{whatsapp_id}", state.name());
            let once = Once { chat: message.to.clone(), from: by.jid.clone(), id };
            let (chat, whatsapp_id, by) = (message.to, message.whatsapp_id, by.clone());
            let fact = Fact::Receipt { message: message.id, whatsapp_id, chat, by, state };
            facts.push(NewFact { fact, once: Some(once), poll: None });
        }
        Ok(())
    }

    async fn presence(&mut self, update: &PresenceUpdate) -> Option<NewFact> {
        let online = !update.unavailable;
        let whom = update.from.to_non_ad_string();
        if !self.gate.admits(&whom, if online { "online" } else { "offline" }, self.inbox.clock.now()) {
            return None;
        }
        let last_seen = update.last_seen.map(|at| millis(at.timestamp_millis()));
        let person = self.person(&update.from, None).await;
        Some(NewFact { fact: Fact::PresenceChanged { person, online, last_seen }, once: None, poll: None })
    }

    async fn activity(&mut self, update: &ChatPresenceUpdate) -> Option<NewFact> {
        let activity = match (update.state, update.media) {
            (ChatPresence::Composing, ChatPresenceMedia::Text) => ChatActivity::Typing,
            (ChatPresence::Composing, ChatPresenceMedia::Audio) => ChatActivity::Recording,
            (ChatPresence::Paused, _) => ChatActivity::Paused,
        };
        let chat = update.source.chat.to_non_ad_string();
        let whom = format!("{chat} {}", update.source.sender.to_non_ad_string());
        if !self.gate.admits(&whom, activity.name(), self.inbox.clock.now()) {
            return None;
        }
        let person = self.person(&update.source.sender, update.source.sender_alt.as_ref()).await;
        Some(NewFact { fact: Fact::ChatState { chat, person, activity }, once: None, poll: None })
    }

    async fn call(&mut self, incoming: &IncomingCall) -> Option<NewFact> {
        let called_at = millis(incoming.timestamp.timestamp_millis());
        let (call_id, caller, pn, group, video) = match &incoming.action {
            CallAction::Offer { call_id, call_creator, caller_pn, is_video, group_jid, .. } => {
                (call_id, call_creator, caller_pn.as_ref(), group_jid.as_ref(), *is_video)
            }
            CallAction::OfferNotice { call_id, call_creator, is_video, .. } => {
                let group = Some(&incoming.from).filter(|from| from.is_group());
                (call_id, call_creator, None, group, *is_video)
            }
            CallAction::Terminate { call_id, reason, .. } => {
                let over = self.known_call(call_id, &incoming.from, called_at).await;
                return Some(ended(over, why_ended(reason.as_deref())));
            }
            CallAction::Reject { call_id, reason: None, .. } => {
                let over = self.known_call(call_id, &incoming.from, called_at).await;
                return Some(ended(over, "rejected"));
            }
            _ => return None,
        };
        let from = self.person(caller, pn).await;
        let call = Call { call_id: call_id.clone(), from, group: group.map(|jid| jid.to_non_ad_string()), video, called_at };
        if self.calls.len() >= CALLS_MAX {
            self.calls.clear();
        }
        self.calls.insert(call_id.clone(), call.clone());
        let once = Once { chat: "call".to_owned(), from: call.from.jid.clone(), id: format!("{call_id}:received") };
        Some(NewFact { fact: Fact::CallReceived(Box::new(call)), once: Some(once), poll: None })
    }

    /// A call that is over, with what was known of it when it rang.
    async fn known_call(&mut self, call_id: &str, from: &Jid, called_at: Timestamp) -> Call {
        match self.calls.remove(call_id) {
            Some(call) => call,
            None => {
                let from = self.person(from, None).await;
                Call { call_id: call_id.to_owned(), from, group: None, video: false, called_at }
            }
        }
    }
}

/// What the first `events` of those taken together tell. Reading an event again could tell less: the gate has let its presence
/// pass, and a call that ended is forgotten.
#[derive(Default)]
struct ReadFacts {
    events: usize,
    facts: Vec<NewFact>,
}

/// What a receipt says of messages, whatever the chat.
fn receipt_in(event: &Event) -> Option<message::Receipt> {
    let Event::Receipt(receipt) = event else { return None };
    let state = state_of(&receipt.r#type)?;
    let whatsapp_ids = receipt.message_ids.iter().map(ToString::to_string).collect();
    Some(message::Receipt { whatsapp_ids, from: receipt.source.sender.to_non_ad_string(), state })
}

/// Receipts in groups that can be written down at once: one message is not twice in the same group, so that it comes to its
/// states in order.
fn side_by_side(receipts: impl Iterator<Item = message::Receipt>) -> Vec<Vec<message::Receipt>> {
    let mut groups = vec![Vec::new()];
    let mut seen = HashSet::new();
    for receipt in receipts {
        if receipt.whatsapp_ids.iter().any(|id| seen.contains(id)) {
            seen.clear();
            groups.push(Vec::new());
        }
        seen.extend(receipt.whatsapp_ids.iter().cloned());
        if let Some(group) = groups.last_mut() {
            group.push(receipt);
        }
    }
    groups
}

/// A call ends once, whoever says so again.
fn ended(call: Call, reason: &str) -> NewFact {
    let once = Once { chat: "call".to_owned(), from: "end".to_owned(), id: call.call_id.clone() };
    let fact = Fact::CallEnded { call: Box::new(call), reason: reason.to_owned() };
    NewFact { fact, once: Some(once), poll: None }
}

/// This host takes no calls: what ends without another device having taken it was missed.
fn why_ended(reason: Option<&str>) -> &str {
    match reason {
        None | Some("timeout" | "group_call_ended") => "missed",
        Some(reason) => reason,
    }
}

fn same_person(one: &Person, other: &Person) -> bool {
    one.jid == other.jid || (one.phone.is_some() && one.phone == other.phone) || (one.lid.is_some() && one.lid == other.lid)
}

fn millis(at: i64) -> Timestamp {
    Timestamp(u64::try_from(at).unwrap_or_default())
}

type Named<'a> = (&'a Jid, [Option<&'a Jid>; 2]);

fn people(participants: &[GroupParticipantInfo]) -> Vec<Named<'_>> {
    participants.iter().map(|one| (&one.jid, [one.phone_number.as_ref(), one.lid.as_ref()])).collect()
}

/// The new value, and whom it was done to.
fn what_changed(action: &GroupNotificationAction) -> (Option<String>, Vec<Named<'_>>) {
    use GroupNotificationAction as Action;
    match action {
        Action::Add { participants, reason } | Action::Remove { participants, reason } => {
            (reason.clone(), people(participants))
        }
        Action::Promote { participants }
        | Action::Demote { participants }
        | Action::Modify { participants }
        | Action::LinkedGroupPromote { participants }
        | Action::LinkedGroupDemote { participants } => (None, people(participants)),
        Action::CreatedMembershipRequests { requests, .. } => (None, people(requests)),
        Action::RevokedMembershipRequests { participants } => {
            (None, participants.iter().map(|jid| (jid, [None, None])).collect())
        }
        Action::Subject { subject, .. } => (Some(subject.clone()), Vec::new()),
        Action::Description { description, .. } => (description.clone(), Vec::new()),
        Action::Ephemeral { expiration, .. } => (Some(expiration.to_string()), Vec::new()),
        Action::MembershipApprovalMode { enabled } => (Some(if *enabled { "on" } else { "off" }.to_owned()), Vec::new()),
        Action::MemberAddMode { mode } => (Some(mode.clone()), Vec::new()),
        Action::Create { raw } => {
            let group = raw.get_optional_child("group");
            (group.and_then(|group| group.attrs.get("subject")).map(|subject| subject.to_string()), Vec::new())
        }
        Action::Delete { reason } => (reason.clone(), Vec::new()),
        _ => (None, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::bytes::Bytes;
    use whatsapp_rust::transport::Transport;
    use whatsapp_rust::types::message::MessageSource;
    use whatsapp_rust::{anyhow, async_trait};

    use switchboard_core::clock::SystemClock;

    use super::super::barrier::Held;
    use super::*;

    struct Nowhere;

    #[async_trait]
    impl Transport for Nowhere {
        async fn send(&self, _: Bytes) -> Result<(), anyhow::Error> {
            Ok(())
        }

        async fn disconnect(&self) {}
    }

    #[test]
    fn what_comes_and_goes_leaves_room_for_what_must_be_told_and_what_finds_none_breaks_the_connection() {
        let barrier = Arc::new(Barrier::new(Arc::new(SystemClock)));
        let (ear, mut heard) = Ear::new(Arc::clone(&barrier));
        let jid: Jid = "491520000001@s.whatsapp.net".parse().unwrap();
        let presence = Arc::new(Event::Presence(PresenceUpdate::builder().from(jid).unavailable(false).build()));
        (0..OBSERVED_MAX * 2).for_each(|_| ear.hear(&presence));
        assert!(ear.queue.capacity() >= KEPT_FREE - 1, "{}", ear.queue.capacity());
        let receipt = |r#type: ReceiptType| {
            let source = MessageSource { chat: "120363041234567890@g.us".parse().unwrap(), ..MessageSource::default() };
            let receipt = Receipt::builder()
                .source(source)
                .message_ids(Vec::new())
                .timestamp(whatsapp_rust::wacore::time::now_utc())
                .r#type(r#type)
                .offline(false)
                .build();
            Arc::new(Event::Receipt(receipt))
        };
        let before = ear.queue.capacity();
        ear.hear(&receipt(ReceiptType::Retry));
        assert_eq!(ear.queue.capacity(), before, "a retry is the library's own affair");
        (0..before).for_each(|_| ear.hear(&receipt(ReceiptType::Read)));
        let _connection = Held::new(Arc::new(Nowhere), Arc::clone(&barrier));
        assert_eq!((ear.queue.capacity(), barrier.broken()), (0, None));
        ear.hear(&receipt(ReceiptType::Read));
        assert_eq!((ear.queue.capacity(), barrier.broken()), (0, Some(1)), "the limit holds");
        assert!(matches!(&*heard.try_recv().unwrap(), Event::Presence(_)));
    }

    #[test]
    fn receipts_of_different_messages_are_written_at_once_and_those_of_one_in_order() {
        let receipt = |ids: &[&str], state| message::Receipt {
            whatsapp_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            from: "1@lid".to_owned(),
            state,
        };
        let came = [
            receipt(&["A"], MessageState::Delivered),
            receipt(&["B", "C"], MessageState::Delivered),
            receipt(&["C"], MessageState::Read),
            receipt(&["A"], MessageState::Read),
            receipt(&["A"], MessageState::Played),
        ];
        let sizes: Vec<usize> = side_by_side(came.clone().into_iter()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 1]);
        assert_eq!(side_by_side(came.clone().into_iter()).concat(), came);
    }

    #[test]
    fn what_nobody_took_was_missed_and_whoever_removes_themselves_is_the_same_person() {
        for (reason, told) in [
            (None, "missed"),
            (Some("timeout"), "missed"),
            (Some("accepted_elsewhere"), "accepted_elsewhere"),
            (Some("busy"), "busy"),
        ] {
            assert_eq!(why_ended(reason), told);
        }
        let person =
            |jid: &str, phone: Option<&str>| Person { jid: jid.to_owned(), phone: phone.map(str::to_owned), lid: None };
        assert!(same_person(&person("1@lid", Some("49")), &person("49@s.whatsapp.net", Some("49"))));
        assert!(!same_person(&person("1@lid", None), &person("2@lid", None)), "two unknown numbers are not one");
    }
}
