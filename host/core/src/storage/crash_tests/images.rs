//! Images of power losses at seeded moments, opened again: some after the power went off during their recovery too.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use super::recorder::History;
use super::stage::{STRETCH, Stage, Stretch, must_go_on, stretches};
use super::{NamedOnPanic, number_from, on_all_processors};
use crate::entropy::{Entropy, SeededEntropy};
use crate::storage::fault::{Fault, FaultDisk};

/// Images that are opened unless `STORAGE_IMAGES` says otherwise.
const IMAGES: u64 = 300;
/// An open after a crash is over within this many calls of the disk.
const CALLS_OF_RECOVERY: u64 = 40;
/// A number that no operation of the script has.
const AFTERWARDS: u64 = 20_000;

/// Runs operations from `first` until the power goes off at call `off`; what is left then.
async fn run_until(image: Vec<u8>, history: &mut History, first: u64, off: u64, dice: &SeededEntropy) -> Vec<u8> {
    let disk = FaultDisk::over(image);
    disk.fail_at(off, Fault::PowerOff);
    if let Ok(stage) = Stage::open(&disk, history).await {
        for operation in first..first + STRETCH {
            if stage.run(operation, history).await.is_err() {
                break;
            }
        }
        let left = disk.crash(dice.next_u64());
        // What closing writes comes too late.
        stage.close(history).await;
        return left;
    }
    disk.crash(dice.next_u64())
}

/// One storage that loses power once, and again while it recovers; how many images that makes.
async fn lives(stretches: &[Stretch], seed: u64) -> u64 {
    let _name = NamedOnPanic(format!("STORAGE_SEED={seed}"));
    let dice = SeededEntropy::new(seed);
    let stretch = &stretches[(dice.next_u64() % stretches.len() as u64) as usize];
    let mut history = stretch.history();
    let off = dice.next_u64() % stretch.calls;
    let mut image = run_until(stretch.image.clone(), &mut history, stretch.first, off, &dice).await;
    let mut images = 1;
    for _ in 0..dice.next_u64() % 3 {
        image = run_until(image, &mut history, AFTERWARDS, dice.next_u64() % CALLS_OF_RECOVERY, &dice).await;
        images += 1;
    }
    must_go_on(image, history, AFTERWARDS + STRETCH).await;
    images
}

#[test]
fn a_power_loss_at_any_moment_keeps_what_was_acknowledged_and_nothing_by_halves() {
    let stretches = stretches();
    let wanted = number_from("STORAGE_IMAGES", IMAGES);
    let first = number_from("STORAGE_SEED", 0);
    let (opened, seeds) = (AtomicU64::new(0), (first..first + wanted).collect::<Vec<_>>());
    on_all_processors(&seeds, async |seed| {
        if opened.load(Ordering::Relaxed) < wanted {
            opened.fetch_add(lives(stretches, *seed).await, Ordering::Relaxed);
        }
    });
    let _ = writeln!(std::io::stderr(), "{} images of power losses opened, from seed {first}", opened.into_inner());
}
