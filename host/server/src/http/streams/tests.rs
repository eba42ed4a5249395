//! Streams with a clock that stands still unless it is told: what is told, when silence is broken, and when a stream ends.

use std::sync::Mutex;

use switchboard_core::clock::{ManualClock, Timestamp};
use switchboard_core::entropy::SeededEntropy;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::{ApiKey, KeyKind};
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey, Storage};
use switchboard_runtime::types::LiveMoment;

use super::life::{Found, Life, Lives};
use super::*;
use crate::accounts::KeyWish;
use crate::links::LinkKeys;
use crate::whatsapp::{Live, LiveQr};

const NOW: Timestamp = Timestamp(1_750_000_000_000);
const SESSION: SessionId = SessionId(5);

/// A session that runs, or does not.
#[derive(Default)]
struct Running(Mutex<Option<watch::Receiver<Live>>>);

impl Lives for Running {
    fn live(&self, _: SessionId) -> Option<watch::Receiver<Live>> {
        self.0.lock().unwrap().clone()
    }
}

/// Tells a life in plain words.
struct Plain(Life);

#[async_trait]
impl Subject for Plain {
    async fn say(&mut self) -> Said {
        match self.0.look().await {
            Found::Moment(LiveMoment::Session(life)) => {
                let qr = life.qr.map(|qr| format!(" {} {}", qr.text, qr.png.len() > 100)).unwrap_or_default();
                Said::Bytes(format!("{} {}{qr}", life.state.name(), life.phone_number).into())
            }
            Found::Moment(_) => Said::Last("gone".into()),
            Found::Nothing => Said::Nothing,
            Found::Broken => Said::Last("broken".into()),
        }
    }

    async fn wait(&mut self) -> bool {
        self.0.wait().await
    }
}

struct Scene {
    storage: Storage,
    clock: Arc<ManualClock>,
    wakes: Wakes,
    running: Arc<Running>,
    key: ApiKey,
    ready: watch::Sender<bool>,
    stream: Stream,
}

/// A stream of a session that does not run, opened with a key of its tenant.
async fn scene() -> Scene {
    let storage = Storage::in_memory(MasterKey::new([7; MASTER_KEY_BYTES]));
    let clock = Arc::new(ManualClock::at(NOW));
    let (shared, entropy) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SeededEntropy::new(1)));
    let accounts = Accounts::new(storage.clone(), Arc::clone(&shared), entropy, LinkKeys::new([9; 32]));
    let tenant = accounts.create_tenant("Shop", None, Default::default()).await.unwrap();
    let wish: KeyWish = serde_json::from_str(r#"{"kind":"tenant"}"#).unwrap();
    let key = accounts.create_key(tenant.id, &wish).await.unwrap();
    let (caller, _) = accounts.authenticate(&key.text, &[KeyKind::Tenant], None).await.unwrap();
    let session = Session {
        id: SESSION,
        tenant: tenant.id,
        name: "Till".to_owned(),
        phone_number: "491510000001".to_owned(),
        state: SessionState::Created,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: Default::default(),
        created_at: NOW,
        updated_at: NOW,
        last_active_at: None,
        test: false,
    };
    let own: KeyWish = serde_json::from_str(r#"{"kind":"session","session_id":5}"#).unwrap();
    storage.create_session(&session, &accounts.draw_key(tenant.id, &own)).await.unwrap();
    let (wakes, running) = (Wakes::default(), Arc::<Running>::default());
    let life = Life::new(&storage, Arc::clone(&running) as _, &shared, &wakes, (&caller, SESSION));
    let (ready, ready_seen) = watch::channel(true);
    let place = Streams::default().take(tenant.id).unwrap();
    let reading = Reading { accounts, clock: shared, caller: Some(caller), ready: ready_seen, api: None, _place: place };
    let stream =
        Stream { reading, greeting: Some(Bytes::from_static(b"hello")), subject: Box::new(Plain(life)), over: false };
    let mut scene = Scene { storage, clock, wakes, running, key: key.record, ready, stream };
    assert_eq!(scene.next().await.as_deref(), Some("hello"));
    assert_eq!(scene.next().await.as_deref(), Some("created 491510000001"));
    scene
}

impl Scene {
    async fn next(&mut self) -> Option<String> {
        self.stream.next().await.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// What comes once the clock has gone on by so much, before which nothing comes.
    async fn next_after(&mut self, wait: Duration) -> Option<String> {
        let Self { stream, clock, .. } = self;
        let next = stream.next();
        tokio::pin!(next);
        // Whatever it can do without the clock it does now.
        for _ in 0..100 {
            tokio::select! {
                biased;
                early = &mut next => panic!("{early:?} came too early"),
                () = tokio::task::yield_now() => {}
            }
        }
        clock.advance(wait);
        next.await.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Lets the session run.
    fn starts(&self) -> watch::Sender<Live> {
        let (live, seen) = watch::channel(Live::new(SessionState::Disconnected));
        *self.running.0.lock().unwrap() = Some(seen);
        self.wakes.events_have_more(self.key.tenant);
        live
    }
}

fn code(text: &str, until_s: u64) -> Option<LiveQr> {
    Some(LiveQr { text: text.to_owned(), expires_at: NOW.plus(Duration::from_secs(until_s)) })
}

#[tokio::test]
async fn a_silence_is_broken_every_ten_seconds() {
    let mut scene = scene().await;
    for _ in 0..3 {
        assert_eq!(scene.next_after(KEEP_ALIVE).await.as_deref(), Some(": alive\n\n"));
    }
    assert!(KEEP_ALIVE < Duration::from_secs(15));
}

#[tokio::test]
async fn a_session_that_starts_is_followed_through_its_codes_and_only_what_is_new_is_told() {
    let mut scene = scene().await;
    let live = scene.starts();
    assert_eq!(
        scene.next_after(KEEP_ALIVE).await.as_deref(),
        Some(": alive\n\n"),
        "how it stood before it began is no news"
    );
    live.send_modify(|live| live.state = SessionState::Pairing);
    assert_eq!(scene.next().await.as_deref(), Some("pairing 491510000001"));
    for text in ["first", "second", "third"] {
        live.send_modify(|live| live.qr = code(text, 60));
        assert_eq!(scene.next().await, Some(format!("pairing 491510000001 {text} true")));
    }
    // Two while nobody reads: only the one that is still good is told.
    live.send_modify(|live| live.qr = code("fourth", 60));
    live.send_modify(|live| live.qr = code("fifth", 60));
    assert_eq!(scene.next().await.as_deref(), Some("pairing 491510000001 fifth true"));
    live.send_modify(|_| {});
    scene.wakes.events_have_more(scene.key.tenant);
    assert_eq!(scene.next_after(KEEP_ALIVE).await.as_deref(), Some(": alive\n\n"), "nothing is told twice");
    live.send_modify(|live| (live.state, live.qr) = (SessionState::Connected, None));
    assert_eq!(scene.next().await.as_deref(), Some("connected 491510000001"));
    // Its task is over: what it came to is stored.
    drop(live);
    assert_eq!(scene.next().await.as_deref(), Some("created 491510000001"));
}

#[tokio::test]
async fn a_code_whose_time_is_over_is_told_to_nobody() {
    let mut scene = scene().await;
    let live = scene.starts();
    live.send_modify(|live| (live.state, live.qr) = (SessionState::Pairing, code("late", 0)));
    assert_eq!(scene.next().await.as_deref(), Some("pairing 491510000001"));
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let mut scene = scene().await;
    scene.storage.delete_session(scene.key.tenant, SESSION, NOW).await.unwrap();
    scene.wakes.events_have_more(scene.key.tenant);
    assert_eq!(scene.next().await.as_deref(), Some("gone"));
    assert_eq!(scene.next().await, None);
}

#[tokio::test]
async fn a_stream_ends_with_its_key_its_tenant_and_its_host() {
    let mut revoked = scene().await;
    revoked.storage.revoke_key(revoked.key.tenant, revoked.key.id, NOW).await.unwrap();
    revoked.wakes.events_have_more(revoked.key.tenant);
    assert_eq!(revoked.next().await, None);
    let mut inactive = scene().await;
    inactive.storage.change_tenant(inactive.key.tenant, |tenant| tenant.active = false).await.unwrap();
    assert_eq!(inactive.next().await, None);
    let mut stopping = scene().await;
    stopping.ready.send_replace(false);
    assert_eq!(stopping.next().await, None);
}

#[test]
fn a_tenant_has_so_many_places_and_gets_them_back() {
    let streams = Streams::default();
    let mut places: Vec<Place> = (0..STREAMS_MAX).filter_map(|_| streams.take(TenantId(1))).collect();
    assert_eq!(places.len(), STREAMS_MAX);
    assert!(streams.take(TenantId(1)).is_none() && streams.take(TenantId(2)).is_some());
    places.pop();
    assert!(streams.take(TenantId(1)).is_some());
    drop(places);
    assert!(streams.are_free());
}
