//! Which events a reader of the log wants.

use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::address::parse_recipient;

use super::super::problem::Problem;
use super::{Query, shortened};

/// Patterns of types that one reader may give.
const TYPES_MAX: usize = 50;

/// A type of event, or all whose names begin alike.
enum TypePattern {
    Exactly(String),
    /// Of `message.*`, say: `message.`
    Beginning(String),
}

impl TypePattern {
    fn parse(text: &str) -> Option<Self> {
        let word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.');
        let pattern = match text.strip_suffix('*') {
            Some(beginning) if beginning.is_empty() || beginning.ends_with('.') => Self::Beginning(beginning.to_owned()),
            Some(_) => return None,
            None => Self::Exactly(text.to_owned()),
        };
        let (Self::Exactly(name) | Self::Beginning(name)) = &pattern;
        (word(name) && !text.is_empty()).then_some(pattern)
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Exactly(wanted) => wanted == name,
            Self::Beginning(beginning) => name.starts_with(beginning),
        }
    }
}

/// What a reader wants of the events that it may see.
pub(super) struct EventFilter {
    session: Option<SessionId>,
    /// As it was given, and as a JID.
    chat: Option<[String; 2]>,
    types: Vec<TypePattern>,
}

impl EventFilter {
    /// The filter in a query: `session_id`, `chat`, and `type` with patterns such as `message.*`, separated by commas.
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let chat = query.get("chat").map(|chat| {
            let jid = parse_recipient(chat).map_err(|error| Problem::invalid("chat", error.to_string()))?;
            Ok::<_, Problem>([chat.to_owned(), jid.to_string()])
        });
        let types = query.get("type").unwrap_or_default();
        let parse = |text: &str| {
            TypePattern::parse(text).ok_or_else(|| {
                let why =
                    format!("{:?}: give names such as message.received, or beginnings such as message.*", shortened(text));
                Problem::invalid("type", why)
            })
        };
        let types: Vec<TypePattern> = match types {
            "" => Vec::new(),
            types => types.split(',').map(|text| parse(text.trim())).collect::<Result<_, _>>()?,
        };
        if types.len() > TYPES_MAX {
            return Err(Problem::invalid("type", format!("{} patterns; the limit is {TYPES_MAX}", types.len())));
        }
        Ok(Self { session: query.number("session_id")?, chat: chat.transpose()?, types })
    }

    /// Whether `caller`, whose tenant's event it is, wants and may see it.
    pub(super) fn has(&self, caller: &Principal, event: &Event) -> bool {
        let name = event.fact.type_name();
        caller.may_use(event.session)
            && self.session.is_none_or(|session| session == event.session)
            && (self.types.is_empty() || self.types.iter().any(|pattern| pattern.has(name)))
            && self.chat.as_ref().is_none_or(|chat| event.fact.chat_names().iter().any(|name| chat.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_ends_in_a_star_after_a_dot() {
        for good in ["message.received", "message.*", "*", "session.state"] {
            assert!(TypePattern::parse(good).is_some(), "{good}");
        }
        for bad in ["", "mess*", "*.received", "message.**", "Message.received", "message received"] {
            assert!(TypePattern::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_has_what_it_names_and_nothing_else() {
        let has = |pattern: &str, name: &str| TypePattern::parse(pattern).unwrap().has(name);
        assert!(has("*", "session.state") && has("message.*", "message.read") && has("message.read", "message.read"));
        assert!(
            !has("message.*", "messages.read") && !has("message.*", "session.state") && !has("message.read", "message.r")
        );
    }
}
