//! One at a time of what is done to the plugins of one owner; owners do not wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use switchboard_core::records::id::TenantId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::InstallError;

/// Who has the turn of each owner, and who waits for it.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<TenantId, Arc<Semaphore>>>);

impl Turns {
    /// Waits for the turn of `owner`, which lasts until the answer is dropped.
    ///
    /// # Errors
    /// [`InstallError::Busy`] when `waiting_max` wait already.
    pub(super) async fn take(&self, owner: TenantId, waiting_max: usize) -> Result<OwnedSemaphorePermit, InstallError> {
        let broken = || InstallError::Host("a lock of plugins is broken".to_owned());
        let turn = {
            let mut turns = self.0.lock().map_err(|_| broken())?;
            // Those that nobody has and nobody waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            let turn = turns.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(1)));
            // One is the map's, and one is whoever's turn it is.
            let waiting = Arc::strong_count(turn).saturating_sub(2);
            if waiting >= waiting_max {
                return Err(InstallError::Busy { waiting, max: waiting_max });
            }
            Arc::clone(turn)
        };
        turn.acquire_owned().await.map_err(|_| broken())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_owner_waits_for_its_own_turn_alone() {
        let turns = Turns::default();
        let first = turns.take(TenantId(1), 9).await.unwrap();
        assert!(turns.take(TenantId(2), 9).now_or_never().is_some());
        assert!(turns.take(TenantId(1), 9).now_or_never().is_none());
        drop(first);
        assert!(turns.take(TenantId(1), 9).now_or_never().is_some());
    }

    #[tokio::test]
    async fn as_many_wait_as_may_and_one_more_is_refused() {
        let turns = Turns::default();
        let first = turns.take(TenantId(1), 2).await.unwrap();
        let mut waiting = [Box::pin(turns.take(TenantId(1), 2)), Box::pin(turns.take(TenantId(1), 2))];
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        let refused = turns.take(TenantId(1), 2).await;
        assert!(matches!(refused, Err(InstallError::Busy { waiting: 2, max: 2 })));
        assert!(turns.take(TenantId(2), 2).now_or_never().is_some());
        drop(first);
        let [second, third] = waiting;
        drop(second.await.unwrap());
        drop(third.await.unwrap());
        assert!(turns.take(TenantId(1), 2).now_or_never().is_some());
    }
}
