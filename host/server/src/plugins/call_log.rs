//! Remembers calls of plugins: gathers them for a moment, writes them down together, and rings for those who watch.
//!
//! What is gathered when the process is killed is lost: it is a log, and no call waits for it. A stop writes it down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::flow::responder_worker::RunTry;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{CallEnd, LineLevel, LoggedCall, LoggedLine, within_bounds};
use switchboard_core::storage::Storage;
use switchboard_runtime::{CallReport, Called, LogLevel, LogLine, Outcome};
use tokio::sync::{Notify, Semaphore, watch};

use super::{ActivePlugin, RESPONDER_INTERFACE};

/// How long calls are gathered.
const GATHER_FOR: Duration = Duration::from_millis(250);
/// Calls that are gathered at most; what is over is not remembered.
const GATHERED_MAX: usize = 8_192;
/// Bytes that they have at most, as far as that varies.
const GATHERED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Which part of both the plugins of one owner may have: whoever calls or logs most crowds out nobody else.
const PART_OF_ONE: usize = 8;
/// Calls of one plugin that are written down in one commit.
const COMMIT_MAX: usize = 256;

/// What a call of a plugin was about.
pub(crate) struct CallAbout<'a> {
    /// Whose data it was about.
    pub(crate) tenant: TenantId,
    /// The interface that was called.
    pub(crate) interface: &'static str,
    /// The run of a responder, the request of a router, else the name of the function.
    pub(crate) call: &'a str,
    /// The event that it was about, and its type.
    pub(crate) event: Option<(u64, &'a str)>,
    /// Which try it was, from 1; 0 where nothing is tried again.
    pub(crate) attempt: u32,
    /// What it was given: asked for if it failed.
    pub(crate) input: Option<&'a (dyn Fn() -> Value + Sync)>,
}

impl<'a> CallAbout<'a> {
    pub(crate) fn new(tenant: TenantId, interface: &'static str, call: &'a str) -> Self {
        Self { tenant, interface, call, event: None, attempt: 0, input: None }
    }

    /// A try of a responder's run.
    pub(super) fn of_run(tenant: TenantId, run: &RunTry<'a>, event: &'a Event) -> Self {
        let about = Self::new(tenant, RESPONDER_INTERFACE, run.id).of_event(event.n, event.fact.type_name());
        Self { attempt: run.attempt, ..about }
    }

    /// The same, with what it was given.
    pub(crate) fn given(self, input: &'a (dyn Fn() -> Value + Sync)) -> Self {
        Self { input: Some(input), ..self }
    }

    /// The same, about this event.
    pub(crate) fn of_event(self, number: u64, event_type: &'a str) -> Self {
        Self { event: Some((number, event_type)), ..self }
    }

    /// The record of a call that ended like this.
    fn record(&self, plugin: &ActivePlugin, at: Timestamp, (end, why): (CallEnd, Option<String>)) -> LoggedCall {
        let input = self.input.filter(|_| !end.is_well()).map(|input| within_bounds(input()));
        LoggedCall {
            n: 0,
            at,
            tenant: self.tenant,
            interface: self.interface.to_owned(),
            call: self.call.to_owned(),
            version: plugin.record.version,
            event: self.event.map(|(number, _)| number),
            event_type: self.event.map(|(_, event_type)| event_type.to_owned()),
            attempt: self.attempt,
            took_us: 0,
            memory_bytes: 0,
            host_calls: 0,
            end,
            why,
            log: Vec::new(),
            log_dropped: 0,
            input,
            effects: None,
        }
    }

    /// The record of a call, if it is one to remember: every run of a responder and every call of a tenant's own plugin; of the
    /// operator's others those that failed or logged something.
    pub(super) fn recorded<T>(&self, plugin: &ActivePlugin, at: Timestamp, called: &Called<T>) -> Option<LoggedCall> {
        let (end, why) = ending(&called.outcome);
        let CallReport { took, host_calls, memory_bytes, log, log_dropped, fetched, .. } = &called.report;
        let tells = !end.is_well() || !log.is_empty() || *log_dropped > 0;
        if plugin.record.tenant == TenantId::OPERATOR && self.interface != RESPONDER_INTERFACE && !tells {
            return None;
        }
        Some(LoggedCall {
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            memory_bytes: *memory_bytes as u64,
            host_calls: *host_calls,
            log: log.iter().map(logged_line).collect(),
            log_dropped: *log_dropped,
            // What a call asked of others is done, however it ended.
            effects: (!end.is_well() && !fetched.is_empty()).then(|| within_bounds(json!({ "http": fetched }))),
            ..self.record(plugin, at, (end, why))
        })
    }

    /// The record of a call that the plugin answered, when the host could not do what it wants.
    pub(super) fn refused(&self, plugin: &ActivePlugin, at: Timestamp, why: &str, effects: Value) -> LoggedCall {
        let record = self.record(plugin, at, (CallEnd::Refused, Some(why.to_owned())));
        LoggedCall { effects: Some(within_bounds(effects)), ..record }
    }
}

fn ending<T>(outcome: &Outcome<T>) -> (CallEnd, Option<String>) {
    match outcome {
        Outcome::Reply(_) => (CallEnd::Reply, None),
        Outcome::PluginError(why) => (CallEnd::PluginError, Some(why.clone())),
        Outcome::Trap(why) => (CallEnd::Trap, Some(why.clone())),
        Outcome::LimitExceeded(limit, why) => (CallEnd::LimitExceeded, Some(format!("{}: {why}", limit.name()))),
    }
}

fn logged_line(line: &LogLine) -> LoggedLine {
    let level = match line.level {
        LogLevel::Debug => LineLevel::Debug,
        LogLevel::Info => LineLevel::Info,
        LogLevel::Warn => LineLevel::Warn,
        LogLevel::Error => LineLevel::Error,
    };
    LoggedLine { level, message: line.message.clone() }
}

#[derive(Default)]
struct Gathered {
    /// By the owner and the name of their plugin.
    calls: BTreeMap<(TenantId, String), Vec<LoggedCall>>,
    all: Amount,
    of_owners: BTreeMap<TenantId, Amount>,
    left_out: u64,
}

/// How much is gathered.
#[derive(Clone, Copy, Default)]
struct Amount {
    calls: usize,
    bytes: usize,
}

impl Amount {
    /// This and one more call, if it is within one `part` of what may be gathered.
    fn and(self, bytes: usize, part: usize) -> Option<Self> {
        let sum = Self { calls: self.calls + 1, bytes: self.bytes.saturating_add(bytes) };
        (sum.calls <= GATHERED_MAX / part && sum.bytes <= GATHERED_BYTES_MAX / part).then_some(sum)
    }
}

impl Gathered {
    /// Takes a call, if there is room for it.
    fn add(&mut self, owner: TenantId, plugin: &str, call: LoggedCall) {
        let bytes = bytes_of(&call);
        let of_owner = self.of_owners.get(&owner).copied().unwrap_or_default();
        let (Some(all), Some(of_owner)) = (self.all.and(bytes, 1), of_owner.and(bytes, PART_OF_ONE)) else {
            self.left_out += 1;
            return;
        };
        self.all = all;
        self.of_owners.insert(owner, of_owner);
        self.calls.entry((owner, plugin.to_owned())).or_default().push(call);
    }
}

/// Calls that wait to be written down.
pub(crate) struct CallLog {
    gathered: Mutex<Gathered>,
    more: Notify,
    written: watch::Sender<()>,
    /// Whose turn it is to write: what two write together may be forgotten too early.
    turn: Semaphore,
}

impl Default for CallLog {
    fn default() -> Self {
        let (gathered, more, written) = (Mutex::default(), Notify::new(), watch::Sender::default());
        Self { gathered, more, written, turn: Semaphore::new(1) }
    }
}

impl CallLog {
    /// Remembers a call of this plugin.
    pub(super) fn add(&self, plugin: &ActivePlugin, call: LoggedCall) {
        if let Ok(mut gathered) = self.gathered.lock() {
            gathered.add(plugin.record.tenant, &plugin.record.name, call);
            self.more.notify_one();
        }
    }

    /// Changes whenever calls were written down.
    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// Writes down what is gathered, now and again, until it is dropped.
    pub(crate) async fn run(self: Arc<Self>, storage: Storage, clock: Arc<dyn Clock>) {
        loop {
            self.more.notified().await;
            clock.sleep_until(clock.now().plus(GATHER_FOR)).await;
            self.flush(&storage).await;
        }
    }

    /// Writes down what is gathered. When it returns, every call that had ended before can be read.
    pub(crate) async fn flush(&self, storage: &Storage) {
        // It is never closed.
        let _turn = self.turn.acquire().await;
        let gathered = self.gathered.lock().map(|mut gathered| std::mem::take(&mut *gathered)).unwrap_or_default();
        if gathered.left_out > 0 {
            tracing::warn!(calls = gathered.left_out, "calls of plugins are not remembered: there were too many at once");
        }
        if gathered.calls.is_empty() {
            return;
        }
        for ((owner, plugin), calls) in gathered.calls {
            for calls in calls.chunks(COMMIT_MAX) {
                if let Err(error) = storage.log_calls(owner, &plugin, calls).await {
                    tracing::warn!(%error, %owner, plugin, calls = calls.len(), "calls of a plugin are not remembered");
                }
            }
        }
        self.written.send_replace(());
    }
}

/// About how many bytes of a call are its own: what it logged, was given and wanted.
fn bytes_of(call: &LoggedCall) -> usize {
    let json = |value: &Option<Value>| value.as_ref().map_or(0, |value| value.to_string().len());
    let log: usize = call.log.iter().map(|line| line.message.len()).sum();
    log + json(&call.input) + json(&call.effects) + call.why.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(message: &str) -> LoggedCall {
        let line = LoggedLine { level: LineLevel::Info, message: message.to_owned() };
        LoggedCall {
            n: 0,
            at: Timestamp(0),
            tenant: TenantId(1),
            interface: "router".to_owned(),
            call: "req_1".to_owned(),
            version: 1,
            event: None,
            event_type: None,
            attempt: 0,
            took_us: 0,
            memory_bytes: 0,
            host_calls: 0,
            end: CallEnd::Trap,
            why: None,
            log: vec![line],
            log_dropped: 0,
            input: None,
            effects: None,
        }
    }

    #[test]
    fn whoever_calls_or_logs_most_crowds_out_nobody_else() {
        let mut gathered = Gathered::default();
        (0..2 * GATHERED_MAX).for_each(|_| gathered.add(TenantId(1), "many", call("x")));
        (0..1_000).for_each(|_| gathered.add(TenantId(2), "long", call(&"x".repeat(64 * 1024))));
        gathered.add(TenantId(3), "quiet", call("x"));
        let kept = |owner, plugin: &str| gathered.calls.get(&(TenantId(owner), plugin.to_owned())).map_or(0, Vec::len);
        let long = GATHERED_BYTES_MAX / PART_OF_ONE / (64 * 1024);
        assert_eq!([kept(1, "many"), kept(2, "long"), kept(3, "quiet")], [GATHERED_MAX / PART_OF_ONE, long, 1]);
        assert_eq!(gathered.left_out as usize, 2 * GATHERED_MAX + 1_000 - kept(1, "many") - kept(2, "long"));
    }
}
