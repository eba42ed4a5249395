//! Messages that are files of a form, one for each.

use switchboard_dialect::{Failure, Of, What, done, fields};
use switchboard_guest_sdk::fields::Fields;
use switchboard_guest_sdk::router::{ReceivedFile, Request, Response};
use switchboard_guest_sdk::types::{Content, Extras, Media, MediaSource, Outgoing};
use switchboard_guest_sdk::{at_once, media, media_from, messages, no_extras};

use crate::answer::{self, sent_files};
use crate::fields::recipient;
use crate::send::session;

/// What files are sent as.
struct SentAs {
    content: fn(Media) -> Content,
    gif: bool,
    voice_note: bool,
    view_once: bool,
}

fn flag(fields: &mut Fields, name: &str) -> bool {
    fields.switch(name).unwrap_or(false)
}

pub fn photos(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| SentAs {
        content: Content::Image,
        gif: false,
        voice_note: false,
        view_once: flag(fields, "viewOnce"),
    })
}

pub fn videos(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| SentAs {
        content: Content::Video,
        gif: flag(fields, "gif"),
        voice_note: false,
        view_once: flag(fields, "viewOnce"),
    })
}

pub fn audios(request: &Request) -> Result<Response, Failure> {
    send(request, |fields| SentAs {
        content: Content::Audio,
        gif: false,
        voice_note: flag(fields, "voice"),
        view_once: false,
    })
}

pub fn files(request: &Request) -> Result<Response, Failure> {
    send(request, |_| SentAs { content: Content::Document, gif: false, voice_note: false, view_once: false })
}

/// Sends every file of a form, or none of them; the caption goes with the first.
fn send(request: &Request, sent_as: fn(&mut Fields) -> SentAs) -> Result<Response, Failure> {
    let session = session(request)?;
    let mut fields = fields(request)?;
    let to = recipient(&mut fields);
    let sent_as = sent_as(&mut fields);
    let caption = fields.text("caption").filter(|caption| !caption.is_empty());
    done(fields)?;
    if request.files.is_empty() {
        return Err(Failure::Malformed("at least one file is required".to_owned()));
    }
    let mut handles = Vec::with_capacity(request.files.len());
    for file in &request.files {
        let handle =
            if sent_as.voice_note { media::voice_note(&file.blob).of(What::Session)?.handle } else { file.blob.clone() };
        handles.push(handle);
    }
    let mut wishes = Vec::with_capacity(handles.len());
    for (at, (file, handle)) in request.files.iter().zip(handles).enumerate() {
        let caption = caption.clone().filter(|_| at == 0);
        let content = (sent_as.content)(media_of(file, handle, caption, &sent_as));
        let extras = Extras { view_once: sent_as.view_once, ..no_extras() };
        wishes.push(Outgoing { to: to.clone(), content, extras });
    }
    let accepted = messages::send_all(session, &wishes, &at_once()).of(What::Session)?;
    Ok(answer::done(&accepted.limits, &sent_files(&accepted.messages)))
}

fn media_of(file: &ReceivedFile, handle: String, caption: Option<String>, sent_as: &SentAs) -> Media {
    Media {
        mime: Some(file.mime.clone()),
        caption,
        file_name: file.file_name.clone(),
        voice_note: sent_as.voice_note,
        gif: sent_as.gif,
        ..media_from(MediaSource::Blob(handle))
    }
}
