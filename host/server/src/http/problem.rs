//! Answers of the host's own API: JSON, and RFC 9457 problem details.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// The body of what goes out: whole, or a stream. A stream that fails breaks the connection off.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, io::Error>;

/// What goes out.
pub(super) type Answer = Response<AnswerBody>;

/// A body that is there as a whole.
pub(super) fn whole(bytes: impl Into<Bytes>) -> AnswerBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    with_type(status, "application/json", body.to_string().into())
}

/// An answer with any body.
pub(super) fn with_type(status: StatusCode, content_type: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(whole(body));
    *answer.status_mut() = status;
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    answer
}

/// The path is served, but not with this method.
pub(super) fn wrong_method(allowed: &[&str]) -> Answer {
    let allowed = allowed.join(", ");
    let header = HeaderValue::from_str(&allowed);
    let mut answer = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path answers {allowed}")).answer();
    if let Ok(header) = header {
        answer.headers_mut().insert(ALLOW, header);
    }
    answer
}

/// What a JSON pointer in a fragment keeps as it is (RFC 6901, section 6); the rest is percent-encoded.
const FRAGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A place in a body as RFC 9457 shows it: a JSON pointer as the fragment of a URI.
fn pointer(path: &[&str]) -> String {
    let mut pointer = "#".to_owned();
    for step in path {
        let step = step.replace('~', "~0").replace('/', "~1");
        pointer.push('/');
        pointer.extend(utf8_percent_encode(&step, FRAGMENT));
    }
    pointer
}

/// A problem of the host's own API.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) detail: String,
    more: Map<String, Value>,
    /// What was not found is not named yet.
    unnamed: bool,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), more: Map::new(), unnamed: false }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// An id that names nothing that the caller may see; [`Self::about`] says what of.
    pub(super) fn nothing_of_this_id() -> Self {
        Self { unnamed: true, ..Self::not_found("there is nothing of this id") }
    }

    /// Names what was not found, where that is not said yet.
    pub(super) fn about(mut self, subject: &str) -> Self {
        if self.unnamed {
            self.detail = format!("there is no {subject} of this id");
        }
        self
    }

    /// The field of a body that is wrong, and why.
    pub(super) fn invalid(field: &str, why: impl Into<String>) -> Self {
        Self::invalid_at(&[field], why)
    }

    /// The same for what lies deeper: names and indexes on the way there; none for the body itself.
    pub(super) fn invalid_at(path: &[&str], why: impl Into<String>) -> Self {
        Self::invalid_all([(path.to_vec(), why.into())])
    }

    /// The same for several places, each with why; the first is the one that is told in words.
    pub(super) fn invalid_all<'a, W: Into<String>>(places: impl IntoIterator<Item = (Vec<&'a str>, W)>) -> Self {
        let (mut detail, mut errors) = (String::new(), Vec::new());
        for (path, why) in places {
            let why = why.into();
            if errors.is_empty() {
                let place = if path.is_empty() { "the body".to_owned() } else { path.join(".") };
                detail = format!("{place}: {why}");
            }
            errors.push(serde_json::json!({ "pointer": pointer(&path), "detail": why }));
        }
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with("errors", errors)
    }

    /// The parameter of a query, or the header, that is wrong, and why.
    pub(super) fn bad_parameter(name: &str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{name}: {why}"))
            .with("errors", serde_json::json!([{ "parameter": name, "detail": why }]))
    }

    /// A member beyond those of the RFC.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// What is wrong with one entry of the list `list` of a body that is taken all the same: `error`, and `errors` and `code`
    /// where there are any, with places as seen from the whole body.
    pub(super) fn of_entry(mut self, list: &str, index: usize) -> Map<String, Value> {
        let mut entry = Map::new();
        entry.insert("error".to_owned(), self.detail.into());
        if let Some(mut errors) = self.more.remove("errors") {
            for error in errors.as_array_mut().into_iter().flatten() {
                if let Some(Value::String(place)) = error.get_mut("pointer") {
                    *place = format!("{}{}", pointer(&[list, &index.to_string()]), place.trim_start_matches('#'));
                }
            }
            entry.insert("errors".to_owned(), errors);
        }
        entry.extend(self.more.remove("code").map(|code| ("code".to_owned(), code)));
        entry
    }

    /// The body of its answer.
    pub(super) fn body(self) -> Value {
        let mut body = self.more;
        body.insert("type".to_owned(), "about:blank".into());
        body.insert("title".to_owned(), self.status.canonical_reason().unwrap_or("Problem").into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        body.insert("detail".to_owned(), self.detail.into());
        Value::Object(body)
    }

    pub(super) fn answer(self) -> Answer {
        let (status, body) = (self.status, self.body());
        let retry_after = body.get("retry_after").and_then(Value::as_u64);
        let mut answer = with_type(status, "application/problem+json", body.to_string().into());
        if let Some(seconds) = retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_json_pointer_in_a_fragment() {
        assert_eq!(pointer(&[]), "#");
        assert_eq!(pointer(&["content", "value", "0", "file_name"]), "#/content/value/0/file_name");
        assert_eq!(pointer(&["a/b~c", "ü d"]), "#/a~1b~0c/%C3%BC%20d");
    }
}
