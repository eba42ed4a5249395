//! The tenant's log as it grows: a place in it, and the bell that rings for what is new.

use tokio::sync::watch;

use switchboard_core::flow::wakes::Wakes;
use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::storage::{Storage, StorageError};

use crate::http::native::EventFilter;

/// Events that are read together.
const PAGE: usize = 100;

/// A reader's place in the log.
pub(in crate::http) struct Log {
    storage: Storage,
    caller: Principal,
    filter: EventFilter,
    after: u64,
    bell: watch::Receiver<()>,
}

impl Log {
    /// Behind the event `after`; behind all that there are unless that is given.
    ///
    /// # Errors
    /// When storage fails.
    pub(in crate::http) async fn open(
        storage: &Storage,
        wakes: &Wakes,
        caller: &Principal,
        filter: EventFilter,
        after: Option<u64>,
    ) -> Result<Self, StorageError> {
        let bell = wakes.event_bell(caller.tenant);
        let after = match after {
            Some(after) => after,
            None => storage.last_event_number(caller.tenant).await?,
        };
        Ok(Self { storage: storage.clone(), caller: caller.clone(), filter, after, bell })
    }

    /// The events of the next page that are wanted, and whether there are more pages; `None` when the log cannot be read.
    pub(in crate::http) async fn page(&mut self) -> Option<(Vec<Event>, bool)> {
        // Whatever rings from here on is behind what is read below.
        self.bell.borrow_and_update();
        let mut page = match self.storage.events(self.caller.tenant, self.after, PAGE).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "a stream cannot read the log");
                return None;
            }
        };
        let full = page.len() == PAGE;
        if let Some(last) = page.last() {
            self.after = last.n;
        }
        page.retain(|event| self.filter.has(&self.caller, event));
        Some((page, full))
    }

    /// Returns when there is more: `false` when there never will be.
    pub(in crate::http) async fn wait(&mut self) -> bool {
        self.bell.changed().await.is_ok()
    }
}
