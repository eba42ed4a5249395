//! Files that come as a request's body, raw or as a part of a form: their bytes have to keep coming, and are passed on as they
//! come.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Incoming};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::time::Instant;

use super::problem::Problem;

/// Longest wait for the next bytes of an upload.
const CHUNK_WAIT: Duration = Duration::from_secs(30);
/// Longest upload.
const UPLOAD_WAIT: Duration = Duration::from_secs(600);
/// What a form may have beside its file, bytes.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a form that are read and not yet passed on: a few pieces of a body, and never the heads of endless parts.
const UNREAD_BYTES_MAX: u64 = 1024 * 1024;

/// Why an upload ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadFault {
    /// Bytes stopped coming.
    #[error("no bytes came within {} s", .0.as_secs())]
    Slow(Duration),
    /// It took too long.
    #[error("the upload was not done within {} s", .0.as_secs())]
    Long(Duration),
    /// The connection ended.
    #[error("the body broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The form has no end of what is not a file.
    #[error("the form has more than {FORM_BYTES_MAX} bytes beside its file")]
    Unread,
}

/// Why a form ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormFault {
    /// Its bytes did not come.
    #[error(transparent)]
    Upload(#[from] UploadFault),
    /// It is over its limit.
    #[error("the form is over the limit of {0} bytes")]
    TooLarge(u64),
    /// It is not well formed.
    #[error("the form: {0}")]
    Malformed(String),
}

impl From<multer::Error> for FormFault {
    fn from(error: multer::Error) -> Self {
        match error {
            multer::Error::StreamReadFailed(fault) => match fault.downcast::<UploadFault>() {
                Ok(fault) => Self::Upload(*fault),
                Err(other) => Self::Malformed(other.to_string()),
            },
            multer::Error::StreamSizeExceeded { limit } => Self::TooLarge(limit),
            other => Self::Malformed(other.to_string()),
        }
    }
}

impl From<FormFault> for Problem {
    fn from(fault: FormFault) -> Self {
        match fault {
            FormFault::Upload(fault) => fault.into(),
            FormFault::TooLarge(limit) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, fault.to_string())
                .with("code", "too_large")
                .with("bytes_max", limit.saturating_sub(FORM_BYTES_MAX)),
            FormFault::Malformed(_) => Self::new(StatusCode::BAD_REQUEST, fault.to_string()),
        }
    }
}

impl From<UploadFault> for Problem {
    fn from(fault: UploadFault) -> Self {
        let status = match fault {
            UploadFault::Slow(_) | UploadFault::Long(_) => StatusCode::REQUEST_TIMEOUT,
            UploadFault::Broken(_) => StatusCode::BAD_REQUEST,
            UploadFault::Unread => StatusCode::PAYLOAD_TOO_LARGE,
        };
        Self::new(status, fault.to_string())
    }
}

/// A body whose bytes have to keep coming.
pub(super) struct Upload {
    body: Incoming,
    deadline: Instant,
}

impl Upload {
    pub(super) fn of(body: Incoming) -> Self {
        Self { body, deadline: Instant::now() + UPLOAD_WAIT }
    }

    /// How many bytes it has at least, as far as is known before they come.
    pub(super) fn announced(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// The next bytes; nothing at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, UploadFault> {
        loop {
            if Instant::now() > self.deadline {
                return Err(UploadFault::Long(UPLOAD_WAIT));
            }
            let next = tokio::time::timeout(CHUNK_WAIT, self.body.frame()).await;
            let Some(frame) = next.map_err(|_| UploadFault::Slow(CHUNK_WAIT))? else { return Ok(None) };
            if let Ok(bytes) = frame?.into_data() {
                return Ok(Some(bytes));
            }
        }
    }

    /// Its bytes as they come. `unread` counts up with them.
    fn stream(self, unread: Arc<AtomicU64>) -> impl Stream<Item = Result<Bytes, UploadFault>> + Send + 'static {
        futures_util::stream::try_unfold((self, unread), |(mut upload, unread)| async move {
            // Whoever reads this takes all that is ready at once: one piece at a time is.
            tokio::task::yield_now().await;
            let Some(bytes) = upload.next().await? else { return Ok(None) };
            let more = bytes.len() as u64;
            if unread.fetch_add(more, Ordering::Relaxed).saturating_add(more) > UNREAD_BYTES_MAX {
                return Err(UploadFault::Unread);
            }
            Ok(Some((bytes, (upload, unread))))
        })
    }
}

/// A form of `multipart/form-data`.
pub(super) struct Form {
    parts: Multipart<'static>,
    unread: Arc<AtomicU64>,
}

impl Form {
    /// The form in a body of this content type, with a file of at most `bytes_max`.
    pub(super) fn of(upload: Upload, content_type: &str, bytes_max: u64) -> Result<Self, FormFault> {
        let boundary = multer::parse_boundary(content_type)
            .map_err(|_| FormFault::Malformed("multipart/form-data without its boundary".to_owned()))?;
        let whole = SizeLimit::new().whole_stream(bytes_max.saturating_add(FORM_BYTES_MAX));
        let unread = Arc::<AtomicU64>::default();
        let stream = upload.stream(Arc::clone(&unread));
        let parts = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(whole));
        Ok(Self { parts, unread })
    }

    /// The next part. The one before has to be dropped.
    pub(super) async fn next_part(&mut self) -> Result<Option<Field<'static>>, FormFault> {
        Ok(self.parts.next_field().await?)
    }

    /// The next bytes of a part; nothing at its end.
    pub(super) async fn next_bytes(&self, part: &mut Field<'static>) -> Result<Option<Bytes>, FormFault> {
        let bytes = part.chunk().await?;
        self.unread.fetch_sub(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64), Ordering::Relaxed);
        Ok(bytes)
    }
}
