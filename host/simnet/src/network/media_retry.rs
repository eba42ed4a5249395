//! Files that a client could not download: it asks the account's phone, which uploads them once more.
//!
//! The request is a receipt of type `server-error` to the own account, with the message's id, the chat in `<rmr>`, and
//! a part sealed with the file's key; the answer is a notification of type `mediaretry` under the same id. (As
//! `media_retry.rs` of wacore 0.7.0 and `messages-media.js` of Baileys 7 have it.) Uploading is I/O: the network says
//! what is to be done, is told how it went, and answers then.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;
use waproto::whatsapp::media_retry_notification::ResultType;

use super::media::path_again;
use super::queue::QueueEntry;
use super::{Effect, Network};
use crate::address::{DeviceKey, Space};
use crate::phone::{KnownFile, SealedRetry, seal_retry_answer};
use crate::wire;

/// Files that may wait for being uploaded again; clients that ask for more are not answered.
const REUPLOADS_MAX: usize = 1_000;
/// Bytes in the id of a request; a real one has 32 at most.
const ID_BYTES_MAX: usize = 128;

/// A file that a phone is to upload once more.
pub(crate) struct Reupload {
    asker: DeviceKey,
    id: String,
    /// Where the message is, in the client's words; it gets them back.
    place: Option<Node>,
    file: KnownFile,
    /// Where the file will be.
    pub(crate) to: String,
}

impl Reupload {
    /// Where the file was first.
    pub(crate) fn from(&self) -> &str {
        &self.file.direct_path
    }
}

impl Network {
    /// A phone's user has sent a message, from the phone or a companion: the phone has the file it refers to.
    pub(super) fn phone_keeps_file(&mut self, number: &str, id: &str, message: &Message) {
        if let Some(account) = self.accounts.get_mut(number) {
            account.phone.keep_file(id, None, message);
            self.record_phone(number);
        }
    }

    /// A device asks its phone to upload a file again.
    pub(super) fn receive_media_retry(&mut self, asker: &DeviceKey, id: &str, node: &Node) {
        if id.len() > ID_BYTES_MAX {
            return;
        }
        let place = node.get_optional_child("rmr").cloned();
        let sealed = node.get_optional_child("encrypt").and_then(read_sealed);
        let file = match self.file_to_retry(&asker.number, id, sealed.as_ref()) {
            Ok(file) => file,
            Err(why) => return self.refuse_retry(asker, id, place, why),
        };
        if self.media.reuploads.len() >= REUPLOADS_MAX {
            tracing::warn!(limit = REUPLOADS_MAX, "too many files are to be uploaded again; one request is dropped");
            return;
        }
        let to = path_again(file.kind, &file.sealed_sha256);
        self.media.reuploads.push_back(Reupload { asker: asker.clone(), id: id.to_owned(), place, file, to });
        self.out.effects.push(Effect::Reupload);
    }

    /// The file that a request is about. Baileys 7 says that the sealed part of a request may be left out.
    fn file_to_retry(&self, number: &str, id: &str, sealed: Option<&SealedRetry>) -> Result<KnownFile, ResultType> {
        let account = self.accounts.get(number).ok_or(ResultType::NOT_FOUND)?;
        let mut known = account.phone.files_of(id).peekable();
        known.peek().ok_or(ResultType::NOT_FOUND)?;
        let file = known.find(|file| sealed.is_none_or(|sealed| file.opens(id, sealed)));
        file.cloned().ok_or(ResultType::DECRYPTION_ERROR)
    }

    /// What a phone is to upload next.
    pub(crate) fn next_reupload(&mut self) -> Option<Reupload> {
        self.media.reuploads.pop_front()
    }

    /// The phone has uploaded the file, or found that it has it no more.
    pub(crate) fn answer_reupload(&mut self, reupload: Reupload, uploaded: bool) {
        let Reupload { asker, id, place, file, to } = reupload;
        let Some(key) = &file.key else {
            return self.refuse_retry(&asker, &id, place, ResultType::GENERAL_ERROR);
        };
        let found = if uploaded { Ok(to.as_str()) } else { Err(ResultType::NOT_FOUND) };
        let answer = match seal_retry_answer(key, &id, found) {
            Ok(sealed) => encrypt_node(&sealed),
            Err(error) => {
                tracing::warn!(number = asker.number, id, %error, "a phone cannot seal its answer about a file");
                return self.refuse_retry(&asker, &id, place, ResultType::GENERAL_ERROR);
            }
        };
        if uploaded && let Some(account) = self.accounts.get_mut(&asker.number) {
            account.phone.file_moved(&file.direct_path, &to);
            self.record_phone(&asker.number);
        }
        self.send_retry_answer(&asker, &id, place, answer);
    }

    /// A refusal is not sealed: whoever cannot name the file's key could not read it.
    fn refuse_retry(&mut self, asker: &DeviceKey, id: &str, place: Option<Node>, why: ResultType) {
        let error = NodeBuilder::new("error").attr("code", why as i32).build();
        self.send_retry_answer(asker, id, place, error);
    }

    fn send_retry_answer(&mut self, asker: &DeviceKey, id: &str, place: Option<Node>, answer: Node) {
        let phone = DeviceKey::new(asker.number.as_str(), 0);
        let node = NodeBuilder::new("notification")
            .attr("from", self.jid_of(&phone, Space::Number))
            .attr("type", "mediaretry")
            .attr("id", id)
            .attr("t", self.now_s())
            .children(std::iter::once(answer).chain(place))
            .build();
        let entry = QueueEntry {
            class: "notification".to_owned(),
            id: id.to_owned(),
            peer: asker.number.clone(),
            kind: Some("mediaretry".to_owned()),
            node,
        };
        self.enqueue(asker, entry);
    }
}

fn read_sealed(node: &Node) -> Option<SealedRetry> {
    Some(SealedRetry { iv: wire::child_key(node, "enc_iv")?, bytes: wire::child_content(node, "enc_p")?.to_vec() })
}

fn encrypt_node(sealed: &SealedRetry) -> Node {
    let parts = [wire::leaf("enc_p", sealed.bytes.as_slice()), wire::leaf("enc_iv", sealed.iv)];
    NodeBuilder::new("encrypt").children(parts).build()
}
