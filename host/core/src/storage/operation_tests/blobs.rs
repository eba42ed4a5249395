//! Blobs: references, totals and ends change together.

use super::*;
use crate::entropy::SeededEntropy;
use crate::records::blob::{Blob, BlobFacts, BlobId, BlobKind};
use crate::storage::Kept;

const ROOM: u64 = 1000;

fn blob(seed: u64, bytes: u64) -> Blob {
    let facts = BlobFacts::new(BlobKind::Document, "text/plain");
    Blob {
        id: BlobId::draw(&SeededEntropy::new(seed)),
        sha256: "aa".repeat(32),
        bytes,
        facts,
        file_name: None,
        created_at: NOW,
        expires_at: LATER,
    }
}

#[tokio::test]
async fn a_tenant_keeps_at_most_what_it_may() {
    let storage = storage();
    assert_eq!(storage.keep_blob(ACME, &blob(1, 600), ROOM).await.unwrap(), Kept::Yes);
    assert_eq!(storage.keep_blob(ACME, &blob(2, 401), ROOM).await.unwrap(), Kept::Full { used: 600 });
    assert_eq!(storage.keep_blob(ACME, &blob(2, 1001), ROOM).await.unwrap(), Kept::Full { used: 600 });
    assert_eq!(storage.keep_blob(ACME, &blob(2, 400), ROOM).await.unwrap(), Kept::Yes);
    assert_eq!(storage.keep_blob(GLOBEX, &blob(2, 1000), ROOM).await.unwrap(), Kept::Yes);
    assert!(matches!(storage.keep_blob(ACME, &blob(2, 0), ROOM).await, Err(StorageError::Conflict)));
    assert_eq!((storage.blob_bytes(ACME).await.unwrap(), storage.blob_bytes(GLOBEX).await.unwrap()), (1000, 1000));
}

#[tokio::test]
async fn references_to_the_same_bytes_are_counted_over_all_tenants() {
    let storage = storage();
    let (first, second) = (blob(1, 10), blob(2, 10));
    storage.keep_blob(ACME, &first, ROOM).await.unwrap();
    storage.keep_blob(GLOBEX, &second, ROOM).await.unwrap();
    assert_eq!(storage.blob_uses(&first.sha256).await.unwrap(), 2);
    assert_eq!(storage.delete_blob(GLOBEX, &first.id, None).await.unwrap(), None);
    assert_eq!(storage.delete_blob(ACME, &first.id, None).await.unwrap(), Some(first.clone()));
    assert_eq!(storage.delete_blob(ACME, &first.id, None).await.unwrap(), None);
    assert_eq!(storage.blob_uses(&first.sha256).await.unwrap(), 1);
    assert_eq!((storage.blob_bytes(ACME).await.unwrap(), storage.blob(ACME, &first.id).await.unwrap()), (0, None));
    assert_eq!(storage.blob(GLOBEX, &second.id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn a_blob_that_is_needed_longer_does_not_end_before() {
    let storage = storage();
    let (kept, other) = (blob(1, 10), blob(2, 10));
    storage.keep_blob(ACME, &kept, ROOM).await.unwrap();
    storage.keep_blob(ACME, &other, ROOM).await.unwrap();
    let much_later = Timestamp(LATER.0 + 1);
    storage.extend_blob(ACME, &kept.id, much_later).await.unwrap().unwrap();
    // Shorter than it has is no wish.
    assert_eq!(storage.extend_blob(ACME, &kept.id, NOW).await.unwrap().unwrap().expires_at, much_later);
    assert_eq!(storage.extend_blob(GLOBEX, &kept.id, much_later).await.unwrap(), None);
    assert_eq!(storage.expired_blobs(ACME, NOW, 10).await.unwrap(), []);
    assert_eq!(storage.expired_blobs(ACME, LATER, 10).await.unwrap(), [other.id]);
    assert_eq!(storage.delete_blob(ACME, &kept.id, Some(LATER)).await.unwrap(), None);
    assert!(storage.delete_blob(ACME, &kept.id, Some(much_later)).await.unwrap().is_some());
}
