//! What the owner of a phone changes there about himself, as the control API asks for it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::Network;
use super::pictures::PICTURE_BYTES_MAX;
use super::privacy::Category;
use super::profile::ABOUT_CHARS_MAX;
use crate::address::parse_number;
use crate::network::CommandFault;

/// Bytes in a name.
const NAME_BYTES_MAX: usize = 256;
/// Numbers in one list of a command.
const NUMBERS_MAX: usize = 1_000;

/// What is to change; what is absent stays. An empty text takes a thing away.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PersonCommand {
    name: Option<String>,
    about: Option<String>,
    text_status: Option<String>,
    username: Option<String>,
    business_name: Option<String>,
    /// The bytes of an image in Base64.
    picture: Option<String>,
    /// Values by category, as the clients name them.
    privacy: BTreeMap<String, String>,
    contacts: Vec<String>,
    block: Vec<String>,
    unblock: Vec<String>,
}

impl Network {
    /// Checks the whole command, then carries it out.
    pub(crate) fn change_person_by_command(&mut self, number: &str, command: &PersonCommand) -> Result<(), CommandFault> {
        let number = parse_number(number)?;
        if !self.accounts.contains_key(&number) {
            return Err(CommandFault::NoPhone(number));
        }
        let picture = command.picture.as_deref().map(read_picture).transpose()?;
        for (what, text) in [("name", &command.name), ("business_name", &command.business_name)] {
            check("bytes", what, text.as_ref().map_or(0, String::len), NAME_BYTES_MAX)?;
        }
        for (what, text) in [("about", &command.about), ("text_status", &command.text_status)] {
            check("characters", what, text.as_ref().map_or(0, |text| text.chars().count()), ABOUT_CHARS_MAX)?;
        }
        let contacts = self.listed_numbers("contacts", &command.contacts)?;
        let block = self.listed_numbers("block", &command.block)?;
        let unblock = self.listed_numbers("unblock", &command.unblock)?;
        let username = command.username.as_deref().filter(|username| !username.is_empty());
        if username.is_some_and(|username| !self.may_take_username(&number, username)) {
            return Err(invalid("username", "it is taken, or not 3 to 30 of a-z, 0-9, '.' and '_'"));
        }
        let privacy = command.privacy.iter().map(|(name, value)| {
            let unknown = || invalid("privacy", &format!("there is no category {name:?} with a value {value:?}"));
            Ok((Category::with_value(name, value).ok_or_else(unknown)?, value))
        });
        let privacy: Vec<(Category, &String)> = privacy.collect::<Result<_, CommandFault>>()?;
        self.change_person_as_told(&number, command, picture.as_deref());
        if command.username.is_some() {
            self.set_username(&number, username);
        }
        privacy.iter().for_each(|(category, value)| self.set_privacy(&number, *category, value));
        contacts.iter().for_each(|other| self.set_contact(&number, other, true));
        block.iter().for_each(|other| self.set_blocked(&number, None, other, true));
        unblock.iter().for_each(|other| self.set_blocked(&number, None, other, false));
        Ok(())
    }

    fn change_person_as_told(&mut self, number: &str, command: &PersonCommand, picture: Option<&[u8]>) {
        if let Some(name) = command.name.as_deref().filter(|name| !name.is_empty()) {
            self.rename_account(number, None, name);
        }
        if let Some(about) = &command.about {
            self.set_about(number, None, about.clone());
        }
        if let Some(text) = &command.text_status {
            self.set_text_status(number, text, None, 0);
        }
        if let Some(name) = &command.business_name {
            self.set_business_name(number, name);
        }
        if let Some(picture) = picture {
            self.set_picture(number, Some(picture).filter(|picture| !picture.is_empty()));
        }
    }

    fn listed_numbers(&self, what: &'static str, numbers: &[String]) -> Result<Vec<String>, CommandFault> {
        check("numbers", what, numbers.len(), NUMBERS_MAX)?;
        self.known_numbers(numbers)
    }
}

fn read_picture(text: &str) -> Result<Vec<u8>, CommandFault> {
    let picture = BASE64_STANDARD.decode(text).map_err(|error| invalid("picture", &error.to_string()))?;
    check("bytes", "picture", picture.len(), PICTURE_BYTES_MAX)?;
    Ok(picture)
}

fn check(unit: &'static str, what: &'static str, count: usize, count_max: usize) -> Result<(), CommandFault> {
    if count > count_max {
        return Err(CommandFault::TooMuch { what, unit, count, count_max });
    }
    Ok(())
}

fn invalid(what: &'static str, problem: &str) -> CommandFault {
    CommandFault::Invalid { what, problem: problem.to_owned() }
}
