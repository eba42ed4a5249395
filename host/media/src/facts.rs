//! Everything that is known of one file.

use serde::{Deserialize, Serialize};

use crate::kind::{Form, Kind, form, mime};
use crate::picture::{PictureError, picture};
use crate::{boxes, matroska, ogg, sound, waveform};

/// What is known of a file, from its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// As what it can be sent.
    pub kind: Kind,
    /// Its MIME type.
    pub mime: String,
    /// Width as it is shown, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height as it is shown, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Length of a sound or a film, whole seconds, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// 64 bars, 0 to 100, of a sound whose loudness is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_bytes")]
    pub waveform: Option<Vec<u8>>,
    /// A small JPEG of a picture, a few KB.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_bytes")]
    pub thumbnail: Option<Vec<u8>>,
    /// It is what a voice note must be: Opus in Ogg.
    #[serde(default)]
    pub voice: bool,
    /// The demuxer that a converter must be told to read it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demuxer: Option<String>,
}

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is a web page: as a rule an error page in the place of the file.
    #[error("the file is a web page, not media")]
    Html,
    /// It is a picture that cannot be looked at.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// Looks at a whole file. `said` is the MIME type that its sender gives it.
///
/// # Errors
/// [`FactsError`] when it cannot be sent as anything.
pub fn facts(bytes: &[u8], said: Option<&str>) -> Result<Facts, FactsError> {
    let form = form(bytes);
    let kind = match form.kind() {
        Some(kind) => kind,
        None if form == Form::Empty => return Err(FactsError::Empty),
        None => return Err(FactsError::Html),
    };
    let mut facts = Facts {
        kind,
        mime: mime(form, bytes, said),
        width: None,
        height: None,
        seconds: None,
        waveform: None,
        thumbnail: None,
        voice: form == Form::OggOpus,
        demuxer: form.demuxer().map(str::to_owned),
    };
    match form {
        Form::Jpeg | Form::Png | Form::Gif | Form::Webp => {
            let picture = picture(form, bytes)?;
            (facts.width, facts.height) = (Some(picture.width), Some(picture.height));
            facts.thumbnail = Some(picture.small);
        }
        Form::Film | Form::Mp4Sound => {
            let film = boxes::film(bytes);
            (facts.width, facts.height) = film.size.unzip();
            facts.seconds = film.seconds;
        }
        Form::Matroska { .. } => {
            let film = matroska::film(bytes);
            (facts.width, facts.height) = film.size.unzip();
            facts.seconds = film.seconds;
        }
        Form::OggOpus | Form::OggOther => {
            let recording = ogg::recording(bytes);
            facts.seconds = recording.seconds;
            facts.waveform = waveform::of_packets(&recording.packets).filter(|_| form == Form::OggOpus);
        }
        Form::Mp3 => facts.seconds = sound::mp3_seconds(bytes),
        Form::Adts => facts.seconds = sound::adts_seconds(bytes),
        Form::Amr { wide } => facts.seconds = sound::amr_seconds(bytes, wide),
        Form::Flac => facts.seconds = sound::flac_seconds(bytes),
        Form::Wav => {
            let wave = sound::wave(bytes);
            facts.seconds =
                wave.and_then(|wave| crate::bytes::seconds(wave.data.len() as u64, u64::from(wave.bytes_per_second)));
            facts.waveform = wave.filter(|wave| wave.plain_16_bit).and_then(|wave| waveform::of_samples(wave.data));
        }
        Form::Document(_) | Form::Unknown(_) | Form::Empty | Form::Html => {}
    }
    Ok(facts)
}

/// Bytes as base64 in JSON.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "the shape that serde asks for")]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    #[test]
    fn facts_survive_their_way_through_json() {
        let found = facts(&crate::picture::tests::a_picture(300, 100, ImageFormat::Png), None).unwrap();
        assert_eq!((found.kind, found.mime.as_str()), (Kind::Image, "image/png"));
        assert_eq!((found.width, found.height), (Some(300), Some(100)));
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), found);
    }

    #[test]
    fn a_voice_note_tells_its_length_and_its_waveform() {
        let found = facts(&crate::ogg::tests::a_recording(&[50; 100]), None).unwrap();
        assert_eq!((found.seconds, found.voice), (Some(2), true));
        assert_eq!(found.waveform.map(|bars| bars.len()), Some(64));
        let wave = facts(&crate::sound::tests::a_wave(8000, &[900; 20_000]), None).unwrap();
        assert_eq!((wave.seconds, wave.voice, wave.waveform), (Some(3), false, Some(vec![100; 64])));
    }

    #[test]
    fn a_film_tells_its_size_and_length() {
        let found = facts(&crate::boxes::tests::a_film(b"isom", 9, (1280, 720), false), Some("video/x-own")).unwrap();
        assert_eq!((found.kind, found.mime.as_str(), found.seconds), (Kind::Video, "video/mp4", Some(9)));
        assert_eq!((found.width, found.height), (Some(1280), Some(720)));
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        assert_eq!(facts(b"", None), Err(FactsError::Empty));
        assert_eq!(facts(b"<html>", Some("image/png")), Err(FactsError::Html));
        assert!(matches!(facts(b"\xff\xd8\xff\xe0 no picture", None), Err(FactsError::Picture(_))));
    }

    #[test]
    fn a_playlist_is_words_and_never_a_sound() {
        for playlist in ["#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "ffconcat version 1.0\nfile 'http://127.0.0.1/x'\n"] {
            let found = facts(playlist.as_bytes(), Some("audio/mpeg")).unwrap();
            assert_eq!((found.kind, found.demuxer), (Kind::Document, None));
        }
    }
}
