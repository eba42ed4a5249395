//! What joins the network to the task of one connection: what waits to be sent, and a bell that rings when there is
//! something to do.
//!
//! An idle line holds no memory but its own. It never waits while locked.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// Answers and short-lived stanzas that may wait for one connection. A client that reads nothing is cut off.
const WAITING_MAX: usize = 1_024;
/// The same in bytes; one stanza may exceed it if nothing else waits.
const WAITING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the connection's task is to do next.
#[derive(Debug)]
pub(crate) enum Signal {
    /// Send these.
    Send(VecDeque<Bytes>),
    /// The device's queue may have something new.
    Pull,
    /// Let nothing in or out until further notice.
    Hold,
    /// Go on.
    Release,
    /// Nothing more comes; end the connection.
    Close,
}

/// The two ends share it: the network puts in, the connection's task takes out.
#[derive(Default)]
pub(crate) struct Line {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    pull: bool,
    held: bool,
    closed: bool,
    cut: bool,
}

impl Line {
    /// Lets a stanza wait to be sent; false when too much waits already.
    pub(crate) fn push(&self, stanza: Bytes) -> bool {
        let mut state = self.lock();
        if state.closed {
            return true;
        }
        let fits = state.waiting.is_empty()
            || (state.waiting.len() < WAITING_MAX && state.bytes.saturating_add(stanza.len()) <= WAITING_BYTES_MAX);
        if fits {
            state.bytes = state.bytes.saturating_add(stanza.len());
            state.waiting.push_back(stanza);
            self.bell.notify_one();
        }
        fits
    }

    /// There may be something in the device's queue.
    pub(crate) fn ring(&self) {
        self.lock().pull = true;
        self.bell.notify_one();
    }

    /// Holds everything back, or lets it go on.
    pub(crate) fn hold(&self, held: bool) {
        self.lock().held = held;
        self.bell.notify_one();
    }

    /// Whether everything is held back.
    pub(crate) fn is_held(&self) -> bool {
        self.lock().held
    }

    /// Ends the connection once it has sent what waits.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    /// Ends the connection without sending what waits, and without a last word.
    pub(crate) fn cut(&self) {
        let mut state = self.lock();
        state.waiting = VecDeque::new();
        state.bytes = 0;
        (state.closed, state.cut) = (true, true);
        self.bell.notify_one();
    }

    /// Whether the connection ends without a last word.
    pub(crate) fn is_cut(&self) -> bool {
        self.lock().cut
    }

    /// Waits for the next thing to do; `held` is whether the task has been told to hold.
    pub(crate) async fn signal(&self, held: bool) -> Signal {
        loop {
            if let Some(signal) = self.lock().take(held) {
                return signal;
            }
            // A ring between looking and waiting is kept.
            self.bell.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, held: bool) -> Option<Signal> {
        if self.held != held {
            return Some(if self.held { Signal::Hold } else { Signal::Release });
        }
        if held {
            return None;
        }
        if !self.waiting.is_empty() {
            self.bytes = 0;
            return Some(Signal::Send(std::mem::take(&mut self.waiting)));
        }
        if std::mem::take(&mut self.pull) {
            return Some(Signal::Pull);
        }
        self.closed.then_some(Signal::Close)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{Bytes, Line, Signal, WAITING_BYTES_MAX, WAITING_MAX};

    fn next(line: &Line, held: bool) -> Option<Signal> {
        line.signal(held).now_or_never()
    }

    #[test]
    fn what_waits_is_sent_before_the_queue_and_the_end() {
        let line = Line::default();
        line.close();
        assert!(line.push(Bytes::from_static(b"too late")), "a closed line takes no offence");
        let line = Line::default();
        line.ring();
        assert!(line.push(Bytes::from_static(b"a")) && line.push(Bytes::from_static(b"b")));
        line.close();
        assert!(matches!(next(&line, false), Some(Signal::Send(waiting)) if waiting.len() == 2));
        assert!(matches!(next(&line, false), Some(Signal::Pull)));
        assert!(matches!(next(&line, false), Some(Signal::Close)));
    }

    #[test]
    fn held_line_gives_nothing_until_it_is_released() {
        let line = Line::default();
        line.push(Bytes::from_static(b"a"));
        line.hold(true);
        assert!(matches!(next(&line, false), Some(Signal::Hold)));
        line.close();
        assert!(next(&line, true).is_none());
        line.hold(false);
        assert!(matches!(next(&line, true), Some(Signal::Release)));
        assert!(matches!(next(&line, false), Some(Signal::Send(_))));
    }

    #[test]
    fn client_that_reads_nothing_is_found_out_by_number_and_by_size() {
        let line = Line::default();
        let full = (0..=WAITING_MAX).find(|_| !line.push(Bytes::from_static(b"x")));
        assert_eq!(full, Some(WAITING_MAX));
        let line = Line::default();
        let large = Bytes::from(vec![0; WAITING_BYTES_MAX]);
        assert!(line.push(large.clone()), "one is always taken");
        assert!(!line.push(large));
        line.cut();
        assert!(matches!(next(&line, false), Some(Signal::Close)) && line.is_cut());
    }
}
