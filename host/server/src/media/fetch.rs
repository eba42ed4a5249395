//! Who fetches what a URL names.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::blobs::Incoming;
use crate::egress::{DownloadLimits, DownloadSink, GuardError, GuardedClient};

/// What a source says of what it sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The MIME type that it gives.
    pub mime: Option<String>,
    /// The name that it gives.
    pub file_name: Option<String>,
}

/// Why a URL was not fetched. The words are for the customer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It cannot be reached, or must not be.
    #[error("{0}")]
    Unreachable(String),
    /// It is over the limit.
    #[error("over the limit of {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The bytes cannot be kept: the host's fault.
    #[error("{0}")]
    Host(String),
}

/// Fetches URLs of customers.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Whether a URL may be fetched, as far as can be told without asking anybody.
    ///
    /// # Errors
    /// Why not, in words for the customer.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Fetches a URL into a file.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn fetch(&self, url: &str, bytes_max: u64, into: &mut Incoming) -> Result<Fetched, FetchError>;
}

/// Bytes of a download go into a file as they come.
struct Into<'a>(&'a mut Incoming);

#[async_trait]
impl DownloadSink for Into<'_> {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.0.add(&chunk).await
    }
}

#[async_trait]
impl Fetch for GuardedClient {
    fn check(&self, url: &str) -> Result<(), String> {
        GuardedClient::check(self, url).map(drop).map_err(|error| why(&error))
    }

    async fn fetch(&self, url: &str, bytes_max: u64, into: &mut Incoming) -> Result<Fetched, FetchError> {
        let fetched = self.download(url, &DownloadLimits::of(bytes_max), &mut Into(into)).await;
        let fetched = fetched.map_err(|error| match error {
            GuardError::TooLarge { bytes_max } => FetchError::TooLarge { bytes_max },
            GuardError::Sink(fault) => FetchError::Host(fault.to_string()),
            unreachable => FetchError::Unreachable(why(&unreachable)),
        })?;
        let file_name = fetched.content_disposition.as_deref().and_then(disposition_name);
        Ok(Fetched { mime: fetched.content_type, file_name })
    }
}

/// Why a file cannot be fetched, where that it cannot is said already.
fn why(error: &GuardError) -> String {
    match error {
        GuardError::Target(mistake) if mistake.is_mistake() => mistake.to_string(),
        other => other.to_string(),
    }
}

/// The file name in a `content-disposition`: the extended form first, then the plain one.
fn disposition_name(header: &str) -> Option<String> {
    let parameter = |name: &str| {
        header.split(';').skip(1).find_map(|part| {
            let (key, value) = part.trim().split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let extended = parameter("filename*").and_then(|value| {
        let encoded = value.splitn(3, '\'').nth(2)?.to_owned();
        Some(percent_encoding::percent_decode_str(&encoded).decode_utf8().ok()?.into_owned())
    });
    extended.or_else(|| parameter("filename")).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::disposition_name;

    #[test]
    fn a_name_is_read_in_either_form() {
        for (header, name) in [
            ("attachment; filename=\"a b.pdf\"", Some("a b.pdf")),
            ("attachment; FileName=a.pdf", Some("a.pdf")),
            ("attachment; filename=\"x\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.pdf", Some("Grüße.pdf")),
            ("attachment; filename=\"\"", None),
            ("inline", None),
        ] {
            assert_eq!(disposition_name(header).as_deref(), name, "{header}");
        }
    }
}
