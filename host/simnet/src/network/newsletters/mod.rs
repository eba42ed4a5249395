//! Newsletters, which people know as channels: who runs them, who follows them, and what was posted there.
//!
//! Nothing in a newsletter is encrypted. The server numbers the posts and counts what followers do to them; followers'
//! devices get posts as messages and everything else as notifications. `rules` and `acts` decide what anybody may do, the other
//! files translate: `operations`, `queries` and `answers` from and to the JSON of `w:mex`, `requests` the `newsletter`
//! queries, `posts` the messages of clients, `delivery` what goes out, `commands` the control API, `stored` the records.

mod acts;
mod answers;
mod commands;
mod delivery;
mod operations;
mod posts;
mod queries;
mod requests;
mod rules;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use wacore_binary::{Jid, Server};

use crate::address::DeviceKey;

pub(crate) use rules::NewsletterFault;

/// Newsletters on the network.
const NEWSLETTERS_MAX: usize = 10_000;
/// Posts kept in one newsletter; the oldest goes when one more comes.
const POSTS_MAX: usize = 2_000;
/// Bytes in a name.
const NAME_BYTES_MAX: usize = 400;
/// Bytes in a description.
const DESCRIPTION_BYTES_MAX: usize = 8_192;
/// Bytes in a picture.
const PICTURE_BYTES_MAX: usize = 512 * 1024;
/// Bytes in a post; files lie on the media hosts.
const POST_BYTES_MAX: usize = 256 * 1024;
/// Bytes in the code of a reaction. The longest emoji sequences have some 40.
const REACTION_BYTES_MAX: usize = 64;
/// Options one vote may choose.
const VOTE_OPTIONS_MAX: usize = 100;
/// Posts that may be pinned at once.
const PINNED_MAX: usize = 3;
/// The last number that no post gets: clients take numbers below 99 for none (`messages.rs` of wacore 0.7.0).
const SERVER_ID_BASE: u64 = 99;

/// All newsletters.
#[derive(Default)]
pub(in crate::network) struct Newsletters {
    by_id: BTreeMap<String, Newsletter>,
    id_by_invite: HashMap<String, String>,
    /// The devices that want to hear of every reaction to a newsletter, and until when in milliseconds.
    live: HashMap<String, HashMap<DeviceKey, u64>>,
}

/// One newsletter.
struct Newsletter {
    /// The user part of its address.
    id: String,
    record: NewsletterRecord,
    followers: BTreeMap<String, Follower>,
    posts: BTreeMap<u64, Post>,
}

/// The part of a newsletter that is stored under `newsletter/<id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct NewsletterRecord {
    invite: String,
    created_s: u64,
    /// The account that owns it, whether it follows it or not.
    owner: String,
    admins: BTreeSet<String>,
    /// Accounts that have been asked to become admins, and until when in seconds.
    invited: BTreeMap<String, u64>,
    name: Line,
    description: Line,
    picture: Option<Picture>,
    /// Which reactions are allowed: `ALL`, `BASIC`, `NONE` or `BLOCKLIST`.
    reaction_codes: String,
    /// The numbers of pinned posts, and until when in seconds.
    pinned: BTreeMap<u64, u64>,
}

/// A text that an admin can change.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    text: String,
    /// When it was last changed, in microseconds; clients see it as the text's id as well.
    at_us: u64,
}

/// A picture on the media hosts, not encrypted.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Picture {
    id: String,
    direct_path: String,
}

/// Somebody who gets the posts; stored under `newsletter/<id>/follower/<number>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Follower {
    since_s: u64,
    /// Wants no notice of posts (`MUTE_ADMIN_ACTIVITY`).
    mutes_posts: bool,
    /// An admin who wants no notice of followers (`MUTE_FOLLOWER_ACTIVITY`).
    mutes_followers: bool,
}

/// A post with what followers have done to it.
struct Post {
    record: PostRecord,
    responses: BTreeMap<String, Response>,
}

/// The part of a post that is stored under `newsletter/<id>/post/<server id>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PostRecord {
    /// The id that its sender gave it; edits and revokes name it.
    id: String,
    /// The account that posted it.
    by: String,
    /// The stanza's `type`: `text`, `media`, `poll`.
    kind: String,
    media_type: Option<String>,
    poll_type: Option<String>,
    at_s: u64,
    edited_ms: Option<u64>,
    revoked: bool,
    #[serde(with = "crate::hex_serde::blob")]
    plaintext: Vec<u8>,
}

/// What one account has done to a post; stored under `newsletter/<id>/response/<server id>/<number>`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Response {
    reaction: Option<Reaction>,
    /// The last vote; a withdrawn one stays as an empty selection.
    vote: Option<Vote>,
    viewed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reaction {
    code: String,
    at_s: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Vote {
    at_s: u64,
    /// SHA-256 of the names of the chosen options, in hex.
    options: BTreeSet<String>,
}

/// What somebody is to a newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Owner,
    Admin,
    Subscriber,
    Guest,
}

impl Role {
    fn runs_it(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Subscriber => "subscriber",
            Self::Guest => "guest",
        }
    }
}

impl Newsletter {
    fn jid(&self) -> Jid {
        Jid::newsletter(self.id.as_str())
    }

    fn role(&self, number: &str) -> Role {
        if self.record.owner == number {
            Role::Owner
        } else if self.record.admins.contains(number) {
            Role::Admin
        } else if self.followers.contains_key(number) {
            Role::Subscriber
        } else {
            Role::Guest
        }
    }

    /// The post that its sender calls `id`.
    fn post_by_id(&self, id: &str) -> Option<u64> {
        self.posts.iter().rev().find(|(_, post)| post.record.id == id).map(|(server_id, _)| *server_id)
    }

    fn last_server_id(&self) -> u64 {
        self.posts.last_key_value().map_or(SERVER_ID_BASE, |(server_id, _)| *server_id)
    }
}

impl Post {
    /// How often each reaction was given.
    fn reactions(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for reaction in self.responses.values().filter_map(|response| response.reaction.as_ref()) {
            *counts.entry(reaction.code.as_str()).or_default() += 1;
        }
        counts
    }

    /// How often each option of a poll was chosen.
    fn votes(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for vote in self.responses.values().filter_map(|response| response.vote.as_ref()) {
            for option in &vote.options {
                *counts.entry(option.as_str()).or_default() += 1;
            }
        }
        counts
    }

    fn views(&self) -> usize {
        self.responses.values().filter(|response| response.viewed).count()
    }
}

/// Whether an address is a newsletter's.
fn is_newsletter(jid: &Jid) -> bool {
    jid.server == Server::Newsletter
}
