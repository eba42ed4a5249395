//! Matroska and WebM: whether there is a film in it, how long it is and how large.

use crate::kind::Form;

/// Elements that are looked at before the search ends; what is asked for stands near the beginning.
const ELEMENTS_MAX: usize = 4096;
/// Nanoseconds of a unit of time when the file does not say.
const SCALE_DEFAULT: u64 = 1_000_000;

const HEADER: u32 = 0x1A45_DFA3;
const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const SCALE: u32 = 0x2A_D7B1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_AE6B;
const TRACK: u32 = 0xAE;
const TRACK_TYPE: u32 = 0x83;
const VIDEO: u32 = 0xE0;
const WIDTH: u32 = 0xB0;
const HEIGHT: u32 = 0xBA;
/// The type of a track that is a film.
const IS_FILM: u64 = 1;

/// What the elements say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Film {
    pub(crate) webm: bool,
    pub(crate) has_film: bool,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) seconds: Option<u32>,
}

/// A number whose length its first byte tells; with its mark kept (ids) or taken off (sizes).
fn number(bytes: &[u8], keep_mark: bool) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let whole = bytes.get(..length).filter(|_| length <= 8)?;
    let value = whole.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let mark = 1_u64 << (7 * length);
    Some((if keep_mark { value } else { value & (mark - 1) }, bytes.get(length..)?))
}

/// The elements of one level. One without a length, or that reaches beyond the end, goes to the end.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let (id, rest) = number(bytes, true)?;
        let (size, rest) = number(rest, false)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(rest.len());
        let (content, after) = rest.split_at_checked(size)?;
        bytes = after;
        Some((u32::try_from(id).ok()?, content))
    })
    .take(ELEMENTS_MAX)
}

fn find(bytes: &[u8], id: u32) -> Option<&[u8]> {
    elements(bytes).find(|(found, _)| *found == id).map(|(_, content)| content)
}

fn unsigned(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn float(bytes: &[u8]) -> Option<f64> {
    if let Ok(wide) = bytes.try_into() {
        return Some(f64::from_be_bytes(wide));
    }
    bytes.try_into().ok().map(f32::from_be_bytes).map(f64::from)
}

/// Reads what stands in front of the data.
pub(crate) fn film(bytes: &[u8]) -> Film {
    let webm = find(bytes, HEADER).and_then(|header| find(header, DOC_TYPE)) == Some(b"webm");
    let mut film = Film { webm, ..Film::default() };
    let Some(segment) = find(bytes, SEGMENT) else { return film };
    if let Some(info) = find(segment, INFO) {
        let scale = find(info, SCALE).map_or(SCALE_DEFAULT, unsigned);
        film.seconds = find(info, DURATION).and_then(float).and_then(|units| whole_seconds(units, scale));
    }
    for (_, track) in elements(find(segment, TRACKS).unwrap_or_default()).filter(|(id, _)| *id == TRACK) {
        if find(track, TRACK_TYPE).map(unsigned) == Some(IS_FILM) {
            film.has_film = true;
            let measure = |id| find(track, VIDEO).and_then(|video| find(video, id)).map(unsigned);
            let measures = measure(WIDTH).zip(measure(HEIGHT));
            film.size = measures.and_then(|(width, height)| Some((width.try_into().ok()?, height.try_into().ok()?)));
        }
    }
    film
}

fn whole_seconds(units: f64, scale: u64) -> Option<u32> {
    #[expect(clippy::cast_precision_loss, reason = "a scale is a small number")]
    let seconds = (units * scale as f64 / 1e9).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
    (seconds >= 0.0 && seconds <= f64::from(u32::MAX)).then_some(seconds as u32)
}

/// A film or a sound.
pub(crate) fn form(bytes: &[u8]) -> Form {
    let film = film(bytes);
    Form::Matroska { webm: film.webm, film: film.has_film }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: u32, content: &[u8]) -> Vec<u8> {
        let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        let size = (0x0100_0000_0000_0000_u64 | content.len() as u64).to_be_bytes();
        [&id[..], &size, content].concat()
    }

    fn file(track_type: u8) -> Vec<u8> {
        let info = element(INFO, &element(DURATION, &2500_f64.to_be_bytes()));
        let video = element(VIDEO, &[element(WIDTH, &[2, 128]), element(HEIGHT, &[1, 104])].concat());
        let track = element(TRACK, &[element(TRACK_TYPE, &[track_type]), video].concat());
        let segment = element(SEGMENT, &[info, element(TRACKS, &track)].concat());
        [element(HEADER, &element(DOC_TYPE, b"webm")), segment].concat()
    }

    #[test]
    fn a_film_tells_its_length_and_size() {
        let expected = Film { webm: true, has_film: true, size: Some((640, 360)), seconds: Some(3) };
        assert_eq!(film(&file(1)), expected);
        assert_eq!(form(&file(2)), Form::Matroska { webm: true, film: false });
    }

    #[test]
    fn damaged_elements_end_the_search() {
        let whole = file(1);
        for end in 0..whole.len() {
            let _ = film(&whole[..end]);
        }
        assert_eq!(film(&[0; 64]), Film::default());
        assert_eq!(film(&[0xff; 64]), Film::default());
    }
}
