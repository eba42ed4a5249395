//! A disk for redb, in memory, that loses power and reports errors when a test says so.
//!
//! What was written since the last sync is pending: a power loss keeps, loses, tears and reorders pending changes, each on its
//! own. A sync that fails has kept some of what was pending, and the disk forgets that the rest was ever to be kept, though
//! reads still show it: so do the kernels that we run on. Every clone is a handle of the same disk, so that a test can pull
//! the plug while an engine holds it.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use redb::StorageBackend;

use super::failure::OpenError;
use super::redb_file::{Source, guarded, with_table};
use crate::entropy::{Entropy, SeededEntropy};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What a call that fails reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// `EIO`.
    Broken = 5,
    /// `ENOSPC`.
    Full = 28,
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One call fails; later ones work again.
    Once(Report),
    /// That call and every later one fails, until the disk is mended.
    FromThenOn(Report),
    /// The same, and a write that was under way then may have landed after the power loss that follows.
    PowerOff,
}

/// One change that no sync has covered yet.
#[derive(Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(bytes) => image.resize(*bytes, 0),
            Self::Write { offset, data } => overwrite(image, *offset, data),
        }
    }

    /// The sectors of it that land when each lands or is lost on its own; a length changes whole or not at all.
    fn torn(&self, dice: &SeededEntropy) -> Vec<Self> {
        let Self::Write { offset, data } = self else { return Vec::new() };
        let (mut landed, mut done) = (Vec::new(), 0);
        while done < data.len() {
            let end = data.len().min(done + SECTOR_BYTES - (offset + done) % SECTOR_BYTES);
            if coin(dice) {
                landed.push(Self::Write { offset: offset + done, data: data[done..end].to_vec() });
            }
            done = end;
        }
        landed
    }
}

fn coin(dice: &SeededEntropy) -> bool {
    dice.next_u64().is_multiple_of(2)
}

/// What lies beyond the end is lost: the file grows only through its length.
fn overwrite(image: &mut [u8], offset: usize, data: &[u8]) {
    let end = image.len().min(offset + data.len());
    if offset < end {
        image[offset..end].copy_from_slice(&data[..end - offset]);
    }
}

/// Lands what a power loss leaves of `pending` in `image`.
fn land_some(image: &mut Vec<u8>, pending: &[Change], dice: &SeededEntropy) {
    let kept_percent = [0, 25, 50, 75, 100][(dice.next_u64() % 5) as usize];
    let mut landed = Vec::new();
    for change in pending {
        if dice.next_u64() % 100 < kept_percent {
            landed.push(change.clone());
        } else if coin(dice) {
            landed.extend(change.torn(dice));
        }
    }
    if coin(dice) {
        // The disk wrote in an order of its own.
        for n in (1..landed.len()).rev() {
            landed.swap(n, (dice.next_u64() % (n as u64 + 1)) as usize);
        }
    }
    landed.iter().for_each(|change| change.apply(image));
}

#[derive(Default)]
struct State {
    /// What the last sync covered.
    durable: Vec<u8>,
    /// What reads see.
    current: Vec<u8>,
    pending: Vec<Change>,
    calls: u64,
    fault: Option<(u64, Fault)>,
    fired: bool,
    /// What every call reports until the disk is mended.
    broken: Option<Report>,
    held: bool,
    waiting: usize,
}

impl State {
    /// Counts a call; the fault that it meets, if it meets one.
    fn count(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        if let Some(report) = self.broken {
            return Some(Fault::Once(report));
        }
        let met = self.fault.filter(|(at, _)| *at == call).map(|(_, fault)| fault);
        self.fired |= met.is_some();
        met
    }

    fn make(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A handle of the disk.
#[derive(Clone, Default)]
pub(super) struct FaultDisk(Arc<Shared>);

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultDisk(..)")
    }
}

impl FaultDisk {
    /// A disk that holds `image`, all of it durable.
    pub(super) fn over(image: Vec<u8>) -> Self {
        let disk = Self::default();
        {
            let mut state = disk.state();
            state.durable.clone_from(&image);
            state.current = image;
        }
        disk
    }

    /// What a power loss at this moment leaves; `seed` decides the fate of each pending change.
    pub(super) fn crash(&self, seed: u64) -> Vec<u8> {
        let state = self.state();
        let mut image = state.durable.clone();
        land_some(&mut image, &state.pending, &SeededEntropy::new(seed));
        image
    }

    /// What a power loss leaves when nothing pending lands: only what was promised to be durable.
    pub(super) fn durable(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// What the next process finds when only this one dies.
    pub(super) fn image(&self) -> Vec<u8> {
        self.state().current.clone()
    }

    /// Reads, writes, changes of length and syncs so far.
    pub(super) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets call number `call`, counted from 0, meet `fault`.
    pub(super) fn fail_at(&self, call: u64, fault: Fault) {
        self.state().fault = Some((call, fault));
    }

    /// Lets every call work again.
    pub(super) fn mend(&self) {
        let mut state = self.state();
        (state.fault, state.broken) = (None, None);
    }

    /// Whether a call met the fault.
    pub(super) fn fired(&self) -> bool {
        self.state().fired
    }

    /// Stops the disk before its next call.
    pub(super) fn hold(&self) {
        self.state().held = true;
    }

    /// Returns once a call waits for a disk that is held.
    pub(super) fn wait_for_a_call(&self) {
        let mut state = self.state();
        while state.waiting == 0 {
            state = self.0.changed.wait(state).unwrap();
        }
    }

    /// Lets a disk that is held go on.
    pub(super) fn release(&self) {
        self.state().held = false;
        self.0.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn state_once_released(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.held {
            state.waiting += 1;
            self.0.changed.notify_all();
            state = self.0.changed.wait(state).unwrap();
            state.waiting -= 1;
        }
        state
    }

    /// Runs one call, unless it meets a fault. `half_done` is what a call that fails may leave behind.
    fn call(
        &self,
        run: impl FnOnce(&mut State),
        half_done: impl FnOnce(&mut State, Fault, &SeededEntropy),
    ) -> io::Result<()> {
        let mut state = self.state_once_released();
        let already_broken = state.broken.is_some();
        let Some(fault) = state.count() else {
            run(&mut state);
            return Ok(());
        };
        let dice = SeededEntropy::new(state.calls);
        if !already_broken {
            half_done(&mut state, fault, &dice);
        }
        let report = match fault {
            Fault::Once(report) => report,
            Fault::FromThenOn(report) => *state.broken.insert(report),
            Fault::PowerOff => *state.broken.insert(Report::Broken),
        };
        Err(io::Error::from_raw_os_error(report as i32))
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for FaultDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (start, end) = (place(offset), place(offset) + out.len());
        if end > self.state().current.len() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a read beyond the end"));
        }
        self.call(|state| out.copy_from_slice(&state.current[start..end]), |_, _, _| {})
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = Change::Length(place(len));
        let under_way = change.clone();
        self.call(
            |state| state.make(change),
            |state, fault, _| {
                if fault == Fault::PowerOff {
                    state.pending.push(under_way);
                }
            },
        )
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(
            |state| {
                for change in std::mem::take(&mut state.pending) {
                    change.apply(&mut state.durable);
                }
            },
            |state, fault, dice| {
                if fault != Fault::PowerOff {
                    let (lengths, lost): (Vec<_>, Vec<_>) = std::mem::take(&mut state.pending)
                        .into_iter()
                        .partition(|change| matches!(change, Change::Length(_)));
                    // The length is the file system's own business, and in its journal.
                    lengths.iter().for_each(|change| change.apply(&mut state.durable));
                    land_some(&mut state.durable, &lost, dice);
                }
            },
        )
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Change::Write { offset: place(offset), data: data.to_vec() };
        let under_way = change.clone();
        self.call(
            |state| state.make(change),
            |state, fault, dice| match fault {
                Fault::PowerOff => state.pending.push(under_way),
                // Some of it may have been written before it failed.
                _ if coin(dice) => under_way.torn(dice).into_iter().for_each(|part| state.make(part)),
                _ => {}
            },
        )
    }
}

/// An engine's source that is a disk, with a cache of so many bytes.
pub(super) struct DiskSource(pub(super) FaultDisk, pub(super) usize);

impl Source for DiskSource {
    fn open(&self, _first: bool) -> Result<redb::Database, OpenError> {
        guarded("the disk".as_ref(), || {
            with_table(redb::Builder::new().set_cache_size(self.1).create_with_backend(self.0.clone())?)
        })
    }
}
