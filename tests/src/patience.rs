//! How tests wait: for a condition, with a deadline. The only room of the tests that sleeps.
#![expect(clippy::disallowed_methods, reason = "another process can only be asked again; a client's pace is real time")]

use std::time::Duration;

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// True once `holds` does; false when it still does not after `patience`.
pub async fn until(patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let reached = async {
        while !holds().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(patience, reached).await.is_ok()
}

/// The pace of a client under load, the life of a host that will be killed, the rest before a measurement: never a wait
/// for something to become true.
pub async fn pause(length: Duration) {
    tokio::time::sleep(length).await;
}
