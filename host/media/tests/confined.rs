//! Hostile files meet the confined child: each is refused, the child is gone, and the host goes on with a clear error.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use switchboard_media::{InspectError, Inspector, Kind};
use tempfile::TempDir;

const CHILD: &str = env!("CARGO_BIN_EXE_media-child-under-test");

struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("file");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The child under another name, which makes it misbehave.
    fn misbehaving(&self, name: &str) -> Inspector {
        let program = self.path(name);
        symlink(CHILD, &program).unwrap();
        Inspector::new(program, None)
    }

    /// A converter that is this script.
    fn converter(&self, script: &str) -> Inspector {
        let path = self.path("ffmpeg");
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "#!/bin/sh\n{script}").unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(file);
        Inspector::new(CHILD.into(), Some(path))
    }
}

fn inspector() -> Inspector {
    Inspector::new(CHILD.into(), None)
}

async fn refused(file: &Path) -> String {
    match inspector().tell(file, None).await {
        Err(InspectError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// A PNG that promises these measures, with this data.
fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    for (kind, content) in [(b"IHDR", &head[..]), (b"IDAT", data), (b"IEND", b"")] {
        file.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
        let whole = [&kind[..], content].concat();
        file.extend(&whole);
        file.extend(crc(&whole).to_be_bytes());
    }
    file
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn a_picture_is_told_by_the_child() {
    let stage = Stage::new();
    // A grey GIF of 2 × 1 pixels.
    let gif = b"GIF89a\x02\0\x01\0\x80\0\0\x80\x80\x80\xff\xff\xff\x2c\0\0\0\0\x02\0\x01\0\0\x02\x02\x04\x0a\0\x3b";
    let facts = inspector().tell(&stage.file(gif), Some("image/png")).await.unwrap();
    assert_eq!((facts.kind, facts.mime.as_str(), facts.width, facts.height), (Kind::Image, "image/gif", Some(2), Some(1)));
    assert!(facts.thumbnail.unwrap().starts_with(&[0xff, 0xd8, 0xff]));
}

#[tokio::test]
async fn a_tiny_file_that_promises_a_huge_picture_is_refused_by_its_promise() {
    let stage = Stage::new();
    for (width, height) in [(20_000, 20_000), (0x7fff_ffff, 0x7fff_ffff), (1, 0x7fff_ffff)] {
        let why = refused(&stage.file(&png(width, height, b"\x78\x9c\x03\0\0\0\0\x01"))).await;
        assert!(why.contains("limit"), "{width} × {height}: {why}");
    }
    let mut gif = b"GIF89a\xff\xff\xff\xff\0\0\0".to_vec();
    gif.extend(b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x01\0\0\x3b");
    let why = refused(&stage.file(&gif)).await;
    assert!(why.contains("65535 × 65535 pixels; the limit is"), "{why}");
}

#[tokio::test]
async fn a_gif_of_a_million_frames_is_looked_at_for_its_first_alone() {
    let stage = Stage::new();
    let frame = b"\x2c\0\0\0\0\x02\0\x01\0\0\x02\x02\x04\x0a\0";
    let mut gif = b"GIF89a\x02\0\x01\0\x80\0\0\x80\x80\x80\xff\xff\xff".to_vec();
    gif.extend(frame.repeat(1_000_000));
    gif.push(0x3b);
    let facts = inspector().tell(&stage.file(&gif), None).await.unwrap();
    assert_eq!((facts.width, facts.height), (Some(2), Some(1)));
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_refused_or_told_as_far_as_it_goes() {
    let stage = Stage::new();
    assert!(refused(&stage.file(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR")).await.contains("damaged"));
    assert!(refused(&stage.file(b"\xff\xd8\xff\xe0\0\x10JFIF")).await.contains("damaged"));
    assert_eq!(refused(&stage.file(b"")).await, "the file is empty");
    assert_eq!(refused(&stage.file(b"<!doctype html><p>404")).await, "the file is a web page, not media");
    let facts = inspector().tell(&stage.file(b"\0\0\0\x18ftypmp42\0\0\0\0mp42iso"), None).await.unwrap();
    assert_eq!((facts.kind, facts.seconds), (Kind::Video, None));
}

#[tokio::test]
async fn a_decoder_that_spins_eats_memory_or_writes_files_is_ended() {
    let stage = Stage::new();
    let file = stage.file(b"anything");
    for name in ["spins", "eats", "writes"] {
        let ended = stage.misbehaving(name).tell(&file, None).await;
        assert!(matches!(ended, Err(InspectError::Limit { .. })), "{name}: {ended:?}");
    }
    assert_eq!(std::fs::read(stage.path("writes.written")).unwrap_or_default(), b"");
    // The next file is looked at as if nothing had been.
    assert_eq!(inspector().tell(&file, None).await.unwrap().mime, "text/plain");
}

#[tokio::test]
async fn a_playlist_never_reaches_the_converter() {
    let stage = Stage::new();
    let opened = stage.path("opened");
    let inspector = stage.converter(&format!("touch {}", opened.display()));
    for playlist in [
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXTINF:10.0,\nhttp://127.0.0.1:9/secret.ts\n",
        "ffconcat version 1.0\nfile '/etc/passwd'\n",
        "file '/etc/passwd'\n",
    ] {
        let file = stage.file(playlist.as_bytes());
        let facts = inspector.tell(&file, Some("audio/ogg; codecs=opus")).await.unwrap();
        assert_eq!((facts.kind, facts.mime.as_str(), facts.voice), (Kind::Document, "text/plain", false));
        let refused = inspector.convert(&file, &facts, &mut Vec::new()).await;
        assert!(matches!(refused, Err(InspectError::NotASound { .. })), "{refused:?}");
    }
    assert!(!opened.exists());
}

#[tokio::test]
async fn a_sound_is_converted_by_pipes_alone_and_under_limits() {
    let stage = Stage::new();
    let file = stage.file(b"#!AMR\n\x3c0123456789012345678901234567890");
    let inspector = stage.converter(r#"echo "$@"; cat; ulimit -f; ulimit -n"#);
    let facts = inspector.tell(&file, None).await.unwrap();
    let mut output = Vec::new();
    inspector.convert(&file, &facts, &mut output).await.unwrap();
    let output = String::from_utf8(output).unwrap();
    assert!(output.contains("-protocol_whitelist pipe -threads 1 -f amr -i pipe:0"), "{output}");
    assert!(output.contains("#!AMR\n"), "{output}");
    assert!(output.trim_end().ends_with("0\n32"), "{output}");
}

#[tokio::test]
async fn a_sound_that_the_converter_cannot_read_is_refused() {
    let stage = Stage::new();
    let file = stage.file(b"#!AMR\n\x3c");
    let facts = inspector().tell(&file, None).await.unwrap();
    for script in ["exit 69", "echo unreadable >&2; exit 1"] {
        let refused = stage.converter(script).convert(&file, &facts, &mut Vec::new()).await;
        assert!(matches!(refused, Err(InspectError::Refused(_))), "{script}: {refused:?}");
        std::fs::remove_file(stage.path("ffmpeg")).unwrap();
    }
    let gone = Inspector::new(CHILD.into(), Some(stage.path("gone"))).convert(&file, &facts, &mut Vec::new()).await;
    assert!(matches!(gone, Err(InspectError::Host(_))), "{gone:?}");
    let refused = inspector().convert(&file, &facts, &mut Vec::new()).await;
    assert!(matches!(&refused, Err(InspectError::NoConverter { mime }) if mime == "audio/amr"), "{refused:?}");
}

/// With the machine's own converter, where it has one.
#[tokio::test]
async fn a_wave_becomes_a_voice_note_of_the_same_length() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let inspector = Inspector::new(CHILD.into(), Inspector::find_ffmpeg(&path));
    let stage = Stage::new();
    let samples: Vec<u8> = (0..32_000_i32)
        .flat_map(|n| (((n % 40) * 800 - 16_000) * i32::from(n > 16_000)).to_le_bytes()[..2].to_vec())
        .collect();
    let mut wave = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data".to_vec();
    wave.extend(u32::try_from(samples.len()).unwrap().to_le_bytes());
    wave.extend(samples);
    let file = stage.file(&wave);
    let facts = inspector.tell(&file, None).await.unwrap();
    assert_eq!((facts.mime.as_str(), facts.seconds), ("audio/wav", Some(4)));
    let mut voice = Vec::new();
    let converted = inspector.convert(&file, &facts, &mut voice).await;
    if !inspector.can_convert() {
        assert!(matches!(converted, Err(InspectError::NoConverter { .. })), "{converted:?}");
        return;
    }
    converted.unwrap();
    let facts = inspector.tell(&stage.file(&voice), None).await.unwrap();
    assert_eq!((facts.mime.as_str(), facts.voice, facts.seconds), ("audio/ogg; codecs=opus", true, Some(4)));
    let bars = facts.waveform.unwrap();
    let (quiet, loud) = (bars[..30].iter().max().unwrap(), bars[34..].iter().min().unwrap());
    assert!(quiet < loud, "{bars:?}");
}
