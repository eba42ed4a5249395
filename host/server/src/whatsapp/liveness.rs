//! Watches one connection of a session: whether the server still answers. `core::rules::liveness` decides, this asks.
//!
//! A watch begins when a login was answered and ends with its connection. What it finds goes to the session's task, which
//! alone changes the session. The client library has a keepalive of its own; it is slower, tells nobody, and its pings spare
//! this watch most of its own questions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use whatsapp_rust::Client;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;

use switchboard_core::clock::{Clock, Timestamp};
use switchboard_core::rules::liveness::{Decision, Liveness, LivenessSettings};

use crate::metrics::Metrics;

/// How often it is looked whether the client has given up the connection by itself, which it does not always say.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Findings that may wait for the session's task. A watch that finds no room waits.
const FINDINGS_MAX: usize = 4;

/// What a watch found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The server was asked: until it answers, nothing is to be sent.
    Doubtful,
    /// It answered.
    Proven,
    /// It did not; nothing was heard for this long. The watch is over.
    Dead(Duration),
    /// The client has no connection any more, or one that is not logged in.
    Lost,
    /// It still has one that is not logged in, and nobody ends it. The watch is over.
    Stuck,
}

/// A connection that is watched. Dropping it ends the watch.
pub(super) struct Watch {
    findings: mpsc::Receiver<Finding>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(super) fn begin(
        client: Arc<Client>,
        clock: Arc<dyn Clock>,
        settings: LivenessSettings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (tell, findings) = mpsc::channel(FINDINGS_MAX);
        let task = tokio::spawn(async move { watch(&client, clock.as_ref(), settings, &metrics, &tell).await });
        Self { findings, task }
    }

    /// The next finding; never returns when there will be none, or no watch.
    pub(super) async fn next(watch: &mut Option<Self>) -> Finding {
        if let Some(watch) = watch
            && let Some(finding) = watch.findings.recv().await
        {
            return finding;
        }
        std::future::pending().await
    }
}

async fn watch(
    client: &Arc<Client>,
    clock: &dyn Clock,
    settings: LivenessSettings,
    metrics: &Metrics,
    tell: &mpsc::Sender<Finding>,
) {
    let mut liveness = Liveness::new(settings, clock.now());
    let mut doubted = false;
    // The session's task is gone when it cannot be told, and this watch with it.
    while !tell.is_closed() {
        if !client.is_connected() || !client.is_logged_in() {
            let _ = tell.send(Finding::Lost).await;
            // A server that ends a session closes its connection, too, and then this watch is dropped.
            clock.sleep_until(clock.now().plus(settings.probe_wait)).await;
            if client.is_connected() && !client.is_logged_in() {
                let _ = tell.send(Finding::Stuck).await;
            }
            return;
        }
        let decision = liveness.look(clock.now(), Timestamp(client.stats().last_data_received_ms));
        if doubted && !liveness.doubted() {
            doubted = false;
            metrics.probe_answered();
            let _ = tell.send(Finding::Proven).await;
        }
        match decision {
            Decision::Wait(until) => clock.sleep_until(until.min(clock.now().plus(LOOK_AGAIN))).await,
            Decision::Probe => {
                doubted = true;
                metrics.probe_asked();
                let _ = tell.send(Finding::Doubtful).await;
                // Whatever is heard meanwhile is as good as this answer: the next look sees it.
                if let Err(error) = client.execute(KeepaliveSpec::with_timeout(settings.probe_wait)).await {
                    tracing::debug!(%error, "a connection was asked and did not answer");
                }
            }
            Decision::Reconnect(silent) => {
                metrics.probe_unanswered();
                let _ = tell.send(Finding::Dead(silent)).await;
                return;
            }
        }
    }
}
