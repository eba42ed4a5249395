//! Files as answers: streamed, never shown by a browser as anything of ours; and the public addresses that lead to them.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use switchboard_core::records::blob::Blob;

use super::front_door::FrontDoor;
use super::problem::{Answer, AnswerBody, Problem};

/// Bytes of a file that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a file's name may hold in a header as it is (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What keeps a browser from taking a stranger's file for a page of ours.
const GUARDS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "private, no-store"),
];

/// The bytes of a blob as a download.
pub(super) fn file_answer(blob: &Blob, file: File) -> Answer {
    let mut answer = Response::new(file_body(file));
    let headers = answer.headers_mut();
    for (name, value) in GUARDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let mime = HeaderValue::from_str(&blob.facts.mime);
    headers.insert(CONTENT_TYPE, mime.unwrap_or(HeaderValue::from_static("application/octet-stream")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(blob.bytes));
    let name = utf8_percent_encode(blob.file_name.as_deref().unwrap_or(blob.id.as_str()), PLAIN);
    if let Ok(attachment) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{name}")) {
        headers.insert(CONTENT_DISPOSITION, attachment);
    }
    answer
}

fn file_body(file: File) -> AnswerBody {
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, io::Error>((read > 0).then(|| (Frame::data(Bytes::from(chunk)), file)))
    });
    StreamBody::new(chunks).boxed_unsync()
}

impl FrontDoor {
    /// Answers a public address. Nothing tells one that never was from one whose time is over.
    pub(super) async fn media_link(&self, method: &Method, token: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path answers GET, HEAD").answer();
        }
        match self.open_link(token).await {
            Ok(answer) => answer,
            Err(problem) => problem.answer(),
        }
    }

    async fn open_link(&self, token: &str) -> Result<Answer, Problem> {
        let blob = self.media.linked(token).await?;
        Ok(file_answer(&blob, self.media.open(&blob).await?))
    }
}
