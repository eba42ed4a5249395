//! Keeps a transfer to the speed that a test has set.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::network::Pace;

/// Pieces of a slow transfer in one second, so that it trickles and does not jump.
const PIECES_PER_SECOND: u64 = 10;
/// Bytes in one piece of a transfer that nobody slows down.
const PIECE_BYTES: u64 = 64 * 1024;

/// Counts what has been transferred.
pub(super) struct Metronome {
    begun: Instant,
    bytes: u64,
    bytes_per_second: Option<u64>,
}

impl Metronome {
    /// Begins after the delay.
    pub(super) async fn begin(pace: Pace) -> Self {
        let begun = Instant::now() + Duration::from_millis(pace.delay_ms);
        if pace.delay_ms > 0 {
            sleep_until(begun).await;
        }
        Self { begun, bytes: 0, bytes_per_second: pace.bytes_per_second }
    }

    /// How much to transfer at a time.
    pub(super) fn piece_bytes(&self) -> u64 {
        self.bytes_per_second.map_or(PIECE_BYTES, |speed| (speed / PIECES_PER_SECOND).clamp(1, PIECE_BYTES))
    }

    /// Waits until as much as this more may have been transferred.
    pub(super) async fn wait_for(&mut self, bytes: usize) {
        let Some(speed) = self.bytes_per_second else { return };
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let due_ms = u128::from(self.bytes) * 1_000 / u128::from(speed.max(1));
        sleep_until(self.begun + Duration::from_millis(u64::try_from(due_ms).unwrap_or(u64::MAX))).await;
    }
}
