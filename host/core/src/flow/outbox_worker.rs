//! Sends a session's outbox: within a chat one message at a time in the order of acceptance, several chats side by side.
//!
//! A message leaves the queue only when WhatsApp's server took it or it can never be sent. Until then a crash, a lost
//! connection or silence repeats it under the same WhatsApp id, which phones show once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;

use super::outage::Outage;
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::content::Content;
use crate::records::id::{MessageId, SessionId, TenantId};
use crate::records::message::{Message, MessageState, Priority, Schedule};
use crate::rules::backoff::RESEND;
use crate::rules::pacing::{Pace, RecentSends, next_send_at};
use crate::rules::typing::Typing;
use crate::storage::{DueSend, SendOutcome, Storage, StorageError};

/// How long the worker rests after storage failed.
const STORAGE_REST: Duration = Duration::from_secs(1);
/// Messages of one lane that are leased ahead: enough that a lease is not waited for, few enough that most can be taken back.
const LEASED_MAX: usize = 16;
/// With this many of them left, more are leased: many leases share one sync of the disk.
const LEASED_FEW: usize = LEASED_MAX / 2;
/// Messages that wait for the server's word at once, each of another chat.
const UNDER_WAY_MAX: usize = 8;

/// Hands one message to WhatsApp and waits for the server's word.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Returns once the session is on line.
    async fn ready(&self);
    /// Shows the chat that somebody types. What comes of it is nobody's loss.
    async fn show_typing(&self, chat: &str);
    /// Sends `message` under its own WhatsApp id.
    async fn send(&self, message: &Message) -> SendOutcome;
}

/// Sends the outbox of one session.
pub struct OutboxWorker {
    /// Where the outbox is.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Spreads resends.
    pub entropy: Arc<dyn Entropy>,
    /// Says when there is more.
    pub wakes: Arc<Wakes>,
    /// Whose session it is.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
}

/// A send that has ended, and how.
type Ended = (DueSend, Result<SendOutcome, StorageError>);

/// What the worker holds.
#[derive(Default)]
struct Hand<'a> {
    /// Leased and not under way; of each chat in the order in which they are to go.
    pool: Vec<DueSend>,
    /// Under way.
    sends: FuturesUnordered<BoxFuture<'a, Ended>>,
    /// What is under way: id and chat.
    under_way: HashMap<MessageId, String>,
    /// Chats whose first message waits before it is sent again.
    resting: HashMap<String, Timestamp>,
    /// When the last send began or was acknowledged.
    last_send: Option<Timestamp>,
    /// How fast the session may send.
    pace: Pace,
    /// How it types before a text, if it does.
    typing: Option<Typing>,
    /// What a limit per minute looks at.
    recent: RecentSends,
    /// Spreads the next send; drawn anew after each.
    random: u64,
}

impl OutboxWorker {
    /// Sends until `stop` says so or the session is gone: then what is under way is waited for, and leases are handed back.
    /// Dropping the future loses nothing either: what was not settled is sent again.
    pub async fn run(&self, sender: &dyn Sender, mut stop: watch::Receiver<bool>) {
        let mut outage = Outage::default();
        loop {
            match self.serve(sender, &mut stop, &mut outage).await {
                Ok(()) | Err(StorageError::Closed | StorageError::Conflict) => return,
                Err(error) => {
                    if outage.begins(self.clock.now()) {
                        tracing::error!(session = %self.session, %error, "the outbox cannot be read or written");
                    }
                    tokio::select! {
                        () = self.clock.sleep_until(self.clock.now().plus(STORAGE_REST)) => {}
                        () = stopped(&mut stop) => return,
                    }
                }
            }
        }
    }

    /// Storage works again: that is told once, and only when there is nothing it might still fail at.
    fn note_recovery(&self, outage: &mut Outage) {
        if let Some(lasted) = outage.ends(self.clock.now()) {
            tracing::info!(session = %self.session, lasted_s = lasted.as_secs(), "the outbox is read and written again");
        }
    }

    async fn serve(
        &self,
        sender: &dyn Sender,
        stop: &mut watch::Receiver<bool>,
        outage: &mut Outage,
    ) -> Result<(), StorageError> {
        let bell = self.wakes.outbox(self.session);
        let last_send = self.storage.last_send(self.tenant, self.session).await?;
        let (pace, typing) = self.storage.sending_rules(self.tenant, self.session).await?;
        let recent = RecentSends::after_restart(last_send);
        let mut hand = Hand { last_send, pace, typing, recent, random: self.entropy.next_u64(), ..Hand::default() };
        let (mut look, mut look_at) = (true, None::<Timestamp>);
        // Whether more chats could be written to than there are messages for in hand.
        let mut idle;
        loop {
            if hand.sends.is_empty() && sender.ready().now_or_never().is_none() {
                // Off line nobody knows for how long: what was not begun may be taken back meanwhile.
                self.hand_back(&mut hand).await?;
                look = true;
                tokio::select! {
                    () = sender.ready() => {}
                    () = stopped(stop) => return Ok(()),
                }
            }
            if look {
                look_at = self.lease_beside(&mut hand).await?;
                look = false;
                // What was read may still not be writable: with a message in hand, its end tells.
                if hand.pool.is_empty() && hand.sends.is_empty() {
                    self.note_recovery(outage);
                }
            }
            // Nothing new is begun off line, or while nobody knows whether the server still answers.
            let online = sender.ready().now_or_never().is_some();
            let wake = if online { self.begin(sender, &mut hand) } else { None };
            idle = hand.sends.len() < UNDER_WAY_MAX;
            tokio::select! {
                biased;
                () = stopped(stop) => return self.wind_up(hand).await,
                Some((due, outcome)) = hand.sends.next() => {
                    self.take_back(&mut hand, due, outcome?);
                    self.note_recovery(outage);
                    look = hand.pool.len() <= LEASED_FEW || (idle && hand.pool.len() < LEASED_MAX);
                }
                () = bell.notified() => look = true,
                () = self.until([wake, look_at].into_iter().flatten().min()) => look = true,
                () = sender.ready(), if !online => {}
            }
        }
    }

    async fn until(&self, wake: Option<Timestamp>) {
        match wake {
            Some(wake) => self.clock.sleep_until(wake).await,
            None => std::future::pending().await,
        }
    }

    /// Fills the hand while what is under way goes on.
    async fn lease_beside(&self, hand: &mut Hand<'_>) -> Result<Option<Timestamp>, StorageError> {
        let mut sends = std::mem::take(&mut hand.sends);
        let mut ended = Vec::new();
        let look_at = {
            let mut leasing = std::pin::pin!(self.lease(hand));
            loop {
                tokio::select! {
                    biased;
                    leased = &mut leasing => break leased?,
                    Some(end) = sends.next() => ended.push(end),
                }
            }
        };
        hand.sends = sends;
        for (due, outcome) in ended {
            self.take_back(hand, due, outcome?);
        }
        Ok(look_at)
    }

    /// Fills the hand from both lanes. A session that keeps a pace leases what goes next when its time has come, and not before,
    /// so that the rest may be taken back: then returns when that is.
    async fn lease(&self, hand: &mut Hand<'_>) -> Result<Option<Timestamp>, StorageError> {
        (hand.pace, hand.typing) = self.storage.sending_rules(self.tenant, self.session).await?;
        let leased_max = if hand.keeps_a_pace() { 1 } else { LEASED_MAX };
        let (due_at, now) = (hand.paced(None), self.clock.now());
        if hand.keeps_a_pace() && due_at > now {
            // The wait was drawn for the session; what was leased before it kept a pace goes back too.
            self.hand_back(hand).await?;
            return Ok(Some(due_at));
        }
        let mut held: HashSet<MessageId> = hand.pool.iter().map(|due| due.message.id).collect();
        held.extend(hand.under_way.keys());
        for lane in [Priority::Interactive, Priority::Bulk] {
            let room = leased_max.saturating_sub(hand.pool.iter().filter(|due| due.lane == lane).count());
            if room == 0 {
                continue;
            }
            let leased = self.storage.lease_sends(self.tenant, self.session, lane, room, &held, now).await?;
            held.extend(leased.iter().map(|due| due.message.id));
            hand.pool.extend(leased);
        }
        hand.pool.sort_by_key(|due| due.n);
        Ok(None)
    }

    /// Begins what may be sent now; when to look again, if time alone can change that.
    fn begin<'a>(&'a self, sender: &'a dyn Sender, hand: &mut Hand<'a>) -> Option<Timestamp> {
        let now = self.clock.now();
        hand.resting.retain(|_, until| *until > now);
        // A person types one text at a time.
        let under_way_max = if hand.typing.is_some() { 1 } else { UNDER_WAY_MAX };
        while hand.sends.len() < under_way_max {
            let Some(at) = hand.next_at() else { break };
            let due_at = hand.pool.get(at).map_or(now, |due| hand.paced(Some(&due.message.schedule)));
            if due_at > now {
                return Some(due_at);
            }
            let due = hand.pool.remove(at);
            hand.under_way.insert(due.message.id, due.message.to.clone());
            hand.last_send = Some(now);
            hand.recent.note(now);
            hand.random = self.entropy.next_u64();
            hand.sends.push(self.send(sender, due, now, hand.typing).boxed());
        }
        hand.resting.values().min().copied()
    }

    async fn send(&self, sender: &dyn Sender, due: DueSend, now: Timestamp, typing: Option<Typing>) -> Ended {
        let late = due.message.schedule.expires_at.is_some_and(|at| at <= now);
        let outcome = if late && due.message.attempts == 0 && due.message.state.is_pending() {
            SendOutcome::Expired
        } else {
            self.type_first(sender, &due.message, now, typing).await;
            sender.send(&due.message).await
        };
        let settled = self.storage.settle_send(self.tenant, &due, &outcome, self.clock.now()).await;
        (due, settled.map(|()| outcome))
    }

    /// Shows typing before a text that is sent for the first time, for as long as its length asks.
    async fn type_first(&self, sender: &dyn Sender, message: &Message, now: Timestamp, typing: Option<Typing>) {
        if let (Some(typing), Content::Text(text), 0) = (typing, &message.content, message.attempts) {
            sender.show_typing(&message.to).await;
            let shown = typing.shown_for(text.chars().count(), self.entropy.next_u64());
            self.clock.sleep_until(now.plus(shown)).await;
        }
    }

    /// Takes a send that has ended: it is over, or it goes back to be sent again.
    fn take_back(&self, hand: &mut Hand<'_>, mut due: DueSend, outcome: SendOutcome) {
        hand.under_way.remove(&due.message.id);
        if hand.typing.is_some() {
            // The text went out later than the send began: gaps count from its end.
            hand.last_send = Some(self.clock.now());
        }
        self.wakes.events_have_more(self.tenant);
        let (session, id) = (self.session, due.message.id);
        let reason = match outcome {
            SendOutcome::Acknowledged => return,
            SendOutcome::Expired => return tracing::info!(%session, message_id = %id, "a message expired"),
            SendOutcome::Failed(reason) => {
                return tracing::warn!(%session, message_id = %id, %reason, "a message cannot be sent");
            }
            SendOutcome::Unacknowledged(reason) => {
                due.message.state = due.message.state.max(MessageState::Sent);
                reason
            }
            SendOutcome::Again(reason) => reason,
        };
        tracing::info!(%session, message_id = %id, %reason, "a message is sent again");
        let wait = RESEND.wait(due.message.attempts, self.entropy.next_u64());
        hand.resting.insert(due.message.to.clone(), self.clock.now().plus(wait));
        due.message.attempts += 1;
        hand.pool.push(due);
        hand.pool.sort_by_key(|due| due.n);
    }

    async fn hand_back(&self, hand: &mut Hand<'_>) -> Result<(), StorageError> {
        let held: Vec<MessageId> = hand.pool.drain(..).map(|due| due.message.id).collect();
        self.storage.return_leases(self.tenant, &held, self.clock.now()).await
    }

    /// Waits for what is under way; whoever stops the worker drops it when that takes too long.
    async fn wind_up(&self, mut hand: Hand<'_>) -> Result<(), StorageError> {
        self.hand_back(&mut hand).await?;
        while let Some((due, outcome)) = hand.sends.next().await {
            self.take_back(&mut hand, due, outcome?);
        }
        self.hand_back(&mut hand).await
    }
}

impl Hand<'_> {
    /// The message that is to go next: of the first lane that has one, the oldest whose chat is free. A chat that has to send
    /// an older message first sends that one.
    fn next_at(&self) -> Option<usize> {
        let mut lanes: Vec<&DueSend> = self.pool.iter().collect();
        lanes.sort_by_key(|due| (due.lane, due.n));
        for due in lanes {
            let chat = &due.message.to;
            if self.resting.contains_key(chat) || self.under_way.values().any(|busy| busy == chat) {
                continue;
            }
            return self.pool.iter().position(|other| other.message.to == *chat);
        }
        None
    }

    /// Whether it sends one message after the other, with time between them.
    fn keeps_a_pace(&self) -> bool {
        self.typing.is_some() || self.pace.most_ms > 0 || self.pace.per_minute.is_some()
    }

    /// When a message may go: by the plan, by the session's own rules and by what it asks for itself.
    fn paced(&self, message: Option<&Schedule>) -> Timestamp {
        let pace = message.map_or(self.pace, |schedule| self.pace.strictest(asked_pace(schedule)));
        next_send_at(self.last_send, pace, self.random).max(self.recent.next_send_at(pace))
    }
}

/// The pace that a message asks for itself.
fn asked_pace(schedule: &Schedule) -> Pace {
    let gap = Pace::gap(schedule.gap_ms.unwrap_or(0), schedule.jitter_ms.unwrap_or(0));
    Pace { per_minute: schedule.sends_per_minute, ..gap }
}

/// Returns once the worker is to stop. Whoever could say so is gone when this fails, and so is the session.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
