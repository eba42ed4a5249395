//! A disk for redb, in memory, that loses power and reports errors when a test says so.
//!
//! What was written since the last sync is pending: a power loss keeps, loses or tears each pending change on its own. Every
//! clone is a handle of the same disk, so that a test can pull the plug while an engine holds it.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use redb::StorageBackend;

use crate::entropy::{Entropy, SeededEntropy};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One call fails and does nothing; later ones work again.
    OneError,
    /// That call and every later one fails; a write that was under way then may have landed.
    PowerOff,
}

/// One change that no sync has covered yet.
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

    /// Each sector lands or is lost on its own; a length changes whole or not at all.
    fn tear(&self, image: &mut [u8], dice: &SeededEntropy) {
        let Self::Write { offset, data } = self else { return };
        let mut done = 0;
        while done < data.len() {
            let end = data.len().min(done + SECTOR_BYTES - (offset + done) % SECTOR_BYTES);
            if dice.next_u64().is_multiple_of(2) {
                overwrite(image, offset + done, &data[done..end]);
            }
            done = end;
        }
    }
}

/// What lies beyond the end is lost: the file grows only through its length.
fn overwrite(image: &mut [u8], offset: usize, data: &[u8]) {
    let end = image.len().min(offset + data.len());
    if offset < end {
        image[offset..end].copy_from_slice(&data[..end - offset]);
    }
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
    off: bool,
    held: bool,
    waiting: usize,
}

impl State {
    /// Counts a call; the fault that it meets, if it meets one.
    fn count(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        let met = self.fault.filter(|(at, _)| *at == call).map(|(_, fault)| fault);
        self.fired |= met.is_some();
        met
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
        let dice = SeededEntropy::new(seed);
        let state = self.state();
        let mut image = state.durable.clone();
        let kept_percent = [0, 25, 50, 75, 100][(dice.next_u64() % 5) as usize];
        for change in &state.pending {
            if dice.next_u64() % 100 < kept_percent {
                change.apply(&mut image);
            } else if dice.next_u64().is_multiple_of(2) {
                change.tear(&mut image, &dice);
            }
        }
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

    /// Runs one call, unless the disk is off or the call meets a fault.
    fn call(&self, under_way: Option<Change>, run: impl FnOnce(&mut State)) -> io::Result<()> {
        let mut state = self.state_once_released();
        if state.off {
            return Err(io::Error::other("the disk is off"));
        }
        match state.count() {
            None => {
                run(&mut state);
                if let Some(change) = under_way {
                    change.apply(&mut state.current);
                    state.pending.push(change);
                }
                Ok(())
            }
            Some(Fault::OneError) => Err(io::Error::other("an injected error")),
            Some(Fault::PowerOff) => {
                state.off = true;
                state.pending.extend(under_way);
                Err(io::Error::other("the power went off"))
            }
        }
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
        self.call(None, |state| out.copy_from_slice(&state.current[start..end]))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(Some(Change::Length(place(len))), |_| {})
    }

    fn sync_data(&self) -> io::Result<()> {
        self.call(None, |state| {
            for change in std::mem::take(&mut state.pending) {
                change.apply(&mut state.durable);
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.call(Some(Change::Write { offset: place(offset), data: data.to_vec() }), |_| {})
    }
}
