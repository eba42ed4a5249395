//! Giving files to clients, whole or in part.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::task::spawn_blocking;

use super::names::{download_path, query_value};
use super::pace::Metronome;
use super::range::{Asked, asked};
use super::{Answer, Body, MediaFault, whole};
use crate::blobs::{BlobContent, OpenBlob};
use crate::network::{MediaRefusal, Pace};
use crate::shared::Shared;

pub(super) async fn download(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, MediaFault> {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let path = download_path(target).to_owned();
    let auth = request.uri().query().and_then(|query| query_value(query, "auth"));
    let pace = shared.change(|network| network.admit_download(&path, auth.as_deref()))??;
    let blobs = Arc::clone(&shared.blobs);
    let (opened, path) = spawn_blocking(move || (blobs.open_blob(&path), path))
        .await
        .map_err(|error| MediaFault::Store(io::Error::other(error)))?;
    let blob = opened
        .map_err(|error| MediaFault::Store(io::Error::other(error)))?
        .ok_or(MediaFault::Refused(MediaRefusal::Missing(path)))?;
    let bytes = blob.bytes;
    let range = request.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, from, to) = match asked(range, bytes) {
        Asked::Whole => (StatusCode::OK, 0, bytes),
        Asked::Part { from, to } => (StatusCode::PARTIAL_CONTENT, from, to),
        Asked::Nothing => {
            return Err(MediaFault::NoSuchRange { range: range.unwrap_or_default().to_owned(), bytes });
        }
    };
    let body = if request.method() == Method::HEAD {
        whole(Bytes::new())
    } else {
        read(blob, from, to, pace).await.map_err(MediaFault::Store)?
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set_headers(response.headers_mut(), status, from, to, bytes);
    Ok(response)
}

fn set_headers(headers: &mut HeaderMap, status: StatusCode, from: u64, to: u64, bytes: u64) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(range) = HeaderValue::from_str(&format!("bytes {from}-{}/{bytes}", to.saturating_sub(1)))
    {
        headers.insert(header::CONTENT_RANGE, range);
    }
}

/// The part of a file that is still to be sent.
struct Rest {
    source: Source,
    bytes: u64,
    metronome: Metronome,
}

enum Source {
    Memory(Bytes),
    File(tokio::fs::File),
}

async fn read(blob: OpenBlob, from: u64, to: u64, pace: Pace) -> io::Result<Body> {
    let metronome = Metronome::begin(pace).await;
    let source = match blob.content {
        BlobContent::Memory(mut bytes) => {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            Source::Memory(bytes.split_off(from))
        }
        BlobContent::File(file) => {
            let mut file = tokio::fs::File::from_std(file);
            file.seek(io::SeekFrom::Start(from)).await?;
            Source::File(file)
        }
    };
    let rest = Rest { source, bytes: to.saturating_sub(from), metronome };
    let frames = stream::try_unfold(rest, |mut rest| async move {
        let piece = rest.next().await?;
        Ok(piece.map(|piece| (Frame::data(piece), rest)))
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

impl Rest {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let wanted = usize::try_from(self.bytes.min(self.metronome.piece_bytes())).unwrap_or(usize::MAX);
        if wanted == 0 {
            return Ok(None);
        }
        let piece = match &mut self.source {
            Source::Memory(bytes) => bytes.split_to(wanted.min(bytes.len())),
            Source::File(file) => {
                let mut piece = vec![0; wanted];
                file.read_exact(&mut piece).await?;
                Bytes::from(piece)
            }
        };
        self.bytes = self.bytes.saturating_sub(piece.len() as u64);
        self.metronome.wait_for(piece.len()).await;
        Ok(Some(piece))
    }
}
