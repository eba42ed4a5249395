//! What a message to send may say: the limits of each type, and which types can be sent.

use crate::records::content::{ContactCard, Content, Location, Poll, TemplateCall};
use crate::rules::address::parse_phone;
use crate::rules::{interactive, template};

/// Most characters of a text, WhatsApp's own limit.
pub const TEXT_CHARS_MAX: usize = 65_536;
/// Most characters of the name or the address of a place.
pub const PLACE_CHARS_MAX: usize = 1000;
/// Most cards in one message.
pub const CARDS_MAX: usize = 100;
/// Most characters of the name on a card.
pub const CARD_NAME_CHARS_MAX: usize = 256;
/// Most telephone numbers on one card.
pub const CARD_PHONES_MAX: usize = 20;
/// Most bytes of a whole vCard.
pub const VCARD_BYTES_MAX: usize = 64 * 1024;
/// Most characters of a poll's question.
pub const POLL_NAME_CHARS_MAX: usize = 255;
/// Fewest options of a poll.
pub const POLL_OPTIONS_MIN: usize = 2;
/// Most options of a poll.
pub const POLL_OPTIONS_MAX: usize = 12;
/// Most characters of one option.
pub const POLL_OPTION_CHARS_MAX: usize = 100;
/// Most bytes of an emoji: the longest are families joined of several.
pub const EMOJI_BYTES_MAX: usize = 64;
/// Most parameters of a template.
pub const TEMPLATE_PARAMETERS_MAX: usize = 100;
/// Most characters of the id of another message.
pub const MESSAGE_ID_CHARS_MAX: usize = 128;

/// Every type of content that can be sent; the others only come in.
pub const SENT_TYPES: [&str; 15] = [
    "text",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "file",
    "location",
    "contacts",
    "poll",
    "reaction",
    "edit",
    "revoke",
    "interactive",
    "template",
];

/// Why content is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentRefusal {
    /// A field has a value that cannot be sent.
    Invalid {
        /// The field.
        field: &'static str,
        /// Where it is below the content's value, as a JSON pointer: `/2/phones/0`; empty for the value itself.
        place: String,
        /// What is wrong, with value and limit.
        why: String,
    },
    /// The type cannot be sent.
    NotYet,
}

fn invalid(field: &'static str, why: impl Into<String>) -> Result<(), ContentRefusal> {
    let place = format!("/{}", field.rsplit('.').next().unwrap_or(field));
    Err(ContentRefusal::Invalid { field, place, why: why.into() })
}

/// The same verdict, of what lies at another place than its field says.
fn placed(verdict: Result<(), ContentRefusal>, place: impl FnOnce() -> String) -> Result<(), ContentRefusal> {
    verdict.map_err(|refusal| match refusal {
        ContentRefusal::Invalid { field, why, .. } => ContentRefusal::Invalid { field, place: place(), why },
        ContentRefusal::NotYet => ContentRefusal::NotYet,
    })
}

/// Whether content can be sent.
///
/// # Errors
/// [`ContentRefusal`] that names the field, the value and the limit.
pub fn check(content: &Content) -> Result<(), ContentRefusal> {
    match content {
        Content::Text(text) => placed(words("text", text, TEXT_CHARS_MAX), String::new),
        Content::Location(place) => location(place),
        Content::Contacts(cards) => contacts(cards),
        Content::Poll(asked) => poll(asked),
        Content::Reaction(reaction) => {
            message_id(&reaction.message_id)?;
            emoji(&reaction.emoji)
        }
        Content::Edit(edit) => {
            message_id(&edit.message_id)?;
            words("text", &edit.text, TEXT_CHARS_MAX)
        }
        Content::Revoke(revoke) => message_id(&revoke.message_id),
        Content::Interactive(asked) => interactive::check(asked),
        // What it says is looked at once it is rendered.
        Content::Template(call) => template_call(call),
        _ => Err(ContentRefusal::NotYet),
    }
}

/// A text that says something, of so many characters at most.
fn words(field: &'static str, text: &str, chars_max: usize) -> Result<(), ContentRefusal> {
    if text.trim().is_empty() {
        return invalid(field, "is empty");
    }
    at_most(field, text, chars_max)
}

fn at_most(field: &'static str, text: &str, chars_max: usize) -> Result<(), ContentRefusal> {
    let chars = text.chars().count();
    if chars > chars_max {
        return invalid(field, format!("has {chars} characters; the limit is {chars_max}"));
    }
    Ok(())
}

fn message_id(id: &str) -> Result<(), ContentRefusal> {
    words("message_id", id, MESSAGE_ID_CHARS_MAX)
}

fn template_call(call: &TemplateCall) -> Result<(), ContentRefusal> {
    if let Err(error) = template::check_name(&call.name) {
        return invalid("name", error.to_string());
    }
    if let Some(Err(error)) = call.language.as_deref().map(template::language) {
        return invalid("language", error.to_string());
    }
    let count = call.parameters.len();
    if count > TEMPLATE_PARAMETERS_MAX {
        return invalid("parameters", format!("has {count} entries; the limit is {TEMPLATE_PARAMETERS_MAX}"));
    }
    Ok(())
}

fn location(place: &Location) -> Result<(), ContentRefusal> {
    for (field, degrees, limit) in [("latitude", place.latitude, 90.0), ("longitude", place.longitude, 180.0)] {
        if degrees.is_nan() || degrees.abs() > limit {
            return invalid(field, format!("is {degrees}; -{limit} to {limit} are allowed"));
        }
    }
    for (field, text) in [("name", &place.name), ("address", &place.address)] {
        at_most(field, text.as_deref().unwrap_or_default(), PLACE_CHARS_MAX)?;
    }
    Ok(())
}

fn contacts(cards: &[ContactCard]) -> Result<(), ContentRefusal> {
    if cards.is_empty() || cards.len() > CARDS_MAX {
        let why = format!("has {} entries; 1 to {CARDS_MAX} are allowed", cards.len());
        return placed(invalid("contacts", why), String::new);
    }
    for (at, card) in cards.iter().enumerate() {
        placed(words("contacts.display_name", &card.display_name, CARD_NAME_CHARS_MAX), || format!("/{at}/display_name"))?;
        match &card.vcard {
            Some(vcard) => placed(whole_vcard(vcard), || format!("/{at}/vcard"))?,
            None => phones(at, &card.phones)?,
        }
    }
    Ok(())
}

fn whole_vcard(vcard: &str) -> Result<(), ContentRefusal> {
    if vcard.len() > VCARD_BYTES_MAX {
        return invalid("contacts.vcard", format!("has {} bytes; the limit is {VCARD_BYTES_MAX}", vcard.len()));
    }
    if !vcard.trim_start().starts_with("BEGIN:VCARD") {
        return invalid("contacts.vcard", "does not begin with BEGIN:VCARD");
    }
    Ok(())
}

/// The numbers on the card at place `at`.
fn phones(at: usize, phones: &[String]) -> Result<(), ContentRefusal> {
    if phones.is_empty() || phones.len() > CARD_PHONES_MAX {
        let why = format!("has {} entries; 1 to {CARD_PHONES_MAX} are allowed", phones.len());
        return placed(invalid("contacts.phones", why), || format!("/{at}/phones"));
    }
    for (n, phone) in phones.iter().enumerate() {
        if let Err(error) = parse_phone(phone) {
            return placed(invalid("contacts.phones", error.to_string()), || format!("/{at}/phones/{n}"));
        }
    }
    Ok(())
}

fn poll(poll: &Poll) -> Result<(), ContentRefusal> {
    words("poll.name", &poll.name, POLL_NAME_CHARS_MAX)?;
    let count = poll.options.len();
    if !(POLL_OPTIONS_MIN..=POLL_OPTIONS_MAX).contains(&count) {
        let why = format!("has {count} entries; {POLL_OPTIONS_MIN} to {POLL_OPTIONS_MAX} are allowed");
        return invalid("poll.options", why);
    }
    for (at, option) in poll.options.iter().enumerate() {
        placed(words("poll.options", option, POLL_OPTION_CHARS_MAX), || format!("/options/{at}"))?;
        // Votes name an option by its text alone.
        if poll.options.iter().take(at).any(|earlier| earlier == option) {
            return placed(invalid("poll.options", format!("has {option:?} twice")), || format!("/options/{at}"));
        }
    }
    if poll.selectable_count as usize > count {
        return invalid("poll.selectable_count", format!("is {}, of {count} options", poll.selectable_count));
    }
    Ok(())
}

/// An empty one takes a reaction back.
fn emoji(emoji: &str) -> Result<(), ContentRefusal> {
    if emoji.len() > EMOJI_BYTES_MAX {
        return invalid("emoji", format!("has {} bytes; the limit is {EMOJI_BYTES_MAX}", emoji.len()));
    }
    if emoji.chars().any(|symbol| symbol.is_ascii_alphabetic() || symbol.is_whitespace() || symbol.is_control()) {
        return invalid("emoji", format!("{emoji:?} is no emoji"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::content::{Choice, Edit, Reaction, Revoke};

    fn refusal(content: &Content) -> String {
        match check(content) {
            Err(ContentRefusal::Invalid { field, why, .. }) => format!("{field}: {why}"),
            other => panic!("{content:?}: {other:?}"),
        }
    }

    fn place(latitude: f64, longitude: f64) -> Content {
        Content::Location(Location { latitude, longitude, name: None, address: None })
    }

    fn card(name: &str, phones: &[&str], vcard: Option<&str>) -> ContactCard {
        let phones = phones.iter().map(ToString::to_string).collect();
        ContactCard { display_name: name.to_owned(), phones, vcard: vcard.map(str::to_owned) }
    }

    fn asked(name: &str, options: &[&str], selectable_count: u32) -> Content {
        let options = options.iter().map(ToString::to_string).collect();
        Content::Poll(Poll { name: name.to_owned(), options, selectable_count, announcement: false })
    }

    fn reaction(emoji: &str) -> Content {
        Content::Reaction(Reaction { message_id: "3EB0".to_owned(), emoji: emoji.to_owned(), author: None })
    }

    #[test]
    fn what_is_within_its_limits_can_be_sent() {
        let longest: Vec<String> = (0..POLL_OPTIONS_MAX).map(|n| format!("{n:0>POLL_OPTION_CHARS_MAX$}")).collect();
        let longest: Vec<&str> = longest.iter().map(String::as_str).collect();
        for content in [
            place(90.0, -180.0),
            Content::Contacts(vec![
                card("Ada", &["+49 1520 000001"], None),
                card("Bo", &[], Some("BEGIN:VCARD\nEND:VCARD")),
            ]),
            asked("Lunch?", &["Soup", "Cake"], 1),
            asked(&"?".repeat(POLL_NAME_CHARS_MAX), &longest, 0),
            reaction("👨‍👩‍👧‍👦"),
            reaction("❤️"),
            reaction("1️⃣"),
            reaction(""),
            Content::Edit(Edit { message_id: "3EB0".to_owned(), text: "new".to_owned() }),
            Content::Revoke(Revoke { message_id: "3EB0".to_owned(), author: None }),
        ] {
            assert_eq!(check(&content), Ok(()), "{content:?}");
        }
    }

    #[test]
    fn what_is_beyond_a_limit_is_refused_with_the_value_and_the_limit() {
        for (content, why) in [
            (place(90.5, 0.0), "latitude: is 90.5; -90 to 90 are allowed"),
            (place(0.0, -181.0), "longitude: is -181; -180 to 180 are allowed"),
            (place(f64::NAN, 0.0), "latitude: is NaN; -90 to 90 are allowed"),
            (Content::Contacts(vec![]), "contacts: has 0 entries; 1 to 100 are allowed"),
            (Content::Contacts(vec![card(" ", &["491520000001"], None)]), "contacts.display_name: is empty"),
            (Content::Contacts(vec![card("Ada", &[], None)]), "contacts.phones: has 0 entries; 1 to 20 are allowed"),
            (Content::Contacts(vec![card("Ada", &[], Some("hello"))]), "contacts.vcard: does not begin with BEGIN:VCARD"),
            (asked("", &["a", "b"], 1), "poll.name: is empty"),
            (asked("?", &["a"], 1), "poll.options: has 1 entries; 2 to 12 are allowed"),
            (asked("?", &["a", "a"], 1), "poll.options: has \"a\" twice"),
            (asked("?", &["a", ""], 1), "poll.options: is empty"),
            (asked("?", &["a", "b"], 3), "poll.selectable_count: is 3, of 2 options"),
            (reaction("ok"), "emoji: \"ok\" is no emoji"),
            (Content::Edit(Edit { message_id: "3EB0".to_owned(), text: " ".to_owned() }), "text: is empty"),
            (Content::Revoke(Revoke { message_id: String::new(), author: None }), "message_id: is empty"),
        ] {
            assert_eq!(refusal(&content), why);
        }
        let long = "x".repeat(PLACE_CHARS_MAX + 1);
        let named = Location { latitude: 0.0, longitude: 0.0, name: None, address: Some(long) };
        assert_eq!(refusal(&Content::Location(named)), "address: has 1001 characters; the limit is 1000");
        let bad_phone = refusal(&Content::Contacts(vec![card("Ada", &["12"], None)]));
        assert!(bad_phone.starts_with("contacts.phones: \"12\" is not a telephone number"), "{bad_phone}");
    }

    #[test]
    fn a_refusal_says_where_in_the_content_it_applies() {
        let text = |text: &str| Content::Text(text.to_owned());
        let edit = Content::Edit(Edit { message_id: "3EB0".to_owned(), text: String::new() });
        let cards = |last: ContactCard| Content::Contacts(vec![card("Ada", &["+49 1520 000001"], None), last]);
        for (content, expected) in [
            (text(" "), ""),
            (edit, "/text"),
            (place(91.0, 0.0), "/latitude"),
            (Content::Contacts(vec![]), ""),
            (cards(card("", &[], None)), "/1/display_name"),
            (cards(card("Bo", &[], None)), "/1/phones"),
            (cards(card("Bo", &["+49 1520 000001", "12"], None)), "/1/phones/1"),
            (cards(card("Bo", &[], Some("hello"))), "/1/vcard"),
            (asked("", &["a", "b"], 1), "/name"),
            (asked("?", &["a"], 1), "/options"),
            (asked("?", &["a", "b", "a"], 1), "/options/2"),
            (asked("?", &["a", "b"], 3), "/selectable_count"),
            (reaction("ok"), "/emoji"),
        ] {
            assert!(
                matches!(check(&content), Err(ContentRefusal::Invalid { place, .. }) if place == expected),
                "{content:?}: {expected}"
            );
        }
    }

    #[test]
    fn what_only_others_can_say_is_not_sent() {
        let choice = Choice { id: "1".to_owned(), title: "One".to_owned() };
        for content in [Content::ButtonReply(choice), Content::Other("hologram".to_owned())] {
            assert_eq!(check(&content), Err(ContentRefusal::NotYet));
        }
    }
}
