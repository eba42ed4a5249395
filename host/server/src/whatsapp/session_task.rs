//! The life of one session: it owns the client, follows its changes, and keeps the session's record true.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use wacore::store::error::StoreError;
use whatsapp_rust::bot::{Bot, BotBuilderError};
use whatsapp_rust::{Client, TokioRuntime};

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::inbox::Inbox;
use switchboard_core::flow::outbox_worker::OutboxWorker;
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{DeviceStorage, SessionChange, StorageError};

use super::barrier::Barrier;
use super::bearings::Compass;
use super::connects::{Door, DoorFactory};
use super::desk::Desk;
use super::inbound::DurableInbox;
use super::linking::{self, LinkRequest};
use super::liveness::{Finding, Watch};
use super::lost::{self, LostInbound};
use super::observed::Observer;
use super::outbound::ClientSender;
use super::presence;
use super::reasons;
use super::sessions::{Live, LiveQr, SessionDeps};
use super::signals::{Life, SignalQueues, Signals};
use super::storage::DeviceBackend;

/// How long a client may take to say good-bye.
const GOODBYE_WAIT: Duration = Duration::from_secs(5);
/// How long the server may take to acknowledge what is under way when a session stops.
const OUTBOX_WAIT: Duration = Duration::from_secs(3);
/// The name under which sessions appear in the phone's list of linked devices.
const DEVICE_NAME: &str = "Switchboard";

/// Why a session is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The customer takes it off line.
    Disconnect,
    /// It is to be deleted: the phone is told to forget it.
    Logout,
    /// The host stops; the session goes on with the next start.
    Shutdown,
}

/// One session's task.
pub(super) struct SessionTask {
    deps: SessionDeps,
    session: Session,
    inbox: Inbox,
    device: DeviceStorage,
    live: watch::Sender<Live>,
    online: watch::Sender<bool>,
    door: Arc<Door>,
    barrier: Arc<Barrier>,
    watch: Option<Watch>,
    desk: Arc<Desk>,
    paired: bool,
}

/// Stops a task when it is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl SessionTask {
    /// A task that seats its client at the desk once it has one.
    pub(super) fn new(deps: SessionDeps, session: Session, live: watch::Sender<Live>, door: Door, desk: Arc<Desk>) -> Self {
        let inbox = Inbox {
            storage: deps.storage.clone(),
            clock: Arc::clone(&deps.clock),
            wakes: Arc::clone(&deps.wakes),
            tenant: session.tenant,
            session: session.id,
        };
        let paired = session.jid.is_some();
        let device = deps.storage.device(session.tenant, session.id);
        let (online, door) = (watch::channel(false).0, Arc::new(door));
        let barrier = Arc::new(Barrier::new(Arc::clone(&deps.clock)));
        Self { deps, inbox, device, live, online, door, barrier, watch: None, desk, paired, session }
    }

    /// Runs until the session is stopped or cannot go on; the record as it is then.
    pub(super) async fn run(
        mut self,
        mut stop: watch::Receiver<Option<Stop>>,
        links: mpsc::Receiver<LinkRequest>,
    ) -> Session {
        let begun = if self.paired { SessionState::Reconnecting } else { SessionState::Pairing };
        self.change(SessionChange::state(begun, None)).await;
        let mut stopped = stop.clone();
        tokio::select! {
            biased;
            _ = wish_to_stop(&mut stopped) => {}
            () = self.door.turn() => {}
        }
        let (lost, mut lost_queue) = LostInbound::new(self.deps.storage.clone(), self.session.tenant, self.session.id);
        let (signals, mut queues) = Signals::new(Arc::clone(&self.barrier), Arc::clone(&lost));
        let bot = match self.build(signals, Arc::clone(&lost)).await {
            Ok(bot) => bot,
            Err(error) => {
                tracing::error!(session = %self.session.id, %error, "a session's client cannot be built");
                self.change(SessionChange::state(SessionState::Failed, Some(error.to_string()))).await;
                return self.session;
            }
        };
        let client = bot.client();
        self.desk.seat(Arc::downgrade(&client));
        self.barrier.stands_before(Arc::downgrade(&client));
        let (stop_outbox, outbox_stopped) = watch::channel(false);
        let mut outbox = AbortOnDrop(self.spawn_outbox(&client, &queues, outbox_stopped));
        let asking = Arc::clone(&client);
        let asking = AbortOnDrop(tokio::spawn(async move {
            while let Some(lost) = lost_queue.recv().await {
                lost::ask(&asking, &lost).await;
            }
        }));
        let (stop_observing, observing) = oneshot::channel();
        let (heard, desk) = (Arc::clone(&self.barrier), Arc::clone(&self.desk));
        let observer = Observer::new(Arc::clone(&client), self.inbox.clone(), heard, desk);
        let observer = queues.observed.take().map(|queue| tokio::spawn(observer.run(queue, observing)));
        let linking = linking::answer(Arc::clone(&client), Arc::clone(&self.deps.clock), links);
        let linking = AbortOnDrop(tokio::spawn(linking));
        let mut run = Some(tokio::spawn(bot.run()));
        let end = self.follow(&client, &lost, &mut queues, &mut stop, &mut run).await;
        self.watch = None;
        // What is under way may still hear from the server; the rest gives its leases back.
        stop_outbox.send_replace(true);
        if tokio::time::timeout(OUTBOX_WAIT, &mut outbox.0).await.is_err() {
            tracing::info!(session = %self.session.id, "messages were under way when the session stopped; they go out again");
        }
        drop((outbox, asking, linking));
        let session = self.say_goodbye(&client, end, run).await;
        // What was heard until the end is written down as well.
        drop(stop_observing);
        if let Some(observer) = observer {
            // It broke down if this fails; it has said so.
            let _ = observer.await;
        }
        session
    }

    async fn build(&self, signals: Signals, lost: Arc<LostInbound>) -> Result<Bot, BotBuilderError> {
        // Of an earlier device nothing may be left: a crash or a full disk may have come in between.
        let forgotten = self.deps.storage.finish_forgetting(self.session.tenant, self.session.id).await;
        forgotten.map_err(|error| BotBuilderError::Store(StoreError::Database(Box::new(error))))?;
        let mut builder = Bot::builder()
            .with_backend(DeviceBackend::new(self.device.clone()).with_repetitions(lost))
            .with_transport_factory(DoorFactory { door: Arc::clone(&self.door), barrier: Arc::clone(&self.barrier) })
            .with_http_client(self.deps.network.http())
            .with_runtime(TokioRuntime)
            .with_event_handler(signals)
            .with_inbound_durability_hook(DurableInbox(self.inbox.clone()))
            .with_device_props(whatsapp_rust::wacore::store::device::DevicePropsOverride::new().with_os(DEVICE_NAME))
            .skip_history_sync();
        if let Some(version) = self.deps.network.version() {
            builder = builder.with_version(version);
        }
        builder.build().await
    }

    fn spawn_outbox(&self, client: &Arc<Client>, queues: &SignalQueues, stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let compass =
            Compass { client: Arc::clone(client), inbox: self.inbox.clone(), entropy: Arc::clone(&self.deps.entropy) };
        let sender = ClientSender {
            client: Arc::clone(client),
            acks: Arc::clone(&queues.acks),
            barrier: Arc::clone(&self.barrier),
            online: self.online.subscribe(),
            compass,
            tenant: self.session.tenant,
            uploader: self.deps.uploader.clone(),
            ack_wait: self.deps.settings.ack_wait,
        };
        let worker = OutboxWorker {
            storage: self.deps.storage.clone(),
            clock: Arc::clone(&self.deps.clock),
            entropy: Arc::clone(&self.deps.entropy),
            wakes: Arc::clone(&self.deps.wakes),
            tenant: self.session.tenant,
            session: self.session.id,
        };
        tokio::spawn(async move { worker.run(&sender, stop).await })
    }

    /// Follows the client until something ends the session; says what did.
    async fn follow(
        &mut self,
        client: &Arc<Client>,
        lost: &Arc<LostInbound>,
        queues: &mut SignalQueues,
        stop: &mut watch::Receiver<Option<Stop>>,
        run: &mut Option<JoinHandle<()>>,
    ) -> Option<Stop> {
        loop {
            if self.session.state != SessionState::Connected {
                queues.acks.forget_all();
            }
            tokio::select! {
                biased;
                wish = wish_to_stop(stop) => return Some(wish),
                Some(life) = queues.life.recv() => {
                    let connected = matches!(life, Life::Connected);
                    if self.live_on(life).await.is_break() {
                        return None;
                    }
                    if connected {
                        self.begin_watch(client);
                        let lost = Arc::clone(lost);
                        tokio::spawn(async move { lost.ask_for_unread().await });
                        let (client, settings) = (Arc::clone(client), self.session.settings.clone());
                        tokio::spawn(async move { presence::watch(&client, &Default::default(), &settings).await });
                    }
                }
                finding = Watch::next(&mut self.watch) => self.found(client, finding).await,
                () = run_over(run) => {
                    // What the client said last may still be in the queue.
                    while let Ok(life) = queues.life.try_recv() {
                        if self.live_on(life).await.is_break() {
                            return None;
                        }
                    }
                    let reason = self.live.borrow().reason.clone();
                    let reason = reason.unwrap_or_else(|| "the client stopped".to_owned());
                    self.live.send_modify(|live| live.ending = true);
                    self.change(SessionChange::state(SessionState::Failed, Some(reason))).await;
                    return None;
                }
            }
        }
    }

    /// From now on the connection is trusted only as long as the server answers.
    fn begin_watch(&mut self, client: &Arc<Client>) {
        let (clock, metrics) = (Arc::clone(&self.deps.clock), Arc::clone(&self.deps.metrics));
        self.watch = Some(Watch::begin(Arc::clone(client), clock, self.deps.settings.liveness, metrics));
    }

    /// Takes what the watch over the connection found.
    async fn found(&mut self, client: &Arc<Client>, finding: Finding) {
        let why = match finding {
            // Nothing is sent into a silence: the outbox waits until it is broken. The state stays, or each quiet hour would
            // be full of changes.
            Finding::Doubtful | Finding::Proven => {
                let proven = finding == Finding::Proven && self.session.state == SessionState::Connected;
                self.online.send_replace(proven);
                return;
            }
            Finding::Lost | Finding::Stuck => reasons::LOST.to_owned(),
            Finding::Dead(silence) => reasons::silent(silence),
        };
        self.change(SessionChange::state(SessionState::Reconnecting, Some(why))).await;
        if finding != Finding::Lost {
            // It first tries to get rid of what it still has to say, which takes seconds on a dead connection.
            let client = Arc::clone(client);
            tokio::spawn(async move { client.reconnect_immediately().await });
        }
    }

    /// Takes a change of the session's life; a break when the session is over.
    async fn live_on(&mut self, life: Life) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        let over = |state, reason| (SessionChange::state(state, reason), Break(()));
        // Wherever it has come to, another session may connect.
        self.door.arrived();
        if !matches!(life, Life::Connected) {
            self.watch = None;
        }
        let (change, flow) = match life {
            Life::Qr(text, good_for) => {
                let expires_at = self.deps.clock.now().plus(good_for);
                if let Some(notices) = &self.deps.qr_notices {
                    // Nobody looks at the terminal just now; the API shows the code all the same.
                    let _ = notices.try_send((self.session.id, text.clone()));
                }
                self.show_qr(Some(LiveQr { text: text.clone(), expires_at }));
                match self.inbox.qr(&text, expires_at).await {
                    // The session is gone, or the host stops.
                    Ok(()) | Err(StorageError::Conflict | StorageError::Closed) => {}
                    Err(error) => tracing::warn!(session = %self.session.id, %error, "a QR code is not told as an event"),
                }
                return Continue(());
            }
            Life::Paired(jid, lid) => {
                self.paired = true;
                self.show_qr(None);
                (
                    SessionChange { paired: Some((jid, lid)), ..SessionChange::state(SessionState::Reconnecting, None) },
                    Continue(()),
                )
            }
            Life::PairingFailed(why) => (SessionChange::state(SessionState::Pairing, Some(why)), Continue(())),
            Life::QrExhausted => {
                over(SessionState::Disconnected, Some("no QR code was scanned in time: connect again".to_owned()))
            }
            Life::Connected => {
                (SessionChange { active: true, ..SessionChange::state(SessionState::Connected, None) }, Continue(()))
            }
            Life::Disconnected(why) if self.paired => {
                (SessionChange::state(SessionState::Reconnecting, Some(why)), Continue(()))
            }
            Life::Disconnected(_) => return Continue(()),
            Life::LoggedOut(why) => {
                (SessionChange { unpaired: true, ..SessionChange::state(SessionState::LoggedOut, Some(why)) }, Break(()))
            }
            Life::Replaced => over(SessionState::Replaced, Some(reasons::REPLACED.to_owned())),
            Life::Banned(why, expires_in) => {
                let retry_at = expires_in.map(|expires_in| self.deps.clock.now().plus(expires_in));
                (SessionChange { retry_at, ..SessionChange::state(SessionState::Banned, Some(why)) }, Break(()))
            }
            // The client decides whether it tries again; if not, its run ends and the session fails with this reason.
            Life::Refused(why) => (SessionChange::state(SessionState::Reconnecting, Some(why)), Continue(())),
        };
        if flow.is_break() {
            // Seen together with the state: whoever connects it anew waits for the end of this task first.
            self.live.send_modify(|live| live.ending = true);
        }
        self.change(change).await;
        flow
    }

    fn show_qr(&self, qr: Option<LiveQr>) {
        self.live.send_modify(|live| live.qr = qr);
    }

    /// Writes a change down first, then lets others see it.
    async fn change(&mut self, change: SessionChange) {
        let before = (self.session.state, self.session.reason.clone());
        match self.inbox.session(&change).await {
            Ok(Some(session)) => self.session = session,
            // Deleted meanwhile: whoever deleted it stops this task.
            Ok(None) | Err(StorageError::Closed) => {}
            Err(error) => {
                tracing::error!(session = %self.session.id, %error, "a session's state could not be written down");
                if let Some((state, reason)) = change.state {
                    self.session.state = state;
                    self.session.reason = reason;
                }
            }
        }
        let (state, reason) = (self.session.state, self.session.reason.clone());
        if (state, &reason) != (before.0, &before.1) {
            self.deps.metrics.session_changed(state.name());
        }
        tracing::info!(tenant = %self.session.tenant, session = %self.session.id, state = state.name(), reason, "session");
        self.online.send_replace(state == SessionState::Connected);
        self.live.send_modify(|live| {
            live.state = state;
            live.reason = reason;
            if state != SessionState::Pairing {
                live.qr = None;
            }
        });
    }

    async fn say_goodbye(mut self, client: &Arc<Client>, end: Option<Stop>, run: Option<JoinHandle<()>>) -> Session {
        self.online.send_replace(false);
        let goodbye = async {
            if end == Some(Stop::Logout) && self.paired {
                client.logout().await;
            } else {
                client.disconnect().await;
            }
        };
        let abort = run.as_ref().map(JoinHandle::abort_handle);
        let mut run = run;
        let gone = async { tokio::join!(goodbye, run_over(&mut run)) };
        if tokio::time::timeout(GOODBYE_WAIT, gone).await.is_err() {
            tracing::warn!(session = %self.session.id, "a client did not say good-bye in time");
            abort.iter().for_each(AbortHandle::abort);
        }
        if end == Some(Stop::Disconnect) {
            self.change(SessionChange::state(SessionState::Disconnected, None)).await;
        }
        // Tasks of the client that did not hear of its end write nothing into the rows of whoever comes next.
        self.device.close();
        if self.session.state == SessionState::LoggedOut {
            let forgotten = self.deps.storage.forget_device(self.session.tenant, self.session.id).await;
            if let Err(error) = forgotten {
                tracing::error!(session = %self.session.id, %error, "an unlinked device could not be forgotten");
            }
        }
        self.session
    }
}

/// Waits until the client's run is over, and takes note of that; returns at once when it was over before.
async fn run_over(run: &mut Option<JoinHandle<()>>) {
    if let Some(running) = run.as_mut()
        && let Err(error) = running.await
        && error.is_panic()
    {
        tracing::error!(%error, "a client broke down");
    }
    *run = None;
}

/// Waits for the wish to stop. A registry that is gone wishes it, too.
async fn wish_to_stop(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    let wish = stop.wait_for(Option::is_some).await.ok().and_then(|wish| *wish);
    wish.unwrap_or(Stop::Shutdown)
}

impl Live {
    /// A session whose task begins, and which stood like this before.
    pub fn new(state: SessionState) -> Self {
        Self { state, reason: None, qr: None, ending: false }
    }

    /// Whether its task has not said anything yet: what is seen is how the session stood before.
    pub fn begins(&self) -> bool {
        let runs = [SessionState::Pairing, SessionState::Connected, SessionState::Reconnecting].contains(&self.state);
        !runs && !self.ending
    }

    /// Whether a QR code that waits is still good at `now`.
    pub fn qr_at(&self, now: Timestamp) -> Option<&LiveQr> {
        self.qr.as_ref().filter(|qr| qr.expires_at > now)
    }
}
