//! Reads requests: bounded bodies, queries, credentials.

use bytes::Bytes;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap};

use switchboard_runtime::types::{Credential, CredentialPlace};

use super::upload::Upload;

/// Headers that can carry a credential: no plugin ever sees one.
const CREDENTIAL_HEADERS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-api-token", "x-admin-key"];
/// Most query parameters that are looked at.
const QUERY_FIELDS_MAX: usize = 100;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is over the limit.
    TooLarge,
    /// It did not come in time, or broke off.
    Broken(String),
}

/// The whole body, at most `limit` bytes of it.
pub(super) async fn body(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    let mut upload = Upload::of(body);
    if upload.announced() > limit as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(bytes) = upload.next().await.map_err(|fault| BodyError::Broken(fault.to_string()))? {
        if whole.len() + bytes.len() > limit {
            return Err(BodyError::TooLarge);
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.into())
}

/// The parameters of a query, decoded.
pub(super) fn query(query: Option<&str>) -> Vec<(String, String)> {
    let fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    fields.take(QUERY_FIELDS_MAX).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// The first parameter of this name.
pub(super) fn query_value(text: Option<&str>, name: &str) -> Option<String> {
    query(text).into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// What plugins see of the parameters: no credential among them.
pub(super) fn visible_query(text: Option<&str>, credentials: &[Credential]) -> Vec<(String, String)> {
    let is = |place: &CredentialPlace, given: &str| matches!(place, CredentialPlace::Query(name) if name == given);
    let mut fields = query(text);
    fields.retain(|(given, _)| !credentials.iter().any(|credential| is(&credential.place, given)));
    fields
}

/// How the caller calls this host. What it says of itself comes back to it alone, so it is believed.
pub(super) fn base_url(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    let host = text("host").filter(|host| !host.is_empty() && host.chars().all(part)).unwrap_or("localhost");
    let secure = text("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    format!("{}://{host}", if secure { "https" } else { "http" })
}

/// The host that a request is for, in lower case and without a port.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = uri.host().or_else(|| headers.get("host").and_then(|value| value.to_str().ok()))?;
    let name = match named.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => named,
    };
    Some(name.trim().trim_end_matches('.').to_ascii_lowercase())
}

/// The Bearer token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The credential at `place` of the headers.
pub(super) fn credential<'a>(headers: &'a HeaderMap, place: &CredentialPlace) -> Option<&'a str> {
    match place {
        CredentialPlace::Bearer => bearer(headers),
        CredentialPlace::Header(name) => headers.get(name)?.to_str().ok().map(str::trim),
        CredentialPlace::Query(_) => None,
    }
}

/// What plugins see of the headers.
pub(super) fn visible_headers(headers: &HeaderMap, places: impl Iterator<Item = CredentialPlace>) -> Vec<(String, String)> {
    let declared: Vec<String> = places
        .filter_map(|place| match place {
            CredentialPlace::Header(name) => Some(name),
            CredentialPlace::Bearer | CredentialPlace::Query(_) => None,
        })
        .collect();
    let shown = |name: &str| !CREDENTIAL_HEADERS.contains(&name) && !declared.iter().any(|declared| declared == name);
    headers
        .iter()
        .filter(|(name, _)| shown(name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn no_header_that_can_carry_a_credential_is_visible() {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "cookie", "x-api-key", "x-api-token", "x-own-token", "accept"] {
            headers.insert(name, HeaderValue::from_static("secret"));
        }
        let places = [CredentialPlace::Bearer, CredentialPlace::Header("x-own-token".to_owned())];
        let visible = visible_headers(&headers, places.into_iter());
        assert_eq!(visible, [("accept".to_owned(), "secret".to_owned())]);
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("bearer  abc "));
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert("authorization", HeaderValue::from_static("Basic abc"));
        assert_eq!(bearer(&headers), None);
    }

    #[test]
    fn the_host_is_called_as_its_caller_calls_it() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("wa.example.org:8443"));
        assert_eq!(base_url(&headers), "http://wa.example.org:8443");
        headers.insert("x-forwarded-proto", HeaderValue::from_static("HTTPS"));
        assert_eq!(base_url(&headers), "https://wa.example.org:8443");
        headers.insert("host", HeaderValue::from_static("a.example/x?"));
        assert_eq!(base_url(&headers), "https://localhost");
    }

    #[test]
    fn the_host_of_a_request_has_no_port_and_no_case() {
        let mut headers = HeaderMap::new();
        let plain = Uri::from_static("/api/v1/status");
        assert_eq!(host(&plain, &headers), None);
        for (given, name) in [("WA.Example.org:8443", "wa.example.org"), ("wa.example.org.", "wa.example.org"), ("wa", "wa")]
        {
            headers.insert("host", HeaderValue::from_static(given));
            assert_eq!(host(&plain, &headers).as_deref(), Some(name));
        }
        let whole = Uri::from_static("http://other.example:80/api/v1/status");
        assert_eq!(host(&whole, &headers).as_deref(), Some("other.example"), "what the request itself names comes first");
    }

    #[test]
    fn a_token_in_a_query_is_read_and_shown_to_no_plugin() {
        let credential = |place| Credential { place, kinds: Vec::new(), service: None };
        let query = Some("a=1&token=lnk_x&token=lnk_y&b=2");
        assert_eq!(query_value(query, "token").as_deref(), Some("lnk_x"));
        assert_eq!(query_value(query, "t"), None);
        let places = [credential(CredentialPlace::Bearer), credential(CredentialPlace::Query("token".to_owned()))];
        let seen: Vec<String> = visible_query(query, &places).into_iter().map(|(name, _)| name).collect();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn a_query_is_decoded() {
        let fields = query(Some("a=1%202&b=x+y&c"));
        let expected = [("a", "1 2"), ("b", "x y"), ("c", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields, expected);
    }
}
