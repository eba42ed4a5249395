//! What a customer may set on a webhook endpoint.

use super::egress::CONNECTION_HEADERS;
use super::event_filter::{self, FilterError};
use super::said_back::said_back;

/// Characters of an endpoint's URL.
pub const URL_CHARS_MAX: usize = 2048;
/// Characters of an endpoint's name.
pub const NAME_CHARS_MAX: usize = 200;
/// Headers that a customer may set on one endpoint.
pub const HEADERS_MAX: usize = 20;
/// Characters of a header's name.
pub const HEADER_NAME_CHARS_MAX: usize = 100;
/// Characters of a header's value.
pub const HEADER_VALUE_CHARS_MAX: usize = 1024;

/// Headers that the host itself sends, beside those of the connection.
const HEADERS_KEPT: [&str; 3] = ["content-encoding", "content-type", "user-agent"];
/// Headers of the Standard Webhooks begin so.
const HEADER_PREFIX_KEPT: &str = "webhook-";

/// Why a field was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct FieldError {
    /// Which field.
    pub field: &'static str,
    /// The place of the entry that is wrong, from 0, where it is a list and not the whole of it is.
    pub at: Option<usize>,
    /// What is wrong, with value and limit.
    pub why: String,
}

fn refused(field: &'static str, why: String) -> FieldError {
    FieldError { field, at: None, why }
}

/// The name, without space around it.
///
/// # Errors
/// When it is too long.
pub fn checked_name(name: &str) -> Result<String, FieldError> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(refused("name", format!("has {chars} characters; the limit is {NAME_CHARS_MAX}")));
    }
    Ok(name.trim().to_owned())
}

/// The event filters, each once.
///
/// # Errors
/// When there is none, there are too many, or one takes no event that there is.
pub fn checked_events(events: &[String]) -> Result<Vec<String>, FieldError> {
    event_filter::checked(events).map_err(|error| {
        let at = if let FilterError::Unknown { at, .. } = error { Some(at) } else { None };
        FieldError { at, ..refused("events", error.to_string()) }
    })
}

/// The headers with their names in lower case.
///
/// # Errors
/// When there are too many, or one cannot be sent or is not the customer's to set.
pub fn checked_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(String, String)>, FieldError> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let shown = said_back(&name);
        if checked.len() == HEADERS_MAX {
            return Err(refused("headers", format!("has more than {HEADERS_MAX} entries")));
        }
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || name.len() > HEADER_NAME_CHARS_MAX || !name.chars().all(token) {
            return Err(refused("headers", format!("{shown:?} is not the name of a header")));
        }
        let kept = HEADERS_KEPT.contains(&name.as_str()) || CONNECTION_HEADERS.contains(&name.as_str());
        if kept || name.starts_with(HEADER_PREFIX_KEPT) {
            return Err(refused("headers", format!("{shown} is set by the host")));
        }
        if value.len() > HEADER_VALUE_CHARS_MAX || !value.chars().all(|c| (' '..='~').contains(&c)) {
            let why = format!("the value of {shown} must be plain ASCII of at most {HEADER_VALUE_CHARS_MAX} characters");
            return Err(refused("headers", why));
        }
        if checked.iter().any(|(other, _)| *other == name) {
            return Err(refused("headers", format!("{shown} is given twice")));
        }
        checked.push((name, value.to_owned()));
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_and_of_the_host_are_not_the_customers_to_set() {
        for name in ["Host", "Transfer-Encoding", "connection", "Content-Length", "webhook-id", "Webhook-Signature"] {
            assert!(checked_headers([(name, "x")]).is_err(), "{name}");
        }
        for (name, value) in [("", "x"), ("a b", "x"), ("a\r\nb", "x"), ("a", "x\r\nb: c"), ("a", "ü")] {
            assert!(checked_headers([(name, value)]).is_err(), "{name:?} {value:?}");
        }
        let set = checked_headers([("Authorization", "Bearer 1"), ("X-Shop", "2")]).unwrap();
        assert_eq!(set, [("authorization".to_owned(), "Bearer 1".to_owned()), ("x-shop".to_owned(), "2".to_owned())]);
        assert!(checked_headers([("X-Shop", "1"), ("x-shop", "2")]).is_err());
    }

    #[test]
    fn as_many_headers_as_the_limit_are_taken_and_not_one_more() {
        let names: Vec<String> = (0..=HEADERS_MAX).map(|n| format!("x-{n}")).collect();
        let pairs = |count: usize| names.iter().take(count).map(|name| (name.as_str(), "v")).collect::<Vec<_>>();
        assert_eq!(checked_headers(pairs(HEADERS_MAX)).unwrap().len(), HEADERS_MAX);
        assert!(checked_headers(pairs(HEADERS_MAX + 1)).is_err());
    }

    #[test]
    fn a_filter_that_takes_nothing_is_refused_by_name() {
        let events = |list: &[&str]| checked_events(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(events(&["message.*"]).unwrap(), ["message.*"]);
        assert!(events(&["nonsense"]).unwrap_err().to_string().starts_with("\"nonsense\" is no type of events"));
    }
}
