//! Why a draft did not become a message.

use crate::phone::PhoneError;

/// Why a draft did not become a message. Shown to the caller as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeFault {
    #[error("the message is not a json object: {0}")]
    Json(#[source] serde_json::Error),
    #[error("{field}: {problem}")]
    Field { field: String, problem: String },
    #[error("{field} is {bytes} bytes; 1 to {bytes_max} are allowed")]
    Length { field: &'static str, bytes: usize, bytes_max: usize },
    #[error("the message has no content; expected one of: {known}")]
    NoContent { known: String },
    #[error("the message may have one content, and has more: {fields}")]
    TooMuch { fields: String },
    #[error("{field}: the phone knows no message {id:?}")]
    UnknownMessage { field: &'static str, id: String },
    #[error("the message is {bytes} bytes; the limit is {bytes_max}")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error(transparent)]
    Phone(#[from] PhoneError),
}

impl ComposeFault {
    pub(super) fn field(field: &str, problem: String) -> Self {
        Self::Field { field: field.to_owned(), problem }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::field(field, "is missing".to_owned())
    }
}
