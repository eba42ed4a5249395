//! Media in the host's own API: uploads as they are, as base64 or by URL; what is known of a file; its bytes; public addresses.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use switchboard_core::flow::media::MediaRefusal;
use switchboard_core::flow::media_worker::{FetchFault, FileFetcher};
use switchboard_core::records::blob::Blob;
use switchboard_core::records::event::Fact;
use switchboard_core::records::id::TenantId;
use switchboard_core::rules::authority;
use switchboard_core::rules::said_back::said_back;

use super::super::front_door::FrontDoor;
use super::super::media_links::file_answer;
use super::super::problem::{Problem, json as json_answer};
use super::super::upload::{Form, Upload};
use super::{Answered, Call, Query, Route, no_content, route};
use crate::media::{LINK_PATH, Said, SentAs};

/// Most bytes of a JSON body that carries a file as base64.
const BASE64_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Characters of base64 that are decoded at once: a multiple of four.
const BASE64_CHUNK: usize = 64 * 1024;
/// The part of a form that is the file.
const FILE_PART: &str = "file";
/// How long a public address is good when nothing else is asked for, and at most: seconds.
const LINK_SECONDS: u64 = 3600;
const LINK_SECONDS_MAX: u64 = 7 * 86_400;

pub(super) const ROUTES: &[Route] = &[
    route("POST", "media", |door, call| Box::pin(door.add_media(call))).asked(&["file_name", "as"]),
    route("GET", "media/{id}", |door, call| Box::pin(door.show_media(call))),
    route("DELETE", "media/{id}", |door, call| Box::pin(door.delete_media(call))),
    route("GET", "media/{id}/content", |door, call| Box::pin(door.media_content(call))),
    route("POST", "events/{n}/media", |door, call| Box::pin(door.fetch_media(call))),
    route("POST", "media/{id}/link", |door, call| Box::pin(door.link_media(call))),
];

/// A file in JSON: one of `base64` and `url`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewMedia {
    base64: Option<String>,
    url: Option<String>,
    mimetype: Option<String>,
    file_name: Option<String>,
    #[serde(rename = "as")]
    sent_as: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLink {
    seconds: Option<u64>,
}

impl From<MediaRefusal> for Problem {
    fn from(refusal: MediaRefusal) -> Self {
        let why = format!("the media {refusal}");
        match refusal {
            MediaRefusal::NotFound(_) => Self::not_found(why),
            MediaRefusal::Unreachable(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "unreachable"),
            MediaRefusal::Unsupported(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "unsupported"),
            MediaRefusal::TooLarge { bytes_max, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, why).with("code", "too_large").with("bytes_max", bytes_max)
            }
            MediaRefusal::Full(_) => Self::new(StatusCode::FORBIDDEN, why).with("code", "full"),
            MediaRefusal::Unavailable(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

fn media_json(blob: &Blob) -> Value {
    let facts = &blob.facts;
    json!({
        "id": blob.id, "kind": facts.kind, "mime": facts.mime, "size": blob.bytes, "sha256": blob.sha256,
        "file_name": blob.file_name, "width": facts.width, "height": facts.height, "seconds": facts.seconds,
        "thumbnail": facts.thumbnail, "waveform": facts.waveform, "voice": facts.voice,
        "created_at": blob.created_at, "expires_at": blob.expires_at,
    })
}

/// As what a file is to be sent, by the name in a query or a body; else what is wrong with that name.
fn sent_as(name: Option<&str>) -> Result<SentAs, String> {
    Ok(match name {
        None => SentAs::Itself,
        Some("image") => SentAs::Image,
        Some("video") => SentAs::Video,
        Some("audio") => SentAs::Audio,
        Some("document") => SentAs::Document,
        Some("sticker") => SentAs::Sticker,
        Some(other) => {
            return Err(format!("{:?} is none of: image, video, audio, document, sticker", said_back(other)));
        }
    })
}

fn as_parameter(why: String) -> Problem {
    Problem::bad_parameter("as", why)
}

impl FrontDoor {
    /// A raw body, or the file of a form, is streamed to the blob store; JSON names a URL or carries base64.
    async fn add_media(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), "messages", "write").await?.tenant;
        let content_type = call.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let essence = content_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default().trim();
        let blob = match essence.to_ascii_lowercase().as_str() {
            "application/json" => self.add_named(tenant, call.json(BASE64_BODY_BYTES_MAX).await?).await?,
            "multipart/form-data" => {
                let query = call.query();
                self.add_form(tenant, call.request.into_body(), content_type.as_deref().unwrap_or_default(), &query).await?
            }
            other if other.starts_with("multipart/") => {
                let why = format!("{:?}: send the file as it is, as JSON, or as multipart/form-data", said_back(other));
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
            }
            _ => {
                let query = call.query();
                let said = Said { mime: content_type, file_name: query.get("file_name").map(str::to_owned) };
                self.add_raw(tenant, call.request.into_body(), said, &query).await?
            }
        };
        Ok(json_answer(StatusCode::CREATED, &media_json(&blob)))
    }

    async fn add_raw(&self, tenant: TenantId, body: Incoming, said: Said, query: &Query) -> Result<Blob, Problem> {
        let sent_as = sent_as(query.get("as")).map_err(as_parameter)?;
        let mut upload = Upload::of(body);
        let (announced, bytes_max) = (upload.announced(), sent_as.bytes_max());
        if announced > bytes_max {
            return Err(MediaRefusal::TooLarge { kind: sent_as.name(), bytes: announced, bytes_max }.into());
        }
        let mut incoming = self.media.begin(sent_as).await?;
        while let Some(bytes) = upload.next().await? {
            self.media.add(&mut incoming, &bytes, sent_as).await?;
        }
        Ok(self.media.take(tenant, incoming, &said, sent_as).await?)
    }

    /// The one file of a form, in its part `file`.
    async fn add_form(&self, tenant: TenantId, body: Incoming, content_type: &str, query: &Query) -> Result<Blob, Problem> {
        let sent_as = sent_as(query.get("as")).map_err(as_parameter)?;
        let mut form = Form::of(Upload::of(body), content_type, sent_as.bytes_max())?;
        let mut file = None;
        while let Some(mut part) = form.next_part().await? {
            match part.name() {
                Some(FILE_PART) if file.is_none() => {}
                Some(FILE_PART) => return Err(Problem::bad_parameter(FILE_PART, "is there twice; a form brings one file")),
                other => {
                    let name = said_back(other.unwrap_or_default());
                    let why = format!("is not known: the file is the part {FILE_PART:?}, the rest is said in the query");
                    return Err(Problem::bad_parameter(&name, why));
                }
            }
            let file_name = query.get("file_name").or(part.file_name()).map(str::to_owned);
            let said = Said { mime: part.content_type().map(ToString::to_string), file_name };
            let mut incoming = self.media.begin(sent_as).await?;
            while let Some(bytes) = form.next_bytes(&mut part).await? {
                self.media.add(&mut incoming, &bytes, sent_as).await?;
            }
            file = Some((incoming, said));
        }
        let Some((incoming, said)) = file else {
            return Err(Problem::bad_parameter(FILE_PART, "is missing: the form has no such part"));
        };
        Ok(self.media.take(tenant, incoming, &said, sent_as).await?)
    }

    async fn add_named(&self, tenant: TenantId, new: NewMedia) -> Result<Blob, Problem> {
        let sent_as = sent_as(new.sent_as.as_deref()).map_err(|why| Problem::invalid("as", why))?;
        let said = Said { mime: new.mimetype, file_name: new.file_name };
        match (new.url, new.base64) {
            (Some(url), None) => Ok(self.media.fetch_url(tenant, &url, &said, sent_as).await?),
            (None, Some(text)) => {
                let mut incoming = self.media.begin(sent_as).await?;
                // A data URL is what browsers make of a file.
                let text = text.split_once(";base64,").map_or(text.as_str(), |(_, text)| text).trim();
                for chunk in text.as_bytes().chunks(BASE64_CHUNK) {
                    let bytes = STANDARD.decode(chunk).map_err(|_| Problem::invalid("base64", "is not base64"))?;
                    self.media.add(&mut incoming, &bytes, sent_as).await?;
                }
                Ok(self.media.take(tenant, incoming, &said, sent_as).await?)
            }
            _ => Err(Problem::invalid("url", "one of url and base64 is needed, and not both")),
        }
    }

    /// Fetches the file of a message that came in from WhatsApp, unless it is kept already.
    async fn fetch_media(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "write").await?;
        let missing = || Problem::not_found("there is no event of this number");
        let event = self.storage.event(caller.tenant, call.id(0)?).await?.ok_or_else(missing)?;
        if caller.session.is_some_and(|own| own != event.session) {
            return Err(missing());
        }
        let Fact::MessageReceived(incoming) = &event.fact else {
            let why = format!("event {} is {}: no file comes with it", event.n, event.fact.type_name());
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why).with("code", "no_file"));
        };
        let fetched = self.downloads.fetch(caller.tenant, event.session, event.n, incoming).await;
        let blob = fetched.map_err(|fault| match fault {
            FetchFault::NotConnected => Problem::new(StatusCode::CONFLICT, fault.to_string()).with("code", "not_connected"),
            FetchFault::Full(_) => Problem::new(StatusCode::FORBIDDEN, fault.to_string()).with("code", "full"),
            FetchFault::Later(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, fault.to_string()),
            FetchFault::Never(_) if event.fact.has_file() => {
                Problem::new(StatusCode::GONE, fault.to_string()).with("code", "gone")
            }
            FetchFault::Never(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault.to_string()).with("code", "no_file")
            }
        })?;
        Ok(json_answer(StatusCode::OK, &media_json(&blob)))
    }

    async fn show_media(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), "messages", "read").await?.tenant;
        Ok(json_answer(StatusCode::OK, &media_json(&self.media.blob(tenant, call.param(0)).await?)))
    }

    async fn delete_media(&self, call: Call) -> Answered {
        let caller = self.tenant(call.headers(), "messages", "write").await?;
        authority::check_change(&caller, false, "deleting media")?;
        if self.media.delete(caller.tenant, call.param(0)).await? {
            return Ok(no_content());
        }
        Err(MediaRefusal::NotFound(said_back(call.param(0))).into())
    }

    async fn media_content(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), "messages", "read").await?.tenant;
        let blob = self.media.blob(tenant, call.param(0)).await?;
        Ok(file_answer(&blob, self.media.open(&blob).await?))
    }

    /// A public address for somebody who has no key: unguessable, and good for a while.
    async fn link_media(&self, call: Call) -> Answered {
        let tenant = self.tenant(call.headers(), "messages", "read").await?.tenant;
        let id = call.param(0).to_owned();
        let blob = self.media.blob(tenant, &id).await?;
        let asked: NewLink = call.json_or_nothing(super::JSON_BYTES_MAX).await?;
        let seconds = asked.seconds.unwrap_or(LINK_SECONDS);
        if seconds == 0 || seconds > LINK_SECONDS_MAX {
            return Err(Problem::invalid("seconds", format!("{seconds}: 1 to {LINK_SECONDS_MAX} are allowed")));
        }
        let until = self.clock.now().plus(Duration::from_secs(seconds)).min(blob.expires_at);
        let path = format!("{LINK_PATH}{}", self.media.link(tenant, &blob, until));
        Ok(json_answer(StatusCode::CREATED, &json!({ "path": path, "expires_at": until })))
    }
}
