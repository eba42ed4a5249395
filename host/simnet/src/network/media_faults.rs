//! Faults that a test puts on the media hosts. Not stored: a restart heals them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Network;
use crate::address::{NumberError, parse_number};

/// What the names of these faults begin with.
pub(crate) const MEDIA_FAULT_PREFIX: &str = "media_";
/// Files taken away at once.
const MISSING_MAX: usize = 1_000;
/// Bytes in a path.
const PATH_BYTES_MAX: usize = 1_024;
/// Longest wait before a transfer.
const DELAY_MS_MAX: u64 = 600_000;

/// The body of a fault command that is about media.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MediaFaultCommand {
    fault: String,
    /// For `media_missing`: the file, by the path of its URL.
    path: Option<String>,
    /// For `media_missing`: the file, by a phone that has sent or received it …
    number: Option<String>,
    /// … and the message that refers to it.
    id: Option<String>,
    /// How many of the next transfers are meant.
    count: Option<u32>,
    /// For `media_cut`: after how many bytes an upload breaks off.
    bytes: Option<u64>,
    bytes_per_second: Option<u64>,
    delay_ms: Option<u64>,
}

/// Why a fault was not applied. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaFaultError {
    #[error(
        "fault {0:?} is unknown; those about media are: media_missing, media_slow, media_fail, media_cut, media_expire, \
         media_clear"
    )]
    Unknown(String),
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error("no phone has the number {0}")]
    NoPhone(String),
    #[error("the phone {number} knows no file of a message {id:?}")]
    NoFile { number: String, id: String },
    #[error("number and id belong together")]
    Half,
    #[error("path is {0} bytes; 1 to {PATH_BYTES_MAX} are allowed")]
    PathLength(usize),
    #[error("{MISSING_MAX} files are missing already")]
    TooManyMissing,
    #[error("{name} is {value}; {from} to {to} are allowed")]
    OutOfRange { name: &'static str, value: u64, from: u64, to: u64 },
    #[error("media_slow needs bytes_per_second or delay_ms")]
    NoPace,
    #[error("media_cut needs bytes")]
    NoBytes,
}

/// How fast a transfer goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Pace {
    /// How long the host thinks before it begins.
    pub(crate) delay_ms: u64,
    pub(crate) bytes_per_second: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct Slow {
    #[serde(flatten)]
    pace: Pace,
    /// How many transfers are left; all of them without a number.
    left: Option<u32>,
}

#[derive(Debug, Clone, Serialize)]
struct Cut {
    bytes: u64,
    left: u32,
}

/// What is wrong with the media hosts, as the control API shows it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct MediaFaults {
    missing_paths: BTreeSet<String>,
    missing_next: u32,
    fail_next: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Slow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<Cut>,
}

impl Network {
    /// Applies a fault and tells what is wrong now.
    pub(crate) fn apply_media_fault(&mut self, command: &MediaFaultCommand) -> Result<MediaFaults, MediaFaultError> {
        let count = command.count.unwrap_or(1);
        match command.fault.as_str() {
            "media_missing" => match self.missing_path(command)? {
                Some(path) => self.media.faults.take_away(path)?,
                None => self.media.faults.missing_next = count,
            },
            "media_slow" => self.media.faults.slow = Some(slow(command)?),
            "media_fail" => self.media.faults.fail_next = count,
            "media_cut" => {
                let bytes = command.bytes.ok_or(MediaFaultError::NoBytes)?;
                self.media.faults.cut = Some(Cut { bytes, left: count });
            }
            "media_expire" => self.expire_media_auth(),
            "media_clear" => self.media.faults = MediaFaults::default(),
            other => return Err(MediaFaultError::Unknown(other.to_owned())),
        }
        Ok(self.media.faults.clone())
    }

    /// The one file that a command is about, if it is about one.
    fn missing_path(&self, command: &MediaFaultCommand) -> Result<Option<String>, MediaFaultError> {
        match (&command.path, &command.number, &command.id) {
            (Some(path), None, None) => Ok(Some(path.clone())),
            (None, None, None) => Ok(None),
            (None, Some(number), Some(id)) => {
                let number = parse_number(number)?;
                let account = self.accounts.get(&number).ok_or_else(|| MediaFaultError::NoPhone(number.clone()))?;
                let file = account.phone.files_of(id).next();
                let path = file.map(|file| Some(file.direct_path.clone()));
                path.ok_or_else(|| MediaFaultError::NoFile { number, id: id.clone() })
            }
            _ => Err(MediaFaultError::Half),
        }
    }
}

impl MediaFaults {
    fn take_away(&mut self, path: String) -> Result<(), MediaFaultError> {
        if path.is_empty() || path.len() > PATH_BYTES_MAX {
            return Err(MediaFaultError::PathLength(path.len()));
        }
        if self.missing_paths.len() >= MISSING_MAX {
            return Err(MediaFaultError::TooManyMissing);
        }
        self.missing_paths.insert(path);
        Ok(())
    }

    pub(super) fn hides(&self, path: &str) -> bool {
        self.missing_paths.contains(path)
    }

    pub(super) fn restore(&mut self, path: &str) {
        self.missing_paths.remove(path);
    }

    pub(super) fn take_miss(&mut self) -> bool {
        take(&mut self.missing_next)
    }

    pub(super) fn take_failure(&mut self) -> bool {
        take(&mut self.fail_next)
    }

    pub(super) fn take_cut(&mut self) -> Option<u64> {
        let cut = self.cut.as_mut()?;
        let bytes = take(&mut cut.left).then_some(cut.bytes);
        self.cut = self.cut.take().filter(|cut| cut.left > 0);
        bytes
    }

    pub(super) fn take_pace(&mut self) -> Pace {
        let Some(slow) = &mut self.slow else { return Pace::default() };
        let pace = slow.pace;
        if let Some(left) = &mut slow.left {
            take(left);
            if *left == 0 {
                self.slow = None;
            }
        }
        pace
    }
}

/// Whether one is left; it is then used up.
fn take(left: &mut u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

fn slow(command: &MediaFaultCommand) -> Result<Slow, MediaFaultError> {
    if command.bytes_per_second.is_none() && command.delay_ms.is_none() {
        return Err(MediaFaultError::NoPace);
    }
    let delay_ms = in_range("delay_ms", command.delay_ms.unwrap_or(0), 0, DELAY_MS_MAX)?;
    let speed = command.bytes_per_second.map(|speed| in_range("bytes_per_second", speed, 1, u64::MAX)).transpose()?;
    let left = command.count.map(|count| in_range("count", u64::from(count), 1, u64::from(u32::MAX)).map(|_| count));
    Ok(Slow { pace: Pace { delay_ms, bytes_per_second: speed }, left: left.transpose()? })
}

fn in_range(name: &'static str, value: u64, from: u64, to: u64) -> Result<u64, MediaFaultError> {
    if (from..=to).contains(&value) { Ok(value) } else { Err(MediaFaultError::OutOfRange { name, value, from, to }) }
}

#[cfg(test)]
mod tests {
    use super::{MediaFaultCommand, MediaFaultError, Network, Pace};
    use crate::network::MediaRefusal;

    fn apply(network: &mut Network, command: &str) -> Result<serde_json::Value, MediaFaultError> {
        let command: MediaFaultCommand = serde_json::from_str(command).unwrap();
        network.apply_media_fault(&command).map(|faults| serde_json::to_value(faults).unwrap())
    }

    #[test]
    fn file_taken_away_comes_back_with_an_upload_or_when_all_is_cleared() {
        let mut network = Network::default();
        for way_back in [
            |network: &mut Network| network.media_uploaded("/v/a"),
            |network: &mut Network| {
                apply(network, r#"{"fault":"media_clear"}"#).unwrap();
            },
        ] {
            apply(&mut network, r#"{"fault":"media_missing","path":"/v/a"}"#).unwrap();
            assert_eq!(network.admit_download("/v/a", None), Err(MediaRefusal::Missing("/v/a".to_owned())));
            assert!(network.admit_download("/v/b", None).is_ok());
            way_back(&mut network);
            assert!(network.admit_download("/v/a", None).is_ok());
        }
    }

    #[test]
    fn counted_faults_hit_as_often_as_asked_and_no_more() {
        let mut network = Network::default();
        let auth = network.grant_media_auth();
        apply(&mut network, r#"{"fault":"media_missing","count":2}"#).unwrap();
        apply(&mut network, r#"{"fault":"media_fail"}"#).unwrap();
        apply(&mut network, r#"{"fault":"media_cut","bytes":7}"#).unwrap();
        let misses: Vec<bool> = (0..3).map(|_| network.admit_download("/v/a", None).is_err()).collect();
        assert_eq!(misses, [true, true, false]);
        assert_eq!(network.admit_upload(Some(&auth)), Err(MediaRefusal::Failed));
        assert_eq!(network.admit_upload(Some(&auth)).unwrap().cut_after, Some(7));
        assert_eq!(network.admit_upload(Some(&auth)).unwrap().cut_after, None);
    }

    #[test]
    fn slow_transfers_stay_slow_until_their_number_is_used_up() {
        let mut network = Network::default();
        apply(&mut network, r#"{"fault":"media_slow","bytes_per_second":10,"delay_ms":5,"count":1}"#).unwrap();
        let slow = Pace { delay_ms: 5, bytes_per_second: Some(10) };
        assert_eq!(network.admit_download("/v/a", None), Ok(slow));
        assert_eq!(network.admit_download("/v/a", None), Ok(Pace::default()));
    }

    #[test]
    fn commands_that_make_no_sense_are_refused_with_their_limit() {
        let mut network = Network::default();
        for (command, words) in [
            (r#"{"fault":"media_slow"}"#, "needs bytes_per_second or delay_ms"),
            (r#"{"fault":"media_slow","bytes_per_second":0}"#, "bytes_per_second is 0"),
            (r#"{"fault":"media_slow","delay_ms":600001}"#, "0 to 600000"),
            (r#"{"fault":"media_cut"}"#, "needs bytes"),
            (r#"{"fault":"media_missing","number":"15550001111"}"#, "belong together"),
            (r#"{"fault":"media_missing","number":"15550001111","id":"A"}"#, "no phone"),
            (r#"{"fault":"media_missing","path":""}"#, "path is 0 bytes"),
            (r#"{"fault":"media_melt"}"#, "media_melt"),
        ] {
            let error = apply(&mut network, command).unwrap_err().to_string();
            assert!(error.contains(words), "{command}: {error}");
        }
    }
}
