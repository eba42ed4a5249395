//! The names of an account besides its number: what its owner calls himself, a user name.

use super::Network;
use crate::address::DeviceKey;

const USERNAME_CHARS_MIN: usize = 3;
const USERNAME_CHARS_MAX: usize = 30;

impl Network {
    /// The owner has changed the name that others see; the account's other devices are told.
    pub(in crate::network) fn rename_account(&mut self, number: &str, cause: Option<&DeviceKey>, name: &str) {
        let Some(account) = self.accounts.get_mut(number).filter(|account| account.name != name) else {
            return;
        };
        name.clone_into(&mut account.name);
        self.record_account(number);
        let notice = self.notice(number, "account_sync").with("pushname", name);
        self.tell_own(number, cause, &notice);
    }

    /// Whether an account may have a user name: one that fits, and that nobody else has.
    pub(in crate::network) fn may_take_username(&self, number: &str, username: &str) -> bool {
        let fits = (USERNAME_CHARS_MIN..=USERNAME_CHARS_MAX).contains(&username.len());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_');
        let taken = self.number_of_username(username).is_some_and(|owner| owner != number);
        fits && username.bytes().all(plain) && !taken
    }

    /// Gives an account a user name, or takes it away.
    pub(in crate::network) fn set_username(&mut self, number: &str, username: Option<&str>) {
        self.change_person(number, |person| person.username = username.map(str::to_owned));
    }

    /// The account that has a user name.
    pub(in crate::network) fn number_of_username(&self, username: &str) -> Option<&str> {
        let mut persons = self.people.persons.iter();
        let owner = persons.find(|(_, person)| person.username.as_deref() == Some(username));
        owner.map(|(number, _)| number.as_str())
    }
}
