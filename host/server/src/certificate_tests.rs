//! A build for the real network refuses the simulated one: its certificate chain does not end at WhatsApp's root.

use std::sync::Arc;
use std::time::Duration;

use switchboard_core::clock::{Clock, SystemClock, Timestamp};
use switchboard_core::entropy::{Entropy, SystemEntropy};
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::{ApiKey, KeyKind};
use switchboard_core::records::id::{KeyId, SessionId, TenantId};
use switchboard_core::records::session::{Session, SessionState};
use switchboard_core::storage::{MasterKey, NewKey, Storage};
use switchboard_simnet::{SimConfig, SimNet};

use crate::egress::Egress;
use crate::whatsapp::{SessionDeps, SessionSettings, Sessions, WhatsAppNetwork};

const TENANT: TenantId = TenantId(1);
const SESSION: SessionId = SessionId(1);

async fn storage_with_a_session() -> Storage {
    let storage = Storage::in_memory(MasterKey::new([1; 32]));
    let at = Timestamp(1);
    let session = Session {
        id: SESSION,
        tenant: TENANT,
        name: "S".to_owned(),
        phone_number: String::new(),
        state: SessionState::Created,
        reason: None,
        retry_at: None,
        jid: None,
        lid: None,
        settings: serde_json::Map::new(),
        created_at: at,
        updated_at: at,
        last_active_at: None,
        test: false,
    };
    let key = ApiKey {
        id: KeyId(1),
        tenant: TENANT,
        kind: KeyKind::Session,
        session: Some(SESSION),
        name: String::new(),
        service: String::new(),
        scopes: Vec::new(),
        test: false,
        expires_at: None,
        created_at: at,
        sha256: String::new(),
        revoked_at: None,
        description: String::new(),
        hint: String::new(),
    };
    storage.create_session(&session, &NewKey::new(key, "ses_live_x".to_owned())).await.unwrap();
    storage
}

/// How many handshakes the network saw break off, once there is one.
async fn broken_handshakes(sim: &SimNet) -> u64 {
    loop {
        let stats = sim.control("GET", "/switchboard/v1/sim/stats", b"").await;
        let stats: serde_json::Value = serde_json::from_slice(&stats.body).unwrap();
        let broken = stats["handshakes_broken"].as_u64().unwrap();
        if broken > 0 {
            return broken;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_for_the_real_network_refuses_the_certificate_of_the_simulated_one() {
    let config =
        SimConfig { data_dir: None, listen: ([127, 0, 0, 1], 0).into(), tls_listen: None, admin_key: "x".repeat(16) };
    let sim = SimNet::start(config).await.unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let storage = storage_with_a_session().await;
    let network = WhatsAppNetwork::simulated(sim.ws_url(), Egress::nowhere());
    let wakes = Arc::<Wakes>::default();
    let (settings, metrics) = (SessionSettings::default(), Arc::default());
    let sessions = Sessions::new(SessionDeps {
        storage: storage.clone(),
        clock,
        entropy,
        wakes,
        network,
        settings,
        metrics,
        uploader: None,
        qr_notices: None,
    });
    assert!(sessions.connect(TENANT, SESSION).await.unwrap());
    let live = sessions.live(SESSION).unwrap();
    let broken = tokio::time::timeout(Duration::from_secs(30), broken_handshakes(&sim)).await;
    assert!(broken.is_ok(), "the client neither finished nor broke off a handshake");
    assert_eq!(live.borrow().qr_at(Timestamp(0)), None, "it was offered a QR code by a network that it must not trust");
    sessions.shut_down().await;
    sim.shutdown().await;
}
