//! Errors on their way out of a handler: `?` takes any of them, and the owner of the plugin reads the whole chain.

use std::error::Error;
use std::fmt::{self, Display};

use crate::types::HostError;

/// Why a handler gave up, in words for the plugin's owner. It is made by `?` from any error, with what caused it, and becomes the
/// text that handlers return:
///
/// ```
/// use switchboard_guest_sdk::{Context, Failure};
///
/// fn count(text: &str) -> Result<u32, Failure> {
///     Ok(text.trim().parse()?)
/// }
///
/// fn handler(text: &str) -> Result<u32, String> {
///     Ok(count(text).context("the order's number")?)
/// }
///
/// assert_eq!(handler(" 7 "), Ok(7));
/// assert_eq!(handler("x"), Err("the order's number: invalid digit found in string".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure that is no other's.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut words = words_of(&error);
        let mut cause = error.source();
        while let Some(error) = cause {
            let more = words_of(error);
            // Some repeat what caused them.
            if !words.ends_with(&more) {
                words = format!("{words}: {more}");
            }
            cause = error.source();
        }
        Self(words)
    }
}

fn words_of(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<HostError>() {
        Some(refused) => refusal(refused),
        None => error.to_string(),
    }
}

/// What the host refused, in words.
///
/// ```
/// use switchboard_guest_sdk::refusal;
/// use switchboard_guest_sdk::types::{HostError, InvalidField};
///
/// let why = InvalidField { field: "ttl-s".to_owned(), why: "is 0; 1 to 31622400 are taken".to_owned() };
/// assert_eq!(refusal(&HostError::Invalid(why)), "ttl-s: is 0; 1 to 31622400 are taken");
/// ```
pub fn refusal(error: &HostError) -> String {
    match error {
        HostError::NotFound => "not found".to_owned(),
        HostError::Denied(why) => format!("denied: {why}"),
        HostError::Invalid(invalid) => format!("{}: {}", invalid.field, invalid.why),
        HostError::NotConnected(state) => format!("the session is not connected: {state:?}"),
        HostError::NotYet(what) => format!("not yet: {what}"),
        HostError::Conflict(why) => format!("conflict: {why}"),
        HostError::LimitReached(limit) => format!("{} is used up: {} of {}", limit.limit, limit.used, limit.max),
        HostError::RefusedByWhatsapp(refused) => format!("WhatsApp refuses: {} {}", refused.code, refused.text),
        HostError::MediaRefused(refused) => format!("the media {}", refused.why),
        HostError::RefusedByPolicy(why) => format!("a policy does not allow it: {why}"),
        HostError::NoSuchTemplate(why) => why.clone(),
        HostError::MissingParameter(name) => format!("the template needs a parameter {name:?}"),
        HostError::Unavailable(why) => format!("unavailable: {why}"),
    }
}

/// Says in front of a failure what was being done.
pub trait Context<T> {
    /// The value, or a failure that begins with `doing`.
    ///
    /// # Errors
    /// What was there, behind `doing`; for an `Option` without a value `doing` alone.
    fn context(self, doing: impl Display) -> Result<T, Failure>;
}

impl<T> Context<T> for Result<T, Failure> {
    fn context(self, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|failure| Failure(format!("{doing}: {failure}")))
    }
}

impl<T> Context<T> for Result<T, String> {
    fn context(self, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|why| Failure(format!("{doing}: {why}")))
    }
}

impl<T> Context<T> for Result<T, HostError> {
    fn context(self, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("{doing}: {}", refusal(&error))))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, doing: impl Display) -> Result<T, Failure> {
        self.ok_or_else(|| Failure(doing.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError, &'static str);

    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn outer(words: &'static str) -> Outer {
        Outer("x".parse::<u32>().unwrap_err(), words)
    }

    #[test]
    fn what_caused_an_error_is_told_once() {
        assert_eq!(String::from(Failure::from(outer("no number"))), "no number: invalid digit found in string");
        let repeated = outer("no number: invalid digit found in string");
        assert_eq!(String::from(Failure::from(repeated)), "no number: invalid digit found in string");
    }

    #[test]
    fn what_the_host_refuses_is_told_in_words() {
        let asked = || -> Result<(), Failure> { Err(HostError::Denied("kv: not granted".to_owned()))? };
        assert_eq!(asked(), Err(Failure::new("denied: kv: not granted")));
        let nothing: Option<u32> = None;
        assert_eq!(nothing.context("no order"), Err(Failure::new("no order")));
        assert_eq!(Err::<(), _>(HostError::NotFound).context("the key"), Err(Failure::new("the key: not found")));
    }
}
