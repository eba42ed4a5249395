//! Kind and MIME type of a file, decided from its content. What a sender says of it counts only where content cannot tell.

use serde::{Deserialize, Serialize};

use crate::bytes::array;
use crate::{boxes, matroska, ogg};

/// How far into a file its beginning reaches, where text and archives are told apart.
const HEAD_BYTES: usize = 64 * 1024;
/// How far a page of HTML may put off saying so: blanks and comments come first.
const HTML_HEAD_BYTES: usize = 4096;
/// Longest MIME type that is taken from a sender.
const MIME_CHARS_MAX: usize = 127;
/// MIME type of what says nothing about itself.
const UNKNOWN: &str = "application/octet-stream";

/// As what a file can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A still or moving picture without sound: JPEG, PNG, GIF, WebP.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// Anything else.
    Document,
}

impl Kind {
    /// The name in answers and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
        }
    }
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A picture.
    Jpeg,
    /// A picture.
    Png,
    /// A picture, perhaps moving.
    Gif,
    /// A picture, perhaps moving.
    Webp,
    /// MP4 and its kin, with a film in it.
    Film,
    /// MP4 and its kin, with sound alone.
    Mp4Sound,
    /// Matroska or WebM; `webm` when it says so.
    Matroska {
        /// It keeps to WebM.
        webm: bool,
        /// There is a film in it.
        film: bool,
    },
    /// Ogg with Opus: what a voice note is.
    OggOpus,
    /// Ogg with another sound.
    OggOther,
    /// MPEG audio.
    Mp3,
    /// AAC as a stream.
    Adts,
    /// AMR; `wide` for AMR-WB.
    Amr {
        /// The wide band.
        wide: bool,
    },
    /// WAVE.
    Wav,
    /// FLAC.
    Flac,
    /// A document of this MIME type.
    Document(&'static str),
    /// Content does not tell; what the sender says may.
    Unknown(&'static str),
    /// Nothing at all.
    Empty,
    /// A web page: as a rule an error page instead of the file.
    Html,
}

impl Form {
    /// As what it can be sent; `None` for what is not sent at all.
    pub fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::Jpeg | Self::Png | Self::Gif | Self::Webp => Kind::Image,
            Self::Film | Self::Matroska { film: true, .. } => Kind::Video,
            Self::Mp4Sound
            | Self::Matroska { film: false, .. }
            | Self::OggOpus
            | Self::OggOther
            | Self::Mp3
            | Self::Adts
            | Self::Amr { .. }
            | Self::Wav
            | Self::Flac => Kind::Audio,
            Self::Document(_) | Self::Unknown(_) => Kind::Document,
            Self::Empty | Self::Html => return None,
        })
    }

    /// The MIME type that content tells.
    pub fn mime(self, bytes: &[u8]) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Film => match boxes::brand(bytes) {
                Some([b'3', b'g', _, _]) => "video/3gpp",
                Some([b'q', b't', _, _]) => "video/quicktime",
                _ => "video/mp4",
            },
            Self::Mp4Sound if matches!(boxes::brand(bytes), Some([b'3', b'g', _, _])) => "audio/3gpp",
            Self::Mp4Sound => "audio/mp4",
            Self::Matroska { webm: true, film: true } => "video/webm",
            Self::Matroska { webm: true, film: false } => "audio/webm",
            Self::Matroska { webm: false, film: true } => "video/x-matroska",
            Self::Matroska { webm: false, film: false } => "audio/x-matroska",
            Self::OggOpus => "audio/ogg; codecs=opus",
            Self::OggOther => "audio/ogg",
            Self::Mp3 => "audio/mpeg",
            Self::Adts => "audio/aac",
            Self::Amr { wide: false } => "audio/amr",
            Self::Amr { wide: true } => "audio/amr-wb",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Document(mime) | Self::Unknown(mime) => mime,
            Self::Empty => UNKNOWN,
            Self::Html => "text/html",
        }
    }

    /// The name of the one demuxer that a converter may read this form with; `None` for what is no sound. Naming it keeps the
    /// converter from guessing: a playlist never reaches a demuxer that opens other files.
    pub fn demuxer(self) -> Option<&'static str> {
        Some(match self {
            Self::Film | Self::Mp4Sound => "mov",
            Self::Matroska { .. } => "matroska",
            Self::OggOpus | Self::OggOther => "ogg",
            Self::Mp3 => "mp3",
            Self::Adts => "aac",
            Self::Amr { .. } => "amr",
            Self::Wav => "wav",
            Self::Flac => "flac",
            _ => return None,
        })
    }
}

/// The form of a file, from its bytes.
pub(crate) fn form(bytes: &[u8]) -> Form {
    if bytes.is_empty() {
        return Form::Empty;
    }
    known(bytes).unwrap_or_else(|| words_or_unknown(bytes))
}

fn known(bytes: &[u8]) -> Option<Form> {
    let riff = |what: &[u8; 4]| bytes.starts_with(b"RIFF") && array(bytes, 8) == Some(*what);
    let simple: [(&[u8], Form); 11] = [
        (b"\xff\xd8\xff", Form::Jpeg),
        (b"\x89PNG\r\n\x1a\n", Form::Png),
        (b"GIF87a", Form::Gif),
        (b"GIF89a", Form::Gif),
        (b"#!AMR\n", Form::Amr { wide: false }),
        (b"#!AMR-WB\n", Form::Amr { wide: true }),
        (b"fLaC", Form::Flac),
        (b"%PDF-", Form::Document("application/pdf")),
        (b"{\\rtf", Form::Document("application/rtf")),
        (b"\x1f\x8b\x08", Form::Document("application/gzip")),
        (b"7z\xbc\xaf\x27\x1c", Form::Document("application/x-7z-compressed")),
    ];
    if let Some((_, form)) = simple.into_iter().find(|(mark, _)| bytes.starts_with(mark)) {
        return Some(form);
    }
    if riff(b"WEBP") {
        return Some(Form::Webp);
    }
    if riff(b"WAVE") {
        return Some(Form::Wav);
    }
    if bytes.starts_with(b"OggS") {
        return Some(ogg::form(bytes));
    }
    if bytes.starts_with(b"\x1a\x45\xdf\xa3") {
        return Some(matroska::form(bytes));
    }
    if array(bytes, 4) == Some(*b"ftyp") {
        return Some(boxes::form(bytes));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Some(archive(bytes));
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Some(Form::Unknown("application/msword"));
    }
    mpeg_sound(bytes)
}

/// Two frames in a row, or a tag in front: a single frame's mark is too short to trust.
fn mpeg_sound(bytes: &[u8]) -> Option<Form> {
    if crate::sound::is_adts(bytes) {
        return Some(Form::Adts);
    }
    crate::sound::is_mp3(bytes).then_some(Form::Mp3)
}

/// Office files are archives with tell-tale names near the beginning.
fn archive(bytes: &[u8]) -> Form {
    let head = bytes.get(..HEAD_BYTES.min(bytes.len())).unwrap_or_default();
    let has = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    let stored: [(&[u8], &'static str); 4] = [
        (b"mimetypeapplication/epub+zip", "application/epub+zip"),
        (b"mimetypeapplication/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
        (b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.spreadsheet"),
        (b"mimetypeapplication/vnd.oasis.opendocument.presentation", "application/vnd.oasis.opendocument.presentation"),
    ];
    if let Some((_, mime)) = stored.into_iter().find(|(mark, _)| has(mark)) {
        return Form::Document(mime);
    }
    let office: [(&[u8], &'static str); 3] = [
        (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ];
    let is_office = has(b"[Content_Types].xml");
    match office.into_iter().find(|(mark, _)| is_office && has(mark)) {
        Some((_, mime)) => Form::Document(mime),
        None => Form::Unknown("application/zip"),
    }
}

fn words_or_unknown(bytes: &[u8]) -> Form {
    let head = bytes.get(..HEAD_BYTES.min(bytes.len())).unwrap_or_default();
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A letter that the end of the head cut in two.
        Err(error) if error.error_len().is_none() && head.len() == HEAD_BYTES => {
            head.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or_default()
        }
        // Pages in older encodings begin in plain letters too.
        Err(_) if is_html(&String::from_utf8_lossy(head.get(..HTML_HEAD_BYTES.min(head.len())).unwrap_or_default())) => {
            return Form::Html;
        }
        Err(_) => return Form::Unknown(UNKNOWN),
    };
    if is_html(text) {
        return Form::Html;
    }
    if text.contains('\0') || text.is_empty() { Form::Unknown(UNKNOWN) } else { Form::Unknown("text/plain") }
}

/// Whether it begins as a web page does, after blanks, comments and an XML declaration.
fn is_html(text: &str) -> bool {
    const TAGS: [&str; 10] =
        ["<!doctype html", "<html", "<head", "<body", "<script", "<title", "<meta", "<iframe", "<h1", "<style"];
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let after = if rest.starts_with("<!--") {
            rest.split_once("-->")
        } else if rest.starts_with("<?xml") {
            rest.split_once("?>")
        } else {
            None
        };
        match after {
            Some((_, after)) => rest = after.trim_start(),
            None => break,
        }
    }
    let begins = |tag: &str| {
        let head = rest.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
        head && !rest.get(tag.len()..).and_then(|after| after.chars().next()).is_some_and(char::is_alphanumeric)
    };
    TAGS.iter().any(|tag| begins(tag))
}

/// Whether a text looks like a MIME type that can be put into a message.
pub fn is_mime(text: &str) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let named = essence.trim().split_once('/').is_some_and(|(kind, name)| {
        !kind.is_empty() && !name.is_empty() && kind.chars().all(token) && name.chars().all(token)
    });
    named && text.len() <= MIME_CHARS_MAX && parameters.chars().all(|c| token(c) || " =;\"".contains(c))
}

/// The MIME type of a file: what content tells, or what the sender says where content leaves it open. A sender cannot pass a
/// document off as a picture, a film, a sound or a web page.
pub(crate) fn mime(form: Form, bytes: &[u8], said: Option<&str>) -> String {
    let told = form.mime(bytes);
    let Form::Unknown(_) = form else { return told.to_owned() };
    let believed = |said: &str| {
        let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let open = essence.starts_with("application/") || essence.starts_with("text/");
        is_mime(said) && open && !matches!(essence.as_str(), "text/html" | "application/xhtml+xml")
    };
    said.map(str::trim).filter(|said| believed(said)).unwrap_or(told).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_decided_from_content() {
        for (bytes, kind, mime) in [
            (&b"\xff\xd8\xff\xe0"[..], Kind::Image, "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n", Kind::Image, "image/png"),
            (b"GIF89a", Kind::Image, "image/gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", Kind::Image, "image/webp"),
            (b"RIFF\0\0\0\0WAVEfmt ", Kind::Audio, "audio/wav"),
            (b"#!AMR\n\x3c", Kind::Audio, "audio/amr"),
            (b"#!AMR-WB\n\x3c", Kind::Audio, "audio/amr-wb"),
            (b"fLaC", Kind::Audio, "audio/flac"),
            (b"ID3\x04\0\0\0\0\0\0\xff\xfb\x90\0", Kind::Audio, "audio/mpeg"),
            (b"%PDF-1.7", Kind::Document, "application/pdf"),
            (b"PK\x03\x04 and more", Kind::Document, "application/zip"),
            (
                b"PK\x03\x04....[Content_Types].xml....word/document.xml",
                Kind::Document,
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            ),
            (b"#EXTM3U\nfile:///etc/passwd", Kind::Document, "text/plain"),
            (b"ffconcat version 1.0\nfile x", Kind::Document, "text/plain"),
            ("Grüße".as_bytes(), Kind::Document, "text/plain"),
            (b"\0\x01\x02", Kind::Document, "application/octet-stream"),
            (b"\xff", Kind::Document, "application/octet-stream"),
        ] {
            let form = form(bytes);
            assert_eq!((form.kind(), form.mime(bytes)), (Some(kind), mime), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn empty_files_and_web_pages_are_of_no_kind() {
        assert_eq!(form(b"").kind(), None);
        for page in [
            "<!DOCTYPE html><p>",
            "  \n<HTML lang=en>",
            "\u{feff}<!-- hi --><html>",
            "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC>",
            "<head>",
            "<h1>404</h1>",
        ] {
            assert_eq!(form(page.as_bytes()), Form::Html, "{page}");
        }
        assert_eq!(form(b"<!doctype html>\xff\xfe latin"), Form::Html);
        for other in ["<svg xmlns=\"\">", "<note>", "<header>", "a <html> in the middle"] {
            assert_eq!(form(other.as_bytes()), Form::Unknown("text/plain"), "{other}");
        }
    }

    #[test]
    fn a_sender_is_believed_only_where_content_does_not_tell() {
        let mime_of = |bytes: &[u8], said| mime(form(bytes), bytes, Some(said));
        assert_eq!(mime_of(b"a,b\n1,2", "text/csv"), "text/csv");
        assert_eq!(mime_of(b"\0\x01", "application/x-own"), "application/x-own");
        assert_eq!(mime_of(b"%PDF-1", "text/csv"), "application/pdf");
        assert_eq!(mime_of(b"a,b", "image/png"), "text/plain");
        assert_eq!(mime_of(b"a,b", "text/html"), "text/plain");
        assert_eq!(mime_of(b"a,b", "no type\r\nx: y"), "text/plain");
        assert_eq!(mime_of(b"a,b", &format!("text/{}", "x".repeat(200))), "text/plain");
    }
}
