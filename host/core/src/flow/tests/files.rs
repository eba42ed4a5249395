//! Files of messages that came in: owed with their event, fetched once, put off while they cannot be had, told when they never
//! can.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::*;
use crate::flow::media_worker::{FetchFault, FileFetcher, MediaWorker, PATIENCE};
use crate::records::blob::{Blob, BlobFacts, BlobId, BlobKind};
use crate::records::content::{Media, MediaSource, WhatsAppMedia};
use crate::records::event::Fact;
use crate::rules::session_settings::FETCH_MEDIA;

/// Answers as the script says, and remembers what was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<FetchFault>>,
    asked: Mutex<Vec<u64>>,
}

#[async_trait]
impl FileFetcher for Script {
    async fn fetch(&self, _: TenantId, _: SessionId, event: u64, incoming: &Incoming) -> Result<Blob, FetchFault> {
        self.asked.lock().unwrap().push(event);
        if let Some(fault) = self.answers.lock().unwrap().pop_front() {
            return Err(fault);
        }
        let facts = BlobFacts::new(BlobKind::Document, "text/csv");
        Ok(Blob {
            id: BlobId::from_random([7; 16]),
            sha256: incoming.whatsapp_id.clone(),
            bytes: 3,
            facts,
            file_name: None,
            created_at: Timestamp(1),
            expires_at: Timestamp(2),
        })
    }
}

impl Host {
    /// A file comes in.
    async fn gets_file(&self, id: &str) {
        let place = WhatsAppMedia { direct_path: "/v/x".to_owned(), ..WhatsAppMedia::default() };
        let content = Content::Document(Media::at(MediaSource::WhatsApp(Box::new(place))));
        let incoming = Incoming { content, ..incoming("a", id) };
        self.storage.record_inbound(TENANT, SESSION, self.clock.now(), &[incoming]).await.unwrap();
    }

    async fn wants_files(&self) {
        let settings = serde_json::Map::from_iter([(FETCH_MEDIA.to_owned(), json!(true))]);
        let change = SessionChange { settings, ..SessionChange::default() };
        self.storage.change_session(TENANT, SESSION, self.clock.now(), &change).await.unwrap();
    }

    fn fetcher(&self, script: &Arc<Script>) -> MediaWorker {
        MediaWorker {
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            entropy: Arc::clone(&self.entropy),
            wakes: Arc::clone(&self.wakes),
            fetcher: Arc::clone(script) as _,
        }
    }

    /// Handles what is due; how many files that were.
    async fn fetch_due(&self, worker: &MediaWorker) -> usize {
        let due = self.storage.media_jobs(self.clock.now(), 100).await.unwrap().due;
        for job in &due {
            worker.handle(job).await.unwrap();
        }
        due.len()
    }

    async fn told_of_files(&self) -> Vec<Fact> {
        let events = self.storage.events(TENANT, 0, 1000).await.unwrap();
        let facts = events.into_iter().map(|event| event.fact);
        facts.filter(|fact| matches!(fact, Fact::MediaStored(_) | Fact::MediaFailed { .. })).collect()
    }
}

#[tokio::test]
async fn a_file_is_owed_only_to_a_session_that_wants_it_and_is_told_once() {
    let host = Host::start().await;
    let script = Arc::<Script>::default();
    let worker = host.fetcher(&script);
    host.gets_file("BEFORE").await;
    host.wants_files().await;
    host.receive("a", "TEXT").await;
    assert_eq!(host.fetch_due(&worker).await, 0);
    host.gets_file("FILE").await;
    // WhatsApp delivers it again.
    host.gets_file("FILE").await;
    assert_eq!(host.fetch_due(&worker).await, 1);
    assert_eq!(host.fetch_due(&worker).await, 0);
    let told = host.told_of_files().await;
    let [Fact::MediaStored(stored)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        (stored.whatsapp_id.as_str(), stored.size, vec![stored.event]),
        ("FILE", 3, script.asked.lock().unwrap().clone())
    );
}

#[tokio::test]
async fn what_cannot_be_had_now_is_tried_again_later_each_time_and_told_as_failed_in_the_end() {
    let host = Host::start().await;
    let script = Arc::<Script>::default();
    let worker = host.fetcher(&script);
    host.wants_files().await;
    host.gets_file("FILE").await;
    let began = host.clock.now();
    while host.told_of_files().await.is_empty() {
        script.answers.lock().unwrap().push_back(FetchFault::Later("the host is down".to_owned()));
        if host.fetch_due(&worker).await == 0 {
            let next = host.storage.media_jobs(host.clock.now(), 100).await.unwrap().next.unwrap();
            host.clock.advance(next.since(host.clock.now()));
        }
    }
    assert!(host.clock.now().since(began) > PATIENCE);
    let tries = script.asked.lock().unwrap().len();
    assert!((100..400).contains(&tries), "{tries} tries in a week");
    let told = host.told_of_files().await;
    assert!(matches!(told.as_slice(), [Fact::MediaFailed { reason, .. }] if reason == "the host is down"), "{told:?}");
    assert_eq!(host.storage.media_jobs(host.clock.now(), 100).await.unwrap(), crate::storage::MediaJobPage::default());
}

#[tokio::test]
async fn what_is_gone_for_good_is_told_at_once_and_an_absent_session_is_waited_for() {
    let host = Host::start().await;
    let script = Arc::<Script>::default();
    let worker = host.fetcher(&script);
    host.wants_files().await;
    host.gets_file("FILE").await;
    script.answers.lock().unwrap().extend([FetchFault::NotConnected, FetchFault::Never("gone".to_owned())]);
    host.fetch_due(&worker).await;
    assert_eq!((host.told_of_files().await, host.fetch_due(&worker).await), (Vec::new(), 0));
    host.clock.advance(Duration::from_secs(5));
    assert_eq!(host.fetch_due(&worker).await, 1);
    let told = host.told_of_files().await;
    assert!(matches!(told.as_slice(), [Fact::MediaFailed { reason, .. }] if reason == "gone"), "{told:?}");
}

#[tokio::test]
async fn nothing_is_owed_to_a_session_that_was_deleted() {
    let host = Host::start().await;
    let script = Arc::<Script>::default();
    let worker = host.fetcher(&script);
    host.wants_files().await;
    host.gets_file("FILE").await;
    host.storage.delete_session(TENANT, SESSION, host.clock.now()).await.unwrap();
    assert_eq!((host.fetch_due(&worker).await, host.fetch_due(&worker).await), (1, 0));
    assert!(script.asked.lock().unwrap().is_empty() && host.told_of_files().await.is_empty());
}
