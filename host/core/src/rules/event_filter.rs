//! Which events somebody wants, a webhook endpoint or a reader of the log: exact type names, a family such as `message.*`, or
//! everything. What takes no event that there is, is refused: it was meant to be something else.

use super::said_back::said_back;
use crate::records::event::EVENT_TYPES;
use crate::records::webhook::EVERY_EVENT;

/// Filters that are given together.
pub const FILTERS_MAX: usize = 64;

/// Why filters are not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// None, or too many.
    #[error("has {0} entries; 1 to {FILTERS_MAX} are allowed")]
    Count(usize),
    /// One takes no event that there is.
    #[error("{filter:?} is no type of events; there are *, {families} and {types}", families = families().join(", "), types = EVENT_TYPES.join(", "))]
    Unknown {
        /// The filter, shortened.
        filter: String,
        /// Its place, from 0.
        at: usize,
    },
}

/// Whether one of `filters` takes events of this type.
pub fn takes(filters: &[String], event_type: &str) -> bool {
    filters.iter().any(|filter| match filter.strip_suffix('*') {
        Some(family) => event_type.starts_with(family),
        None => filter == event_type,
    })
}

/// Every family: `message.*` and so on.
fn families() -> Vec<String> {
    let mut families: Vec<String> =
        EVENT_TYPES.iter().filter_map(|name| name.split_once('.')).map(|(family, _)| format!("{family}.*")).collect();
    families.dedup();
    families
}

/// Whether a filter takes an event that there is.
fn is_filter(text: &str) -> bool {
    text == EVERY_EVENT || EVENT_TYPES.contains(&text) || families().iter().any(|family| family == text)
}

/// The filters, each once.
///
/// # Errors
/// [`FilterError`], which names the one that takes nothing.
pub fn checked(filters: &[String]) -> Result<Vec<String>, FilterError> {
    if filters.is_empty() || filters.len() > FILTERS_MAX {
        return Err(FilterError::Count(filters.len()));
    }
    let mut checked: Vec<String> = Vec::with_capacity(filters.len());
    for (at, filter) in filters.iter().enumerate() {
        if !is_filter(filter) {
            return Err(FilterError::Unknown { filter: said_back(filter), at });
        }
        if !checked.contains(filter) {
            checked.push(filter.clone());
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(filters: &[&str], event_type: &str) -> bool {
        takes(&filters.iter().map(ToString::to_string).collect::<Vec<_>>(), event_type)
    }

    #[test]
    fn a_filter_takes_its_type_its_family_or_everything() {
        assert!(taken(&["message.sent"], "message.sent") && !taken(&["message.sent"], "message.sent.late"));
        assert!(taken(&["message.*"], "message.received") && !taken(&["message.*"], "messages.received"));
        assert!(!taken(&["message.*"], "session.state") && taken(&["message.*", "session.state"], "session.state"));
        assert!(taken(&["*"], "session.state"));
        assert!(!taken(&[], "session.state"));
    }

    #[test]
    fn only_what_takes_an_event_that_there_is_is_a_filter() {
        for text in ["*", "message.*", "message.received", "group.*", "poll.vote", "session.state"] {
            assert!(is_filter(text), "{text}");
        }
        for text in [
            "",
            "message",
            "message.",
            ".*",
            "mess*",
            "message.re*",
            "*.received",
            "Message.*",
            "message.recieved",
            "bogus.*",
            "bogus",
            "message.queued",
        ] {
            assert!(!is_filter(text), "{text}");
        }
    }

    #[test]
    fn filters_are_kept_once_and_the_one_that_takes_nothing_is_named() {
        let checked = |filters: &[&str]| checked(&filters.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(checked(&["message.*", "session.state", "message.*"]).unwrap(), ["message.*", "session.state"]);
        assert_eq!(checked(&[]), Err(FilterError::Count(0)));
        assert_eq!(checked(&["*"; FILTERS_MAX + 1]), Err(FilterError::Count(FILTERS_MAX + 1)));
        let bogus = checked(&["message.*", "message.recieved"]).unwrap_err();
        assert_eq!(bogus, FilterError::Unknown { filter: "message.recieved".to_owned(), at: 1 });
        let words = bogus.to_string();
        let start = "\"message.recieved\" is no type of events; there are *, call.*, chat.*, contact.*, group.*, media.*, message.*, ";
        assert!(words.starts_with(start) && words.contains("message.received, "), "{words}");
    }
}
