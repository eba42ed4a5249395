//! Files of messages that came in, fetched from WhatsApp's media hosts and opened.

use whatsapp_rust::download::{DownloadParams, MediaType};
use whatsapp_rust::features::{MediaRetryResult, MediaReuploadRequest};
use whatsapp_rust::http::HttpStatusError;
use whatsapp_rust::{Client, Jid, anyhow};

use switchboard_core::flow::media_worker::FetchFault;
use switchboard_core::records::content::{Content, Media, MediaSource, WhatsAppMedia};
use switchboard_core::records::event::Incoming;
use switchboard_core::records::id::{SessionId, TenantId};

use super::media::kind_of;
use super::sessions::Sessions;

/// Statuses with which a media host says that it has the file no longer.
const GONE: [u16; 3] = [403, 404, 410];

/// Longest path of a file.
const PATH_BYTES_MAX: usize = 4096;

impl Sessions {
    /// The bytes of the file that came with a message of this session. What WhatsApp has no longer is asked of the phone.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn download(&self, tenant: TenantId, session: SessionId, incoming: &Incoming) -> Result<Vec<u8>, FetchFault> {
        let file = File::of(&incoming.content)?;
        let client = self.client(tenant, session).ok_or(FetchFault::NotConnected)?;
        let gone = match client.download_from_params(&file.params(&file.place.direct_path)).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) if is_gone(&error) => error,
            Err(error) => return Err(later(&error)),
        };
        tracing::debug!(%session, %gone, "a file is asked of the phone again");
        let path = file.asked_again(&client, incoming).await?;
        client.download_from_params(&file.params(&path)).await.map_err(|error| later(&error))
    }
}

impl Sessions {
    /// The bytes of a sealed file that lies with WhatsApp, through this session.
    ///
    /// # Errors
    /// [`FetchFault`].
    pub async fn download_sealed(
        &self,
        tenant: TenantId,
        session: SessionId,
        content: &Content,
    ) -> Result<Vec<u8>, FetchFault> {
        let file = File::of(content)?;
        let client = self.client(tenant, session).ok_or(FetchFault::NotConnected)?;
        let fetched = client.download_from_params(&file.params(&file.place.direct_path)).await;
        fetched.map_err(|error| {
            if is_gone(&error) { FetchFault::Never("WhatsApp has the file no longer".to_owned()) } else { later(&error) }
        })
    }
}

/// Whether a path can stand behind the name of a media host without changing which host that is.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= PATH_BYTES_MAX
        && path.bytes().all(|c| c.is_ascii_graphic() && c != b'#' && c != b'\\')
}

fn later(error: &anyhow::Error) -> FetchFault {
    FetchFault::Later(format!("WhatsApp did not give the file: {error:#}"))
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<HttpStatusError>().is_some_and(|failed| GONE.contains(&failed.status)))
}

/// A file that lies with WhatsApp.
struct File<'a> {
    place: &'a WhatsAppMedia,
    media_type: MediaType,
    media_key: Vec<u8>,
    sha256: Vec<u8>,
    enc_sha256: Vec<u8>,
    size: u64,
}

impl<'a> File<'a> {
    fn of(content: &'a Content) -> Result<Self, FetchFault> {
        let none = || FetchFault::Never("there is no file in the message".to_owned());
        let (Media { source, size, sha256, .. }, media_type) = kind_of(content).ok_or_else(none)?;
        let MediaSource::WhatsApp(place) = source else { return Err(none()) };
        if !is_path(&place.direct_path) {
            return Err(FetchFault::Never("the message names no path of a file with WhatsApp".to_owned()));
        }
        let bytes = |name: &str, text: &str| {
            let read = hex::decode(text).ok().filter(|bytes| !bytes.is_empty());
            read.ok_or_else(|| FetchFault::Never(format!("the message does not tell its file's {name}")))
        };
        Ok(Self {
            place,
            media_type,
            media_key: bytes("key", &place.media_key)?,
            sha256: bytes("hash", sha256.as_deref().unwrap_or_default())?,
            enc_sha256: bytes("sealed hash", &place.enc_sha256)?,
            size: size.unwrap_or(0),
        })
    }

    fn params(&self, path: &str) -> DownloadParams {
        DownloadParams::encrypted(path, &self.media_key, &self.sha256, &self.enc_sha256, self.size, self.media_type)
    }

    /// Has the phone hand the file to WhatsApp again; its new path.
    async fn asked_again(&self, client: &Client, incoming: &Incoming) -> Result<String, FetchFault> {
        let jid = |text: &str| {
            text.parse::<Jid>().map_err(|_| FetchFault::Never(format!("{text} is no JID, so its phone cannot be asked")))
        };
        let (chat, from) = (jid(&incoming.chat)?, jid(&incoming.from)?);
        let request = MediaReuploadRequest {
            msg_id: &incoming.whatsapp_id,
            chat_jid: &chat,
            media_key: &self.media_key,
            is_from_me: incoming.from_me,
            participant: incoming.group.then_some(&from),
        };
        let asked = client.media_reupload().request(&request).await;
        let asked = asked.map_err(|error| FetchFault::Later(format!("the phone did not give the file again: {error}")))?;
        match asked {
            MediaRetryResult::Success { direct_path } => Ok(direct_path),
            MediaRetryResult::NotFound => {
                Err(FetchFault::Never("neither WhatsApp nor the phone has the file any longer".to_owned()))
            }
            MediaRetryResult::GeneralError | MediaRetryResult::DecryptionError => {
                Err(FetchFault::Later("the phone could not give the file again".to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(place: WhatsAppMedia, sha256: Option<&str>) -> Content {
        let media = Media::at(MediaSource::WhatsApp(Box::new(place)));
        Content::Image(Media { sha256: sha256.map(str::to_owned), ..media })
    }

    #[test]
    fn what_does_not_tell_how_to_open_its_file_is_refused_for_good_and_says_what_is_missing() {
        let place = WhatsAppMedia {
            direct_path: "/v/t".to_owned(),
            media_key: "aa".to_owned(),
            enc_sha256: "bb".to_owned(),
            ..WhatsAppMedia::default()
        };
        let file = image(place.clone(), Some("cc"));
        let file = File::of(&file).unwrap();
        let params = file.params("/v/other");
        assert_eq!((params.direct_path.as_str(), params.media_key.as_deref()), ("/v/other", Some(&[0xaa][..])));
        let keyless = WhatsAppMedia { media_key: String::new(), ..place.clone() };
        for (content, missing) in [
            (image(place.clone(), None), "hash"),
            (image(place, Some("no hex")), "hash"),
            (image(keyless, Some("cc")), "key"),
            (Content::Text("hello".to_owned()), "no file"),
        ] {
            let fault = File::of(&content).err().unwrap();
            assert!(matches!(&fault, FetchFault::Never(why) if why.contains(missing)), "{fault:?}");
        }
    }

    #[test]
    fn a_path_that_would_lead_to_another_host_is_never_fetched() {
        let file = |path: &str| {
            let place = WhatsAppMedia {
                direct_path: path.to_owned(),
                media_key: "aa".to_owned(),
                enc_sha256: "bb".to_owned(),
                ..WhatsAppMedia::default()
            };
            File::of(&image(place, Some("cc"))).map(|_| ())
        };
        assert!(file("/v/t62.7118-24/1_2?ccb=11-4&oh=01_Q5&oe=66").is_ok());
        for path in
            ["", "@127.0.0.1/v", ".evil.example/v", ":80/v", "/v t", "/v\r\nx: y", "/v#x", "/v\\x", "https://a.example/v"]
        {
            assert!(matches!(file(path), Err(FetchFault::Never(_))), "{path:?}");
        }
    }

    #[test]
    fn only_a_host_that_has_the_file_no_longer_makes_the_phone_be_asked() {
        for (status, gone) in [(404, true), (410, true), (403, true), (500, false), (429, false)] {
            let error = anyhow::Error::new(HttpStatusError { status }).context("fetching");
            assert_eq!(is_gone(&error), gone, "{status}");
        }
        assert!(!is_gone(&anyhow::anyhow!("broken pipe")));
    }
}
