//! Bytes on disk and references in storage: what holds after every order of events, and after a crash between any two.

use super::*;
use switchboard_core::entropy::SeededEntropy;
use switchboard_core::records::blob::{BlobFacts, BlobKind};
use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey};
use tempfile::TempDir;

const ACME: TenantId = TenantId(1);
const GLOBEX: TenantId = TenantId(2);
const ROOM: u64 = 1000;
const END: Timestamp = Timestamp(5000);

struct Stage {
    folder: TempDir,
    storage: Storage,
    files: BlobFiles,
    seed: u64,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::in_memory(MasterKey::new([1; MASTER_KEY_BYTES]));
        let files = BlobFiles::open(folder.path(), storage.clone()).unwrap();
        Self { folder, storage, files, seed: 0 }
    }

    async fn written(&self, bytes: &[u8]) -> Written {
        let mut incoming = self.files.begin(ROOM).await.unwrap();
        incoming.add(bytes).await.unwrap();
        incoming.finish().await.unwrap()
    }

    fn blob(&mut self, written: &Written) -> Blob {
        self.seed += 1;
        let facts = BlobFacts::new(BlobKind::Document, "text/plain");
        Blob {
            id: BlobId::draw(&SeededEntropy::new(self.seed)),
            sha256: written.sha256.clone(),
            bytes: written.bytes,
            facts,
            file_name: None,
            created_at: Timestamp(0),
            expires_at: END,
        }
    }

    async fn keep(&mut self, tenant: TenantId, bytes: &[u8]) -> Blob {
        let written = self.written(bytes).await;
        let blob = self.blob(&written);
        self.files.keep(tenant, written, &blob, ROOM).await.unwrap();
        blob
    }

    /// Every file below the folder of blobs.
    fn files(&self) -> Vec<String> {
        let folder = self.folder.path().join(FOLDER);
        let below = std::fs::read_dir(folder).unwrap().flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap());
        below.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_kept_file_is_named_after_its_bytes_and_read_back() {
    let mut stage = Stage::new();
    let blob = stage.keep(ACME, b"abc").await;
    assert_eq!(blob.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(stage.files(), std::slice::from_ref(&blob.sha256));
    let mut read = stage.files.read(&blob).await.unwrap();
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut read, &mut bytes).await.unwrap();
    assert_eq!(bytes, b"abc");
}

#[tokio::test]
async fn bytes_go_with_their_last_reference() {
    let mut stage = Stage::new();
    let (first, second) = (stage.keep(ACME, b"abc").await, stage.keep(GLOBEX, b"abc").await);
    assert_eq!(stage.files().len(), 1);
    assert!(!stage.files.delete(GLOBEX, &first.id).await.unwrap());
    assert!(stage.files.delete(ACME, &first.id).await.unwrap());
    assert_eq!(stage.files().len(), 1);
    assert!(stage.files.delete(GLOBEX, &second.id).await.unwrap());
    assert!(stage.files().is_empty());
}

#[tokio::test]
async fn what_is_over_a_limit_leaves_nothing_behind() {
    let mut stage = Stage::new();
    let mut incoming = stage.files.begin(3).await.unwrap();
    let refused = incoming.add(b"abcd").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    drop(incoming);
    stage.keep(ACME, &[1; 700]).await;
    let written = stage.written(&[2; 301]).await;
    let blob = stage.blob(&written);
    let refused = stage.files.keep(ACME, written, &blob, ROOM).await;
    assert!(matches!(refused, Err(BlobError::Full { used: 700, bytes: 301, bytes_max: ROOM })), "{refused:?}");
    assert_eq!(stage.files().len(), 1);
}

#[tokio::test]
async fn what_a_crash_left_behind_is_removed_and_nothing_else() {
    let mut stage = Stage::new();
    let kept = stage.keep(ACME, b"kept").await;
    // Died while writing; died between the file's last name and its reference; died between the last reference and its file.
    std::mem::forget(stage.files.begin(ROOM).await.unwrap());
    let named = stage.written(b"named").await;
    let path = stage.files.path(&named.sha256);
    named.move_to(path).await.unwrap();
    let forgotten = stage.keep(ACME, b"forgotten").await;
    stage.storage.delete_blob(ACME, &forgotten.id, None).await.unwrap();
    assert_eq!(stage.files().len(), 4);

    stage.files = BlobFiles::open(stage.folder.path(), stage.storage.clone()).unwrap();
    assert_eq!(stage.files().len(), 3);
    assert_eq!(stage.files.sweep().await.unwrap(), 2);
    assert_eq!(stage.files(), std::slice::from_ref(&kept.sha256));
    assert_eq!(stage.files.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn ended_blobs_go_and_extended_ones_stay() {
    let mut stage = Stage::new();
    let (kept, _) = (stage.keep(ACME, b"kept").await, stage.keep(ACME, b"ended").await);
    stage.keep(GLOBEX, b"another tenant's").await;
    stage.storage.extend_blob(ACME, &kept.id, Timestamp(END.0 + 1)).await.unwrap();
    assert_eq!(stage.files.expire(ACME, Timestamp(END.0 - 1)).await.unwrap(), 0);
    assert_eq!(stage.files.expire(ACME, END).await.unwrap(), 1);
    assert_eq!(stage.files().len(), 2);
}
