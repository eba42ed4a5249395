//! Helpers for routers: routes, JSON in, JSON out.

use serde::Serialize;

use crate::router::{
    BodyRule, Credential, CredentialPlace, FileKind, FileRule, FormRule, LiveAnswer, LiveSource, Rate, RatePer,
    ReceivedFile, Request, Response, ResponseBody, Route,
};
use crate::streamer::Step;
use crate::types::{Field, KeyKind};

/// Most bytes of a JSON body where a dialect gives no other figure: 1 MiB.
pub const JSON_BODY_BYTES_MAX: u32 = 1024 * 1024;

/// Most bytes of a JSON body with files in it as base64: 32 MiB.
pub const BASE64_BODY_BYTES_MAX: u32 = 32 * 1024 * 1024;
/// Most bytes of one file: 100 MiB.
pub const FILE_BYTES_MAX: u64 = 100 * 1024 * 1024;
/// Most bytes of a form's fields that are no files.
pub const FIELDS_BYTES_MAX: u32 = 256 * 1024;

/// A route with a JSON body of the usual size.
pub fn route(method: &str, path: &str, credentials: &[Credential]) -> Route {
    Route {
        method: method.to_owned(),
        path: path.to_owned(),
        credentials: credentials.to_vec(),
        body: BodyRule {
            json_bytes_max: JSON_BODY_BYTES_MAX,
            base64_keys: Vec::new(),
            form: None,
            raw: None,
            form_only: false,
        },
        rate: None,
    }
}

/// At most `count_max` files of a kind in the form field `field` (`*` for any), each of 100 MiB at most.
pub fn files(field: &str, count_max: u32, kind: FileKind) -> FileRule {
    FileRule { field: field.to_owned(), count_max, bytes_max: FILE_BYTES_MAX, kind }
}

impl Route {
    /// The same route, which takes forms as well, with these files in them.
    #[must_use]
    pub fn form(mut self, files: &[FileRule]) -> Self {
        self.body.form = Some(FormRule { files: files.to_vec(), fields_bytes_max: FIELDS_BYTES_MAX });
        self
    }

    /// The same route, which takes nothing but forms, with these files in them.
    #[must_use]
    pub fn form_only(mut self, files: &[FileRule]) -> Self {
        self.body.form_only = true;
        self.form(files)
    }

    /// The same route, which takes JSON of up to 32 MiB whose members of these names are files as base64.
    #[must_use]
    pub fn base64(mut self, keys: &[&str]) -> Self {
        self.body.json_bytes_max = BASE64_BODY_BYTES_MAX;
        self.body.base64_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self
    }

    /// The same route, to which a body that is neither JSON nor a form is a file.
    #[must_use]
    pub fn raw(mut self, file: FileRule) -> Self {
        self.body.raw = Some(file);
        self
    }

    /// The same route, of which, together with all of this `name`, an account may ask `per_minute` times in a minute.
    #[must_use]
    pub fn per_account(mut self, name: &str, per_minute: u32) -> Self {
        self.rate = Some(Rate { name: name.to_owned(), per_minute, per: RatePer::Account });
        self
    }
}

/// The service of keys that were made for no other.
pub const SERVICE: &str = "whatsapp";

/// Keys of these kinds, of the service [`SERVICE`], as `Authorization: Bearer …`.
pub fn bearer(kinds: &[KeyKind]) -> Credential {
    Credential { place: CredentialPlace::Bearer, kinds: kinds.to_vec(), service: Some(SERVICE.to_owned()) }
}

/// Keys of these kinds, of the service [`SERVICE`], in the header `name`.
pub fn in_header(name: &str, kinds: &[KeyKind]) -> Credential {
    let place = CredentialPlace::Header(name.to_owned());
    Credential { place, kinds: kinds.to_vec(), service: Some(SERVICE.to_owned()) }
}

/// Tokens that [`crate::sessions::draw_links`] drew, in the query parameter `name`.
pub fn link_in_query(name: &str) -> Credential {
    Credential { place: CredentialPlace::Query(name.to_owned()), kinds: vec![KeyKind::Link], service: None }
}

/// An answer with a JSON body.
pub fn json(status: u16, body: &impl Serialize) -> Response {
    Response {
        status,
        headers: vec![Field { name: "content-type".to_owned(), value: "application/json".to_owned() }],
        // Only a map with keys that are no text cannot be written, and no dialect has one.
        body: ResponseBody::Bytes(serde_json::to_vec(body).unwrap_or_default()),
    }
}

/// An answer without a body.
pub fn empty(status: u16) -> Response {
    Response { status, headers: Vec::new(), body: ResponseBody::Bytes(Vec::new()) }
}

/// Server-sent events of `source`, which the plugin's `streamer` renders; `state` is what its first call is given.
pub fn stream(source: LiveSource, state: Vec<u8>) -> Response {
    Response { status: 200, headers: Vec::new(), body: ResponseBody::Live(LiveAnswer { source, state }) }
}

/// A server-sent event of this type, after which the stream goes on.
pub fn sent_event(name: &str, data: &impl Serialize) -> Step {
    // JSON has no line breaks of its own, and only a map with keys that are no text cannot be written.
    let data = serde_json::to_string(data).unwrap_or_default();
    Step { bytes: format!("event: {name}\ndata: {data}\n\n").into_bytes(), state: None, done: false }
}

/// Nothing to write, and the stream goes on.
pub fn nothing_to_tell() -> Step {
    Step { bytes: Vec::new(), state: None, done: false }
}

impl Step {
    /// The same, after which the stream ends.
    #[must_use]
    pub fn last(self) -> Self {
        Self { done: true, ..self }
    }
}

impl Request {
    /// What the name in braces matched; an empty text when the route has no such name.
    pub fn param(&self, name: &str) -> &str {
        value_of(&self.params, name).unwrap_or_default()
    }

    /// The first query parameter of this name.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        value_of(&self.query, name)
    }

    /// The first form field of this name.
    pub fn form_value(&self, name: &str) -> Option<&str> {
        value_of(&self.form, name)
    }

    /// The first file that came in this form field, or at this path in the JSON.
    pub fn file(&self, field: &str) -> Option<&ReceivedFile> {
        self.files.iter().find(|file| file.field == field)
    }
}

fn value_of<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}
