//! Which events a reader of the log wants.

use switchboard_core::records::account::Principal;
use switchboard_core::records::event::Event;
use switchboard_core::records::id::SessionId;
use switchboard_core::rules::address::parse_recipient;
use switchboard_core::rules::authority;
use switchboard_core::rules::event_filter::{checked, takes};
use switchboard_core::storage::EventQuery;

use super::super::problem::Problem;
use super::Query;

/// What a reader wants of the events that it may see.
pub(in crate::http) struct EventFilter {
    session: Option<SessionId>,
    /// As a JID.
    chat: Option<String>,
    types: Vec<String>,
}

impl EventFilter {
    /// The filter in a query: `session_id`, `chat`, and `type` with patterns such as `message.*`, separated by commas.
    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        let chat = query.get("chat").map(|chat| {
            parse_recipient(chat)
                .map(|jid| jid.to_string())
                .map_err(|error| Problem::bad_parameter("chat", error.to_string()))
        });
        let types: Vec<String> = match query.get("type").unwrap_or_default() {
            "" => Vec::new(),
            types => {
                let types: Vec<String> = types.split(',').map(|text| text.trim().to_owned()).collect();
                checked(&types).map_err(|error| Problem::bad_parameter("type", error.to_string()))?
            }
        };
        Ok(Self { session: query.session("session_id")?, chat: chat.transpose()?, types })
    }

    /// Events of these kinds, all unless there are any, and of this session alone if that is given.
    ///
    /// # Errors
    /// Which kind is none.
    pub(in crate::http) fn new(session: Option<SessionId>, kinds: &[String]) -> Result<Self, String> {
        let types = if kinds.is_empty() { Vec::new() } else { checked(kinds).map_err(|error| error.to_string())? };
        Ok(Self { session, chat: None, types })
    }

    /// Whether `caller`, whose tenant's event it is, wants and may see it.
    pub(in crate::http) fn has(&self, caller: &Principal, event: &Event) -> bool {
        authority::sees(caller, event)
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
