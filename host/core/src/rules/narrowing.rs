//! Which of the events of its kinds a responder is told of, and whether it may end the chain of those that answer.
//!
//! What is set holds for events that have what it speaks of: an event without a chat is told whatever the chats are, and what
//! messages say is asked of messages alone. A part that speaks of what the plugin may not see takes nothing: else which events
//! come would tell it.

use super::address::{AddressError, parse_recipient};
use crate::records::content::Content;
use crate::records::event::{Event, Fact};
use crate::records::id::SessionId;
use crate::records::plugin::{Grants, MessageField};
use crate::rules::said_back::said_back;

/// Most sessions that a responder may name.
pub const SESSIONS_MAX: usize = 100;
/// Most chats that a responder may name.
pub const CHATS_MAX: usize = 1000;
/// Most content types that a responder may name.
pub const CONTENT_TYPES_MAX: usize = 32;
/// Most beginnings that a responder may name.
pub const BEGINNINGS_MAX: usize = 64;
/// Characters of a content type or of a beginning.
pub const WORDS_CHARS_MAX: usize = 64;

/// What a chat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatKind {
    /// With one person.
    Person,
    /// With a group.
    Group,
    /// What people show of their day.
    Status,
    /// A channel that is followed.
    Channel,
}

impl ChatKind {
    /// Of a chat with this JID.
    pub fn of(chat: &str) -> Self {
        match chat.rsplit_once('@') {
            Some((_, "g.us")) => Self::Group,
            Some((_, "newsletter")) => Self::Channel,
            Some((_, "broadcast")) => Self::Status,
            _ => Self::Person,
        }
    }
}

/// What a responder wants of the events of its kinds. Every part that is not empty has to take an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Of these sessions alone.
    pub sessions: Vec<SessionId>,
    /// Of these chats alone: JIDs, in the spelling of the host.
    pub chats: Vec<String>,
    /// Of chats of these kinds alone.
    pub chat_kinds: Vec<ChatKind>,
    /// Of messages that came in those of these types alone, such as `text`.
    pub content_types: Vec<String>,
    /// Of messages that came in those whose words begin so, in lower case.
    pub beginnings: Vec<String>,
    /// It may keep those that come after it in the chain from being told of an event.
    pub ends_chain: bool,
}

/// Why a narrowing was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NarrowingError {
    /// A list is too long.
    #[error("{part} has {count} entries; the limit is {max}")]
    Count {
        /// Which list.
        part: &'static str,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// An entry is empty or too long.
    #[error("{part}: {value:?} must have 1 to {WORDS_CHARS_MAX} characters")]
    Words {
        /// Which list.
        part: &'static str,
        /// What was given, shortened.
        value: String,
    },
    /// A chat that is none.
    #[error("chats: {0}")]
    Chat(#[from] AddressError),
}

impl Narrowing {
    /// The same in the spelling of the host: chats as JIDs, beginnings in lower case and without space before them.
    ///
    /// # Errors
    /// [`NarrowingError`], which names the part, the value and the limit.
    pub fn checked(self) -> Result<Self, NarrowingError> {
        let limits = [
            ("sessions", self.sessions.len(), SESSIONS_MAX),
            ("chats", self.chats.len(), CHATS_MAX),
            ("content-types", self.content_types.len(), CONTENT_TYPES_MAX),
            ("beginnings", self.beginnings.len(), BEGINNINGS_MAX),
        ];
        if let Some((part, count, max)) = limits.into_iter().find(|(_, count, max)| count > max) {
            return Err(NarrowingError::Count { part, count, max });
        }
        let words = |part, words: &[String]| {
            let unfit = |words: &&String| words.trim().is_empty() || words.chars().count() > WORDS_CHARS_MAX;
            match words.iter().find(unfit) {
                Some(words) => Err(NarrowingError::Words { part, value: said_back(words) }),
                None => Ok(()),
            }
        };
        words("content-types", &self.content_types)?;
        words("beginnings", &self.beginnings)?;
        let chats = self.chats.iter().map(|chat| parse_recipient(chat).map(|jid| jid.to_string()));
        let chats = chats.collect::<Result<_, _>>()?;
        let beginnings = self.beginnings.iter().map(|words| folded(words)).collect();
        Ok(Self { chats, beginnings, ..self })
    }

    /// Whether a responder with these grants is told of `event`.
    pub fn takes(&self, event: &Event, grants: &Grants) -> bool {
        let sees = |field| grants.fields.contains(&field);
        let session = self.sessions.is_empty() || self.sessions.contains(&event.session);
        let kind =
            self.chat_kinds.is_empty() || event.fact.chat().is_none_or(|chat| self.chat_kinds.contains(&ChatKind::of(chat)));
        let chat = self.chats.is_empty() || event.fact.chat().is_none() || {
            sees(MessageField::Number) && event.fact.chat_names().iter().any(|chat| self.chats.contains(chat))
        };
        session && kind && chat && self.takes_content(&event.fact, sees(MessageField::Text))
    }

    fn takes_content(&self, fact: &Fact, sees_text: bool) -> bool {
        let Fact::MessageReceived(incoming) = fact else { return true };
        let of_type =
            self.content_types.is_empty() || self.content_types.iter().any(|wanted| wanted == incoming.content.type_name());
        let begins = self.beginnings.is_empty() || {
            let words = words(&incoming.content).filter(|_| sees_text).map(folded);
            words.is_some_and(|words| self.beginnings.iter().any(|beginning| words.starts_with(beginning)))
        };
        of_type && begins
    }

    /// What it takes nothing without, in words: the grants that its parts speak of.
    pub fn deaf(&self, grants: &Grants) -> Option<String> {
        let without = |field, speaks: bool| speaks && !grants.fields.contains(&field);
        if without(MessageField::Number, !self.chats.is_empty()) {
            return Some("fields: number, so its responder, which is for certain chats, is told of no message".to_owned());
        }
        let text = without(MessageField::Text, !self.beginnings.is_empty());
        text.then(|| "fields: text, so its responder, which is for certain words, is told of no message".to_owned())
    }
}

/// What a message says, or what is written below its file.
fn words(content: &Content) -> Option<&str> {
    match content {
        Content::Text(text) => Some(text),
        Content::Image(media) | Content::Video(media) | Content::Document(media) => media.caption.as_deref(),
        _ => None,
    }
}

/// As beginnings are compared.
fn folded(words: &str) -> String {
    words.trim_start().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::records::content::{Extras, Media, MediaSource};
    use crate::records::event::Incoming;
    use crate::records::session::SessionState;

    const PHONE: &str = "15550100001@s.whatsapp.net";

    fn message(chat: &str, content: Content) -> Event {
        let fact = Fact::MessageReceived(Box::new(Incoming {
            whatsapp_id: "IN1".to_owned(),
            chat: chat.to_owned(),
            chat_phone: chat.ends_with("@lid").then(|| "15550100001".to_owned()),
            chat_lid: None,
            from: chat.to_owned(),
            from_phone: None,
            from_lid: None,
            push_name: None,
            from_me: false,
            group: false,
            sent_at: Timestamp(0),
            content,
            extras: Extras::default(),
        }));
        Event { n: 1, session: SessionId(5), at: Timestamp(0), fact }
    }

    fn text(words: &str) -> Event {
        message(PHONE, Content::Text(words.to_owned()))
    }

    fn all() -> Grants {
        Grants { fields: MessageField::ALL.into(), ..Grants::default() }
    }

    fn takes(narrowing: &Narrowing, event: &Event) -> bool {
        narrowing.clone().checked().unwrap().takes(event, &all())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_any_part_everything_is_taken() {
        assert!(Narrowing::default().takes(&text("hello"), &Grants::default()));
    }

    #[test]
    fn every_part_has_to_take_an_event() {
        let narrowing = Narrowing { sessions: vec![SessionId(5)], beginnings: words(&["/order"]), ..Narrowing::default() };
        assert!(takes(&narrowing, &text("/order 7")));
        assert!(!takes(&narrowing, &text("hello")));
        assert!(!takes(&Narrowing { sessions: vec![SessionId(6)], ..narrowing }, &text("/order 7")));
    }

    #[test]
    fn a_chat_is_known_under_each_of_its_names_and_however_it_is_written() {
        let ann = Narrowing { chats: words(&["+1 555 010-0001"]), ..Narrowing::default() };
        assert!(takes(&ann, &text("hello")));
        assert!(takes(&ann, &message("77@lid", Content::Text("hello".to_owned()))));
        assert!(!takes(&ann, &message("15550100002@s.whatsapp.net", Content::Text("hello".to_owned()))));
        let group = Narrowing { chats: words(&["120363000000000001@g.us"]), ..Narrowing::default() };
        assert!(takes(&group, &message("120363000000000001@g.us", Content::Text("hello".to_owned()))));
    }

    #[test]
    fn kinds_of_chats_and_contents_are_told_apart() {
        let of = |kind| Narrowing { chat_kinds: vec![kind], ..Narrowing::default() };
        let chats = [
            (ChatKind::Person, PHONE),
            (ChatKind::Group, "1@g.us"),
            (ChatKind::Status, "status@broadcast"),
            (ChatKind::Channel, "1@newsletter"),
        ];
        for (kind, _) in chats {
            let other = |chat: &str| message(chat, Content::Other(String::new()));
            let taken = chats.iter().filter(|(_, chat)| takes(&of(kind), &other(chat))).map(|(kind, _)| *kind);
            assert_eq!(taken.collect::<Vec<_>>(), [kind]);
        }
        let images = Narrowing { content_types: words(&["image"]), ..Narrowing::default() };
        let image = Content::Image(Media::at(MediaSource::Blob("b".to_owned())));
        assert!(takes(&images, &message(PHONE, image)) && !takes(&images, &text("hello")));
    }

    #[test]
    fn beginnings_are_compared_without_case_and_space_and_below_files_too() {
        let narrowing = Narrowing { beginnings: words(&["/Help", "MENÜ"]), ..Narrowing::default() };
        assert!(
            takes(&narrowing, &text("  /help me")) && takes(&narrowing, &text("menü")) && !takes(&narrowing, &text("help"))
        );
        let media = Media { caption: Some("/HELP".to_owned()), ..Media::at(MediaSource::Blob("b".to_owned())) };
        assert!(takes(&narrowing, &message(PHONE, Content::Image(media.clone()))));
        assert!(!takes(&narrowing, &message(PHONE, Content::Audio(media))));
    }

    #[test]
    fn what_has_no_chat_and_no_words_is_taken_as_before() {
        let fact = Fact::SessionState { state: SessionState::Connected, reason: None };
        let state = Event { n: 1, session: SessionId(5), at: Timestamp(0), fact };
        let chat = Narrowing { chats: words(&[PHONE]), beginnings: words(&["/"]), ..Narrowing::default() };
        assert!(takes(&chat, &state));
        assert!(takes(&Narrowing { chat_kinds: vec![ChatKind::Group], ..Narrowing::default() }, &state));
    }

    #[test]
    fn a_part_that_speaks_of_what_is_not_granted_takes_nothing_and_says_so() {
        for (narrowing, field, word) in [
            (Narrowing { chats: words(&[PHONE]), ..Narrowing::default() }, MessageField::Number, "number"),
            (Narrowing { beginnings: words(&["/"]), ..Narrowing::default() }, MessageField::Text, "text"),
        ] {
            let mut grants = all();
            assert!(narrowing.takes(&text("/x"), &grants) && narrowing.deaf(&grants).is_none());
            grants.fields.remove(&field);
            assert!(!narrowing.takes(&text("/x"), &grants));
            assert!(narrowing.deaf(&grants).unwrap().starts_with(&format!("fields: {word}, ")));
        }
    }

    #[test]
    fn what_is_too_much_or_no_chat_is_refused_by_name() {
        let refusal = |narrowing: Narrowing| narrowing.checked().unwrap_err().to_string();
        let many = Narrowing { chats: vec![PHONE.to_owned(); CHATS_MAX + 1], ..Narrowing::default() };
        assert_eq!(refusal(many), "chats has 1001 entries; the limit is 1000");
        let many = Narrowing { sessions: vec![SessionId(1); SESSIONS_MAX + 1], ..Narrowing::default() };
        assert_eq!(refusal(many), "sessions has 101 entries; the limit is 100");
        let nobody = refusal(Narrowing { chats: words(&["Ann"]), ..Narrowing::default() });
        assert!(nobody.starts_with("chats: \"Ann\" is not a telephone number"), "{nobody}");
        let empty = refusal(Narrowing { beginnings: words(&[" "]), ..Narrowing::default() });
        assert_eq!(empty, "beginnings: \" \" must have 1 to 64 characters");
    }
}
