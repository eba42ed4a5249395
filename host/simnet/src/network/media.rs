//! The network's side of its media hosts: where they are, who may use them, and what a test has broken about them.
//!
//! The hosts themselves are served by the room `media`; here is only what they ask before they take or give a file.

use std::collections::{HashMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

use super::media_faults::{MediaFaults, Pace};
use super::media_retry::Reupload;
use super::{LinkId, Network};
use crate::address::parse_number;
use crate::phone::{KnownFile, MediaKind};
use crate::{random, wire};

/// Seconds for which a client may use what `media_conn` told it; the real network says the same.
const ROUTE_TTL_S: u64 = 300;
/// Seconds for which it may show its `auth` to the hosts.
const AUTH_TTL_S: u64 = 21_600;
/// Real clients read this and do nothing with it here.
const BUCKETS_MAX: u32 = 12;
/// Bytes in the name of a host that a client gives.
const AUTHORITY_BYTES_MAX: usize = 300;
/// The record of the key that signs `auth`.
const SECRET_RECORD: &str = "media/secret";
const MAC_BYTES: usize = 16;

/// Everything about media hosts.
pub(super) struct MediaRoom {
    /// Signs `auth`, so that nobody has to remember which were given out.
    secret: [u8; 32],
    secret_recorded: bool,
    /// The authority under which each client reached the network: its media hosts are there too.
    pub(super) authorities: HashMap<LinkId, String>,
    /// The one under which somebody reached it last.
    last_authority: String,
    pub(super) faults: MediaFaults,
    /// Files that phones are to upload once more.
    pub(super) reuploads: VecDeque<Reupload>,
}

impl Default for MediaRoom {
    fn default() -> Self {
        Self {
            secret: random::bytes(),
            secret_recorded: false,
            authorities: HashMap::new(),
            last_authority: "localhost".to_owned(),
            faults: MediaFaults::default(),
            reuploads: VecDeque::new(),
        }
    }
}

/// Why the hosts do not serve a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MediaRefusal {
    #[error("no auth is given; media_conn gives one out")]
    NoAuth,
    #[error("the auth was not given out by media_conn")]
    UnknownAuth,
    #[error("the auth was given out more than {AUTH_TTL_S} s ago")]
    ExpiredAuth,
    #[error("nothing is served at {0}")]
    Missing(String),
    #[error("the fault media_fail makes this upload fail")]
    Failed,
}

/// How an upload is to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UploadPlan {
    pub(crate) pace: Pace,
    /// After this many bytes it breaks off.
    pub(crate) cut_after: Option<u64>,
}

/// What a shown message refers to.
#[derive(Debug, PartialEq)]
pub(crate) enum ShownFile {
    NoPhone,
    NoMessage,
    /// The message refers to no file, or to one that was never uploaded here.
    NoFile,
    /// A test has taken it away.
    Missing(String),
    File(KnownFile),
}

impl Network {
    /// Under which authority a client has reached the network.
    pub(crate) fn reached_at(&mut self, link: LinkId, authority: &str) {
        let plain = authority.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && !authority.is_empty() && authority.len() <= AUTHORITY_BYTES_MAX {
            self.media.authorities.insert(link, authority.to_owned());
            authority.clone_into(&mut self.media.last_authority);
        }
    }

    /// Where the network listens: where its media hosts are until a client has come from elsewhere.
    pub(crate) fn listens_at(&mut self, authority: String) {
        self.media.last_authority = authority;
    }

    /// Where the media hosts are, as clients reached them last.
    pub(super) fn media_host(&self) -> &str {
        &self.media.last_authority
    }

    pub(super) fn forget_authority(&mut self, link: LinkId) {
        self.media.authorities.remove(&link);
    }

    /// The whole address of a file, as the client behind a connection reaches it.
    pub(super) fn media_url_for(&self, link: LinkId, path: &str) -> String {
        let authority = self.media.authorities.get(&link).unwrap_or(&self.media.last_authority);
        format!("https://{authority}{path}")
    }

    /// Requests in the `w:m` namespace. False when this is none.
    ///
    /// Clients put `https://` before a host's name, and take the hosts in turn: whatsapp-rust 0.7.0 (`upload.rs`) after a
    /// failure, Baileys 7 (`messages-media.js`) with a fresh `auth` after a refusal. Hence the same one twice.
    pub(super) fn receive_media_iq(&mut self, link: LinkId, id: &str, node: &Node) -> bool {
        if node.get_optional_child("media_conn").is_none() {
            return false;
        }
        let auth = self.grant_media_auth();
        let authority = self.media.authorities.get(&link).unwrap_or(&self.media.last_authority);
        let host = |kind: &'static str| {
            let uses = [NodeBuilder::new("upload").build(), NodeBuilder::new("download").build()];
            NodeBuilder::new("host").attr("hostname", authority).attr("type", kind).children(uses)
        };
        let hosts = [host("primary").attr("fallback_hostname", authority).build(), host("fallback").build()];
        let media_conn = NodeBuilder::new("media_conn")
            .attr("auth", auth)
            .attr("ttl", ROUTE_TTL_S)
            .attr("auth_ttl", AUTH_TTL_S)
            .attr("max_buckets", BUCKETS_MAX)
            .children(hosts)
            .build();
        self.send(link, wire::result(id).attr("to", SERVER_JID).children([media_conn]).build());
        true
    }

    /// An `auth` for the media hosts: the time, something random, and a seal over both.
    pub(crate) fn grant_media_auth(&mut self) -> String {
        if !self.media.secret_recorded {
            self.media.secret_recorded = true;
            let secret = Value::String(hex::encode(self.media.secret));
            self.out.records.push((SECRET_RECORD.to_owned(), Some(secret)));
        }
        let mut auth = self.now_ms.to_be_bytes().to_vec();
        auth.extend(random::bytes::<8>());
        let mac = self.media.seal(&auth);
        auth.extend(mac);
        URL_SAFE_NO_PAD.encode(auth)
    }

    /// From now on no `auth` given out before is good.
    pub(super) fn expire_media_auth(&mut self) {
        self.media.secret = random::bytes();
        self.media.secret_recorded = false;
    }

    pub(super) fn restore_media(&mut self, path: &str, value: &Value) -> Option<()> {
        if path == "secret" {
            self.media.secret = hex::decode(value.as_str()?).ok()?.try_into().ok()?;
            self.media.secret_recorded = true;
        }
        Some(())
    }

    /// Whether an upload may go ahead, and how.
    pub(crate) fn admit_upload(&mut self, auth: Option<&str>) -> Result<UploadPlan, MediaRefusal> {
        self.check_media_auth(auth.ok_or(MediaRefusal::NoAuth)?)?;
        if self.media.faults.take_failure() {
            return Err(MediaRefusal::Failed);
        }
        Ok(UploadPlan { cut_after: self.media.faults.take_cut(), pace: self.media.faults.take_pace() })
    }

    /// Whether a client may ask how far an upload has come.
    pub(crate) fn admit_probe(&self, auth: Option<&str>) -> Result<(), MediaRefusal> {
        self.check_media_auth(auth.ok_or(MediaRefusal::NoAuth)?)
    }

    /// Whether a download may go ahead, and how. Clients may leave `auth` out, as Baileys 7 does, but not show a bad one.
    pub(crate) fn admit_download(&mut self, path: &str, auth: Option<&str>) -> Result<Pace, MediaRefusal> {
        auth.map_or(Ok(()), |auth| self.check_media_auth(auth))?;
        if self.media.faults.hides(path) || self.media.faults.take_miss() {
            return Err(MediaRefusal::Missing(path.to_owned()));
        }
        Ok(self.media.faults.take_pace())
    }

    /// Whether a test has taken a file away.
    pub(crate) fn is_media_missing(&self, path: &str) -> bool {
        self.media.faults.hides(path)
    }

    /// A file was uploaded: it is there again if a test had taken it away.
    pub(crate) fn media_uploaded(&mut self, path: &str) {
        self.media.faults.restore(path);
    }

    /// The file that message `n` on a phone refers to.
    pub(crate) fn shown_file(&self, number: &str, n: u64) -> ShownFile {
        let account = parse_number(number).ok().and_then(|number| self.accounts.get(&number));
        let Some(account) = account else { return ShownFile::NoPhone };
        let shown = account.phone.received_after(n.saturating_sub(1), 1);
        if shown.first().is_none_or(|message| message.n != n) {
            return ShownFile::NoMessage;
        }
        match account.phone.file_of_shown(n) {
            None => ShownFile::NoFile,
            Some(file) if self.is_media_missing(&file.direct_path) => ShownFile::Missing(file.direct_path.clone()),
            Some(file) => ShownFile::File(file.clone()),
        }
    }

    fn check_media_auth(&self, auth: &str) -> Result<(), MediaRefusal> {
        let bytes = URL_SAFE_NO_PAD.decode(auth).map_err(|_| MediaRefusal::UnknownAuth)?;
        let sealed = bytes.len().checked_sub(MAC_BYTES).and_then(|at| bytes.split_at_checked(at));
        let (head, mac) = sealed.ok_or(MediaRefusal::UnknownAuth)?;
        let given_at = head.first_chunk().copied().map(u64::from_be_bytes).ok_or(MediaRefusal::UnknownAuth)?;
        if self.media.seal(head) != mac {
            return Err(MediaRefusal::UnknownAuth);
        }
        if self.now_ms > given_at.saturating_add(AUTH_TTL_S * 1000) {
            return Err(MediaRefusal::ExpiredAuth);
        }
        Ok(())
    }
}

impl MediaRoom {
    fn seal(&self, head: &[u8]) -> Vec<u8> {
        // HMAC takes keys of any length; without a seal nothing would be accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return Vec::new() };
        mac.update(head);
        mac.finalize().into_bytes().iter().take(MAC_BYTES).copied().collect()
    }
}

/// Where the hosts serve a file that a phone has uploaded once more: a new place, as on the real network.
pub(super) fn path_again(kind: MediaKind, sealed_sha256: &[u8]) -> String {
    format!("/v/{}/{}-{}.enc", kind.path_name(), hex::encode(sealed_sha256), random::stanza_id())
}
