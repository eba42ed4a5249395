//! Helpers for routers: routes, JSON in, JSON out.

use serde::Serialize;

use crate::router::{Credential, CredentialPlace, Request, Response, Route};
use crate::types::{Field, KeyKind};

/// Most bytes of a JSON body where a dialect gives no other figure: 1 MiB.
pub const JSON_BODY_BYTES_MAX: u32 = 1024 * 1024;

/// A route with a JSON body of the usual size.
pub fn route(method: &str, path: &str, credentials: &[Credential]) -> Route {
    Route {
        method: method.to_owned(),
        path: path.to_owned(),
        credentials: credentials.to_vec(),
        body_bytes_max: JSON_BODY_BYTES_MAX,
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

/// An answer with a JSON body.
pub fn json(status: u16, body: &impl Serialize) -> Response {
    Response {
        status,
        headers: vec![Field { name: "content-type".to_owned(), value: "application/json".to_owned() }],
        // Only a map with keys that are no text cannot be written, and no dialect has one.
        body: serde_json::to_vec(body).unwrap_or_default(),
    }
}

/// An answer without a body.
pub fn empty(status: u16) -> Response {
    Response { status, headers: Vec::new(), body: Vec::new() }
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
}

fn value_of<'a>(fields: &'a [Field], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}
