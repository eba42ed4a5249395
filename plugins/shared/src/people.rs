//! Who somebody is, as dialects spell it: by number where that is known.

use switchboard_guest_sdk::types::{Contact, Incoming, Session};

/// What JIDs of people by number end with.
const BY_NUMBER: &str = "@s.whatsapp.net";

fn jid(phone: &str) -> String {
    format!("{phone}{BY_NUMBER}")
}

/// The JID by number, where that is known.
pub fn jid_of(person: &Contact) -> String {
    person.phone.as_deref().map_or_else(|| person.jid.clone(), jid)
}

/// `+` and the number where that is known, else the JID.
pub fn phone_of(person: &Contact) -> String {
    person.phone.as_ref().map_or_else(|| person.jid.clone(), |phone| format!("+{phone}"))
}

/// The JID of the chat that a message came in, by number where that is known.
pub fn chat_of(incoming: &Incoming) -> String {
    incoming.chat_phone.as_deref().map_or_else(|| incoming.chat.clone(), jid)
}

/// `+` and the number of a person, and anybody else by JID.
pub fn spelled(jid: &str) -> String {
    jid.strip_suffix(BY_NUMBER).map_or_else(|| jid.to_owned(), |number| format!("+{number}"))
}

/// `+` and the number of a session, once it is known.
pub fn own_number(session: &Session) -> Option<String> {
    Some(&session.phone_number).filter(|number| !number.is_empty()).map(|number| format!("+{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_spelled_by_number_where_that_is_known_and_by_jid_else() {
        let known = Contact { jid: "7@lid".to_owned(), phone: Some("4915".to_owned()), lid: None, push_name: None };
        let unknown = Contact { phone: None, ..known.clone() };
        assert_eq!((jid_of(&known), phone_of(&known)), ("4915@s.whatsapp.net".to_owned(), "+4915".to_owned()));
        assert_eq!((jid_of(&unknown), phone_of(&unknown)), ("7@lid".to_owned(), "7@lid".to_owned()));
        assert_eq!((spelled("4915@s.whatsapp.net"), spelled("1@g.us")), ("+4915".to_owned(), "1@g.us".to_owned()));
    }
}
