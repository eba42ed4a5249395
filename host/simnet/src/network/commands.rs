//! What the control API asks of the network.

use serde::Serialize;
use wacore_binary::Jid;

use super::{Network, ScanFault};
use crate::address::{DeviceKey, NUMBER_DIGITS_MAX, NumberError, Space, parse_number};
use crate::phone::{PhoneError, ReceivedMessage};
use crate::random;

/// Bytes in one text message.
const TEXT_BYTES_MAX: usize = 65_536;
/// Bytes in a message id that the caller chooses.
const ID_BYTES_MAX: usize = 128;
/// Bytes in a phone's name.
const NAME_BYTES_MAX: usize = 256;

/// Why a command was not carried out. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandFault {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Scan(#[from] ScanFault),
    #[error("no phone has the number {0}")]
    NoPhone(String),
    #[error("recipient {0:?} is neither a number of up to {NUMBER_DIGITS_MAX} digits nor the address of a known account")]
    NoRecipient(String),
    #[error("{what} is {bytes} bytes; 1 to {bytes_max} are allowed")]
    TextLength { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("fault {0:?} is not available yet")]
    FaultNotYet(String),
    #[error("fault {0:?} is unknown; expected one of: drop, no_ack, duplicate, replace, log_out, clear")]
    UnknownFault(String),
    #[error("the phone failed: {0}")]
    Phone(#[source] PhoneError),
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

    /// A phone's user writes a text; returns the message's id.
    pub(crate) fn send_text(
        &mut self,
        number: &str,
        to: &str,
        text: &str,
        id: Option<String>,
    ) -> Result<String, CommandFault> {
        let number = parse_number(number)?;
        check_length("text", text, TEXT_BYTES_MAX)?;
        if let Some(id) = &id {
            check_length("id", id, ID_BYTES_MAX)?;
        }
        let recipient = self.recipient(to)?;
        let Some(account) = self.accounts.get(&number) else {
            return Err(CommandFault::NoPhone(number));
        };
        let message = account.phone.compose_text(text);
        let id = id.unwrap_or_else(random::message_id);
        self.phone_sends(&number, &recipient, id.clone(), &message).map_err(CommandFault::Phone)?;
        Ok(id)
    }

    fn recipient(&self, to: &str) -> Result<String, CommandFault> {
        let unknown = || CommandFault::NoRecipient(to.to_owned());
        if to.contains('@') {
            let jid: Jid = to.parse().map_err(|_| unknown())?;
            return self.number_of(&jid).ok_or_else(unknown);
        }
        let number = parse_number(to)?;
        if self.accounts.contains_key(&number) { Ok(number) } else { Err(unknown()) }
    }

    /// What a phone has received with a number above `after`.
    pub(crate) fn received(&self, number: &str, after: u64, limit: usize) -> Result<Vec<ReceivedMessage>, CommandFault> {
        let number = parse_number(number)?;
        match self.accounts.get(&number) {
            Some(account) => Ok(account.phone.received_after(after, limit)),
            None => Err(CommandFault::NoPhone(number)),
        }
    }
}

fn check_length(what: &'static str, text: &str, bytes_max: usize) -> Result<(), CommandFault> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(CommandFault::TextLength { what, bytes: text.len(), bytes_max });
    }
    Ok(())
}
