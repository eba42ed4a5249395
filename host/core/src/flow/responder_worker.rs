//! Lets responders answer events: owes the runs, runs them, and keeps their effects.
//!
//! Runs of one subscription are serial within a chat and parallel across chats. A run's commands, what it keeps and the end of
//! its work record are one commit, so that a crash or a trap repeats the run and never half of it, and never sends twice. A run
//! that read what another changed meanwhile is repeated at once.
//!
//! Responders are a chain. One that may end it is waited for at each event by those that come after it, until its run is made or
//! parked, or it turns out to owe none. Who is served when, `responder_rounds` says.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, RwLock};

use super::intake::{Intake, IntakeError, SendWish};
use super::wakes::Wakes;
use crate::clock::{Clock, Timestamp};
use crate::entropy::Entropy;
use crate::records::content::{Content, Extras};
use crate::records::event::Event;
use crate::records::id::{SessionId, TenantId};
use crate::records::message::Schedule;
use crate::records::plugin::{Grants, Plugin, Work};
use crate::rules::backoff::RESPONDER;
use crate::rules::event_filter;
use crate::rules::grants::{hears, may_send};
use crate::rules::narrowing::Narrowing;
use crate::rules::quota::{Reached, plugin_charge};
use crate::storage::{ChainStanding, KvEffects, OwedRun, RunEffects, RunEnd, Storage, StorageError};

/// Events that a cursor passes in one commit.
const CURSOR_STEP_EVENTS: usize = 256;
/// Owed runs that are taken in hand together.
const RUNS_IN_HAND: usize = 256;
/// Runs of one tenant and subscription that are under way at once.
const RUNS_AT_ONCE: usize = 16;
/// Tries of one run before it is parked.
pub const RUN_TRIES_MAX: u32 = 8;
/// How often a run is repeated at once because another changed what it had read.
const REPEATS_MAX: usize = 2 * RUNS_AT_ONCE;
/// After so many of them it is made while no other run of its responder is under way: new ones would change it for ever.
const REPEATS_BESIDE_OTHERS: usize = RUNS_AT_ONCE / 2;
/// Longest that a run waits for a limit to reset, seconds.
const QUOTA_WAIT_MAX_S: u64 = 60;
/// Commands that one run may return.
pub const COMMANDS_MAX: usize = 64;

/// A responder that serves a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Name of its owner and its own, such as `operator/auto-reply`.
    pub name: String,
    /// The event types that it asked for, and families of them, as the filters of webhooks.
    pub event_types: Vec<String>,
    /// What it wants of them.
    pub narrowing: Arc<Narrowing>,
    /// What it was given.
    pub grants: Arc<Grants>,
    /// What of it is stored, if it is: all of this follows from that, and holds as long as it is.
    pub plugin: Option<Arc<Plugin>>,
}

impl Subscription {
    fn wants(&self, event: &Event) -> bool {
        event_filter::takes(&self.event_types, event.fact.type_name())
            && hears(&self.grants, event.session)
            && self.narrowing.takes(event, &self.grants)
    }
}

/// A message that a responder wants sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The session that sends it; `None` for the one that the event happened to.
    pub session: Option<SessionId>,
    /// A telephone number or a JID.
    pub to: String,
    /// What to say.
    pub content: Content,
    /// What goes with it.
    pub extras: Extras,
    /// When and before when it is to go.
    pub schedule: Schedule,
}

/// The id of a subscription's run for an event, the same for every try.
pub fn run_id(tenant: TenantId, subscription: &str, event: u64) -> String {
    // Names hold no colon: no other subscription has this id.
    format!("run_{tenant}_{}_{event}", subscription.replace('/', ":"))
}

/// Whose event and which one a run is about, from its id; `None` for what is no id of a run of `subscription`.
pub fn read_run_id(id: &str, subscription: &str) -> Option<(TenantId, u64)> {
    let (tenant, rest) = id.strip_prefix("run_")?.split_once('_')?;
    let (_, event) = rest.rsplit_once('_')?;
    let (tenant, event) = (TenantId(tenant.parse().ok()?), event.parse().ok()?);
    // In one spelling alone.
    (run_id(tenant, subscription, event) == id).then_some((tenant, event))
}

/// One try of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTry<'a> {
    /// The same for every try of the same run.
    pub id: &'a str,
    /// Which try it is, from 1.
    pub attempt: u32,
}

/// What a run wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunAnswer {
    /// What it wants sent.
    pub commands: Vec<Command>,
    /// What it read and wants written of what its plugin keeps.
    pub kv: KvEffects,
    /// Responders that come after it are not to be told of the event.
    pub ends_chain: bool,
}

/// Runs responders. The plugin runtime implements it.
#[async_trait]
pub trait Responders: Send + Sync {
    /// The responders that serve `tenant`, in the order they run.
    fn subscriptions(&self, tenant: TenantId) -> Vec<Subscription>;
    /// Runs one.
    ///
    /// # Errors
    /// Why it failed, for people: the plugin's own words, a trap or a limit.
    async fn run(&self, tenant: TenantId, subscription: &str, run: &RunTry<'_>, event: &Event) -> Result<RunAnswer, String>;

    /// What a run wanted cannot be done: nothing of it is kept. For whoever looks into it.
    async fn refused(&self, _: TenantId, _: &str, _: &RunTry<'_>, _: &Event, _wanted: &[Command], _why: &str) {}
}

/// Serves the responders of every tenant.
pub struct ResponderWorker {
    /// Events, cursors and work.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Spreads retries.
    pub entropy: Arc<dyn Entropy>,
    /// Says when there is more.
    pub wakes: Arc<Wakes>,
    /// Judges what responders want to send.
    pub intake: Intake,
    /// Runs them.
    pub responders: Arc<dyn Responders>,
}

/// The runs of one chat are made one after the other: of which session, and which chat.
type LaneKey = (SessionId, Option<String>);

/// What of a chat is due, oldest event first.
struct Lane {
    key: LaneKey,
    runs: Vec<OwedRun>,
    /// What comes after these waits.
    closed: bool,
}

/// What a subscription has to do.
struct Due {
    /// What can be done now.
    lanes: Vec<Lane>,
    /// When the earliest run is due of those that are not.
    next: Option<Timestamp>,
    /// Whether there was something that others ended: it is over.
    ended: bool,
}

/// A responder, and the names of those before it that may end the chain.
struct InChain {
    subscription: Subscription,
    earlier: Vec<String>,
}

impl ResponderWorker {
    /// Serves one tenant until nothing is due; when the next run is, if one waits.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn serve(&self, tenant: TenantId) -> Result<Option<Timestamp>, StorageError> {
        let mut wake: Option<Timestamp> = None;
        for subscription in self.responders.subscriptions(tenant) {
            let next = self.serve_subscription(tenant, &subscription.name, &Notify::new()).await?;
            wake = [wake, next].into_iter().flatten().min();
        }
        Ok(wake)
    }

    /// Serves one responder until nothing of it is due; when its next run is, if one waits. `more` tells what comes meanwhile: a
    /// chat that takes its time holds up no other.
    ///
    /// # Errors
    /// When storage fails.
    pub(super) async fn serve_subscription(
        &self,
        tenant: TenantId,
        name: &str,
        more: &Notify,
    ) -> Result<Option<Timestamp>, StorageError> {
        let alone = RwLock::new(());
        let (mut under_way, mut waiting) = (FuturesUnordered::new(), VecDeque::new());
        let (mut busy, mut next) = (HashSet::new(), None);
        loop {
            if waiting.is_empty() {
                let Some(InChain { subscription, earlier }) = self.in_chain(tenant, name).await? else { break };
                let (now, wanted) = (self.clock.now(), |event: &Event| subscription.wants(event));
                let plugin = subscription.plugin.as_deref();
                let step = self.storage.step_cursor(tenant, name, plugin, CURSOR_STEP_EVENTS, now, wanted).await?;
                let due = self.due(tenant, name, &earlier, &busy, now).await?;
                if under_way.is_empty() && due.lanes.is_empty() && step.events == 0 {
                    return Ok(due.next);
                }
                if step.events > 0 || due.ended {
                    self.passed_on(tenant, &subscription);
                }
                next = due.next;
                busy.extend(due.lanes.iter().map(|lane| lane.key.clone()));
                waiting.extend(due.lanes);
            }
            while under_way.len() < RUNS_AT_ONCE
                && let Some(lane) = waiting.pop_front()
            {
                under_way.push(self.run_lane(tenant, name, lane, &alone).boxed());
            }
            if under_way.is_empty() {
                continue;
            }
            tokio::select! {
                Some((lane, ended)) = under_way.next() => {
                    ended?;
                    busy.remove(&lane);
                }
                () = more.notified() => {}
                () = self.sleep_until(next) => next = None,
            }
        }
        // Stopped, deleted or switched off: what is under way comes to its end.
        while let Some((_, ended)) = under_way.next().await {
            ended?;
        }
        Ok(None)
    }

    /// Sleeps until then; for ever without a time.
    pub(super) async fn sleep_until(&self, wake: Option<Timestamp>) {
        match wake {
            Some(wake) => self.clock.sleep_until(wake).await,
            None => pending().await,
        }
    }

    /// The responder of this name, if it serves the tenant now. While that is switched off, its events wait, and so does what it
    /// is owed.
    async fn in_chain(&self, tenant: TenantId, name: &str) -> Result<Option<InChain>, StorageError> {
        if self.storage.tenant(tenant).await?.is_some_and(|tenant| !tenant.active) {
            return Ok(None);
        }
        let mut earlier = Vec::new();
        for subscription in self.responders.subscriptions(tenant) {
            if subscription.name == name {
                return Ok(Some(InChain { subscription, earlier }));
            }
            if subscription.narrowing.ends_chain {
                earlier.push(subscription.name);
            }
        }
        Ok(None)
    }

    /// Lets those go on that waited for what this one has done.
    fn passed_on(&self, tenant: TenantId, subscription: &Subscription) {
        if subscription.narrowing.ends_chain {
            self.wakes.responders_have_more(tenant);
        }
    }

    /// Of each chat that is not `busy` what is due, as long as nothing before it is not. What others ended before it is over; what
    /// they have not come to waits for them, and they wake us.
    async fn due(
        &self,
        tenant: TenantId,
        subscription: &str,
        earlier: &[String],
        busy: &HashSet<LaneKey>,
        now: Timestamp,
    ) -> Result<Due, StorageError> {
        let earlier: Vec<&str> = earlier.iter().map(String::as_str).collect();
        let (mut lanes, mut places) = (Vec::<Lane>::new(), HashMap::new());
        let (mut next, mut ended, mut taken, mut after) = (None::<Timestamp>, false, 0, 0);
        while taken < RUNS_IN_HAND {
            let page = self.storage.owed_runs_after(tenant, subscription, after, RUNS_IN_HAND).await?;
            let Some(last) = page.last() else { break };
            after = last.event.n;
            for run in page {
                let key = (run.event.session, run.event.fact.chat().map(str::to_owned));
                if busy.contains(&key) {
                    continue;
                }
                let at = *places.entry(key.clone()).or_insert_with(|| {
                    lanes.push(Lane { key, runs: Vec::new(), closed: false });
                    lanes.len() - 1
                });
                let Some(lane) = lanes.get_mut(at).filter(|lane| !lane.closed) else { continue };
                let chain = self.storage.chain_standing(tenant, &earlier, run.event.n).await?;
                if chain == ChainStanding::Ended && lane.runs.is_empty() {
                    self.drop_run(tenant, subscription, &run).await?;
                    ended = true;
                } else if chain == ChainStanding::Free && run.work.due_at <= now {
                    lane.runs.push(run);
                    taken += 1;
                } else {
                    lane.closed = true;
                    if chain == ChainStanding::Free && lane.runs.is_empty() {
                        next = Some(next.map_or(run.work.due_at, |next| next.min(run.work.due_at)));
                    }
                }
            }
        }
        lanes.retain(|lane| !lane.runs.is_empty());
        Ok(Due { lanes, next, ended })
    }

    /// Makes the runs of a chat, until one has to be made once more.
    async fn run_lane(
        &self,
        tenant: TenantId,
        name: &str,
        lane: Lane,
        alone: &RwLock<()>,
    ) -> (LaneKey, Result<(), StorageError>) {
        for run in &lane.runs {
            match self.run_one(tenant, name, run, alone).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return (lane.key, Err(error)),
            }
        }
        (lane.key, Ok(()))
    }

    /// Makes a run; whether it is settled, so that the chat goes on.
    async fn run_one(&self, tenant: TenantId, name: &str, run: &OwedRun, alone: &RwLock<()>) -> Result<bool, StorageError> {
        // As it stands now: grants may have been taken back, and versions swapped, since the one before.
        let Some(InChain { subscription, .. }) = self.in_chain(tenant, name).await? else { return Ok(false) };
        if !hears(&subscription.grants, run.event.session) {
            // Taken back since it was owed.
            self.drop_run(tenant, name, run).await?;
            self.passed_on(tenant, &subscription);
            return Ok(true);
        }
        let run_id = run_id(tenant, name, run.event.n);
        let run_try = RunTry { id: &run_id, attempt: run.work.tries.saturating_add(1) };
        let settled = match self.effects_of(tenant, &subscription, run, &run_try, alone).await {
            Err(why) => self.put_off(tenant, name, run, &why).await.map(|()| false),
            Ok(Settling::Done) => Ok(true),
            Ok(Settling::Failed(error)) => Err(error),
            Ok(Settling::Conflict(effects)) => self.refused(tenant, name, run, effects).await.map(|()| false),
        };
        self.passed_on(tenant, &subscription);
        // Somebody else settled the run: there is nothing left to do for it.
        if matches!(settled, Err(StorageError::Conflict)) { Ok(false) } else { settled }
    }

    /// Runs a responder until what it read is still so when its effects are kept. All runs of it under way share `alone`.
    ///
    /// # Errors
    /// Why the run failed.
    async fn effects_of(
        &self,
        tenant: TenantId,
        subscribed: &Subscription,
        run: &OwedRun,
        run_try: &RunTry<'_>,
        alone: &RwLock<()>,
    ) -> Result<Settling, String> {
        let subscription = subscribed.name.as_str();
        let mut last = Vec::new();
        for repeat in 0..=REPEATS_MAX {
            let _place = match repeat {
                0..REPEATS_BESIDE_OTHERS => Either::Left(alone.read().await),
                _ => Either::Right(alone.write().await),
            };
            let answer = self.responders.run(tenant, subscription, run_try, &run.event).await?;
            let wanted = answer.commands.clone();
            let refused = async |why: &str| {
                self.responders.refused(tenant, subscription, run_try, &run.event, &wanted, why).await;
            };
            let effects = match self.judge(tenant, subscribed, &run.event, answer).await {
                Ok(effects) => effects,
                Err(why) => {
                    refused(&why).await;
                    return Err(why);
                }
            };
            match self.storage.settle_run(tenant, subscription, run, &effects).await {
                Ok(RunEnd::Kept) => {
                    effects.messages.iter().for_each(|message| self.wakes.outbox_has_more(message.session));
                    return Ok(Settling::Done);
                }
                Ok(RunEnd::ReadsChanged) => last = wanted,
                Ok(RunEnd::KvFull(kept)) => {
                    let why = format!("kv has no room for what it writes: {} of {} bytes are used", kept.used, kept.max);
                    refused(&why).await;
                    return Err(why);
                }
                Err(StorageError::Conflict) => {
                    refused("a limit is reached, or what it builds on has changed").await;
                    return Ok(Settling::Conflict(effects));
                }
                Err(error) => return Ok(Settling::Failed(error)),
            }
        }
        let why = format!("what it reads in kv was changed by others {} times", REPEATS_MAX + 1);
        self.responders.refused(tenant, subscription, run_try, &run.event, &last, &why).await;
        Err(why)
    }

    /// A commit that was refused: because of a limit, or of something that the next try finds out.
    async fn refused(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &OwedRun,
        effects: RunEffects,
    ) -> Result<(), StorageError> {
        match self.storage.reached_limit(tenant, effects.charges, self.clock.now()).await? {
            Some(reached) => self.over_limit(tenant, subscription, run, &reached).await,
            // An id that was taken or a session that just went: the next try finds out which.
            None => self.put_off(tenant, subscription, run, "storage conflict").await,
        }
    }

    /// Ends a run that nobody is to make any more.
    async fn drop_run(&self, tenant: TenantId, subscription: &str, run: &OwedRun) -> Result<(), StorageError> {
        match self.storage.settle_run(tenant, subscription, run, &RunEffects::default()).await {
            Ok(_) | Err(StorageError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn judge(
        &self,
        tenant: TenantId,
        subscribed: &Subscription,
        event: &Event,
        answer: RunAnswer,
    ) -> Result<RunEffects, String> {
        let RunAnswer { commands, kv, ends_chain } = answer;
        if ends_chain && !subscribed.narrowing.ends_chain {
            return Err("ended the chain, which its subscription does not say that it may (ends-chain)".to_owned());
        }
        if commands.len() > COMMANDS_MAX {
            return Err(format!("returned {} commands; the limit is {COMMANDS_MAX}", commands.len()));
        }
        let mut effects = RunEffects { kv, ends_chain, ..RunEffects::default() };
        let mut send = None;
        for command in commands {
            let Command { session: named, to, content, extras, schedule } = command;
            let (session, origin) = (named.unwrap_or(event.session), Some(subscribed.name.clone()));
            send = Some(may_send(&subscribed.grants, session)?);
            let wish = SendWish { session, to, content, extras, schedule, origin, by: None };
            match self.intake.judge(tenant, wish).await {
                Ok(mut message) => {
                    // All of a run is judged within a millisecond, where drawn ids do meet.
                    while effects.messages.iter().any(|other| other.id == message.id) {
                        message.id = self.intake.draw_message_id();
                    }
                    effects.messages.push(message);
                }
                // Nobody will come back to answer from a session that was deleted.
                Err(IntakeError::NoSuchSession(_)) if named.is_none() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        effects.charges = self.intake.charges(tenant, &effects.messages).await.map_err(|error| error.to_string())?;
        if let Some(send) = send.filter(|_| !effects.messages.is_empty()) {
            let count = effects.messages.len() as u64;
            effects.charges.push(plugin_charge(&subscribed.name, send, count, self.clock.now()));
        }
        Ok(effects)
    }

    /// A limit does not let the messages of a run through. One that resets within a minute is waited for; else the run is
    /// parked at once with the reason: an answer that comes tomorrow is worse than none, and nothing is held until then unseen.
    async fn over_limit(
        &self,
        tenant: TenantId,
        subscription: &str,
        run: &OwedRun,
        reached: &Reached,
    ) -> Result<(), StorageError> {
        let tries = run.work.tries + 1;
        // A little after the reset, so that not everybody who waits for it comes at once.
        let due_at = reached.standing.resets_at.plus(RESPONDER.wait(0, self.entropy.next_u64()));
        let next = Work { tries, due_at, last_error: Some(reached.to_string()) };
        let parked = reached.retry_after_s > QUOTA_WAIT_MAX_S || tries >= RUN_TRIES_MAX;
        tracing::warn!(%tenant, subscription, event = run.event.n, parked, %reached, "a responder may not send");
        if parked {
            self.storage.park_run(tenant, subscription, run, &next).await
        } else {
            self.storage.postpone_run(tenant, subscription, run, &next).await
        }
    }

    async fn put_off(&self, tenant: TenantId, subscription: &str, run: &OwedRun, why: &str) -> Result<(), StorageError> {
        let tries = run.work.tries + 1;
        let wait = RESPONDER.wait(run.work.tries, self.entropy.next_u64());
        let next = Work { tries, due_at: self.clock.now().plus(wait), last_error: Some(why.to_owned()) };
        let parked = tries >= RUN_TRIES_MAX;
        tracing::warn!(%tenant, subscription, event = run.event.n, tries, parked, why, "a responder run failed");
        if parked {
            self.storage.park_run(tenant, subscription, run, &next).await
        } else {
            self.storage.postpone_run(tenant, subscription, run, &next).await
        }
    }
}

/// How it went to keep what a run did.
enum Settling {
    Done,
    /// Storage refused these effects.
    Conflict(RunEffects),
    Failed(StorageError),
}
