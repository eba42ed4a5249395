//! Profile pictures: of accounts and of groups.
//!
//! The bytes go to the media hosts; who may see a picture is told where it lies. There is one file for the picture and
//! its preview, because nothing here can make a smaller one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node};

use super::privacy::Category;
use super::{Answer, GROUP_PICTURE_RECORD, LinkId, Network, Notice, Refusal};
use crate::address::{DeviceKey, Space};
use crate::blobs::Blob;
use crate::network::account::put;
use crate::{random, wire};

/// Bytes in one picture.
pub(super) const PICTURE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Where the media hosts serve pictures.
const PATH_PREFIX: &str = "/v/t61.24694-24/";

/// A picture as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Picture {
    pub(super) id: u64,
    /// Its path on the media hosts; nobody can guess it.
    path: String,
    sha256: String,
}

/// Whose picture a request is about.
enum Subject {
    Account(String),
    Group(Jid),
}

impl Network {
    /// Where a picture lies, or that the client has it already.
    pub(super) fn picture_answer(&self, link: LinkId, viewer: &str, node: &Node) -> Answer {
        let wanted = node.get_optional_child("picture").ok_or(Refusal::BadRequest)?;
        let kind = wire::attribute(wanted, "type").unwrap_or_else(|| "image".to_owned());
        if kind != "image" && kind != "preview" {
            return Err(Refusal::BadRequest);
        }
        let picture = match self.picture_subject(viewer, node)? {
            Subject::Account(number) => {
                // Before it is looked at, so that nobody learns whether there is one.
                if !self.allows_with_token(&number, Category::Picture, viewer, wanted) {
                    return Err(Refusal::NotAuthorized);
                }
                self.person(&number).picture.as_ref()
            }
            Subject::Group(group) => {
                if !self.is_in_group(&group, viewer) {
                    return Err(Refusal::NotAuthorized);
                }
                self.people.group_pictures.get(group.user.as_str())
            }
        };
        let picture = picture.ok_or(Refusal::NotFound)?;
        let known = wire::attribute(wanted, "id").and_then(|id| id.parse().ok());
        if known == Some(picture.id) {
            return Ok(vec![NodeBuilder::new("picture").build()]);
        }
        Ok(vec![self.located(link, NodeBuilder::new("picture"), picture, &kind).build()])
    }

    /// A group's picture, for a question about the pictures of several; nothing more than `node` if it has none.
    pub(in crate::network) fn with_group_picture(
        &self,
        link: LinkId,
        node: NodeBuilder,
        group: &Jid,
        kind: &str,
    ) -> NodeBuilder {
        match self.people.group_pictures.get(group.user.as_str()) {
            Some(picture) => self.located(link, node, picture, kind),
            None => node,
        }
    }

    /// Says where a picture lies.
    fn located(&self, link: LinkId, node: NodeBuilder, picture: &Picture, kind: &str) -> NodeBuilder {
        node.attr("id", picture.id)
            .attr("type", kind)
            .attr("url", self.media_url_for(link, &picture.path))
            .attr("direct_path", &picture.path)
            .attr("hash", &picture.sha256)
    }

    /// Sets a picture, or removes it when there is none in the request.
    pub(super) fn change_picture(&mut self, key: &DeviceKey, node: &Node) -> Answer {
        let subject = self.picture_subject(&key.number, node)?;
        match &subject {
            Subject::Account(number) if *number != key.number => return Err(Refusal::NotAuthorized),
            Subject::Account(_) => {}
            Subject::Group(group) => match self.may_edit_group(group, &key.number) {
                None => return Err(Refusal::NotFound),
                Some(false) => return Err(Refusal::NotAuthorized),
                Some(true) => {}
            },
        }
        let image = node.get_optional_child("picture").and_then(wire::content).filter(|image| !image.is_empty());
        if image.is_some_and(|image| image.len() > PICTURE_BYTES_MAX) {
            return Err(Refusal::NotAcceptable);
        }
        let id = match subject {
            Subject::Account(number) => self.set_picture(&number, image),
            Subject::Group(group) => self.set_group_picture(&group, &key.number, image),
        };
        Ok(id.map(|id| NodeBuilder::new("picture").attr("id", id).build()).into_iter().collect())
    }

    fn picture_subject(&self, own: &str, node: &Node) -> Result<Subject, Refusal> {
        match wire::address(node, "target") {
            None => Ok(Subject::Account(own.to_owned())),
            Some(jid) if jid.is_group() => Ok(Subject::Group(jid.to_non_ad())),
            Some(jid) => self.number_of(&jid).map(Subject::Account).ok_or(Refusal::NotFound),
        }
    }

    /// Changes an account's picture and tells those who may see it, and all of the account's own devices, the one that
    /// did it among them. Gives the id of the new one.
    pub(super) fn set_picture(&mut self, number: &str, image: Option<&[u8]>) -> Option<u64> {
        let before = self.person(number).picture.as_ref().map(|picture| picture.id);
        let picture = image.map(|image| self.new_picture(before, image));
        let id = picture.as_ref().map(|picture| picture.id);
        if before.is_none() && id.is_none() {
            return None;
        }
        self.change_person(number, |person| person.picture = picture);
        let owner = self.account_jid(number, Space::Number);
        let mut notice = self.notice(number, "picture");
        notice.children = vec![change_node(id, &owner, &owner)];
        self.tell_own(number, None, &notice);
        self.tell_acquaintances(number, &notice, |network, viewer| network.allows(number, Category::Picture, viewer));
        id
    }

    fn set_group_picture(&mut self, group: &Jid, author: &str, image: Option<&[u8]>) -> Option<u64> {
        let name = group.user.to_string();
        let record = format!("{GROUP_PICTURE_RECORD}/{name}");
        let before = self.people.group_pictures.get(&name).map(|picture| picture.id);
        let picture = image.map(|image| self.new_picture(before, image));
        let id = picture.as_ref().map(|picture| picture.id);
        match picture {
            Some(picture) => {
                self.out.records.push(put(record, &picture));
                self.people.group_pictures.insert(name, picture);
            }
            None if before.is_none() => return None,
            None => {
                self.out.records.push((record, None));
                self.people.group_pictures.remove(&name);
            }
        }
        let author = self.account_jid(author, Space::Number);
        let notice = Notice {
            kind: "picture",
            from: group.clone(),
            peer: self.peer_of(group),
            attrs: Vec::new(),
            children: vec![change_node(id, group, &author)],
        };
        for member in self.group_members(group) {
            self.tell_own(&member, None, &notice);
        }
        id
    }

    fn new_picture(&mut self, before: Option<u64>, image: &[u8]) -> Picture {
        let path = format!("{PATH_PREFIX}{}_n.jpg", hex::encode(random::bytes::<20>()));
        self.out.blobs.push(Blob { path: path.clone(), bytes: Bytes::copy_from_slice(image) });
        // Two pictures within one millisecond still have different ids.
        let id = self.now_ms.max(before.map_or(0, |before| before + 1));
        Picture { id, path, sha256: BASE64_STANDARD.encode(Sha256::digest(image)) }
    }
}

/// The element that says what has become of a picture, as both clients read it.
fn change_node(id: Option<u64>, whose: &Jid, author: &Jid) -> Node {
    let builder = match id {
        Some(id) => NodeBuilder::new("set").attr("id", id),
        None => NodeBuilder::new("delete"),
    };
    builder.attr("jid", whose).attr("author", author).build()
}
