//! An I/O error at every call that the script makes of the disk, and at every call of a recovery.

use super::recorder::History;
use super::stage::{STRETCH, Stage, Stretch, must_go_on, stretches};
use super::{NamedOnPanic, number_from, on_all_processors};
use crate::storage::StorageError;
use crate::storage::fault::{Fault, FaultDisk, Report};

/// What each call meets, one after the other.
const FAULTS: [Fault; 4] = [
    Fault::Once(Report::Broken),
    Fault::FromThenOn(Report::Full),
    Fault::Once(Report::Full),
    Fault::FromThenOn(Report::Broken),
];
/// Of those, how many each call meets unless `STORAGE_FAULTS` says otherwise; the first one changes with the call.
const FAULTS_PER_CALL: u64 = 1;
/// One call of so many meets a fault unless `STORAGE_EVERY` says otherwise (1: every call, some minutes in a debug build). Which
/// ones changes with the stretch, so that every kind of call meets every kind of fault in each run.
const EVERY: u64 = 20;
/// Operations that have to be refused before the disk is mended.
const REFUSALS: u64 = 2;
/// Operations that have to work after the disk was mended, or after its one error, if the stretch has as many left.
const WORKS_AFTERWARDS: u64 = 2;
/// Stretches whose crash is recovered with a fault at each call.
const RECOVERIES: usize = 8;
/// A number that no operation of the script has.
const AFTERWARDS: u64 = 10_000;

/// Runs a stretch on a disk whose call number `call` meets `fault`.
async fn stretch_with_a_fault(stretch: &Stretch, call: u64, fault: Fault) {
    let _name = NamedOnPanic(format!("operation {} and on, call {call}, {fault:?}", stretch.first));
    let disk = FaultDisk::over(stretch.image.clone());
    disk.fail_at(call, fault);
    let mut history = stretch.history();
    match Stage::open(&disk, &mut history).await {
        Err(error) => assert_says_why(&error.to_string(), fault),
        Ok(stage) => {
            live_with_a_fault(&stage, stretch.first, fault, &mut history).await;
            stage.close(&mut history).await;
        }
    }
    assert!(disk.fired());
    // Either the process dies and the system writes the rest down, or the power goes off too.
    let image = if call.is_multiple_of(3) { disk.image() } else { disk.crash(call) };
    must_go_on(image, history, AFTERWARDS).await;
}

async fn live_with_a_fault(stage: &Stage, first: u64, fault: Fault, history: &mut History) {
    let (mut failed, mut mended, mut healed) = (0, false, 0);
    for operation in first..first + STRETCH {
        healed += u64::from(stage.disk.fired());
        if healed > WORKS_AFTERWARDS + REFUSALS {
            return;
        }
        let done = stage.run(operation, history).await;
        let Err(error) = done else {
            assert!(failed == 0 || mended || matches!(fault, Fault::Once(_)), "a disk that is gone answers nothing");
            continue;
        };
        assert!(!mended, "a disk that works again works: {error}");
        assert_says_why(&error.to_string(), fault);
        failed += 1;
        if let Fault::Once(_) = fault {
            assert!(failed == 1, "one error of the disk fails one operation: {error}");
        } else if failed == REFUSALS {
            assert!(matches!(stage.health(), Err(StorageError::Down { .. })), "a storage that is down says so");
            assert!(stage.just_commit(AFTERWARDS - 2, history).await.is_err());
            stage.disk.mend();
            mended = true;
            stage.just_commit(AFTERWARDS - 1, history).await.unwrap();
            assert!(stage.health().is_ok());
            stage.settle(history).await;
        }
    }
}

fn assert_says_why(text: &str, fault: Fault) {
    let why = match fault {
        Fault::Once(Report::Full) | Fault::FromThenOn(Report::Full) => "the disk is full",
        _ => "Input/output error",
    };
    assert!(text.contains(why) || text.contains("an earlier call of the disk failed"), "{text}");
}

#[test]
fn an_io_error_at_any_call_loses_nothing_that_was_acknowledged_and_storage_goes_on() {
    let stretches = stretches();
    let mut works = Vec::new();
    let (faults, every) = (number_from("STORAGE_FAULTS", FAULTS_PER_CALL), number_from("STORAGE_EVERY", EVERY).max(1));
    for stretch in stretches {
        for call in (stretch.first / STRETCH % every..stretch.calls).step_by(every as usize) {
            works.extend((0..faults).map(|more| (stretch, call, FAULTS[((call + more) % 4) as usize])));
        }
    }
    println!("{} operations, {} faults", stretches.len() as u64 * STRETCH, works.len());
    on_all_processors(&works, async |(stretch, call, fault)| stretch_with_a_fault(stretch, *call, *fault).await);
}

/// What is left of a stretch when the power goes off in its midst, and its history.
async fn crashed(stretch: &Stretch) -> (Vec<u8>, History) {
    let disk = FaultDisk::over(stretch.image.clone());
    disk.fail_at(stretch.calls * 2 / 3, Fault::PowerOff);
    let mut history = stretch.history();
    // Where the operations ask little of the disk, the power goes off as it opens.
    if let Ok(stage) = Stage::open(&disk, &mut history).await {
        for operation in stretch.first..stretch.first + STRETCH {
            if stage.run(operation, &mut history).await.is_err() {
                break;
            }
        }
        stage.close(&mut history).await;
    }
    (disk.crash(stretch.first), history)
}

/// Opens `image` on a disk whose call number `call` meets `fault`; what a power loss then leaves, unless no call met it.
async fn open_with_a_fault(image: Vec<u8>, history: &mut History, call: u64, fault: Fault) -> (Vec<u8>, bool) {
    let disk = FaultDisk::over(image);
    disk.fail_at(call, fault);
    match Stage::open(&disk, history).await {
        Err(error) => assert_says_why(&error.to_string(), fault),
        Ok(stage) => {
            let done = stage.run(AFTERWARDS + 1, history).await;
            done.unwrap_or_else(|error| assert_says_why(&error.to_string(), fault));
            stage.close(history).await;
        }
    }
    (disk.crash(call), disk.fired())
}

#[test]
fn an_io_error_or_a_power_loss_at_any_call_of_a_recovery_and_then_again_loses_nothing() {
    let stretches = stretches();
    let every = stretches.len().div_ceil(RECOVERIES);
    let works: Vec<&Stretch> = stretches.iter().step_by(every).collect();
    on_all_processors(&works, async |stretch| {
        let (image, history) = crashed(stretch).await;
        let mut call = 0;
        loop {
            let fault = if call % 2 == 0 { Fault::PowerOff } else { FAULTS[(call / 2 % 4) as usize] };
            let _name =
                NamedOnPanic(format!("the recovery after operation {} and on, call {call}, {fault:?}", stretch.first));
            let mut history = history.fork();
            let (left, met) = open_with_a_fault(image.clone(), &mut history, call, fault).await;
            let (left, _) = open_with_a_fault(left, &mut history, call * 7 % 31, Fault::PowerOff).await;
            must_go_on(left, history, AFTERWARDS + 2).await;
            if !met {
                break;
            }
            call += 1;
        }
    });
}
