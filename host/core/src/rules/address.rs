//! Telephone numbers and JIDs: what a caller may write, and what it means.

use std::fmt;

use super::said_back::said_back;

/// Fewest digits of a telephone number that is accepted.
pub const PHONE_DIGITS_MIN: usize = 7;
/// Most digits of a telephone number (E.164).
pub const PHONE_DIGITS_MAX: usize = 15;
/// Most characters of a JID's user part.
pub const JID_USER_CHARS_MAX: usize = 64;

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a telephone number.
    #[error(
        "{value:?} is not a telephone number: use {PHONE_DIGITS_MIN} to {PHONE_DIGITS_MAX} digits, with or without a leading +"
    )]
    Phone {
        /// What was given, shortened.
        value: String,
    },
    /// Not a JID that can be written to.
    #[error("{value:?} is not a JID: use <number>@s.whatsapp.net, <id>@g.us or <id>@lid")]
    Jid {
        /// What was given, shortened.
        value: String,
    },
    /// Not a person.
    #[error("{value:?} is not a person: use a telephone number, <number>@s.whatsapp.net or <id>@lid")]
    Person {
        /// What was given, shortened.
        value: String,
    },
    /// Not a group.
    #[error("{value:?} is not a group: use <id>@g.us")]
    Group {
        /// What was given, shortened.
        value: String,
    },
}

/// The server part of a JID that messages can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JidServer {
    /// A person by telephone number.
    User,
    /// A person by LID.
    Lid,
    /// A group.
    Group,
}

impl JidServer {
    /// The text after the `@`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "s.whatsapp.net",
            Self::Lid => "lid",
            Self::Group => "g.us",
        }
    }
}

/// A WhatsApp address without a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jid {
    /// The part before the `@`.
    pub user: String,
    /// The part after it.
    pub server: JidServer,
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.server.as_str())
    }
}

/// The digits of a telephone number as people write it: `+E.164`, bare digits, with spaces, dots, dashes and parentheses.
pub fn parse_phone(value: &str) -> Result<String, AddressError> {
    let refused = || AddressError::Phone { value: said_back(value) };
    let trimmed = value.trim();
    let body = trimmed.strip_prefix('+').unwrap_or(trimmed);
    let mut digits = String::new();
    for symbol in body.chars() {
        match symbol {
            '0'..='9' if digits.len() < PHONE_DIGITS_MAX => digits.push(symbol),
            ' ' | '.' | '-' | '(' | ')' => {}
            _ => return Err(refused()),
        }
    }
    if digits.len() < PHONE_DIGITS_MIN { Err(refused()) } else { Ok(digits) }
}

/// A telephone number or a JID, as a caller may name whom a message goes to.
pub fn parse_recipient(value: &str) -> Result<Jid, AddressError> {
    let Some((user, server)) = value.trim().split_once('@') else {
        return parse_phone(value).map(|user| Jid { user, server: JidServer::User });
    };
    let refused = || AddressError::Jid { value: said_back(value) };
    let server = match server {
        "s.whatsapp.net" | "c.us" => JidServer::User,
        "lid" => JidServer::Lid,
        "g.us" => JidServer::Group,
        _ => return Err(refused()),
    };
    let well_formed = match server {
        JidServer::User => return parse_phone(user).map(|user| Jid { user, server }).map_err(|_| refused()),
        JidServer::Lid => user.chars().all(|c| c.is_ascii_digit()),
        JidServer::Group => user.chars().all(|c| c.is_ascii_digit() || c == '-'),
    };
    if well_formed && !user.is_empty() && user.len() <= JID_USER_CHARS_MAX {
        Ok(Jid { user: user.to_owned(), server })
    } else {
        Err(refused())
    }
}

/// A telephone number or the JID of a person.
pub fn parse_person(value: &str) -> Result<Jid, AddressError> {
    let jid = parse_recipient(value)?;
    if jid.server == JidServer::Group { Err(AddressError::Person { value: said_back(value) }) } else { Ok(jid) }
}

/// The JID of a group, with or without its `@g.us`.
pub fn parse_group(value: &str) -> Result<Jid, AddressError> {
    let whole = value.trim();
    let jid = if whole.contains('@') { parse_recipient(whole) } else { parse_recipient(&format!("{whole}@g.us")) };
    let group = jid.ok().filter(|jid| jid.server == JidServer::Group);
    group.ok_or_else(|| AddressError::Group { value: said_back(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_accepted_as_people_write_it() {
        for text in ["+49 (151) 234-567.89", "4915123456789", " +4915123456789 "] {
            assert_eq!(parse_phone(text).unwrap(), "4915123456789", "{text}");
        }
    }

    #[test]
    fn a_number_with_letters_too_few_or_too_many_digits_is_refused() {
        for text in ["", "12345", "1234567890123456", "12a45678", "++4915123456789", "٤٩١٥١٢٣٤٥٦٧"] {
            assert!(parse_phone(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_recipient_is_a_number_or_a_jid() {
        let jid = |text| parse_recipient(text).map(|jid| jid.to_string());
        assert_eq!(jid("+49 151 23456789").unwrap(), "4915123456789@s.whatsapp.net");
        assert_eq!(jid("4915123456789@c.us").unwrap(), "4915123456789@s.whatsapp.net");
        assert_eq!(jid("120363041234567890@g.us").unwrap(), "120363041234567890@g.us");
        assert_eq!(jid("4915123456789-1600000000@g.us").unwrap(), "4915123456789-1600000000@g.us");
        assert_eq!(jid("98765432101234@lid").unwrap(), "98765432101234@lid");
        for text in ["@g.us", "x@lid", "1@example.org", "12@s.whatsapp.net", "a@b@c"] {
            assert!(jid(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_person_is_no_group_and_a_group_no_person() {
        let person = |text| parse_person(text).map(|jid| jid.to_string());
        assert_eq!(person("+4915123456789").unwrap(), "4915123456789@s.whatsapp.net");
        assert_eq!(person("98765432101234@lid").unwrap(), "98765432101234@lid");
        assert!(matches!(person("120363041234567890@g.us"), Err(AddressError::Person { .. })));
        assert!(person("somebody").is_err());
        let group = |text| parse_group(text).map(|jid| jid.to_string());
        for text in ["120363041234567890@g.us", " 120363041234567890 "] {
            assert_eq!(group(text).unwrap(), "120363041234567890@g.us");
        }
        for text in ["", "@g.us", "4915123456789@s.whatsapp.net", "1@lid", "club"] {
            assert!(matches!(group(text), Err(AddressError::Group { .. })), "{text}");
        }
    }

    #[test]
    fn an_error_never_repeats_a_long_value_whole() {
        let error = parse_phone(&"9".repeat(1_000_000)).unwrap_err().to_string();
        assert!(error.len() < 200, "{}", error.len());
    }
}
