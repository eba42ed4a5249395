//! The life of a session: how it is now, and every change from then on. What came and went while nobody looked is left out.

use std::sync::Arc;

use tokio::sync::watch;

use switchboard_core::clock::Clock;
use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::Principal;
use switchboard_core::records::id::SessionId;
use switchboard_core::records::session::SessionState;
use switchboard_core::rules::authority;
use switchboard_core::storage::Storage;
use switchboard_runtime::types::{LiveMoment, SessionLife};
use switchboard_runtime::verbs::QrCode;

use crate::qr;
use crate::whatsapp::{Live, LiveQr, Sessions};

/// Whoever knows how sessions are that run.
pub(super) trait Lives: Send + Sync {
    /// How a session is now, to look at and to wait on; `None` when it does not run.
    fn live(&self, id: SessionId) -> Option<watch::Receiver<Live>>;
}

impl Lives for Sessions {
    fn live(&self, id: SessionId) -> Option<watch::Receiver<Live>> {
        Self::live(self, id)
    }
}

/// A session that is watched.
pub(super) struct Life {
    storage: Storage,
    sessions: Arc<dyn Lives>,
    clock: Arc<dyn Clock>,
    caller: Principal,
    id: SessionId,
    /// Rings for every event of the tenant, and so when the session starts.
    bell: watch::Receiver<()>,
    live: Option<watch::Receiver<Live>>,
    told: Option<Told>,
}

/// What was told last.
#[derive(PartialEq)]
enum Told {
    Session(SessionState, Option<String>, Option<LiveQr>),
    Gone,
}

/// What a look found.
pub(super) enum Found {
    /// This is new.
    Moment(LiveMoment),
    /// Nothing is.
    Nothing,
    /// The host cannot say.
    Broken,
}

impl Life {
    pub(super) fn new(
        storage: &Storage,
        sessions: Arc<dyn Lives>,
        clock: &Arc<dyn Clock>,
        wakes: &Wakes,
        (caller, id): (&Principal, SessionId),
    ) -> Self {
        let bell = wakes.event_bell(caller.tenant);
        let (storage, clock) = (storage.clone(), Arc::clone(clock));
        Self { storage, sessions, clock, caller: caller.clone(), id, bell, live: None, told: None }
    }

    /// How the session is, if that was not told yet.
    pub(super) async fn look(&mut self) -> Found {
        self.bell.borrow_and_update();
        // A channel whose task is over tells nothing any more; what it came to is stored.
        self.live = self.sessions.live(self.id).filter(|live| live.has_changed().is_ok());
        let live = self.live.as_mut().map(|live| live.borrow_and_update().clone());
        let session = match self.storage.session(self.caller.tenant, self.id).await {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "a stream cannot read its session");
                return Found::Broken;
            }
        };
        let Some(session) = session else {
            return self.tell(Told::Gone).map_or(Found::Nothing, |()| Found::Moment(LiveMoment::Gone));
        };
        let (state, reason, qr) = match live {
            // It still says how the session was before its task began.
            Some(live) if live.begins() => return Found::Nothing,
            Some(live) => {
                let shown = authority::check_change(&self.caller, session.test, "the QR code").is_ok();
                let qr = live.qr_at(self.clock.now()).filter(|_| shown).cloned();
                (live.state, live.reason, qr)
            }
            None => (session.state, session.reason, None),
        };
        if self.tell(Told::Session(state, reason.clone(), qr.clone())).is_none() {
            return Found::Nothing;
        }
        let qr = match qr.map(|qr| (qr::png(&qr.text), qr)) {
            None => None,
            Some((Ok(png), qr)) => Some(QrCode { text: qr.text, png, expires_at_ms: qr.expires_at.0 }),
            Some((Err(error), _)) => {
                tracing::error!(%error, "a QR code cannot be drawn");
                return Found::Broken;
            }
        };
        let phone_number = session.phone_number;
        Found::Moment(LiveMoment::Session(Box::new(SessionLife { state, reason, phone_number, qr })))
    }

    /// Remembers what is told; `None` when that was told last.
    fn tell(&mut self, told: Told) -> Option<()> {
        if self.told.as_ref() == Some(&told) {
            return None;
        }
        self.told = Some(told);
        Some(())
    }

    /// Returns when it may be different: `false` when that can never be.
    pub(super) async fn wait(&mut self) -> bool {
        let changed = async {
            match &mut self.live {
                // An error is the end of its task, which is a change as well.
                Some(live) => drop(live.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => true,
            rung = self.bell.changed() => rung.is_ok(),
        }
    }
}
