//! What the client library tells a session, sorted as it arrives: acknowledgements to whoever waits for them, the rest into
//! bounded queues that the session's task drains.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use whatsapp_rust::wacore::types::events::{Event, EventHandler};

use super::barrier::Barrier;
use super::lost::LostInbound;
use super::observed::Ear;
use super::reasons;

/// Changes of the session's life that may wait for its task.
const LIFE_SIGNALS_MAX: usize = 64;

/// A change of the session's life.
#[derive(Debug)]
pub(super) enum Life {
    /// A QR code to scan, and how long it is good for.
    Qr(String, Duration),
    /// A phone linked it: its JIDs by number and by LID.
    Paired(String, Option<String>),
    /// Pairing failed.
    PairingFailed(String),
    /// Nobody scanned any of the QR codes.
    QrExhausted,
    /// The server took its login.
    Connected,
    /// The connection is gone; the client reconnects by itself.
    Disconnected(String),
    /// The phone or the server unlinked it.
    LoggedOut(String),
    /// Another connection took its place.
    Replaced,
    /// WhatsApp refuses the account: why, and for how long if not for good.
    Banned(String, Option<Duration>),
    /// The server refuses the login.
    Refused(String),
}

/// The server's word about a message of ours: taken, or refused with a code.
pub(super) type Ack = Result<(), String>;

/// Who waits for the server's word about which message.
#[derive(Default)]
pub(super) struct AckWaiters(Mutex<HashMap<String, oneshot::Sender<Ack>>>);

impl AckWaiters {
    /// Waits for the word about `whatsapp_id`. Ask before sending.
    pub(super) fn expect(&self, whatsapp_id: &str) -> oneshot::Receiver<Ack> {
        let (tell, told) = oneshot::channel();
        if let Ok(mut waiters) = self.0.lock() {
            waiters.insert(whatsapp_id.to_owned(), tell);
        }
        told
    }

    /// Nobody waits for it any longer.
    pub(super) fn forget(&self, whatsapp_id: &str) {
        if let Ok(mut waiters) = self.0.lock() {
            waiters.remove(whatsapp_id);
        }
    }

    /// The connection is gone: no word will come, and nobody needs to wait for it.
    pub(super) fn forget_all(&self) {
        if let Ok(mut waiters) = self.0.lock() {
            waiters.clear();
        }
    }

    fn tell(&self, whatsapp_id: &str, ack: Ack) {
        let waiter = self.0.lock().ok().and_then(|mut waiters| waiters.remove(whatsapp_id));
        if let Some(waiter) = waiter {
            // The sender may have stopped waiting just now.
            let _ = waiter.send(ack);
        }
    }
}

/// Receives everything that the client library tells.
pub(super) struct Signals {
    life: mpsc::Sender<Life>,
    ear: Ear,
    acks: Arc<AckWaiters>,
    lost: Arc<LostInbound>,
}

/// The other end of [`Signals`].
pub(super) struct SignalQueues {
    pub(super) life: mpsc::Receiver<Life>,
    pub(super) observed: Option<mpsc::Receiver<Arc<Event>>>,
    pub(super) acks: Arc<AckWaiters>,
}

impl Signals {
    pub(super) fn new(barrier: Arc<Barrier>, lost: Arc<LostInbound>) -> (Self, SignalQueues) {
        let (life, life_queue) = mpsc::channel(LIFE_SIGNALS_MAX);
        let (ear, heard) = Ear::new(barrier);
        let acks = Arc::<AckWaiters>::default();
        let queues = SignalQueues { life: life_queue, observed: Some(heard), acks: Arc::clone(&acks) };
        (Self { life, ear, acks, lost }, queues)
    }

    fn life(&self, life: Life) {
        match self.life.try_send(life) {
            Ok(()) => {}
            // A client outlives its session's task for a moment, and tells what nobody needs to know any more: that it is off
            // line, or the next QR code.
            Err(TrySendError::Closed(_)) => tracing::debug!("a client says something after its session is over"),
            Err(error @ TrySendError::Full(_)) => {
                tracing::error!(%error, limit = LIFE_SIGNALS_MAX, "a change of a session was not handled in time");
            }
        }
    }
}

impl EventHandler for Signals {
    fn handle_event(&self, event: Arc<Event>) {
        self.ear.hear(&event);
        match &*event {
            Event::PairingQrCode(qr) => self.life(Life::Qr(qr.code.clone(), qr.timeout)),
            Event::PairSuccess(pair) => {
                let lid = (!pair.lid.user.is_empty()).then(|| pair.lid.to_non_ad_string());
                self.life(Life::Paired(pair.id.to_non_ad_string(), lid));
            }
            Event::PairError(error) => self.life(Life::PairingFailed(error.error.clone())),
            Event::PairingQrCodesExhausted(_) => self.life(Life::QrExhausted),
            Event::Connected(_) => self.life(Life::Connected),
            Event::Disconnected(gone) => self.life(Life::Disconnected(reasons::disconnected(&gone.reason))),
            Event::LoggedOut(out) => self.life(match reasons::locked(out) {
                Some(why) => Life::Banned(why, None),
                None => Life::LoggedOut(reasons::logged_out(out)),
            }),
            Event::StreamReplaced(_) => self.life(Life::Replaced),
            Event::TemporaryBan(ban) => self.life(Life::Banned(reasons::banned(ban), ban.expire.to_std().ok())),
            Event::ConnectFailure(failure) => self.life(Life::Refused(reasons::refused(failure))),
            Event::ClientOutdated(_) => self.life(Life::Refused(reasons::OUTDATED.to_owned())),
            // What the phone has seen and keeps for itself cannot be asked for.
            Event::UndecryptableMessage(unread) if !unread.is_unavailable => self.lost.note_unread(&unread.info),
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                self.acks.tell(&ack.id, ack.error.clone().map_or(Ok(()), Err));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use switchboard_core::clock::{ManualClock, Timestamp};
    use switchboard_core::records::id::{SessionId, TenantId};
    use switchboard_core::storage::{MasterKey, Storage};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// A log to read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Log {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged as an error meanwhile.
    fn errors(act: impl FnOnce()) -> String {
        let log = Log::default();
        let told = tracing_subscriber::fmt().with_max_level(tracing::Level::ERROR).with_writer(log.clone()).finish();
        tracing::subscriber::with_default(told, act);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn signals() -> (Signals, SignalQueues) {
        let (lost, _asks) = LostInbound::new(Storage::in_memory(MasterKey::new([7; 32])), TenantId(1), SessionId(1));
        Signals::new(Arc::new(Barrier::new(Arc::new(ManualClock::at(Timestamp(0))))), lost)
    }

    #[test]
    fn what_a_client_says_after_its_session_is_over_is_no_error() {
        let (signals, queues) = signals();
        drop(queues);
        let qr = || signals.life(Life::Qr("the next code".to_owned(), Duration::from_secs(20)));
        assert_eq!(errors(qr), "");
    }

    #[test]
    fn what_a_session_does_not_take_in_time_is_an_error() {
        let (signals, _queues) = signals();
        let fill = || (0..LIFE_SIGNALS_MAX).for_each(|_| signals.life(Life::Connected));
        assert_eq!(errors(fill), "");
        assert!(errors(|| signals.life(Life::Connected)).contains("not handled in time"));
    }
}
