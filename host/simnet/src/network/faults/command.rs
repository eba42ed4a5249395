//! The fault commands of the control API: what they may say, and how they are applied, listed and cleared.

use serde::Deserialize;
use serde_json::{Value, json};

use super::login::Refusal;
use super::random::{RandomFaults, RandomKind};
use super::{DeviceFaults, FAULT_MS_MAX, Network, PrekeyFault, Times};
use crate::address::{DeviceKey, parse_number};
use crate::network::{CommandFault, Effect};
use crate::wire;

/// Times that a command does not name.
const STALL_MS: u64 = 5_000;
const LATE_ACK_MS: u64 = 3_000;
const DELAY_MS: u64 = 1_000;
const REORDER_MS: u64 = 2_000;
/// How long a temporary ban lasts and what for, if the command does not say it. 101: too many messages to people who
/// do not know the sender (as wacore 0.7.0 types/events.rs names it).
const BAN_EXPIRE_S: u64 = 3_600;
const BAN_CODE: u16 = 101;
/// Codes of errors that end a stream or refuse a login.
const CODES: std::ops::RangeInclusive<u16> = 400..=599;
/// Seeded faults at once.
const RANDOM_MAX: usize = 16;
/// A clock that is wrong by more than ten years is of no use.
const SKEW_MS_MAX: i64 = 315_360_000_000;
/// Copies of one message, occurrences of one fault.
const COUNT_MAX: u32 = 1_000_000;
/// Bytes of what a refused client is told in words.
const WORDS_BYTES_MAX: usize = 1_024;

/// The body of a fault command. Without a device it means all devices of the number; without a number, everyone's.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FaultCommand {
    number: Option<String>,
    device: Option<u16>,
    fault: String,
    /// How often it happens: `duplicate` once if not given, all others until they are cleared.
    count: Option<u32>,
    /// For `drop`: without a closing handshake, as when the network between fails.
    abrupt: bool,
    /// How long: for `stall`, `half_open`, `late_ack`, `delay`, `reorder`, `clock_skew`, and at most for `random`.
    ms: Option<i64>,
    /// For `refuse_login`, `temp_ban` and `stream_error`.
    code: Option<u16>,
    /// For `temp_ban`: how long it lasts, in seconds.
    expire: Option<u64>,
    /// For `refuse_login` and `temp_ban`: what the client is told.
    message: Option<String>,
    url: Option<String>,
    /// For `missing_prekeys`: `one_time` if not given.
    keys: Option<PrekeyFault>,
    /// For `random`.
    seed: Option<u64>,
    rate: Option<f64>,
    kinds: Option<Vec<RandomKind>>,
}

/// Why a fault command is not carried out. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultFault {
    #[error(
        "fault {0:?} is unknown; expected one of: drop, stall, half_open, refuse_login, temp_ban, replace, log_out, \
         stream_error, stream_end, no_ack, late_ack, duplicate, delay, reorder, corrupt, missing_prekeys, clock_skew, \
         random, clear"
    )]
    Unknown(String),
    #[error("{field} of fault {fault:?} is {value}; {allowed}")]
    Field { fault: String, field: &'static str, value: String, allowed: String },
    #[error("fault \"random\" is given {RANDOM_MAX} times already; clear one first")]
    TooManyRandom,
}

impl FaultCommand {
    fn ms(&self, otherwise: u64) -> Result<u64, FaultFault> {
        let Some(ms) = self.ms else { return Ok(otherwise) };
        match u64::try_from(ms) {
            Ok(ms) if ms <= FAULT_MS_MAX => Ok(ms),
            _ => Err(self.refused("ms", ms, format!("0 to {FAULT_MS_MAX} are allowed"))),
        }
    }

    fn skew_ms(&self) -> Result<i64, FaultFault> {
        let ms = self.ms.ok_or_else(|| self.missing("ms"))?;
        if ms.unsigned_abs() > SKEW_MS_MAX.unsigned_abs() {
            return Err(self.refused("ms", ms, format!("-{SKEW_MS_MAX} to {SKEW_MS_MAX} are allowed")));
        }
        Ok(ms)
    }

    fn code(&self, otherwise: Option<u16>) -> Result<u16, FaultFault> {
        let code = self.code.or(otherwise).ok_or_else(|| self.missing("code"))?;
        if CODES.contains(&code) {
            return Ok(code);
        }
        Err(self.refused("code", code, format!("{} to {} are allowed", CODES.start(), CODES.end())))
    }

    fn times(&self) -> Result<Times, FaultFault> {
        match self.count {
            Some(count) if count == 0 || count > COUNT_MAX => {
                Err(self.refused("count", count, format!("1 to {COUNT_MAX} are allowed")))
            }
            times => Ok(times),
        }
    }

    fn words(&self, field: &'static str, words: Option<&String>) -> Result<Option<String>, FaultFault> {
        match words {
            Some(words) if words.len() > WORDS_BYTES_MAX => {
                let bytes = format!("{} bytes", words.len());
                Err(self.refused(field, bytes, format!("at most {WORDS_BYTES_MAX} are allowed")))
            }
            words => Ok(words.cloned()),
        }
    }

    /// The refusal of logins that the command asks for.
    fn refusal(&self, now_ms: u64) -> Result<Refusal, FaultFault> {
        let message = self.words("message", self.message.as_ref())?;
        let url = self.words("url", self.url.as_ref())?;
        let times = self.times()?;
        if self.fault == "refuse_login" {
            return Ok(Refusal { reason: self.code(None)?, ban: None, message, url, times });
        }
        let expire_s = self.expire.unwrap_or(BAN_EXPIRE_S);
        if expire_s == 0 || expire_s > FAULT_MS_MAX {
            return Err(self.refused("expire", expire_s, format!("1 to {FAULT_MS_MAX} seconds are allowed")));
        }
        let ends_ms = now_ms.saturating_add(expire_s.saturating_mul(1_000));
        Ok(Refusal { reason: 402, ban: Some((self.code.unwrap_or(BAN_CODE), ends_ms)), message, url, times })
    }

    fn random(&self, number: Option<String>) -> Result<RandomFaults, FaultFault> {
        let seed = self.seed.ok_or_else(|| self.missing("seed"))?;
        let rate = self.rate.ok_or_else(|| self.missing("rate"))?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(self.refused("rate", rate, "0 to 1 is allowed".to_owned()));
        }
        let kinds = self.kinds.clone().filter(|kinds| !kinds.is_empty()).ok_or_else(|| self.missing("kinds"))?;
        Ok(RandomFaults::new(seed, rate, kinds, self.ms(DELAY_MS)?, number, self.device))
    }

    fn missing(&self, field: &'static str) -> FaultFault {
        self.refused(field, "missing", "it must be given".to_owned())
    }

    fn refused(&self, field: &'static str, value: impl ToString, allowed: String) -> FaultFault {
        FaultFault::Field { fault: self.fault.clone(), field, value: value.to_string(), allowed }
    }
}

impl Network {
    /// Applies a fault and tells how many devices it has reached.
    pub(crate) fn apply_fault(&mut self, command: &FaultCommand) -> Result<usize, CommandFault> {
        let number = command.number.as_deref().map(parse_number).transpose()?;
        if let Some(number) = &number
            && !self.accounts.contains_key(number)
        {
            return Err(CommandFault::NoPhone(number.clone()));
        }
        let targets = self.fault_targets(number.as_deref(), command.device);
        match command.fault.as_str() {
            "clear" => self.clear_faults(number.as_deref(), command.device, &targets),
            "random" => {
                if self.faults.random.len() >= RANDOM_MAX {
                    return Err(FaultFault::TooManyRandom.into());
                }
                self.faults.random.push(command.random(number)?);
            }
            "refuse_login" | "temp_ban" => {
                let refusal = command.refusal(self.now_ms)?;
                if number.is_none() && command.device.is_none() {
                    self.faults.newcomers = Some(refusal.clone());
                }
                for key in &targets {
                    self.faults.of(key).refusal = Some(refusal.clone());
                    // A ban takes effect at once: it ends the connection, and the next one is told why.
                    if refusal.ban.is_some() {
                        self.disconnect_device(key, None);
                    }
                }
            }
            _ if self.break_connections(command, &targets)? => {}
            _ => {
                for key in &targets {
                    set(self.faults.of(key), command)?;
                }
                // Nothing to set it on: the command must be one that there is all the same.
                set(&mut DeviceFaults::default(), command)?;
            }
        }
        Ok(targets.len())
    }

    /// Faults that strike the connection at once. False when this is none of them.
    fn break_connections(&mut self, command: &FaultCommand, targets: &[DeviceKey]) -> Result<bool, FaultFault> {
        let last = match command.fault.as_str() {
            "drop" => None,
            "replace" => Some(wire::stream_replaced()),
            "stream_error" => Some(wire::stream_error(command.code(None)?)),
            "stream_end" => Some(wire::stream_end()),
            "log_out" => {
                targets.iter().for_each(|key| self.log_out_device(key));
                return Ok(true);
            }
            "stall" | "half_open" => {
                let ms = command.ms(if command.fault == "stall" { STALL_MS } else { FAULT_MS_MAX })?;
                targets.iter().for_each(|key| self.hold_link(key, ms));
                return Ok(true);
            }
            _ => return Ok(false),
        };
        for key in targets {
            // A connection that is held would not even notice that it has ended.
            self.release_links_of(key);
            match self.link_by_device.get(key) {
                Some(link) if command.abrupt => self.out.effects.push(Effect::Cut(*link)),
                _ => self.disconnect_device(key, last.clone()),
            }
        }
        Ok(true)
    }

    fn fault_targets(&self, number: Option<&str>, device: Option<u16>) -> Vec<DeviceKey> {
        self.accounts
            .iter()
            .filter(|(own, _)| number.is_none_or(|number| number == own.as_str()))
            .flat_map(|(own, account)| {
                // The phone itself has no connection; it is meant only by those who name it.
                let phone = (device == Some(0)).then_some(0);
                phone.into_iter().chain(account.devices.keys().copied()).map(|id| DeviceKey::new(own.as_str(), id))
            })
            .filter(|key| device.is_none_or(|device| device == key.device))
            .collect()
    }

    fn clear_faults(&mut self, number: Option<&str>, device: Option<u16>, targets: &[DeviceKey]) {
        let everyone = number.is_none() && device.is_none();
        if everyone {
            self.faults.newcomers = None;
        }
        self.faults.random.retain(|random| !everyone && !random.is_for(number, device));
        for key in targets {
            self.faults.devices.remove(key);
            self.release_all(key);
            self.release_links_of(key);
        }
    }

    fn release_links_of(&mut self, key: &DeviceKey) {
        let held: Vec<_> = self.faults.held.iter().filter(|(_, holder)| *holder == key).map(|(link, _)| *link).collect();
        for link in held {
            self.release_link(link);
        }
    }

    /// All faults there are, as the control API shows them.
    pub(crate) fn list_faults(&self) -> Value {
        let mut listed = Vec::new();
        let mut devices: Vec<_> = self.faults.devices.iter().collect();
        devices.sort_by_key(|(key, _)| *key);
        for (key, faults) in devices {
            for mut fault in faults.listed(self.now_ms) {
                if let Some(fault) = fault.as_object_mut() {
                    fault.insert("number".to_owned(), json!(key.number));
                    fault.insert("device".to_owned(), json!(key.device));
                }
                listed.push(fault);
            }
        }
        let held = self.faults.held.values();
        listed.extend(held.map(|key| json!({ "fault": "half_open", "number": key.number, "device": key.device })));
        listed.extend(self.faults.newcomers.iter().map(|refusal| refusal.listed(self.now_ms)));
        listed.extend(self.faults.random.iter().map(RandomFaults::listed));
        json!({ "faults": listed })
    }
}

/// Puts a lasting fault on a device.
fn set(faults: &mut DeviceFaults, command: &FaultCommand) -> Result<(), FaultFault> {
    let times = command.times()?;
    match command.fault.as_str() {
        "no_ack" => faults.no_ack = Some(times),
        "late_ack" => faults.late_ack = Some((command.ms(LATE_ACK_MS)?, times)),
        "duplicate" => faults.duplicate = Some(Some(times.unwrap_or(1))),
        "delay" => faults.delay = Some((command.ms(DELAY_MS)?, times)),
        "reorder" => faults.reorder = Some((command.ms(REORDER_MS)?, times)),
        "corrupt" => faults.corrupt = Some(Some(times.unwrap_or(1))),
        "missing_prekeys" => faults.missing_prekeys = Some((command.keys.unwrap_or(PrekeyFault::OneTime), times)),
        "clock_skew" => faults.clock_skew_ms = Some(command.skew_ms()?),
        _ => return Err(FaultFault::Unknown(command.fault.clone())),
    }
    Ok(())
}

impl DeviceFaults {
    fn listed(&self, now_ms: u64) -> Vec<Value> {
        let plain = |name: &str, times: &Times| json!({ "fault": name, "count": times });
        let timed = |name: &str, (ms, times): &(u64, Times)| json!({ "fault": name, "ms": ms, "count": times });
        let mut listed = Vec::new();
        listed.extend(self.no_ack.iter().map(|times| plain("no_ack", times)));
        listed.extend(self.late_ack.iter().map(|fault| timed("late_ack", fault)));
        listed.extend(self.duplicate.iter().map(|times| plain("duplicate", times)));
        listed.extend(self.delay.iter().map(|fault| timed("delay", fault)));
        listed.extend(self.reorder.iter().map(|fault| timed("reorder", fault)));
        listed.extend(self.corrupt.iter().map(|times| plain("corrupt", times)));
        listed.extend(
            self.missing_prekeys
                .iter()
                .map(|(keys, times)| json!({ "fault": "missing_prekeys", "keys": keys, "count": times })),
        );
        listed.extend(self.clock_skew_ms.iter().map(|ms| json!({ "fault": "clock_skew", "ms": ms })));
        listed.extend(self.refusal.iter().map(|refusal| refusal.listed(now_ms)));
        listed
    }
}
