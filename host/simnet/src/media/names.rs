//! How requests name what they are about.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::MediaFault;
use super::spool::Token;
use crate::control::percent_decoded;

/// The kinds of files that clients upload, as their paths say it: whatsapp-rust 0.7.0 (`wacore::download`), Baileys 7
/// (`MEDIA_PATH_MAP`), and the channels' kinds of other clients.
const TYPES: [&str; 18] = [
    "image",
    "video",
    "gif",
    "ptv",
    "audio",
    "ptt",
    "document",
    "sticker",
    "sticker-pack",
    "thumbnail-sticker-pack",
    "thumbnail-link",
    "thumbnail-image",
    "thumbnail-video",
    "thumbnail-document",
    "md-msg-hist",
    "md-app-state",
    "product-catalog-image",
    "biz-cover-photo",
];
/// What comes before the kind: messages, channels, a shop's goods and profile.
const SERVICES: [&str; 4] = ["mms", "newsletter", "product", "pps"];
/// Before kinds of files in channels, which are not sealed.
const CHANNEL_PREFIX: &str = "newsletter-";

/// An upload as its URL names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UploadName {
    /// Where the file will be.
    pub(super) direct_path: String,
    /// The hash it must have.
    pub(super) token: Token,
}

/// Reads `/<service>/<type>/<token>`; `None` for another path.
pub(super) fn upload_name(path: &str, query: &str) -> Result<Option<UploadName>, MediaFault> {
    let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
    let (Some(service), Some(kind), Some(token), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Ok(None);
    };
    let known = TYPES.contains(&kind.strip_prefix(CHANNEL_PREFIX).unwrap_or(kind));
    if !SERVICES.contains(&service) || !known {
        return Ok(None);
    }
    let token = read_token(token)?;
    if let Some(again) = query_value(query, "token")
        && read_token(&again)? != token
    {
        return Err(MediaFault::TwoTokens);
    }
    Ok(Some(UploadName { direct_path: format!("/v/{kind}/{}.enc", hex::encode(token)), token }))
}

/// The url-safe base64 of a SHA-256. Some clients pad it and some do not.
fn read_token(text: &str) -> Result<Token, MediaFault> {
    let text = percent_decoded(text);
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(MediaFault::BadToken(text))
}

/// The file that a download is about. Some clients put `&` after it, for they expect a path that has a query already.
pub(super) fn download_path(target: &str) -> &str {
    target.split(['?', '&']).next().unwrap_or_default()
}

/// A value from a query, decoded.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
    value.map(|(_, value)| percent_decoded(value))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};

    use super::{download_path, upload_name};

    #[test]
    fn every_clients_spelling_of_an_upload_is_read() {
        let token = [0xfb; 32];
        let bare = URL_SAFE_NO_PAD.encode(token);
        let padded = URL_SAFE.encode(token);
        let escaped = padded.replace('=', "%3D");
        for (path, query, kind) in [
            (format!("/mms/image/{bare}"), format!("auth=x&token={bare}"), "image"),
            (format!("/mms/md-msg-hist/{padded}"), format!("token={escaped}"), "md-msg-hist"),
            (format!("/newsletter/newsletter-image/{escaped}"), String::new(), "newsletter-image"),
            (format!("/product/image/{bare}"), String::new(), "image"),
        ] {
            let name = upload_name(&path, &query).unwrap().unwrap();
            assert_eq!(name.token, token);
            assert_eq!(name.direct_path, format!("/v/{kind}/{}.enc", "fb".repeat(32)));
        }
    }

    #[test]
    fn paths_of_no_upload_and_tokens_of_no_hash_are_told_apart() {
        let token = URL_SAFE_NO_PAD.encode([1; 32]);
        for path in ["/", "/mms/image", "/v/image/x.enc", &format!("/mms/melody/{token}"), &format!("/mms/image/{token}/x")]
        {
            assert_eq!(upload_name(path, "").unwrap(), None, "{path}");
        }
        assert!(upload_name("/mms/image/short", "").is_err());
        let other = URL_SAFE_NO_PAD.encode([2; 32]);
        assert!(upload_name(&format!("/mms/image/{token}"), &format!("token={other}")).is_err());
    }

    #[test]
    fn file_name_ends_where_its_query_begins() {
        for target in ["/v/image/a.enc", "/v/image/a.enc?auth=x&token=y", "/v/image/a.enc&hash=z&mms-type=image"] {
            assert_eq!(download_path(target), "/v/image/a.enc");
        }
    }
}
