//! What the control API asks of the network.

use serde::Serialize;
use wacore_binary::Jid;

use super::faults::FaultFault;
use super::newsletters::NewsletterFault;
use super::phone_acts::ActFault;
use super::{DeviceCommandFault, GroupFault, LinkFault, Network, PackFault, ScanFault};
use crate::address::{DeviceKey, NUMBER_DIGITS_MAX, NumberError, Space, parse_number};
use crate::phone::{ComposeFault, PhoneError};

/// Bytes in a phone's name.
const NAME_BYTES_MAX: usize = 256;

/// Why a command was not carried out. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandFault {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Scan(#[from] ScanFault),
    #[error(transparent)]
    Group(#[from] GroupFault),
    #[error(transparent)]
    Compose(#[from] ComposeFault),
    #[error(transparent)]
    Act(#[from] ActFault),
    #[error("no phone has the number {0}: make it first, with POST /switchboard/v1/sim/phones")]
    NoPhone(String),
    #[error("recipient {0:?} is neither a number of up to {NUMBER_DIGITS_MAX} digits nor the address of a known account")]
    NoRecipient(String),
    #[error("{what} is {bytes} bytes; 1 to {bytes_max} are allowed")]
    TextLength { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("{what} is {count} {unit}; the limit is {count_max}")]
    TooMuch { what: &'static str, unit: &'static str, count: usize, count_max: usize },
    #[error("{what} is not valid: {problem}")]
    Invalid { what: &'static str, problem: String },
    #[error(transparent)]
    Fault(#[from] FaultFault),
    #[error("the phone failed: {0}")]
    Phone(#[source] PhoneError),
    #[error(transparent)]
    Devices(#[from] DeviceCommandFault),
    #[error(transparent)]
    Link(#[from] LinkFault),
    #[error(transparent)]
    Newsletter(#[from] NewsletterFault),
    #[error(transparent)]
    Pack(#[from] PackFault),
    #[error("the phone has no status post {0:?} that it could take back")]
    NoStatus(String),
    #[error("the phone has no call {0:?} in which that could be done now")]
    NoCall(String),
    #[error("{items} websites, categories or days are too many; {items_max} are allowed")]
    TooManyItems { items: usize, items_max: usize },
}

impl CommandFault {
    /// No newsletter has a post of this number.
    pub(crate) fn no_post(number: &str) -> Self {
        NewsletterFault::NoPost(number.to_owned()).into()
    }
}

/// A phone as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct PhoneSummary {
    number: String,
    jid: String,
    lid: String,
    name: String,
    devices: Vec<u16>,
}

impl Network {
    /// Makes a phone, or finds the one that has the number; true if it is new.
    pub(crate) fn ensure_phone(&mut self, number: &str, name: Option<&str>) -> Result<(PhoneSummary, bool), CommandFault> {
        let number = parse_number(number)?;
        let name = name.unwrap_or_default();
        if name.len() > NAME_BYTES_MAX {
            return Err(CommandFault::TextLength { what: "name", bytes: name.len(), bytes_max: NAME_BYTES_MAX });
        }
        let created = !self.accounts.contains_key(&number);
        if created {
            self.create_account(&number, name, None).map_err(CommandFault::Phone)?;
        }
        let summary = self.summary(&number).ok_or(CommandFault::NoPhone(number))?;
        Ok((summary, created))
    }

    /// All phones, by number.
    pub(crate) fn phones(&self) -> Vec<PhoneSummary> {
        self.accounts.keys().filter_map(|number| self.summary(number)).collect()
    }

    fn summary(&self, number: &str) -> Option<PhoneSummary> {
        let account = self.accounts.get(number)?;
        let phone = DeviceKey::new(number, 0);
        Some(PhoneSummary {
            number: number.to_owned(),
            jid: self.jid_of(&phone, Space::Number).to_string(),
            lid: self.jid_of(&phone, Space::Lid).to_string(),
            name: account.name.clone(),
            devices: account.devices.keys().copied().collect(),
        })
    }

    /// A device's address as text.
    pub(crate) fn address_text(&self, key: &DeviceKey) -> String {
        self.jid_of(key, Space::Number).to_string()
    }

    /// The account or the group that a number or an address names.
    pub(super) fn recipient(&self, to: &str) -> Result<Jid, CommandFault> {
        match self.group_recipient(to)? {
            Some(group) => Ok(group),
            None => self.account_recipient(to).map(Jid::pn),
        }
    }

    /// The account that a number or an address names.
    pub(super) fn account_recipient(&self, to: &str) -> Result<String, CommandFault> {
        let unknown = || CommandFault::NoRecipient(to.to_owned());
        if to.contains('@') {
            let jid: Jid = to.parse().map_err(|_| unknown())?;
            return self.number_of(&jid).ok_or_else(unknown);
        }
        let number = parse_number(to)?;
        if self.accounts.contains_key(&number) { Ok(number) } else { Err(unknown()) }
    }
}
