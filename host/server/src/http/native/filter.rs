//! Which events a reader of the log wants.

use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::address::parse_recipient;
use switchboard_core::rules::event_filter::takes;
use switchboard_core::storage::EventQuery;

use super::super::problem::Problem;
use super::{Query, shortened};

/// Patterns of types that one reader may give.
const TYPES_MAX: usize = 50;

/// Whether a text is a name of events, or a beginning such as `message.*`.
fn is_pattern(text: &str) -> bool {
    let beginning = text.strip_suffix('*');
    !text.is_empty()
        && beginning.is_none_or(|beginning| beginning.is_empty() || beginning.ends_with('.'))
        && beginning.unwrap_or(text).chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '.')
}

/// What a reader wants of the events that it may see.
pub(super) struct EventFilter {
    session: Option<SessionId>,
    /// As a JID.
    chat: Option<String>,
    types: Vec<String>,
}

impl EventFilter {
    /// The filter in a query: `session_id`, `chat`, and `type` with patterns such as `message.*`, separated by commas.
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let chat = query.get("chat").map(|chat| {
            parse_recipient(chat).map(|jid| jid.to_string()).map_err(|error| Problem::invalid("chat", error.to_string()))
        });
        let types = query.get("type").unwrap_or_default();
        let types: Vec<String> = match types {
            "" => Vec::new(),
            types => types.split(',').map(|text| text.trim().to_owned()).collect(),
        };
        if let Some(text) = types.iter().find(|text| !is_pattern(text)) {
            let why = format!("{:?}: give names such as message.received, or beginnings such as message.*", shortened(text));
            return Err(Problem::invalid("type", why));
        }
        if types.len() > TYPES_MAX {
            return Err(Problem::invalid("type", format!("{} patterns; the limit is {TYPES_MAX}", types.len())));
        }
        Ok(Self { session: query.number("session_id")?, chat: chat.transpose()?, types })
    }

    /// Whether `caller`, whose tenant's event it is, wants and may see it.
    pub(super) fn has(&self, caller: &Principal, event: &Event) -> bool {
        caller.may_use(event.session)
            && self.session.is_none_or(|session| session == event.session)
            && (self.types.is_empty() || takes(&self.types, event.fact.type_name()))
            && self.chat.as_ref().is_none_or(|chat| event.fact.chat_names().contains(chat))
    }

    /// The same as a query to storage; `None` when it asks for a session that `caller` may not see.
    pub(super) fn query(self, caller: &Principal) -> Option<EventQuery> {
        if self.session.is_some_and(|session| !caller.may_use(session)) {
            return None;
        }
        let session = self.session.or(caller.session);
        Some(EventQuery { session, chat: self.chat, types: self.types, ..EventQuery::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_ends_in_a_star_after_a_dot() {
        for good in ["message.received", "message.*", "*", "session.state"] {
            assert!(is_pattern(good), "{good}");
        }
        for bad in ["", "mess*", "*.received", "message.**", "Message.received", "message received"] {
            assert!(!is_pattern(bad), "{bad}");
        }
    }

    #[test]
    fn a_pattern_has_what_it_names_and_nothing_else() {
        let has = |pattern: &str, name: &str| takes(&[pattern.to_owned()], name);
        assert!(has("*", "session.state") && has("message.*", "message.read") && has("message.read", "message.read"));
        assert!(
            !has("message.*", "messages.read") && !has("message.*", "session.state") && !has("message.read", "message.r")
        );
    }
}
