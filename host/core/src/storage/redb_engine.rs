//! The embedded engine: redb behind one writer thread that commits in groups.
//!
//! The writer drains its queue into one transaction, commits it once with two-phase commit, and only then tells every caller
//! whose batch was in it. A batch whose checks fail is left out and told so; its neighbours are kept.

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use super::engine::{Batch, Check, CommitStats, Engine, Entry, KeyRange, Write, count_in, prefix_end};
use super::{StorageError, VALUE_BYTES_MAX};

/// The one table.
const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
/// Batches that may wait for the writer; callers wait when it is full.
const COMMIT_QUEUE_MAX: usize = 4096;
/// Batches of one transaction: beyond that a group only makes its first caller wait longer.
const GROUP_BATCHES_MAX: usize = 512;
/// Bytes of values after which a transaction takes no further batch.
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;
/// redb's cache, bytes: enough for the hot pages of a thousand sessions.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

type Answer = Result<Vec<u64>, StorageError>;

struct Request {
    batch: Batch,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Counters {
    transactions: AtomicU64,
    batches: AtomicU64,
    last_us: AtomicU64,
    total_us: AtomicU64,
}

/// redb with its writer thread.
pub(crate) struct RedbEngine {
    /// Gone once the engine is closed.
    database: ArcSwapOption<Database>,
    /// Gone once the engine is closed.
    writer: Mutex<Option<Writer>>,
    requests: mpsc::WeakSender<Request>,
    counters: Arc<Counters>,
}

/// The writer thread, and the queue that keeps it alive.
struct Writer {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

fn engine_error(error: impl std::fmt::Display) -> StorageError {
    StorageError::Engine(error.to_string().into())
}

impl RedbEngine {
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let database = Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(engine_error)?;
        Self::over(database)
    }

    /// The engine over an open database: a file, or a backend that injects faults.
    pub(crate) fn over(database: Database) -> Result<Self, StorageError> {
        let database = Arc::new(database);
        let counters = Arc::new(Counters::default());
        let transaction = begin(&database)?;
        transaction.open_table(ENTRIES).map_err(engine_error)?;
        transaction.commit().map_err(engine_error)?;
        let (requests, queue) = mpsc::channel(COMMIT_QUEUE_MAX);
        let thread = {
            let (database, counters) = (Arc::clone(&database), Arc::clone(&counters));
            std::thread::Builder::new()
                .name("storage-writer".to_owned())
                .spawn(move || write_groups(&database, queue, &counters))
                .map_err(engine_error)?
        };
        Ok(Self {
            database: ArcSwapOption::from(Some(database)),
            requests: requests.downgrade(),
            writer: Mutex::new(Some(Writer { requests, thread })),
            counters,
        })
    }

    fn shut(&self) {
        let Some(Writer { requests, thread }) = self.writer.lock().ok().and_then(|mut writer| writer.take()) else { return };
        drop(requests);
        // The writer ends when its queue does; what it panicked with was logged by the panic hook.
        let _ = thread.join();
        self.database.store(None);
    }

    fn database(&self) -> Result<Arc<Database>, StorageError> {
        self.database.load_full().ok_or(StorageError::Closed)
    }
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        self.shut();
    }
}

fn begin(database: &Database) -> Result<redb::WriteTransaction, StorageError> {
    let mut transaction = database.begin_write().map_err(engine_error)?;
    // Values are chosen by strangers: a one-phase commit trusts a checksum that they could steer.
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn write_groups(database: &Database, mut queue: mpsc::Receiver<Request>, counters: &Counters) {
    while let Some(first) = queue.blocking_recv() {
        let mut bytes = first.batch.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_BATCHES_MAX && bytes < GROUP_BYTES_MAX {
            match queue.try_recv() {
                Ok(request) => {
                    bytes += request.batch.bytes();
                    group.push(request);
                }
                Err(_) => break,
            }
        }
        #[expect(clippy::disallowed_methods, reason = "measures the commit; decides nothing")]
        let begun = Instant::now();
        let (batches, callers): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.batch, request.answer)).unzip();
        let answers = commit_group(database, &batches);
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        if answers.is_ok() {
            counters.transactions.fetch_add(1, Ordering::Relaxed);
            counters.batches.fetch_add(batches.len() as u64, Ordering::Relaxed);
            counters.last_us.store(took, Ordering::Relaxed);
            counters.total_us.fetch_add(took, Ordering::Relaxed);
        }
        match answers {
            // A caller that went away does not need its answer.
            Ok(answers) => callers.into_iter().zip(answers).for_each(|(caller, answer)| drop(caller.send(answer))),
            Err(error) => callers.into_iter().for_each(|caller| drop(caller.send(Err(error.clone())))),
        }
    }
}

fn commit_group(database: &Database, batches: &[Batch]) -> Result<Vec<Answer>, StorageError> {
    let transaction = begin(database)?;
    let mut answers = Vec::with_capacity(batches.len());
    {
        let mut table = transaction.open_table(ENTRIES).map_err(engine_error)?;
        for batch in batches {
            answers.push(if checks_hold(&table, batch)? {
                Ok(apply(&mut table, batch)?)
            } else {
                Err(StorageError::Conflict)
            });
        }
    }
    transaction.commit().map_err(engine_error)?;
    Ok(answers)
}

type Entries<'a> = Table<'a, &'static [u8], &'static [u8]>;

fn checks_hold(table: &Entries<'_>, batch: &Batch) -> Result<bool, StorageError> {
    for check in &batch.checks {
        let holds = match check {
            Check::Absent { key } => table.get(key.as_slice()).map_err(engine_error)?.is_none(),
            Check::Equals { key, value } => {
                table.get(key.as_slice()).map_err(engine_error)?.is_some_and(|found| found.value() == value.as_slice())
            }
            Check::AtMost { key, max } => count(table, key)? <= *max,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn apply(table: &mut Entries<'_>, batch: &Batch) -> Result<Vec<u64>, StorageError> {
    let mut numbers = Vec::new();
    for write in &batch.writes {
        match write {
            Write::Put { key, value } => {
                table.insert(key.as_slice(), value.as_slice()).map_err(engine_error)?;
            }
            Write::Delete { key } => {
                table.remove(key.as_slice()).map_err(engine_error)?;
            }
            Write::DeletePrefix { prefix } => {
                let end = prefix_end(prefix);
                let bounds = (Bound::Included(prefix.as_slice()), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded));
                table.retain_in::<&[u8], _>(bounds, |_, _| false).map_err(engine_error)?;
            }
            Write::Append { counter, places } => numbers.push(append(table, counter, places)?),
            Write::Add { key, by } => add(table, key, *by)?,
        }
    }
    Ok(numbers)
}

fn append(table: &mut Entries<'_>, counter: &[u8], places: &[Entry]) -> Result<u64, StorageError> {
    let next = count(table, counter)? + 1;
    table.insert(counter, next.to_be_bytes().as_slice()).map_err(engine_error)?;
    for (prefix, value) in places {
        let mut key = prefix.clone();
        key.extend_from_slice(&next.to_be_bytes());
        table.insert(key.as_slice(), value.as_slice()).map_err(engine_error)?;
    }
    Ok(next)
}

fn add(table: &mut Entries<'_>, key: &[u8], by: i64) -> Result<(), StorageError> {
    let sum = count(table, key)?.saturating_add_signed(by);
    if sum == 0 {
        table.remove(key).map_err(engine_error)?;
    } else {
        table.insert(key, sum.to_be_bytes().as_slice()).map_err(engine_error)?;
    }
    Ok(())
}

fn count(table: &Entries<'_>, key: &[u8]) -> Result<u64, StorageError> {
    let found = table.get(key).map_err(engine_error)?;
    Ok(count_in(found.as_ref().map(redb::AccessGuard::value)))
}

#[async_trait]
impl Engine for RedbEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let transaction = self.database()?.begin_read().map_err(engine_error)?;
        let table = transaction.open_table(ENTRIES).map_err(engine_error)?;
        Ok(table.get(key).map_err(engine_error)?.map(|found| found.value().to_vec()))
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        let transaction = self.database()?.begin_read().map_err(engine_error)?;
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return Ok(Vec::new());
        }
        let table = transaction.open_table(ENTRIES).map_err(engine_error)?;
        let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = table.range::<&[u8]>((Bound::Included(range.start.as_slice()), end)).map_err(engine_error)?;
        let mut entries = Vec::new();
        while entries.len() < range.limit {
            let Some(entry) = (if range.reverse { found.next_back() } else { found.next() }) else { break };
            let (key, value) = entry.map_err(engine_error)?;
            entries.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }

    async fn commit(&self, batch: Batch) -> Result<Vec<u64>, StorageError> {
        let requests = self.requests.upgrade().ok_or(StorageError::Closed)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let bytes = batch.largest_value();
        if bytes > VALUE_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes, bytes_max: VALUE_BYTES_MAX });
        }
        let (answer, answered) = oneshot::channel();
        requests.send(Request { batch, answer }).await.map_err(|_| StorageError::Closed)?;
        drop(requests);
        answered.await.map_err(|_| StorageError::Closed)?
    }

    fn close(&self) {
        self.shut();
    }

    fn stats(&self) -> CommitStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CommitStats {
            transactions: read(&self.counters.transactions),
            batches: read(&self.counters.batches),
            last_us: read(&self.counters.last_us),
            total_us: read(&self.counters.total_us),
        }
    }
}
