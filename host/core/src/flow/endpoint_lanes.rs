//! What of one endpoint may go out now: its lanes, how many of them at once, and when there is more.
//!
//! A lane is a chat where strict order was asked for, and otherwise a single delivery. In a lane nothing overtakes: what has to
//! wait holds up its own lane alone.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::delivery_worker::{Attempted, DeliveryWorker};
use crate::clock::Timestamp;
use crate::records::id::{SessionId, TenantId, WebhookId};
use crate::records::webhook::WebhookEndpoint;
use crate::storage::{OwedDelivery, StorageError};

/// Lanes of one endpoint that are under way at once.
const LANES_AT_ONCE: usize = 8;
/// The same, of an endpoint that fails: one is enough to see whether it is back.
const LANES_AT_ONCE_FAILING: usize = 1;
/// Deliveries of one lane before others have a turn.
const LANE_RUN_MAX: usize = 16;
/// Deliveries that are owed ahead of their time: beyond them the event log is the queue.
const OWED_AHEAD_MAX: u64 = 1000;
/// Events that a cursor passes in one commit.
const CURSOR_STEP_EVENTS: usize = 256;
/// Commits in which a cursor passes events nobody wants before deliveries have a turn again.
const CURSOR_STEPS_MAX: usize = 64;

/// Why an endpoint's task rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing is owed.
    Idle,
    /// Nothing is due before this moment.
    Until(Timestamp),
    /// It is switched off or gone.
    Ended,
}

/// What an endpoint's task remembers between its turns.
#[derive(Default)]
pub struct EndpointState {
    /// Says that there is more.
    pub bell: Notify,
    /// Until when the receiver wants to be left alone. A restart forgets it, which costs the receiver one request.
    paused_until_ms: AtomicU64,
}

impl EndpointState {
    fn pause(&self, until: Timestamp) {
        self.paused_until_ms.fetch_max(until.0, Ordering::Relaxed);
    }

    fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(Timestamp(self.paused_until_ms.load(Ordering::Relaxed))).filter(|until| *until > now)
    }
}

/// What waits for each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Chat(Option<SessionId>, Option<String>),
    Single(u64),
}

impl Lane {
    fn of(endpoint: &WebhookEndpoint, owed: &OwedDelivery) -> Self {
        match (endpoint.ordered, owed.event()) {
            (true, Some(_)) => Self::Chat(owed.delivery.session, owed.delivery.chat.clone()),
            _ => Self::Single(owed.n),
        }
    }
}

/// What may go out now.
struct Plan {
    ready: VecDeque<(Lane, Vec<OwedDelivery>)>,
    next: Option<Timestamp>,
    at_once: usize,
}

impl DeliveryWorker {
    /// Serves one endpoint until nothing is under way and nothing is due.
    ///
    /// # Errors
    /// When storage fails; what is under way is dropped, and repeated later.
    pub async fn serve(&self, tenant: TenantId, id: WebhookId, state: &EndpointState) -> Result<Rest, StorageError> {
        let mut under_way = FuturesUnordered::new();
        let mut busy: HashSet<Lane> = HashSet::new();
        loop {
            let Some(mut plan) = self.plan(tenant, id, &busy).await? else { return Ok(Rest::Ended) };
            if let Some(until) = state.paused_until(self.clock.now()) {
                plan = Plan { ready: VecDeque::new(), next: Some(until), ..plan };
            }
            // Until the plan is used up or something new is heard of, it is not made again.
            loop {
                while under_way.len() < plan.at_once {
                    let Some((lane, deliveries)) = plan.ready.pop_front() else { break };
                    busy.insert(lane.clone());
                    under_way.push(self.serve_lane(tenant, id, lane, deliveries).boxed());
                }
                if under_way.is_empty() {
                    if plan.ready.is_empty() {
                        return Ok(plan.next.map_or(Rest::Idle, Rest::Until));
                    }
                    break;
                }
                tokio::select! {
                    Some(ended) = under_way.next() => {
                        let (lane, attempted) = ended?;
                        busy.remove(&lane);
                        if let Some(until) = attempted.paused_until {
                            state.pause(until);
                        }
                        // A failure, and a success after failures, change how much may go out.
                        let as_planned = attempted.settled && plan.at_once == LANES_AT_ONCE;
                        if plan.ready.is_empty() || !as_planned {
                            break;
                        }
                    }
                    () = state.bell.notified() => break,
                    () = sleep_until(self, plan.next) => break,
                }
            }
        }
    }

    /// Moves the cursor, looks at what is owed, and picks the lanes whose first delivery is due; none when the endpoint is gone
    /// or switched off.
    async fn plan(&self, tenant: TenantId, id: WebhookId, busy: &HashSet<Lane>) -> Result<Option<Plan>, StorageError> {
        let Some(endpoint) = self.storage.webhook(tenant, id).await?.filter(|endpoint| endpoint.active) else {
            return Ok(None);
        };
        let now = self.clock.now();
        for _ in 0..CURSOR_STEPS_MAX {
            let ahead = self.storage.owed_count(tenant, id).await?;
            if ahead >= OWED_AHEAD_MAX || self.storage.step_webhook(&endpoint, CURSOR_STEP_EVENTS, now).await?.events == 0 {
                break;
            }
        }
        let mut lanes: Vec<(Lane, Vec<OwedDelivery>)> = Vec::new();
        let mut places: HashMap<Lane, Option<usize>> = HashMap::new();
        let mut next: Option<Timestamp> = None;
        for owed in self.storage.owed_deliveries(tenant, id).await? {
            let lane = Lane::of(&endpoint, &owed);
            if busy.contains(&lane) {
                continue;
            }
            match places.get(&lane) {
                // The first of its lane waits, and with it the lane.
                Some(None) => {}
                Some(Some(place)) => {
                    if let Some((_, deliveries)) = lanes.get_mut(*place)
                        && deliveries.len() < LANE_RUN_MAX
                    {
                        deliveries.push(owed);
                    }
                }
                None if owed.delivery.due_at > now => {
                    next = Some(next.map_or(owed.delivery.due_at, |next| next.min(owed.delivery.due_at)));
                    places.insert(lane, None);
                }
                None => {
                    places.insert(lane.clone(), Some(lanes.len()));
                    lanes.push((lane, vec![owed]));
                }
            }
        }
        let at_once = if endpoint.failing_since.is_some() { LANES_AT_ONCE_FAILING } else { LANES_AT_ONCE };
        Ok(Some(Plan { ready: lanes.into(), next, at_once }))
    }

    /// Delivers a lane's deliveries one after the other, until one has to wait.
    async fn serve_lane(
        &self,
        tenant: TenantId,
        id: WebhookId,
        lane: Lane,
        deliveries: Vec<OwedDelivery>,
    ) -> Result<(Lane, Attempted), StorageError> {
        let mut last = Attempted { next: None, settled: true, paused_until: None };
        for owed in &deliveries {
            last = self.attempt(tenant, id, owed).await?;
            while let Some(next) = last.next.take() {
                last = self.attempt(tenant, id, &next).await?;
            }
            if !last.settled || last.paused_until.is_some() {
                break;
            }
        }
        Ok((lane, last))
    }
}

async fn sleep_until(worker: &DeliveryWorker, moment: Option<Timestamp>) {
    match moment {
        Some(moment) => worker.clock.sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
