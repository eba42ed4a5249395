//! A bare client of the library that sessions are built on: for what passes between a client and the network, whether the
//! host offers it or not. Everything it hears is kept, so that nobody can begin to wait too late.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use switchboard::http::LocalClient;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use whatsapp_rust::InboundDurabilityHook;
use whatsapp_rust::anyhow;
use whatsapp_rust::async_trait;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::prelude::*;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::wacore::net::UploadBody;
use whatsapp_rust::wacore::store::InMemoryBackend;
use whatsapp_rust::wacore::types::presence::ReceiptType;

use crate::patience::PATIENCE;
use crate::sim::Sim;

/// Events that one client may hear in one test.
const EVENTS_MAX: usize = 20_000;
/// What the client says it is; WhatsApp would be asked for the current one.
const VERSION: (u32, u32, u32) = (2, 3000, 0);
/// One-time keys of a client: enough for a test, and quick to make.
const PREKEYS: usize = 40;

/// How a client is set up.
#[derive(Clone, Default)]
pub struct Setup {
    /// The name it brings along. Without one it learns the account's from the app state.
    pub push_name: Option<String>,
    /// Whether it asks for a pairing code by itself.
    pub pair_code: Option<PairCodeOptions>,
    /// Whether it leaves the history alone.
    pub skip_history: bool,
    /// How often it cannot write down what it receives, if it writes anything down before it confirms it.
    pub failing_commits: Option<Arc<AtomicU32>>,
}

impl Setup {
    /// A client that brings its name along.
    pub fn named(name: &str) -> Self {
        Self { push_name: Some(name.to_owned()), ..Self::default() }
    }
}

/// A place in what a client has heard.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark(usize);

/// A client, running.
pub struct RawClient {
    /// The library's client.
    pub client: Arc<Client>,
    /// What it keeps, as a device.
    pub backend: Arc<InMemoryBackend>,
    setup: Setup,
    heard: Arc<Heard>,
    handle: BotHandle,
}

impl RawClient {
    /// A client of `sim` that no phone has linked yet.
    pub async fn start(sim: &Sim, setup: Setup) -> Self {
        Self::start_on(sim, setup, Arc::new(InMemoryBackend::new())).await
    }

    /// A client that is linked to the phone of this number and connected; makes the phone if there is none.
    pub async fn linked(sim: &Sim, number: &str) -> Self {
        Self::linked_with(sim, number, Setup::named(&format!("Client of {number}"))).await
    }

    /// The same, set up in another way.
    pub async fn linked_with(sim: &Sim, number: &str, setup: Setup) -> Self {
        let client = Self::start(sim, setup).await;
        client.link(sim, number).await;
        client
    }

    async fn start_on(sim: &Sim, setup: Setup, backend: Arc<InMemoryBackend>) -> Self {
        let heard = Arc::new(Heard::default());
        let mut builder = Bot::builder()
            .with_backend_arc(backend.clone())
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(sim.ws_url()))
            .with_http_client(PlainHttp { sim: sim.address() })
            .with_runtime(TokioRuntime)
            .with_event_handler(Ear(Arc::clone(&heard)))
            .with_wanted_pre_key_count(PREKEYS)
            .with_version(VERSION);
        if let Some(name) = &setup.push_name {
            builder = builder.with_push_name(name.clone());
        }
        if let Some(options) = &setup.pair_code {
            builder = builder.with_pair_code(options.clone());
        }
        if setup.skip_history {
            builder = builder.skip_history_sync();
        }
        if let Some(left) = &setup.failing_commits {
            builder = builder.with_inbound_durability_hook(Ledger(Arc::clone(left)));
        }
        let bot = builder.build().await.unwrap();
        let client = bot.client();
        // A client that brings its name along never says that it is there, and its receipts would count as inactive.
        client.set_force_active_delivery_receipts(true);
        Self { client, backend, setup, heard, handle: bot.spawn() }
    }

    /// Lets the phone of this number scan this client's code, and waits until the client is connected.
    pub async fn link(&self, sim: &Sim, number: &str) {
        sim.phone(number).await;
        let code = self.qr().await;
        sim.scan(number, &code).await;
        self.connected(Mark::default()).await;
    }

    /// The first code it shows.
    pub async fn qr(&self) -> String {
        self.hears("a QR code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until it is connected, later than `mark`, and has taken what waited for it.
    pub async fn connected(&self, mark: Mark) {
        self.hears_after(mark, "that it is connected", |event| matches!(event, Event::Connected(_)).then_some(())).await;
        self.client.wait_for_startup_sync(PATIENCE).await.unwrap();
    }

    /// A second connection of the same device, which the network cannot tell from the first. Does not wait for anything.
    pub async fn twin(&self, sim: &Sim) -> Self {
        self.client.flush_pending_signal_state().await.unwrap();
        self.client.persistence_manager().flush().await.unwrap();
        Self::start_on(sim, self.setup.clone(), Arc::clone(&self.backend)).await
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.handle.shutdown().await;
    }

    /// Stops it in order, and keeps what it has: the same device may come back.
    pub async fn suspend(self) -> Suspended {
        let Self { backend, setup, handle, .. } = self;
        handle.shutdown().await;
        Suspended { backend, setup }
    }

    /// Waits until it has given up by itself, and keeps what it has.
    pub async fn ended(self) -> Suspended {
        let Self { backend, setup, handle, .. } = self;
        tokio::time::timeout(PATIENCE, handle).await.expect("it gives up");
        Suspended { backend, setup }
    }

    /// Its own JID by number, without the device.
    pub fn jid(&self) -> Jid {
        self.client.pn().expect("it is linked").to_non_ad()
    }

    /// Its own JID by number, with the device.
    pub fn device_jid(&self) -> Jid {
        self.client.pn().expect("it is linked")
    }

    /// Its own JID that hides the number, without the device.
    pub fn lid(&self) -> Jid {
        self.client.lid().expect("it is linked").to_non_ad()
    }

    /// Sends a text; the message's id.
    pub async fn send_text(&self, to: &Jid, text: &str) -> String {
        self.send(to, wa::Message::text(text)).await
    }

    /// Sends a message; its id.
    pub async fn send(&self, to: &Jid, message: wa::Message) -> String {
        self.client.send_message(to, message).await.unwrap().message_id
    }

    /// The place after everything it has heard by now.
    pub fn mark(&self) -> Mark {
        Mark(self.heard.events.lock().unwrap().len())
    }

    /// The first thing that is wanted among all it hears, past or future.
    pub async fn hears<T>(&self, what: &str, pick: impl FnMut(&Event) -> Option<T>) -> T {
        self.hears_after(Mark::default(), what, pick).await
    }

    /// The first thing that is wanted among what it hears after `mark`.
    pub async fn hears_after<T>(&self, mark: Mark, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let mut next = mark.0;
        let found = async {
            loop {
                let mut arrived = std::pin::pin!(self.heard.arrived.notified());
                // Registered before looking: an event between the two must not be missed.
                arrived.as_mut().enable();
                while let Some(event) = self.heard.get(next) {
                    next += 1;
                    if let Some(found) = pick(&event) {
                        return found;
                    }
                }
                arrived.await;
            }
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(found) => found,
            Err(_) => panic!("never heard {what}; heard {:?}", self.heard.events.lock().unwrap()),
        }
    }

    /// The last thing that is wanted among what it has heard by now.
    pub fn last<T>(&self, pick: impl FnMut(&Arc<Event>) -> Option<T>) -> Option<T> {
        self.heard.events.lock().unwrap().iter().rev().find_map(pick)
    }

    /// How often it has heard what is wanted by now.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.heard.events.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }

    /// All that is wanted among what it has heard after `mark` by now, in its order.
    pub fn all_after<T>(&self, mark: Mark, pick: impl FnMut(&Event) -> Option<T>) -> Vec<T> {
        self.heard.events.lock().unwrap().iter().skip(mark.0).map(Arc::as_ref).filter_map(pick).collect()
    }

    /// How often it has received the message of this id by now.
    pub fn received(&self, id: &str) -> usize {
        let events = self.heard.events.lock().unwrap();
        events.iter().flat_map(|event| event.messages()).filter(|message| message.info.id == id).count()
    }

    /// The message of this id.
    pub async fn message(&self, id: &str) -> InboundMessage {
        self.hears(&format!("message {id}"), |event| event.messages().find(|message| message.info.id == id).cloned()).await
    }

    /// The first message with this text.
    pub async fn text(&self, text: &str) -> InboundMessage {
        let wanted = |message: &&InboundMessage| message.message.text_content() == Some(text);
        self.hears(&format!("{text:?}"), |event| event.messages().find(wanted).cloned()).await
    }

    /// A receipt of this kind for the message of this id.
    pub async fn receipt(&self, id: &str, kind: ReceiptType) -> whatsapp_rust::types::events::Receipt {
        self.hears(&format!("a receipt {kind:?} for {id}"), |event| match event {
            Event::Receipt(receipt) if receipt.r#type == kind && receipt.message_ids.iter().any(|named| named == id) => {
                Some(receipt.clone())
            }
            _ => None,
        })
        .await
    }

    /// The ids of all messages of other people that it has received by now, in their order.
    pub fn received_ids(&self) -> Vec<String> {
        let events = self.heard.events.lock().unwrap();
        let messages = events.iter().flat_map(|event| event.messages());
        messages.filter(|message| !message.info.source.is_from_me).map(|message| message.info.id.clone()).collect()
    }

    /// The network's answer to the message of this id: `None` when it took it, or its error code.
    pub async fn answer_to(&self, id: &str) -> Option<String> {
        self.hears(&format!("an answer to {id}"), |event| match event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") && ack.id == id => Some(ack.error.clone()),
            _ => None,
        })
        .await
    }

    /// Nothing that waited was lost: the channel of events never overflowed.
    pub fn assert_nothing_lost(&self) {
        assert!(self.heard.events.lock().unwrap().len() < EVENTS_MAX, "more than {EVENTS_MAX} events");
    }
}

/// A device that is off.
pub struct Suspended {
    backend: Arc<InMemoryBackend>,
    setup: Setup,
}

impl Suspended {
    /// Starts it, and waits until it is connected and has taken what waited for it.
    pub async fn resume(self, sim: &Sim) -> RawClient {
        let client = RawClient::start_on(sim, self.setup, self.backend).await;
        client.connected(Mark::default()).await;
        client
    }

    /// Starts it without waiting for anything.
    pub async fn start(self, sim: &Sim) -> RawClient {
        RawClient::start_on(sim, self.setup, self.backend).await
    }
}

/// Everything a client has heard.
#[derive(Default)]
struct Heard {
    events: Mutex<Vec<Arc<Event>>>,
    arrived: Notify,
}

impl Heard {
    fn get(&self, at: usize) -> Option<Arc<Event>> {
        self.events.lock().unwrap().get(at).cloned()
    }
}

/// Keeps what the library says.
struct Ear(Arc<Heard>);

impl EventHandler for Ear {
    fn handle_event(&self, event: Arc<Event>) {
        let mut events = self.0.events.lock().unwrap();
        if events.len() < EVENTS_MAX {
            events.push(event);
        }
        drop(events);
        self.0.arrived.notify_waiters();
    }
}

/// Where messages are written down before they are confirmed; it fails as often as the number says.
struct Ledger(Arc<AtomicU32>);

#[async_trait]
impl InboundDurabilityHook for Ledger {
    async fn on_messages(&self, _client: Arc<Client>, _batch: &[InboundMessage]) -> anyhow::Result<()> {
        let failed = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        anyhow::ensure!(failed.is_err(), "the ledger is closed");
        Ok(())
    }
}

/// Where everybody finds the sticker packs that WhatsApp itself offers (wacore 0.7.0 `sticker_pack.rs`).
const STICKER_HOST: &str = "static.whatsapp.net";

/// HTTP for media: the library asks for `https`, and the simulated network's media hosts answer plain HTTP as well.
#[derive(Clone)]
pub struct PlainHttp {
    /// Where the network is.
    pub sim: SocketAddr,
}

#[async_trait]
impl HttpClient for PlainHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let (_, rest) = request.url.split_once("://").ok_or_else(|| anyhow::anyhow!("no URL: {}", request.url))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address: SocketAddr =
            if authority == STICKER_HOST { self.sim } else { authority.replace("localhost", "127.0.0.1").parse()? };
        anyhow::ensure!(address.ip().is_loopback(), "{authority} is not of the simulated network");
        let headers: Vec<(&str, String)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let body = request.body.map(|body| body.to_vec()).unwrap_or_default();
        let answer = LocalClient::new(address).exchange(&request.method, path, &headers, body).await?;
        Ok(HttpResponse { status_code: answer.status, body: answer.body })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    /// The library calls this where it may block.
    fn execute_upload(&self, request: HttpRequest, mut body: UploadBody, bytes: u64) -> anyhow::Result<HttpResponse> {
        let mut content = Vec::new();
        body.read_to_end(&mut content)?;
        anyhow::ensure!(content.len() as u64 == bytes, "{} bytes came; {bytes} were announced", content.len());
        Handle::current().block_on(self.execute(request.with_body(content)))
    }
}

/// HTTP to the media hosts of a network, without a client.
pub fn media_http(sim: &Sim) -> Arc<dyn HttpClient> {
    Arc::new(PlainHttp { sim: sim.address() })
}

/// The JID of a number.
pub fn jid(number: &str) -> Jid {
    Jid::pn(number)
}

/// A JID from its text.
pub fn parsed(text: &str) -> Jid {
    text.parse::<Jid>().unwrap_or_else(|error| panic!("{text:?} is no JID: {error}"))
}
