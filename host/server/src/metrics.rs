//! What the host counts for whoever watches it, in Prometheus' text format.
//!
//! The rooms of the server tell [`Metrics`] what happens; what became durable is counted by storage, and the rest is read when
//! it is asked for ([`MetricsPage`]). Invariant: every label is a constant of the program, so that no number, JID, tenant or
//! key can become one, and the number of series is bounded.

mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::storage::{Counted, Storage, StorageError};

use crate::whatsapp::Sessions;
use text::{Histogram, Text};

/// Content type of the page.
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Sessions whose outboxes are asked for their size for one page: far more than one process holds.
const OUTBOXES_MAX: usize = 20_000;

/// What becomes of runs of responders. One that failed is tried again; a parked one waits for a person.
const RUNS: [(Counted, &str); 5] = [
    (Counted::RunKept, "kept"),
    (Counted::RunPutOff, "failed"),
    (Counted::RunParked, "parked"),
    (Counted::RunReleased, "released"),
    (Counted::RunDropped, "dropped"),
];

type Counts = BTreeMap<&'static str, u64>;

/// Everything that is counted while the host runs.
#[derive(Default)]
pub struct Metrics(Mutex<Numbers>);

#[derive(Default)]
struct Numbers {
    session_changes: Counts,
    probes: Counts,
    http: BTreeMap<(&'static str, &'static str), u64>,
    http_seconds: BTreeMap<&'static str, Histogram>,
    plugin_calls: BTreeMap<(&'static str, &'static str), u64>,
    plugin_limits: BTreeMap<&'static str, u64>,
}

impl Metrics {
    fn with(&self, change: impl FnOnce(&mut Numbers)) {
        if let Ok(mut numbers) = self.0.lock() {
            change(&mut numbers);
        }
    }

    /// A session came into this state, or stands in it for another reason.
    pub fn session_changed(&self, state: &'static str) {
        self.with(|numbers| *numbers.session_changes.entry(state).or_default() += 1);
    }

    /// A silent connection was asked whether it is there.
    pub fn probe_asked(&self) {
        self.with(|numbers| *numbers.probes.entry("asked").or_default() += 1);
    }

    /// It was.
    pub fn probe_answered(&self) {
        self.with(|numbers| *numbers.probes.entry("answered").or_default() += 1);
    }

    /// It was not, and is given up.
    pub fn probe_unanswered(&self) {
        self.with(|numbers| *numbers.probes.entry("unanswered").or_default() += 1);
    }

    /// A request was answered.
    pub fn request_answered(&self, route: &'static str, status: u16, took: Duration) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        self.with(|numbers| {
            *numbers.http.entry((route, class)).or_default() += 1;
            numbers.http_seconds.entry(route).or_default().observe(took);
        });
    }

    /// A plugin was called: which of its interfaces, and how that ended.
    pub fn plugin_called(&self, interface: &'static str, outcome: &'static str) {
        self.with(|numbers| *numbers.plugin_calls.entry((interface, outcome)).or_default() += 1);
    }

    /// A plugin came to this limit.
    pub fn plugin_limit_reached(&self, limit: &'static str) {
        self.with(|numbers| *numbers.plugin_limits.entry(limit).or_default() += 1);
    }

    fn write(&self, text: &mut Text) {
        let Ok(numbers) = self.0.lock() else { return };
        text.counts(
            "switchboard_session_changes_total",
            "Changes of sessions, by new state.",
            "state",
            &numbers.session_changes,
        );
        let help = "Silent connections that were asked whether they are there.";
        text.counts("switchboard_session_probes_total", help, "outcome", &numbers.probes);
        text.family(
            "switchboard_http_requests_total",
            "counter",
            "Answered requests, by kind of route and class of status.",
        );
        for ((route, class), count) in &numbers.http {
            text.sample("switchboard_http_requests_total", &[("route", route), ("status", class)], count);
        }
        text.family("switchboard_http_request_seconds", "histogram", "How long requests took.");
        for (route, histogram) in &numbers.http_seconds {
            histogram.write(text, "switchboard_http_request_seconds", ("route", route));
        }
        let help = "How often plugins came to a limit, by limit.";
        text.counts("switchboard_plugin_limits_reached_total", help, "limit", &numbers.plugin_limits);
        text.family("switchboard_plugin_calls_total", "counter", "Calls of plugins, by interface and outcome.");
        for ((interface, outcome), count) in &numbers.plugin_calls {
            text.sample("switchboard_plugin_calls_total", &[("interface", interface), ("outcome", outcome)], count);
        }
    }
}

/// The page of metrics.
pub struct MetricsPage {
    metrics: Arc<Metrics>,
    storage: Storage,
    sessions: Arc<Sessions>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
}

impl MetricsPage {
    /// The page of a host that starts now.
    pub fn new(metrics: Arc<Metrics>, storage: Storage, sessions: Arc<Sessions>, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now();
        Self { metrics, storage, sessions, clock, started }
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The page as it is now.
    ///
    /// # Errors
    /// When storage fails.
    pub async fn render(&self) -> Result<String, StorageError> {
        let mut text = Text::default();
        text.family("switchboard_sessions", "gauge", "Sessions that were connected at least once, by state.");
        for (state, count) in self.sessions.states() {
            text.sample("switchboard_sessions", &[("state", state)], count);
        }
        let help = "Messages that wait to be sent by sessions that run, those that wait for their time among them.";
        text.family("switchboard_outbox_messages", "gauge", help);
        text.sample("switchboard_outbox_messages", &[], self.outbox_depth().await?);
        self.write_storage(&mut text);
        self.metrics.write(&mut text);
        text.family("switchboard_uptime_seconds", "gauge", "How long the host has run.");
        text.sample("switchboard_uptime_seconds", &[], self.clock.now().since(self.started).as_secs_f64());
        text.family("switchboard_info", "gauge", "The version that runs.");
        text.sample("switchboard_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        if let Some(bytes) = resident_bytes() {
            text.family("process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.");
            text.sample("process_resident_memory_bytes", &[], bytes);
        }
        Ok(text.finish())
    }

    async fn outbox_depth(&self) -> Result<u64, StorageError> {
        let mut depth = 0;
        for (tenant, session) in self.sessions.running(OUTBOXES_MAX) {
            depth += self.storage.outbox_depth(tenant, session).await?;
        }
        Ok(depth)
    }

    fn write_storage(&self, text: &mut Text) {
        /// The ways of a message that end up in a count, by the event that tells of each.
        const MESSAGES: [(&str, &str); 7] = [
            ("message.sent", "sent"),
            ("message.acknowledged", "acknowledged"),
            ("message.delivered", "delivered"),
            ("message.read", "read"),
            ("message.failed", "failed"),
            ("message.expired", "expired"),
            ("message.cancelled", "cancelled"),
        ];
        let counts = self.storage.counts();
        let of = |what| counts.get(&what).copied().unwrap_or_default();
        text.family("switchboard_messages_total", "counter", "Messages to be sent, by how far they came.");
        text.sample("switchboard_messages_total", &[("outcome", "accepted")], of(Counted::MessageAccepted));
        text.sample("switchboard_messages_total", &[("outcome", "sent_again")], of(Counted::MessageSentAgain));
        for (event, outcome) in MESSAGES {
            text.sample("switchboard_messages_total", &[("outcome", outcome)], of(Counted::Event(event)));
        }
        text.family("switchboard_webhook_attempts_total", "counter", "Attempts at webhooks, by outcome.");
        text.sample("switchboard_webhook_attempts_total", &[("outcome", "delivered")], of(Counted::WebhookTaken));
        text.sample("switchboard_webhook_attempts_total", &[("outcome", "failed")], of(Counted::WebhookFailed));
        text.family("switchboard_responder_runs_total", "counter", "Runs of responders, by what became of them.");
        for (what, outcome) in RUNS {
            text.sample("switchboard_responder_runs_total", &[("outcome", outcome)], of(what));
        }
        text.family("switchboard_events_total", "counter", "Events that were recorded, by type.");
        for (what, count) in &counts {
            if let Counted::Event(name) = what {
                text.sample("switchboard_events_total", &[("type", name)], count);
            }
        }
        let stats = self.storage.commit_stats();
        text.single("switchboard_storage_transactions_total", "counter", "Durable transactions.", stats.transactions);
        text.single("switchboard_storage_batches_total", "counter", "Batches that they carried.", stats.batches);
        let help = "How long transactions took, all together.";
        text.single("switchboard_storage_commit_seconds_total", "counter", help, seconds(stats.total_us));
        let help = "How long the last transaction took.";
        text.single("switchboard_storage_last_commit_seconds", "gauge", help, seconds(stats.last_us));
    }
}

fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}

/// Memory of this process in RAM; `None` where the system does not tell it this way.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_counted_under_constant_names() {
        let metrics = Metrics::default();
        metrics.request_answered("native", 200, Duration::from_millis(3));
        metrics.request_answered("native", 204, Duration::from_millis(300));
        metrics.request_answered("native", 404, Duration::from_secs(3_600));
        metrics.plugin_called("router", "trap");
        metrics.session_changed("connected");
        metrics.probe_asked();
        metrics.probe_unanswered();
        let mut text = Text::default();
        metrics.write(&mut text);
        let page = text.finish();
        for line in [
            "switchboard_http_requests_total{route=\"native\",status=\"2xx\"} 2",
            "switchboard_http_requests_total{route=\"native\",status=\"4xx\"} 1",
            "switchboard_http_request_seconds_bucket{route=\"native\",le=\"0.005\"} 1",
            "switchboard_http_request_seconds_bucket{route=\"native\",le=\"0.5\"} 2",
            "switchboard_http_request_seconds_bucket{route=\"native\",le=\"10\"} 2",
            "switchboard_http_request_seconds_bucket{route=\"native\",le=\"+Inf\"} 3",
            "switchboard_http_request_seconds_sum{route=\"native\"} 3600.303",
            "switchboard_http_request_seconds_count{route=\"native\"} 3",
            "switchboard_plugin_calls_total{interface=\"router\",outcome=\"trap\"} 1",
            "switchboard_session_changes_total{state=\"connected\"} 1",
            "switchboard_session_probes_total{outcome=\"asked\"} 1",
            "switchboard_session_probes_total{outcome=\"unanswered\"} 1",
        ] {
            assert!(page.lines().any(|told| told == line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn the_memory_of_the_process_is_known() {
        assert!(resident_bytes().is_none_or(|bytes| bytes > 1024 * 1024));
    }
}
