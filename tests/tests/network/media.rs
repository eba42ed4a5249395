//! Files: sealed by their sender, kept by the network's media hosts, opened by those who get the message.

use serde_json::json;
use switchboard_tests::raw_client::{RawClient, jid};
use switchboard_tests::sim::Sim;
use whatsapp_rust::download::{DownloadParams, MediaDownloader};
use whatsapp_rust::features::MediaReuploadRequest;
use whatsapp_rust::media::{
    AudioOptions, DocumentOptions, ImageOptions, VideoOptions, audio_message, document_message, image_message, video_message,
};
use whatsapp_rust::prelude::*;
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::{Downloadable, MediaRoute, MediaType};
use whatsapp_rust::wacore::sticker_pack::{
    StickerInput, StickerPackMetadata, build_sticker_pack_message, create_sticker_pack_zip,
};
use whatsapp_rust::wacore::upload::encrypt_media_streaming;
use whatsapp_rust::waproto::whatsapp::message::StickerMessage;
use whatsapp_rust::{ErrorChainExt, MediaRetryResult, UploadOptions};

use crate::{ADA, BO};

/// Bytes that no compression and no lucky guess makes shorter.
fn bytes(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}

async fn upload(client: &RawClient, file: &[u8], kind: MediaType) -> UploadResponse {
    client.client.upload(file.to_vec(), kind, UploadOptions::new()).await.unwrap()
}

fn sticker(upload: UploadResponse) -> wa::Message {
    let sticker = StickerMessage {
        mimetype: Some("image/webp".to_owned()),
        url: Some(upload.url),
        direct_path: Some(upload.direct_path),
        media_key: Some(upload.media_key.to_vec()),
        file_sha256: Some(upload.file_sha256.to_vec()),
        file_enc_sha256: Some(upload.file_enc_sha256.to_vec()),
        file_length: Some(upload.file_length),
        media_key_timestamp: Some(upload.media_key_timestamp),
        ..Default::default()
    };
    wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() }
}

/// The file in a message, whatever it is.
pub(crate) fn file_of(message: &wa::Message) -> &dyn Downloadable {
    let files: [Option<&dyn Downloadable>; 5] = [
        message.image_message.as_option().map(|file| file as _),
        message.video_message.as_option().map(|file| file as _),
        message.audio_message.as_option().map(|file| file as _),
        message.document_message.as_option().map(|file| file as _),
        message.sticker_message.as_option().map(|file| file as _),
    ];
    files.into_iter().flatten().next().expect("it refers to a file")
}

/// Sends a picture from `from` to `to`; the picture, and the message as it arrived.
pub(crate) async fn picture(from: &RawClient, to: &RawClient, seed: u32) -> (Vec<u8>, InboundMessage) {
    let file = bytes(20_000, seed);
    let uploaded = upload(from, &file, MediaType::Image).await;
    let id = from.send(&to.jid(), image_message(uploaded, ImageOptions::default())).await;
    (file, to.message(&id).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_are_opened_by_the_phone_and_the_client_they_are_for() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let kinds = [
        ("image", MediaType::Image),
        ("video", MediaType::Video),
        ("gif", MediaType::Video),
        ("audio", MediaType::Audio),
        ("document", MediaType::Document),
        ("sticker", MediaType::Sticker),
    ];
    for (seed, (name, kind)) in (1..).zip(kinds) {
        let file = bytes(70_000, seed);
        let uploaded = upload(&ada, &file, kind).await;
        let sha256 = hex(&uploaded.file_sha256);
        let caption = Some(format!("this is a {name}"));
        let message = match name {
            "image" => image_message(uploaded, ImageOptions { caption, ..Default::default() }),
            "video" => video_message(uploaded, VideoOptions { caption, ..Default::default() }),
            "gif" => video_message(uploaded, VideoOptions { gif_playback: Some(true), ..Default::default() }),
            "audio" => audio_message(uploaded, AudioOptions { ptt: Some(true), ..Default::default() }),
            "document" => {
                document_message(uploaded, DocumentOptions { file_name: Some("a.bin".to_owned()), ..Default::default() })
            }
            _ => sticker(uploaded),
        };
        let id = ada.send(&bo.jid(), message).await;
        let shown = sim.shows_id(BO, &id).await;
        assert_eq!((shown["type"].as_str(), shown["media"]["size"].as_u64()), (Some(name), Some(70_000)), "{shown:#}");
        assert_eq!(shown["media"]["sha256"], sha256.as_str(), "{name}");
        assert!(sim.file(BO, &shown).await == file, "{name} is another one on the phone");
        let received = bo.message(&id).await;
        let downloaded = bo.client.download(file_of(&received.message)).await.unwrap();
        assert!(downloaded == file, "{name} is another one at the client");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_opens_what_a_phone_sends() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    sim.phone(BO).await;
    let file = bytes(30_000, 7);
    let base64 = base64(&file);
    for (kind, mime) in
        [("image", "image/jpeg"), ("document", "application/pdf"), ("audio", "audio/ogg"), ("video", "video/mp4")]
    {
        let content = json!({ kind: { "base64": base64, "mime": mime } });
        let id = sim.send(BO, ADA, content).await;
        let received = ada.message(&id).await;
        assert!(ada.client.download(file_of(&received.message)).await.unwrap() == file, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_downloaded_by_what_is_known_of_it_and_into_any_writer() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (file, received) = picture(&ada, &bo, 3).await;
    let image = &received.message.image_message;
    let params = DownloadParams::encrypted(
        image.direct_path.clone().unwrap(),
        image.media_key.as_deref().unwrap(),
        image.file_sha256.as_deref().unwrap(),
        image.file_enc_sha256.as_deref().unwrap(),
        image.file_length.unwrap(),
        MediaType::Image,
    );
    assert!(bo.client.download_from_params(&params).await.unwrap() == file);
    let written = bo.client.download_to_writer(file_of(&received.message), std::io::Cursor::new(Vec::<u8>::new())).await;
    assert!(written.unwrap().into_inner() == file);

    // With the wrong key it does not open.
    let wrong = DownloadParams::encrypted(
        image.direct_path.clone().unwrap(),
        &[0; 32],
        image.file_sha256.as_deref().unwrap(),
        image.file_enc_sha256.as_deref().unwrap(),
        image.file_length.unwrap(),
        MediaType::Image,
    );
    assert!(bo.client.download_from_params(&wrong).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_is_read_piece_by_piece_while_it_is_uploaded() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let file = bytes(300_000, 17);
    let mut sealed = Vec::new();
    let about = encrypt_media_streaming(file.as_slice(), &mut sealed, MediaType::Video).unwrap();
    assert!(about.streaming_sidecar.is_some(), "a video can be played before all of it is there");
    let sealed: std::sync::Arc<[u8]> = sealed.into();
    // The upload breaks off once, and goes on from there.
    sim.fault(json!({ "fault": "media_fail", "count": 1 })).await;
    let uploaded = ada.client.upload_stream(sealed, about, MediaType::Video).await.unwrap();
    assert_eq!(uploaded.file_length, 300_000);
    let id = ada.send(&bo.jid(), video_message(uploaded, VideoOptions::default())).await;
    let received = bo.message(&id).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
    assert!(sim.file(BO, &sim.shows_id(BO, &id).await).await == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sealed_with_a_key_of_ones_own_and_opened_by_its_parts() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let file = bytes(50_000, 19);
    let options = UploadOptions::new().with_media_key([7; 32]).with_streaming_sidecar(true);
    let uploaded = ada.client.upload(file.clone(), MediaType::Document, options).await.unwrap();
    assert_eq!(uploaded.media_key, [7; 32]);
    assert!(uploaded.streaming_sidecar.is_some());
    let params = DownloadParams::encrypted(
        uploaded.direct_path,
        &uploaded.media_key,
        &uploaded.file_sha256,
        &uploaded.file_enc_sha256,
        uploaded.file_length,
        MediaType::Document,
    );
    let before = std::io::Cursor::new(b"what was there before".repeat(10_000));
    let written = ada.client.download_from_params_to_writer(&params, before).await.unwrap();
    assert!(written.into_inner() == file, "only the file is there");

    // Who knows the hosts needs no session to download.
    let hosts = MediaRoute::from(&ada.client.refresh_media_conn(true).await.unwrap()).hosts;
    let route = MediaRoute::unauthenticated(hosts);
    let runtime = std::sync::Arc::new(TokioRuntime);
    let downloader = MediaDownloader::new(switchboard_tests::raw_client::media_http(&sim), runtime, route);
    assert!(downloader.download(&params).await.unwrap() == file);
    let written = downloader.download_to_writer(&params, std::io::Cursor::new(Vec::<u8>::new())).await.unwrap();
    assert!(written.into_inner() == file);
}

/// The least that passes for a picture of a sticker.
fn webp(seed: u32) -> Vec<u8> {
    let content = bytes(2_000, seed);
    let length = u32::try_from(content.len() + 4).unwrap().to_le_bytes();
    [b"RIFF".as_slice(), &length, b"WEBP", &content].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_of_stickers_is_sent_as_one_file() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let stickers = [webp(21), webp(23)];
    let inputs: Vec<StickerInput> =
        stickers.iter().map(|sticker| StickerInput::new(sticker).with_emojis(vec!["🐟".to_owned()])).collect();
    let packed = create_sticker_pack_zip("fishes", &inputs, &webp(25)).unwrap();
    let key = || UploadOptions::new().with_media_key([9; 32]);
    let zip = ada.client.upload(packed.zip_bytes.clone(), MediaType::StickerPack, key()).await.unwrap();
    let thumbnail = ada.client.upload(bytes(500, 27), MediaType::StickerPackThumbnail, key()).await.unwrap();
    let about = StickerPackMetadata::new("fishes".to_owned(), "Fishes".to_owned(), "Ada".to_owned());
    let message = build_sticker_pack_message(&packed, &zip.into(), &thumbnail.into(), about).unwrap();
    let id = ada.send(&bo.jid(), message).await;
    let shown = sim.shows_id(BO, &id).await;
    assert_eq!(shown["type"], "sticker_pack", "{shown:#}");
    assert!(sim.file(BO, &shown).await == packed.zip_bytes);
    let received = bo.message(&id).await;
    let pack = &received.message.sticker_pack_message;
    assert_eq!((pack.name.as_deref(), pack.stickers.len()), (Some("Fishes"), 2));
    let file = pack.as_option().unwrap();
    assert!(bo.client.download(file).await.unwrap() == packed.zip_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_the_network_offers_are_fetched_sticker_by_sticker() {
    let sim = Sim::start().await;
    let ada = RawClient::linked(&sim, ADA).await;
    let stickers = [webp(31), webp(33)];
    let offered: Vec<_> = stickers.iter().map(|sticker| json!({ "base64": base64(sticker), "emojis": ["🐟"] })).collect();
    let body = json!({ "id": "fishes", "name": "Fishes", "publisher": "The network", "stickers": offered });
    sim.post("sticker-packs", body).await;
    let pack = ada.client.fetch_sticker_pack("fishes", "en").await.unwrap();
    assert_eq!((pack.name.as_deref(), pack.publisher.as_deref()), (Some("Fishes"), Some("The network")));
    assert_eq!(pack.stickers.len(), 2);
    for (item, sticker) in pack.stickers.iter().zip(&stickers) {
        assert_eq!(item.emojis, ["🐟"]);
        assert!(ada.client.download(item).await.unwrap() == *sticker);
    }
    let unknown = ada.client.fetch_sticker_pack("birds", "en").await.unwrap_err();
    assert_eq!(unknown.http_status(), Some(404), "{unknown:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_on_where_it_broke_off() {
    const MIB: usize = 1024 * 1024;
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let file = bytes(6 * MIB, 5);
    sim.fault(json!({ "fault": "media_cut", "bytes": 2 * MIB, "count": 1 })).await;
    let uploaded = upload(&ada, &file, MediaType::Document).await;
    let id = ada.send(&bo.jid(), document_message(uploaded, DocumentOptions::default())).await;
    let received = bo.message(&id).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
    let shown = sim.shows_id(BO, &id).await;
    assert!(sim.file(BO, &shown).await == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_is_not_the_end_of_an_upload() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.fault(json!({ "fault": "media_fail", "count": 1 })).await;
    let (file, received) = picture(&ada, &bo, 9).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_admission_has_expired_asks_for_another() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    picture(&ada, &bo, 11).await;
    sim.fault(json!({ "fault": "media_expire" })).await;
    let (file, received) = picture(&ada, &bo, 12).await;
    assert!(bo.client.download(file_of(&received.message)).await.unwrap() == file);
}

/// Asks the own phone to upload the file of a message again.
async fn uploaded_again(client: &RawClient, chat_jid: &Jid, msg_id: &str, media_key: &[u8]) -> MediaRetryResult {
    let request = MediaReuploadRequest { msg_id, chat_jid, media_key, is_from_me: false, participant: None };
    client.client.media_reupload().request(&request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_uploaded_again_by_the_phone() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let (file, received) = picture(&ada, &bo, 13).await;
    let (id, image) = (&received.info.id, &received.message.image_message);
    sim.shows_id(BO, id).await;
    sim.fault(json!({ "fault": "media_missing", "number": BO, "id": id })).await;
    let gone = bo.client.download(file_of(&received.message)).await.unwrap_err();
    assert!(matches!(gone.http_status(), Some(404 | 410)), "{gone:#}");

    let chat = received.info.source.chat.clone();
    let key = image.media_key.as_deref().unwrap();
    let MediaRetryResult::Success { direct_path } = uploaded_again(&bo, &chat, id, key).await else {
        panic!("the phone has the file")
    };
    let params = DownloadParams::encrypted(
        direct_path,
        key,
        image.file_sha256.as_deref().unwrap(),
        image.file_enc_sha256.as_deref().unwrap(),
        image.file_length.unwrap(),
        MediaType::Image,
    );
    assert!(bo.client.download_from_params(&params).await.unwrap() == file);
    assert!(
        !matches!(uploaded_again(&bo, &chat, "3EB0000000000000FFFF", key).await, MediaRetryResult::Success { .. }),
        "nobody knows that message"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_are_asked_for_again_at_once() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    let mut received = Vec::new();
    for seed in [41, 43, 45] {
        let (_, message) = picture(&ada, &bo, seed).await;
        sim.shows_id(BO, &message.info.id).await;
        sim.fault(json!({ "fault": "media_missing", "number": BO, "id": message.info.id })).await;
        received.push(message);
    }
    let request = |message: &'_ InboundMessage| -> (String, Jid, Vec<u8>) {
        let key = message.message.image_message.media_key.clone().unwrap();
        (message.info.id.clone(), message.info.source.chat.clone(), key)
    };
    let parts: Vec<_> = received.iter().map(request).collect();
    let mut requests: Vec<MediaReuploadRequest> = parts
        .iter()
        .map(|(msg_id, chat_jid, media_key)| MediaReuploadRequest {
            msg_id,
            chat_jid,
            media_key,
            is_from_me: false,
            participant: None,
        })
        .collect();
    let (first_id, first_chat, first_key) = &parts[0];
    requests.push(MediaReuploadRequest {
        msg_id: first_id,
        chat_jid: first_chat,
        media_key: first_key,
        is_from_me: false,
        participant: None,
    });
    let answers = bo.client.media_reupload().request_many(&requests).await;
    let there = answers.iter().filter(|answer| matches!(answer, Ok(MediaRetryResult::Success { .. }))).count();
    assert_eq!((there, answers.len()), (3, 4), "{answers:?}");
    assert!(answers[3].is_err(), "the same one twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_picture_is_not_uploaded_again() {
    let sim = Sim::start().await;
    let (ada, bo) = (RawClient::linked(&sim, ADA).await, RawClient::linked(&sim, BO).await);
    sim.phone(crate::CY).await;
    let (file, received) = picture(&ada, &bo, 15).await;
    let sent = bo.client.forward_message(jid(crate::CY), &received.message).await.unwrap().message_id;
    let shown = sim.shows_id(crate::CY, &sent).await;
    assert!(sim.file(crate::CY, &shown).await == file);
}
