//! Ids of requests, for callers and logs to speak of one.

use std::sync::{Arc, Mutex, PoisonError};

use switchboard_core::entropy::Entropy;

/// Random bytes of one id: no two requests share one.
const ID_BYTES: usize = 12;
/// Ids that are drawn at once: the system is asked once for all of them.
const DRAWN_AT_ONCE: usize = 256;

/// Draws ids.
pub(crate) struct RequestIds {
    entropy: Arc<dyn Entropy>,
    /// Random bytes that no id has yet.
    left: Mutex<Vec<u8>>,
}

impl RequestIds {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy, left: Mutex::default() }
    }

    /// The id of another request.
    pub(super) fn draw(&self) -> String {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < ID_BYTES {
            left.resize(DRAWN_AT_ONCE * ID_BYTES, 0);
            self.entropy.fill(&mut left);
        }
        let rest = left.len() - ID_BYTES;
        format!("req_{}", hex::encode(left.split_off(rest)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use switchboard_core::entropy::SeededEntropy;

    use super::*;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let ids = RequestIds::new(Arc::new(SeededEntropy::new(1)));
        let drawn: Vec<String> = (0..3 * DRAWN_AT_ONCE).map(|_| ids.draw()).collect();
        assert!(drawn.iter().all(|id| id.len() == "req_".len() + 2 * ID_BYTES), "{drawn:?}");
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
    }
}
