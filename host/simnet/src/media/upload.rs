//! Taking files from clients.
//!
//! A client that has much to send asks first, with `resume=1` and no body, how much is there; it then sends the rest with
//! `file_offset`. (As `upload.rs` of whatsapp-rust 0.7.0 has it.)

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::header;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::names::{UploadName, query_value, upload_name};
use super::pace::Metronome;
use super::spool::Part;
use super::{Answer, MEDIA_BYTES_MAX, MediaFault, respond};
use crate::control::ControlAnswer;
use crate::network::UploadPlan;
use crate::shared::Shared;

/// A client that sends nothing for this long has broken off.
const CHUNK_WAIT_MAX: Duration = Duration::from_secs(30);

/// An upload as it was asked for.
struct Wanted {
    name: UploadName,
    auth: Option<String>,
    probe: bool,
    offset: Option<u64>,
    /// Where the client has reached us.
    authority: String,
}

/// How the body ended.
enum Received {
    Whole,
    BrokenOff,
    TooLarge,
}

pub(super) async fn upload(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, MediaFault> {
    let announced = request.body().size_hint().lower();
    let (head, incoming) = request.into_parts();
    let wanted = match read(&head) {
        Ok(wanted) => wanted,
        Err(fault) => {
            drain(incoming).await;
            return Err(fault);
        }
    };
    if wanted.probe {
        drain(incoming).await;
        shared.change(|network| network.admit_probe(wanted.auth.as_deref()))??;
        return Ok(respond(ControlAnswer::json(200, &progress(shared, &wanted))));
    }
    let plan = match admit(shared, &wanted, announced.saturating_add(wanted.offset.unwrap_or(0))) {
        Ok(plan) => plan,
        // So much is not even read.
        Err(MediaFault::TooLarge) => return Err(MediaFault::TooLarge),
        Err(fault) => {
            // A client that writes on and on would never read why it was refused.
            drain(incoming).await;
            return Err(fault);
        }
    };
    // In a task of its own: what has come must be kept when the connection takes this future away.
    let taken = tokio::spawn(take(Arc::clone(shared), wanted, incoming, plan)).await;
    let answer = taken.map_err(|error| MediaFault::Store(std::io::Error::other(error)))??;
    Ok(respond(ControlAnswer::json(200, &answer)))
}

fn read(head: &hyper::http::request::Parts) -> Result<Wanted, MediaFault> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let name = upload_name(path, query)?
        .ok_or_else(|| MediaFault::Method { method: head.method.clone(), path: path.to_owned() })?;
    let offset = query_value(query, "file_offset")
        .map(|value| value.parse().map_err(|_| MediaFault::BadNumber { name: "file_offset", value }))
        .transpose()?;
    let authority = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Ok(Wanted {
        name,
        auth: query_value(query, "auth"),
        probe: query_value(query, "resume").as_deref() == Some("1"),
        offset,
        authority: authority.to_owned(),
    })
}

fn admit(shared: &Shared, wanted: &Wanted, body_bytes: u64) -> Result<UploadPlan, MediaFault> {
    let plan = shared.change(|network| network.admit_upload(wanted.auth.as_deref()))??;
    if body_bytes > MEDIA_BYTES_MAX {
        return Err(MediaFault::TooLarge);
    }
    Ok(plan)
}

/// Takes the bytes, and stores them once they are all there and are what the token says.
async fn take(shared: Arc<Shared>, wanted: Wanted, body: Incoming, plan: UploadPlan) -> Result<Value, MediaFault> {
    let UploadName { direct_path, token } = &wanted.name;
    let spool = &shared.media.spool;
    let mut part = match wanted.offset {
        Some(offset) => spool.resume(token, offset).await?,
        None => spool.begin().await.map_err(MediaFault::Store)?,
    };
    let received = receive(&mut part, body, &plan).await.map_err(MediaFault::Store)?;
    match received {
        Received::Whole => {
            part.finish(*token, Arc::clone(&shared.blobs), direct_path.clone()).await?;
            shared.change(|network| network.media_uploaded(direct_path))?;
            Ok(stored(&wanted))
        }
        Received::BrokenOff => {
            part.flush().await.map_err(MediaFault::Store)?;
            let bytes = part.bytes();
            spool.keep(*token, part);
            Err(MediaFault::BrokenOff(bytes))
        }
        Received::TooLarge => Err(MediaFault::TooLarge),
    }
}

async fn receive(part: &mut Part, mut body: Incoming, plan: &UploadPlan) -> std::io::Result<Received> {
    let mut metronome = Metronome::begin(plan.pace).await;
    loop {
        let frame = match timeout(CHUNK_WAIT_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(Received::Whole),
            Ok(Some(Err(_))) | Err(_) => return Ok(Received::BrokenOff),
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if let Some(cut) = plan.cut_after
            && part.bytes() + chunk.len() as u64 >= cut
        {
            let left = usize::try_from(cut.saturating_sub(part.bytes())).unwrap_or(usize::MAX);
            part.write(chunk.get(..left).unwrap_or(&chunk)).await?;
            drain(body).await;
            return Ok(Received::BrokenOff);
        }
        if part.bytes() + chunk.len() as u64 > MEDIA_BYTES_MAX {
            return Ok(Received::TooLarge);
        }
        part.write(&chunk).await?;
        metronome.wait_for(chunk.len()).await;
    }
}

/// Reads what a client sends in vain, up to what it may send at all.
async fn drain(mut body: Incoming) {
    let mut bytes: u64 = 0;
    while bytes <= MEDIA_BYTES_MAX
        && let Ok(Some(Ok(frame))) = timeout(CHUNK_WAIT_MAX, body.frame()).await
    {
        bytes = bytes.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
    }
}

/// How far an upload has come. The offset is a text, as whatsapp-rust 0.7.0 reads it.
fn progress(shared: &Shared, wanted: &Wanted) -> Value {
    let path = &wanted.name.direct_path;
    let hidden = shared.look(|network| network.is_media_missing(path));
    if !hidden && shared.blobs.has(path) {
        let mut answer = stored(wanted);
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("resume".to_owned(), json!("complete"));
        }
        return answer;
    }
    json!({ "resume": shared.media.spool.bytes_of(&wanted.name.token).to_string() })
}

/// What every client wants to know; `handle` is for messages in channels, the last three for a shop's cover.
fn stored(wanted: &Wanted) -> Value {
    let UploadName { direct_path, token } = &wanted.name;
    let handle = URL_SAFE_NO_PAD.encode(token);
    json!({
        "url": format!("https://{}{direct_path}", wanted.authority),
        "direct_path": direct_path,
        "handle": handle,
        "object_id": handle,
        "fbid": handle,
        "meta_hmac": handle,
        "ts": crate::clock::now_ms() / 1000,
    })
}
