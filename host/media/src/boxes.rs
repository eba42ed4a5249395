//! MP4 and its kin: boxes within boxes. How long a film is, how large, whether there is a film at all.

use crate::bytes::{array, big_u16, big_u32, big_u64, seconds};
use crate::kind::Form;

/// Boxes that are looked at in one level; a film has a handful.
const BOXES_MAX: usize = 4096;
/// Pictures that MP4's container also carries, and that no phone takes as one.
const STILL_BRANDS: [&[u8; 4]; 6] = [b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis"];

/// What the boxes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Film {
    pub(crate) seconds: Option<u32>,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) has_film: bool,
}

/// One box: its type, where its content begins in the whole, and its content.
struct Found<'a> {
    kind: [u8; 4],
    start: usize,
    content: &'a [u8],
}

/// The boxes of one level. One that reaches beyond the end is cut off there.
fn boxes(bytes: &[u8], offset: usize) -> impl Iterator<Item = Found<'_>> {
    let mut at = 0_usize;
    std::iter::from_fn(move || {
        let kind = array::<4>(bytes, at.checked_add(4)?)?;
        let (head, size) = match big_u32(bytes, at)? {
            0 => (8, bytes.len().checked_sub(at)?),
            1 => (16, usize::try_from(big_u64(bytes, at.checked_add(8)?)?).ok()?),
            size => (8, usize::try_from(size).ok()?),
        };
        let begin = at.checked_add(head)?;
        let end = at.checked_add(size)?;
        // A box that is shorter than its own head would be found for ever.
        let content = bytes.get(begin..end.min(bytes.len()).max(begin).min(bytes.len()))?;
        if size < head {
            return None;
        }
        at = end;
        Some(Found { kind, start: offset.checked_add(begin)?, content })
    })
    .take(BOXES_MAX)
}

fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes, 0).find(|found| found.kind == *kind).map(|found| found.content)
}

/// The major brand.
pub(crate) fn brand(bytes: &[u8]) -> Option<[u8; 4]> {
    array(bytes, 8)
}

/// A film, a sound, or a picture that only looks like one.
pub(crate) fn form(bytes: &[u8]) -> Form {
    match brand(bytes) {
        Some(brand) if STILL_BRANDS.contains(&&brand) => {
            Form::Document(if brand.starts_with(b"avi") { "image/avif" } else { "image/heic" })
        }
        Some(brand) if film(bytes).has_film || !is_sound(&brand, bytes) => Form::Film,
        _ => Form::Mp4Sound,
    }
}

/// A file without a film in it is a sound when it says so or when it has any track at all.
fn is_sound(brand: &[u8; 4], bytes: &[u8]) -> bool {
    brand.starts_with(b"M4A")
        || brand.starts_with(b"M4B")
        || find(bytes, b"moov").is_some_and(|moov| find(moov, b"trak").is_some())
}

/// What the movie header and the track headers say.
pub(crate) fn film(bytes: &[u8]) -> Film {
    let Some(moov) = find(bytes, b"moov") else { return Film::default() };
    let mut film = Film { seconds: find(moov, b"mvhd").and_then(length), ..Film::default() };
    for track in boxes(moov, 0).filter(|found| found.kind == *b"trak") {
        let handler = find(track.content, b"mdia").and_then(|media| find(media, b"hdlr"));
        if handler.and_then(|handler| array(handler, 8)) == Some(*b"vide") {
            film.has_film = true;
            film.size = film.size.or_else(|| find(track.content, b"tkhd").and_then(size));
        }
    }
    film
}

fn length(header: &[u8]) -> Option<u32> {
    let (scale, duration) = match header.first()? {
        0 => (big_u32(header, 12)?, u64::from(big_u32(header, 16)?)),
        _ => (big_u32(header, 20)?, big_u64(header, 24)?),
    };
    seconds(duration, u64::from(scale))
}

/// Width and height as they are shown: a film that was taken upright is stored lying and turned.
fn size(header: &[u8]) -> Option<(u32, u32)> {
    let matrix = if *header.first()? == 0 { 40 } else { 52 };
    let width = u32::from(big_u16(header, matrix + 36)?);
    let height = u32::from(big_u16(header, matrix + 40)?);
    let upright = big_u32(header, matrix)? == 0 && big_u32(header, matrix + 16)? == 0;
    let size = if upright { (height, width) } else { (width, height) };
    (width > 0 && height > 0).then_some(size)
}

/// The same file with its index in front, for readers that cannot go back; `None` when it is there already or the file cannot
/// be put in order.
pub(crate) fn index_first(bytes: &[u8]) -> Option<Vec<u8>> {
    let level = || boxes(bytes, 0);
    let moov = level().find(|found| found.kind == *b"moov")?;
    let data = level().find(|found| found.kind == *b"mdat")?;
    if moov.start < data.start || bytes.get(moov.start.checked_sub(8)?..)?.len() < moov.content.len() {
        return None;
    }
    // The head of a box is 8 bytes unless its size needs 16: an index never does.
    let whole = bytes.get(moov.start.checked_sub(8)?..moov.start.checked_add(moov.content.len())?)?;
    let first = level().find(|found| found.kind != *b"ftyp")?;
    let head = if first.content.len() > u32::MAX as usize - 16 { 16 } else { box_head(bytes, &first)? };
    let split = first.start.checked_sub(head)?;
    let mut index = whole.to_vec();
    move_chunks(&mut index, u64::try_from(whole.len()).ok()?)?;
    let mut ordered = Vec::with_capacity(bytes.len());
    ordered.extend_from_slice(bytes.get(..split)?);
    ordered.extend_from_slice(&index);
    ordered.extend_from_slice(bytes.get(split..moov.start.checked_sub(8)?)?);
    Some(ordered)
}

/// Bytes of a box's head: its size stands in the head, or behind it.
fn box_head(bytes: &[u8], found: &Found<'_>) -> Option<usize> {
    let long = found
        .start
        .checked_sub(16)
        .is_some_and(|at| big_u32(bytes, at) == Some(1) && array(bytes, at + 4) == Some(found.kind));
    Some(if long { 16 } else { 8 })
}

/// Adds `by` to every place of data that the index names.
fn move_chunks(index: &mut [u8], by: u64) -> Option<()> {
    const PATH: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
    let mut levels = vec![(0, index.len(), 0_usize)];
    let mut tables = Vec::new();
    while let Some((from, to, depth)) = levels.pop() {
        for found in boxes(index.get(from..to)?, from) {
            let inside = (found.start, found.start.checked_add(found.content.len())?);
            if PATH.get(depth).is_some_and(|kind| found.kind == **kind) {
                levels.push((inside.0, inside.1, depth + 1));
            } else if depth == PATH.len() && (found.kind == *b"stco" || found.kind == *b"co64") {
                tables.push((inside.0, inside.1, found.kind == *b"co64"));
            }
        }
    }
    for (from, to, wide) in tables {
        let table = index.get_mut(from..to)?;
        let count = usize::try_from(big_u32(table, 4)?).ok()?;
        let width = if wide { 8 } else { 4 };
        for entry in table.get_mut(8..)?.chunks_exact_mut(width).take(count) {
            if wide {
                let place = big_u64(entry, 0)?.checked_add(by)?;
                entry.copy_from_slice(&place.to_be_bytes());
            } else {
                let place = big_u32(entry, 0)?.checked_add(u32::try_from(by).ok()?)?;
                entry.copy_from_slice(&place.to_be_bytes());
            }
        }
    }
    Some(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A box of this type around the parts.
    pub(crate) fn a_box(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&u32::try_from(content.len() + 8).unwrap().to_be_bytes()[..], kind, &content].concat()
    }

    fn movie_header(scale: u32, duration: u32) -> Vec<u8> {
        a_box(b"mvhd", &[&[0; 12], &scale.to_be_bytes(), &duration.to_be_bytes()])
    }

    fn track_header(width: u16, height: u16, turned: bool) -> Vec<u8> {
        let one = if turned { 0_u32 } else { 0x1_0000 };
        let mut matrix = [0; 36];
        matrix[0..4].copy_from_slice(&one.to_be_bytes());
        matrix[16..20].copy_from_slice(&one.to_be_bytes());
        let size = [width.to_be_bytes(), [0, 0], height.to_be_bytes(), [0, 0]].concat();
        a_box(b"tkhd", &[&[0; 40], &matrix, &size])
    }

    fn track(handler: &[u8; 4], header: &[u8], places: &[u32]) -> Vec<u8> {
        let table: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
        let count = u32::try_from(places.len()).unwrap().to_be_bytes();
        let chunks = a_box(b"stco", &[&[0; 4], &count, &table]);
        let inner = a_box(b"minf", &[&a_box(b"stbl", &[&chunks])]);
        let handler = a_box(b"hdlr", &[&[0; 8], handler, &[0; 12]]);
        a_box(b"trak", &[header, &a_box(b"mdia", &[&handler, &inner])])
    }

    fn ftyp(brand: &[u8; 4]) -> Vec<u8> {
        a_box(b"ftyp", &[brand, &[0; 4]])
    }

    /// A film of `seconds` with these measures.
    pub(crate) fn a_film(brand: &[u8; 4], seconds: u32, (width, height): (u16, u16), turned: bool) -> Vec<u8> {
        let track = track(b"vide", &track_header(width, height, turned), &[]);
        [ftyp(brand), a_box(b"moov", &[&movie_header(1000, seconds * 1000), &track])].concat()
    }

    #[test]
    fn a_film_tells_its_length_and_how_it_is_shown() {
        let lying = a_film(b"isom", 7, (640, 360), false);
        assert_eq!(film(&lying), Film { seconds: Some(7), size: Some((640, 360)), has_film: true });
        let upright = a_film(b"isom", 7, (640, 360), true);
        assert_eq!(film(&upright).size, Some((360, 640)));
    }

    #[test]
    fn a_file_without_a_film_is_a_sound_and_heic_is_a_document() {
        let sound = [ftyp(b"isom"), a_box(b"moov", &[&movie_header(10, 35), &track(b"soun", &[], &[])])].concat();
        assert_eq!((form(&sound), film(&sound).seconds), (Form::Mp4Sound, Some(4)));
        assert_eq!(form(&a_film(b"3gp4", 1, (1, 1), false)).mime(&ftyp(b"3gp4")), "video/3gpp");
        assert_eq!(form(&ftyp(b"heic")), Form::Document("image/heic"));
    }

    #[test]
    fn an_index_at_the_end_is_moved_to_the_front_and_points_to_the_same_data() {
        let head = ftyp(b"M4A ");
        let data = a_box(b"mdat", &[b"the sound"]);
        let place = u32::try_from(head.len() + 8).unwrap();
        let index = a_box(b"moov", &[&movie_header(1, 1), &track(b"soun", &[], &[place, place + 4])]);
        let file = [&head[..], &data, &index].concat();
        let ordered = index_first(&file).unwrap();
        assert_eq!(ordered.len(), file.len());
        let moved = place as usize + index.len();
        assert_eq!(&ordered[moved..moved + 9], b"the sound");
        let table = ordered.windows(4).position(|window| window == b"stco").unwrap() + 12;
        assert_eq!(big_u32(&ordered, table), Some(u32::try_from(moved).unwrap()));
        assert_eq!(index_first(&ordered), None);
    }

    #[test]
    fn damaged_boxes_end_the_search() {
        for bytes in [
            &b"\0\0\0\x04ftypisom"[..],
            b"\0\0\0\0ftypisom",
            b"\xff\xff\xff\xffftypisom",
            b"\0\0\0\x01ftyp\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\0\0\0\x08ftyp\0\0\0\x09moov",
            b"\0\0\0\x08ftyp\0\0\0\x03moov\0\0\0\x03moov",
        ] {
            assert_eq!(film(bytes), Film::default());
            assert_eq!(index_first(bytes), None);
        }
        let whole = a_film(b"isom", 3, (64, 64), false);
        for end in 0..whole.len() {
            let _ = (film(&whole[..end]), index_first(&whole[..end]));
        }
    }
}
