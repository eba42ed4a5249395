//! Media from an upload or a URL to a message that can be sent: what is taken, what is refused, and what is left behind.
//!
//! The child that looks at files is played by a script that says what the test wants; the real one has tests of its own.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use async_trait::async_trait;
use switchboard_core::clock::ManualClock;
use switchboard_core::entropy::SeededEntropy;
use switchboard_core::flow::media::{MediaDesk, Moment};
use switchboard_core::records::account::Tenant;
use switchboard_core::records::content::{Content, Media, MediaSource};
use switchboard_core::storage::{MASTER_KEY_BYTES, MasterKey};
use tempfile::TempDir;

use super::*;

const ACME: TenantId = TenantId(10_001);
const GLOBEX: TenantId = TenantId(10_002);
const NOW: Timestamp = Timestamp(1_750_000_000_000);
const DAY_MS: u64 = 86_400_000;

/// A web of these pages, which counts what is asked.
#[derive(Default)]
struct Web {
    pages: HashMap<&'static str, &'static [u8]>,
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Fetch for Web {
    fn check(&self, url: &str) -> Result<(), String> {
        if url.contains("127.0.0.1") { Err("unreachable: a private address".to_owned()) } else { Ok(()) }
    }

    async fn fetch(&self, url: &str, bytes_max: u64, into: &mut Incoming) -> Result<Fetched, FetchError> {
        self.asked.lock().unwrap().push(url.to_owned());
        let page = self.pages.get(url).ok_or_else(|| FetchError::Unreachable("unreachable: status 404".to_owned()))?;
        if page.len() as u64 > bytes_max {
            return Err(FetchError::TooLarge { bytes_max });
        }
        into.add(page).await.map_err(|error| FetchError::Host(error.to_string()))?;
        Ok(Fetched { mime: Some("text/csv".to_owned()), file_name: None })
    }
}

struct Stage {
    room: MediaRoom,
    web: Arc<Web>,
    clock: Arc<ManualClock>,
    storage: Storage,
    _folder: TempDir,
}

/// Tells a file's kind by its first word; makes a voice note of a sound.
const CHILD: &str = r#"#!/bin/sh
if [ "$2" = convert ]; then printf 'voice made of '; exec cat; fi
read -r first rest
case "$first" in
image) echo '{"kind":"image","mime":"image/png","width":2,"height":1,"thumbnail":"AAAA"}' ;;
webp) echo '{"kind":"image","mime":"image/webp"}' ;;
video) echo '{"kind":"video","mime":"video/mp4","demuxer":"mov"}' ;;
sound) echo '{"kind":"audio","mime":"audio/mpeg","demuxer":"mp3","seconds":3}' ;;
voice) echo '{"kind":"audio","mime":"audio/ogg; codecs=opus","voice":true,"demuxer":"ogg"}' ;;
page) echo 'the file is a web page, not media' >&2; exit 1 ;;
*) echo "{\"kind\":\"document\",\"mime\":\"${3:-text/plain}\"}" ;;
esac
"#;

impl Stage {
    async fn new(pages: &[(&'static str, &'static [u8])], can_convert: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("child");
        std::fs::write(&program, CHILD).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let storage = Storage::in_memory(MasterKey::new([1; MASTER_KEY_BYTES]));
        for id in [ACME, GLOBEX] {
            let tenant = Tenant {
                id,
                name: "x".to_owned(),
                active: true,
                plan: "unlimited".to_owned(),
                limits: [(LIMIT_BYTES.to_owned(), 100), (LIMIT_DAYS.to_owned(), 2)].into(),
                created_at: NOW,
                apis_off: Default::default(),
                hosts: Default::default(),
            };
            storage.create_tenant(&tenant).await.unwrap();
        }
        let clock = Arc::new(ManualClock::at(NOW));
        let web = Arc::new(Web { pages: pages.iter().copied().collect(), ..Web::default() });
        let room = MediaRoom::new(MediaParts {
            files: BlobFiles::open(folder.path(), storage.clone()).unwrap(),
            storage: storage.clone(),
            inspector: Inspector::new(program, can_convert.then(|| "ffmpeg".into())),
            fetch: Arc::clone(&web) as _,
            links: Links::new([7; 32]),
            settings: MediaSettings::default(),
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SeededEntropy::new(1)),
        });
        Self { room, web, clock, storage, _folder: folder }
    }

    async fn upload(&self, tenant: TenantId, bytes: &[u8], sent_as: SentAs) -> Result<Blob, MediaRefusal> {
        let mut incoming = self.room.begin(sent_as).await?;
        self.room.add(&mut incoming, bytes, sent_as).await?;
        self.room.take(tenant, incoming, &Said::default(), sent_as).await
    }

    async fn prepare(&self, content: Content, moment: Moment) -> Result<Content, MediaRefusal> {
        self.room.prepare(ACME, content, moment, NOW).await
    }

    fn wait_until(&self, moment: Timestamp) {
        self.clock.advance(Duration::from_millis(moment.0 - self.clock.now().0));
    }

    fn asked(&self) -> usize {
        self.web.asked.lock().unwrap().len()
    }
}

fn media(source: MediaSource) -> Media {
    Media::at(source)
}

fn url(url: &str) -> Media {
    media(MediaSource::Url(url.to_owned()))
}

fn blob(blob: &Blob) -> Media {
    media(MediaSource::Blob(blob.id.to_string()))
}

fn handle(content: &mut Content) -> String {
    let (Content::Image(media) | Content::Audio(media) | Content::Document(media)) = content else { panic!("{content:?}") };
    match &media.source {
        MediaSource::Blob(id) => id.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_by_url_has_its_bytes_before_it_is_accepted() {
    let stage = Stage::new(&[("https://a.example/List%201.csv", b"a,b")], false).await;
    let mut ready =
        stage.prepare(Content::Document(url("https://a.example/List%201.csv")), Moment::Acceptance).await.unwrap();
    let kept = stage.room.blob(ACME, &handle(&mut ready)).await.unwrap();
    assert_eq!((kept.facts.mime.as_str(), kept.file_name.as_deref()), ("text/csv", Some("List 1.csv")));
    assert_eq!(std::fs::read(stage.room.path(&kept)).unwrap(), b"a,b");
    let Content::Document(media) = &ready else { panic!("{ready:?}") };
    assert_eq!((media.mime.as_deref(), media.file_name.as_deref()), (Some("text/csv"), Some("List 1.csv")));
    // Ready once, it needs nothing more.
    assert_eq!(stage.prepare(ready.clone(), Moment::Turn).await.unwrap(), ready);
    assert_eq!(stage.asked(), 1);
}

#[tokio::test]
async fn a_batch_fetches_a_url_once_and_single_messages_fetch_it_anew() {
    let stage = Stage::new(&[("https://a.example/x", b"image")], false).await;
    let wish = || Content::Image(url("https://a.example/x"));
    for _ in 0..3 {
        stage.prepare(wish(), Moment::Turn).await.unwrap();
    }
    assert_eq!(stage.asked(), 1);
    stage.prepare(wish(), Moment::Acceptance).await.unwrap();
    assert_eq!(stage.asked(), 2);
    stage.wait_until(Timestamp(NOW.0 + 3_600_000));
    stage.prepare(wish(), Moment::Turn).await.unwrap();
    assert_eq!(stage.asked(), 3);
}

#[tokio::test]
async fn what_cannot_be_fetched_or_must_not_be_is_unreachable() {
    let stage = Stage::new(&[], false).await;
    for target in ["https://a.example/gone", "http://127.0.0.1/secret", &format!("https://{}", "x".repeat(5000))] {
        let refused = stage.prepare(Content::Image(url(target)), Moment::Acceptance).await;
        assert!(matches!(refused, Err(MediaRefusal::Unreachable(_))), "{refused:?}");
    }
    assert_eq!(stage.asked(), 1);
}

#[tokio::test]
async fn a_file_is_sent_only_as_what_it_is() {
    let stage = Stage::new(&[("https://a.example/x", b"page <html>")], false).await;
    for (bytes, sent_as, fits) in [
        (&b"image"[..], SentAs::Image, true),
        (b"image", SentAs::Document, true),
        (b"image", SentAs::Video, false),
        (b"image", SentAs::Sticker, false),
        (b"webp", SentAs::Sticker, true),
        (b"video", SentAs::Audio, false),
        (b"video", SentAs::VoiceNote, true),
        (b"words", SentAs::Audio, false),
        (b"words", SentAs::Itself, true),
    ] {
        let taken = stage.upload(ACME, bytes, sent_as).await;
        match taken {
            Ok(_) => assert!(fits, "{sent_as:?} {bytes:?}"),
            Err(MediaRefusal::Unsupported(why)) => assert!(!fits && why.contains("cannot be sent as"), "{why}"),
            Err(other) => panic!("{other}"),
        }
    }
    let refused = stage.prepare(Content::Image(url("https://a.example/x")), Moment::Acceptance).await;
    assert_eq!(refused, Err(MediaRefusal::Unsupported("the file is a web page, not media".to_owned())));
}

#[tokio::test]
async fn a_sound_becomes_a_voice_note_or_is_refused_when_nothing_can_make_it_one() {
    let voice_note = |sound: &Blob| Content::Audio(Media { voice_note: true, ..blob(sound) });
    let stage = Stage::new(&[], true).await;
    let sound = stage.upload(ACME, b"sound", SentAs::Itself).await.unwrap();
    let mut first = stage.prepare(voice_note(&sound), Moment::Acceptance).await.unwrap();
    let made = stage.room.blob(ACME, &handle(&mut first)).await.unwrap();
    assert!(made.facts.voice);
    assert_eq!(std::fs::read(stage.room.path(&made)).unwrap(), b"voice made of sound");
    // Once made, it serves for the next message too.
    assert_eq!(stage.prepare(voice_note(&sound), Moment::Turn).await.unwrap(), first);
    // What is one already stays as it is.
    let voice = stage.upload(ACME, b"voice", SentAs::Itself).await.unwrap();
    let mut ready = stage.prepare(voice_note(&voice), Moment::Acceptance).await.unwrap();
    assert_eq!(handle(&mut ready), voice.id.as_str());

    let stage = Stage::new(&[], false).await;
    let sound = stage.upload(ACME, b"sound", SentAs::Itself).await.unwrap();
    let refused = stage.prepare(voice_note(&sound), Moment::Acceptance).await.unwrap_err().to_string();
    assert!(refused.contains("must be OGG/Opus, this is audio/mpeg") && refused.contains("ffmpeg"), "{refused}");
}

#[tokio::test]
async fn a_file_over_the_limit_of_its_kind_is_refused_with_size_and_limit() {
    let stage = Stage::new(&[], false).await;
    let over = vec![b'x'; usize::try_from(IMAGE_BYTES_MAX).unwrap() + 1];
    let refused = stage.upload(ACME, &over, SentAs::Image).await;
    let expected = MediaRefusal::TooLarge { kind: "an image", bytes: IMAGE_BYTES_MAX + 1, bytes_max: IMAGE_BYTES_MAX };
    assert_eq!(refused, Err(expected));
    let mut image = b"image ".to_vec();
    image.resize(over.len(), b'x');
    assert!(matches!(stage.upload(ACME, &image, SentAs::Itself).await, Err(MediaRefusal::TooLarge { .. })));
}

#[tokio::test]
async fn a_tenant_keeps_as_much_as_its_limits_say_and_as_long() {
    let stage = Stage::new(&[], false).await;
    stage.upload(ACME, &[b'x'; 60], SentAs::Itself).await.unwrap();
    let refused = stage.upload(ACME, &[b'y'; 60], SentAs::Itself).await;
    assert!(matches!(&refused, Err(MediaRefusal::Full(why)) if why.contains("60") && why.contains("100")), "{refused:?}");
    let other = stage.upload(GLOBEX, &[b'y'; 60], SentAs::Itself).await.unwrap();
    assert_eq!(other.expires_at, Timestamp(NOW.0 + 2 * DAY_MS));
    stage.wait_until(other.expires_at);
    assert_eq!(stage.room.blob(GLOBEX, other.id.as_str()).await, Err(MediaRefusal::NotFound(other.id.to_string())));
    stage.room.expire().await.unwrap();
    assert_eq!(stage.storage.blob_bytes(ACME).await.unwrap(), 0);
}

#[tokio::test]
async fn a_message_keeps_its_file_beyond_the_file_s_own_end() {
    let stage = Stage::new(&[], false).await;
    let kept = stage.upload(ACME, b"image", SentAs::Itself).await.unwrap();
    let needed = Timestamp(NOW.0 + 40 * DAY_MS);
    stage.room.prepare(ACME, Content::Image(blob(&kept)), Moment::Acceptance, needed).await.unwrap();
    stage.wait_until(Timestamp(NOW.0 + 39 * DAY_MS));
    stage.room.expire().await.unwrap();
    assert!(stage.prepare(Content::Image(blob(&kept)), Moment::Turn).await.is_ok());
}

#[tokio::test]
async fn another_tenants_file_does_not_exist_by_handle_or_by_public_address() {
    let stage = Stage::new(&[], false).await;
    let own = stage.upload(GLOBEX, b"image", SentAs::Itself).await.unwrap();
    let refused = stage.prepare(Content::Image(blob(&own)), Moment::Acceptance).await;
    assert!(matches!(refused, Err(MediaRefusal::NotFound(_))), "{refused:?}");
    let address = format!("https://wa.example.org/media/{}", stage.room.link(GLOBEX, &own, Timestamp(NOW.0 + 1000)));
    let refused = stage.prepare(Content::Image(url(&address)), Moment::Acceptance).await;
    assert!(matches!(refused, Err(MediaRefusal::Unreachable(_))), "{refused:?}");
    // Its owner's message takes it from the store, without asking the address.
    let mut ready = stage.room.prepare(GLOBEX, Content::Image(url(&address)), Moment::Acceptance, NOW).await.unwrap();
    assert_eq!((handle(&mut ready), stage.asked()), (own.id.to_string(), 0));
    assert_eq!(stage.room.linked(address.rsplit('/').next().unwrap()).await.unwrap(), own);
    stage.wait_until(Timestamp(NOW.0 + 1000));
    assert!(matches!(stage.room.linked(address.rsplit('/').next().unwrap()).await, Err(MediaRefusal::NotFound(_))));
}

#[test]
fn a_name_leads_nowhere() {
    for (name, clean) in [
        ("a b.pdf", Some("a b.pdf")),
        ("../../etc/passwd", Some("passwd")),
        ("C:\\x\\y.txt", Some("y.txt")),
        ("a\r\nb", Some("ab")),
        ("..", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(clean_name(name).as_deref(), clean, "{name:?}");
    }
}
