//! The embedded engine: redb behind one writer thread that commits in groups.
//!
//! The writer drains its queue into one transaction, commits it once with two-phase commit, and only then tells every caller
//! whose batch was in it. A batch whose checks fail is left out and told so; its neighbours are kept.
//!
//! redb refuses everything after the disk failed once. Whoever meets that closes the database and opens it again, which puts
//! it back to its last commit, and tries once more: a read, or a group that had not come to its commit. A group that had is
//! answered with the error. While the database does not open, every call is refused as down, and every call has it tried anew.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use async_trait::async_trait;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table};
use tokio::sync::{mpsc, oneshot};

use super::changes::Changes;
use super::engine::{Batch, Check, CommitStats, Engine, Entry, KeyRange, Write, count_in, prefix_end};
use super::failure::{OpenError, failed};
use super::redb_file::{ENTRIES, Source, begin};
use super::{StorageError, VALUE_BYTES_MAX};

/// Batches that may wait for the writer; callers wait when it is full.
const COMMIT_QUEUE_MAX: usize = 4096;
/// Batches of one transaction: beyond that a group only makes its first caller wait longer.
const GROUP_BATCHES_MAX: usize = 512;
/// Bytes of values after which a transaction takes no further batch.
const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

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

/// The database, as far as there is one.
enum Handle {
    Open(Database),
    /// Closed after a failure; why it does not open again.
    Down(Arc<str>),
    /// Closed for good.
    Closed,
}

struct State {
    handle: Handle,
    /// How often the database was opened again: tells a failure that others have dealt with from one that nobody has.
    opened: u64,
}

/// What readers and the writer share.
struct Shared {
    /// Held for reading while a call works with the database, which waits for nothing but the disk.
    state: RwLock<State>,
    source: Box<dyn Source>,
    counters: Counters,
    changes: Changes,
}

/// A call that failed.
struct Failure {
    error: StorageError,
    /// What [`State::opened`] was then.
    opened: u64,
}

impl Failure {
    /// Whether the database has to be opened again before it can do anything more.
    fn ends_the_database(&self) -> bool {
        matches!(self.error, StorageError::Disk { .. } | StorageError::Down { .. })
    }
}

/// redb with its writer thread.
pub(crate) struct RedbEngine {
    shared: Arc<Shared>,
    /// Gone once the engine is closed.
    writer: Mutex<Option<Writer>>,
    requests: mpsc::WeakSender<Request>,
}

/// The writer thread, and the queue that keeps it alive.
struct Writer {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

impl Shared {
    /// Runs `run` on the database while it is open. What redb panics with is an error of this call.
    fn with<T>(&self, doing: &'static str, run: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, Failure> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let database = match &state.handle {
            Handle::Open(database) => Ok(database),
            Handle::Down(why) => Err(StorageError::Down { why: Arc::clone(why) }),
            Handle::Closed => Err(StorageError::Closed),
        };
        let done = database.and_then(|database| match catch_unwind(AssertUnwindSafe(|| run(database))) {
            Ok(done) => done.map_err(|error| failed(doing, error)),
            Err(_) => Err(StorageError::Engine(format!("it broke down when it was to {doing}").into())),
        });
        done.map_err(|error| Failure { error, opened: state.opened })
    }

    fn read<T>(&self, run: impl Fn(&ReadEntries) -> Result<T, redb::Error>) -> Result<T, StorageError> {
        let read = || self.with("read", |database| run(&database.begin_read()?.open_table(ENTRIES)?));
        let again = match read() {
            Err(failure) if failure.ends_the_database() => {
                self.open_again(&failure)?;
                read()
            }
            read => read,
        };
        again.map_err(|failure| failure.error)
    }

    /// Closes the database and opens it again, unless somebody has done so since the failure. Everybody else waits meanwhile.
    fn open_again(&self, failure: &Failure) -> Result<(), StorageError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let before = match &state.handle {
            Handle::Closed => return Err(StorageError::Closed),
            Handle::Open(_) if state.opened != failure.opened => return Ok(()),
            Handle::Open(_) => None,
            Handle::Down(why) => Some(Arc::clone(why)),
        };
        if before.is_none() {
            tracing::error!(error = %failure.error, "storage failed and is opened again");
        }
        // The file is locked until the handle of it is gone.
        let broken = std::mem::replace(&mut state.handle, Handle::Down("it broke down while it was being opened".into()));
        // redb may panic once more over what it panicked about before; nobody must hear of that but the panic hook.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        match self.source.open(false) {
            Ok(database) => {
                tracing::info!("storage is open again");
                *state = State { handle: Handle::Open(database), opened: state.opened + 1 };
                Ok(())
            }
            Err(error) => {
                let why: Arc<str> = error.to_string().into();
                // Every call that is refused comes here: what has been said is not said again.
                if before.as_ref() != Some(&why) {
                    tracing::error!(%error, "storage does not open again");
                }
                state.handle = Handle::Down(Arc::clone(&why));
                Err(StorageError::Down { why })
            }
        }
    }
}

impl RedbEngine {
    /// Opens the database of `source`, and keeps the source to open it again.
    pub(crate) fn open(source: impl Source + 'static) -> Result<Self, OpenError> {
        let state = RwLock::new(State { handle: Handle::Open(source.open(true)?), opened: 0 });
        let shared =
            Arc::new(Shared { state, source: Box::new(source), counters: Counters::default(), changes: Changes::default() });
        let (requests, queue) = mpsc::channel(COMMIT_QUEUE_MAX);
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("storage-writer".to_owned())
                .spawn(move || write_groups(&shared, queue))
                .map_err(|error| StorageError::Engine(format!("no thread for its writer: {error}").into()))?
        };
        Ok(Self { shared, requests: requests.downgrade(), writer: Mutex::new(Some(Writer { requests, thread })) })
    }

    fn shut(&self) {
        let Some(Writer { requests, thread }) = self.writer.lock().ok().and_then(|mut writer| writer.take()) else { return };
        drop(requests);
        // The writer ends when its queue does; what it panicked with was logged by the panic hook.
        let _ = thread.join();
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut state.handle, Handle::Closed);
        // What a panic left behind may panic again as it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(last)));
    }
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Takes requests until nobody can make any.
fn write_groups(shared: &Shared, mut queue: mpsc::Receiver<Request>) {
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
        let (batches, callers): (Vec<_>, Vec<_>) = group.into_iter().map(|request| (request.batch, request.answer)).unzip();
        match commit_and_recover(shared, &batches) {
            // A caller that went away does not need its answer.
            Ok(answers) => callers.into_iter().zip(answers).for_each(|(caller, answer)| drop(caller.send(answer))),
            Err(error) => callers.into_iter().for_each(|caller| drop(caller.send(Err(error.clone())))),
        }
    }
}

/// Commits a group; when that fails, leaves the database open again behind it, if it opens.
fn commit_and_recover(shared: &Shared, batches: &[Batch]) -> Result<Vec<Answer>, StorageError> {
    // Until it is known what is kept: also while the database is opened again.
    let _writing = shared.changes.writing(batches);
    let first = match commit_group(shared, batches) {
        Ok(answers) => return Ok(answers),
        Err(first) => first,
    };
    let opened = shared.open_again(&first.failure);
    if first.may_be_kept {
        return Err(first.failure.error);
    }
    opened?;
    // The failure may have been a reader's, and no fault of this group.
    commit_group(shared, batches).map_err(|second| {
        // Nobody must find the database in the state that redb refuses to leave.
        let _ = shared.open_again(&second.failure);
        second.failure.error
    })
}

/// A group that failed.
struct GroupError {
    failure: Failure,
    /// It came as far as its commit.
    may_be_kept: bool,
}

fn commit_group(shared: &Shared, batches: &[Batch]) -> Result<Vec<Answer>, GroupError> {
    #[expect(clippy::disallowed_methods, reason = "measures the commit; decides nothing")]
    let begun = Instant::now();
    let mut may_be_kept = false;
    let answers = shared
        .with("commit", |database| {
            let transaction = begin(database)?;
            let answers = apply_all(&mut transaction.open_table(ENTRIES)?, batches)?;
            may_be_kept = true;
            transaction.commit()?;
            Ok(answers)
        })
        .map_err(|failure| GroupError { failure, may_be_kept })?;
    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    shared.counters.transactions.fetch_add(1, Ordering::Relaxed);
    shared.counters.batches.fetch_add(batches.len() as u64, Ordering::Relaxed);
    shared.counters.last_us.store(took, Ordering::Relaxed);
    shared.counters.total_us.fetch_add(took, Ordering::Relaxed);
    Ok(answers)
}

fn apply_all(table: &mut Entries<'_>, batches: &[Batch]) -> Result<Vec<Answer>, redb::Error> {
    let mut answers = Vec::with_capacity(batches.len());
    for batch in batches {
        answers.push(if checks_hold(table, batch)? { Ok(apply(table, batch)?) } else { Err(StorageError::Conflict) });
    }
    Ok(answers)
}

type ReadEntries = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Entries<'a> = Table<'a, &'static [u8], &'static [u8]>;

fn checks_hold(table: &Entries<'_>, batch: &Batch) -> Result<bool, redb::Error> {
    for check in &batch.checks {
        let holds = match check {
            Check::Absent { key } => table.get(key.as_slice())?.is_none(),
            Check::Equals { key, value } => {
                table.get(key.as_slice())?.is_some_and(|found| found.value() == value.as_slice())
            }
            Check::AtMost { key, max } => count(table, key)? <= *max,
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn apply(table: &mut Entries<'_>, batch: &Batch) -> Result<Vec<u64>, redb::Error> {
    let mut numbers = Vec::new();
    for write in &batch.writes {
        match write {
            Write::Put { key, value } => {
                table.insert(key.as_slice(), value.as_slice())?;
            }
            Write::Delete { key } => {
                table.remove(key.as_slice())?;
            }
            Write::DeletePrefix { prefix } => {
                let end = prefix_end(prefix);
                let bounds = (Bound::Included(prefix.as_slice()), end.as_deref().map_or(Bound::Unbounded, Bound::Excluded));
                table.retain_in::<&[u8], _>(bounds, |_, _| false)?;
            }
            Write::Append { counter, places } => numbers.push(append(table, counter, places)?),
            Write::Add { key, by } => add(table, key, *by)?,
        }
    }
    Ok(numbers)
}

fn append(table: &mut Entries<'_>, counter: &[u8], places: &[Entry]) -> Result<u64, redb::Error> {
    let next = count(table, counter)? + 1;
    table.insert(counter, next.to_be_bytes().as_slice())?;
    for (prefix, value) in places {
        let mut key = prefix.clone();
        key.extend_from_slice(&next.to_be_bytes());
        table.insert(key.as_slice(), value.as_slice())?;
    }
    Ok(next)
}

fn add(table: &mut Entries<'_>, key: &[u8], by: i64) -> Result<(), redb::Error> {
    let sum = count(table, key)?.saturating_add_signed(by);
    if sum == 0 {
        table.remove(key)?;
    } else {
        table.insert(key, sum.to_be_bytes().as_slice())?;
    }
    Ok(())
}

fn count(table: &Entries<'_>, key: &[u8]) -> Result<u64, redb::Error> {
    let found = table.get(key)?;
    Ok(count_in(found.as_ref().map(redb::AccessGuard::value)))
}

#[async_trait]
impl Engine for RedbEngine {
    async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.shared.read(|table| Ok(table.get(key)?.map(|found| found.value().to_vec())))
    }

    async fn range(&self, range: &KeyRange) -> Result<Vec<Entry>, StorageError> {
        if range.end.as_ref().is_some_and(|end| *end <= range.start) {
            return self.shared.read(|_| Ok(Vec::new()));
        }
        self.shared.read(|table| {
            let end = range.end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut found = table.range::<&[u8]>((Bound::Included(range.start.as_slice()), end))?;
            let mut entries = Vec::new();
            while entries.len() < range.limit {
                let Some(entry) = (if range.reverse { found.next_back() } else { found.next() }) else { break };
                let (key, value) = entry?;
                entries.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(entries)
        })
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

    fn health(&self) -> Result<(), StorageError> {
        match &self.shared.state.read().unwrap_or_else(PoisonError::into_inner).handle {
            Handle::Open(_) => Ok(()),
            Handle::Down(why) => Err(StorageError::Down { why: Arc::clone(why) }),
            Handle::Closed => Err(StorageError::Closed),
        }
    }

    fn changes(&self) -> Option<&Changes> {
        Some(&self.shared.changes)
    }

    fn stats(&self) -> CommitStats {
        let (counters, read) = (&self.shared.counters, |counter: &AtomicU64| counter.load(Ordering::Relaxed));
        CommitStats {
            transactions: read(&counters.transactions),
            batches: read(&counters.batches),
            last_us: read(&counters.last_us),
            total_us: read(&counters.total_us),
        }
    }
}
