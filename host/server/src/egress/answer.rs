//! What comes back from a guarded request.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;

/// The answer to an exchange, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of the last answer.
    pub status: u16,
    /// Its headers, names in lower case; those that are not text are left out.
    pub headers: Vec<(String, String)>,
    /// The beginning of its body, as many bytes as the limits keep.
    pub body_start: Bytes,
    /// Whether that is all of it. False too when the rest did not come in time, or broke.
    pub body_complete: bool,
    /// Milliseconds from the beginning to the head of the answer.
    pub elapsed_ms: u64,
    /// Where it came from, after redirects.
    pub url: String,
}

impl Answer {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a download was; its bytes went into the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// How many bytes.
    pub bytes: u64,
    /// What the source calls them; not to be trusted.
    pub content_type: Option<String>,
    /// The source's `content-disposition`, which may hold a file name.
    pub content_disposition: Option<String>,
    /// Where they came from, after redirects.
    pub url: String,
}

/// Takes the bytes of a download as they come. What it has taken when the download fails is worth nothing.
#[async_trait]
pub trait DownloadSink: Send {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Ends the download.
    async fn write(&mut self, chunk: Bytes) -> io::Result<()>;
}

/// In memory; the limit of the download is the limit of the memory.
#[async_trait]
impl DownloadSink for Vec<u8> {
    async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        self.extend_from_slice(&chunk);
        Ok(())
    }
}
