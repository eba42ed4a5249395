//! What may be done with a newsletter as a whole, and by whom.
//!
//! Each call checks, changes, writes down and tells those whom it concerns; whether it came from a client or from the
//! control API makes no difference here.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    DESCRIPTION_BYTES_MAX, Follower, Line, NAME_BYTES_MAX, NEWSLETTERS_MAX, Newsletter, NewsletterRecord, PICTURE_BYTES_MAX,
    Picture, Role, answers,
};
use crate::address::DeviceKey;
use crate::blobs::Blob;
use crate::network::Network;
use crate::random;

/// What newsletter addresses begin with; random digits follow.
const ID_PREFIX: &str = "120363";
const ID_DIGITS: usize = 12;
/// What invite codes begin with, before some random hex digits.
const INVITE_PREFIX: &str = "0029Va";
/// How long somebody may think about becoming an admin.
const ADMIN_INVITE_S: u64 = 7 * 86_400;
/// Accounts that may be asked at once.
const INVITED_MAX: usize = 100;
/// Admins beside the owner.
const ADMINS_MAX: usize = 16;
const REACTION_CODES: [&str; 4] = ["ALL", "BASIC", "NONE", "BLOCKLIST"];

/// Why something could not be done with a newsletter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewsletterFault {
    #[error("no newsletter is known as {0:?}")]
    NotFound(String),
    #[error("the newsletter has no post {0}")]
    NoPost(String),
    #[error("no account is known as {0:?}")]
    NoAccount(String),
    #[error("only {who} may {what}")]
    NotAllowed { who: &'static str, what: &'static str },
    #[error("{what} is {bytes} bytes; {bytes_min} to {bytes_max} are allowed")]
    Length { what: &'static str, bytes: usize, bytes_min: usize, bytes_max: usize },
    #[error("there are {count_max} {what} already")]
    TooMany { what: &'static str, count_max: usize },
    #[error("{what} is not valid: {value:?}")]
    Invalid { what: &'static str, value: String },
    #[error("the request has no {0}")]
    Missing(&'static str),
}

impl NewsletterFault {
    /// The error code that clients get.
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::NotFound(_) | Self::NoPost(_) | Self::NoAccount(_) => 404,
            Self::NotAllowed { .. } => 403,
            Self::Length { .. } | Self::Invalid { .. } | Self::Missing(_) => 400,
            Self::TooMany { .. } => 429,
        }
    }

    /// The name of that code in a refused request.
    pub(super) fn condition(&self) -> &'static str {
        match self.code() {
            404 => "item-not-found",
            403 => "forbidden",
            429 => "rate-overlimit",
            _ => "bad-request",
        }
    }
}

/// What an admin wants to have changed; `None` stays as it is.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    /// An empty one takes the picture away.
    pub(super) picture: Option<Vec<u8>>,
    pub(super) reaction_codes: Option<String>,
}

/// What a follower can silence.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mute {
    Posts,
    Followers,
}

impl Network {
    pub(super) fn newsletter(&self, id: &str) -> Result<&Newsletter, NewsletterFault> {
        self.newsletters.by_id.get(id).ok_or_else(|| NewsletterFault::NotFound(id.to_owned()))
    }

    pub(super) fn newsletter_mut(&mut self, id: &str) -> Result<&mut Newsletter, NewsletterFault> {
        self.newsletters.by_id.get_mut(id).ok_or_else(|| NewsletterFault::NotFound(id.to_owned()))
    }

    /// The newsletter, if the account runs it.
    pub(super) fn run_newsletter(
        &mut self,
        by: &str,
        id: &str,
        what: &'static str,
    ) -> Result<&mut Newsletter, NewsletterFault> {
        let newsletter = self.newsletter_mut(id)?;
        if newsletter.role(by).runs_it() {
            Ok(newsletter)
        } else {
            Err(NewsletterFault::NotAllowed { who: "the owner and the admins", what })
        }
    }

    fn own_newsletter(&mut self, by: &str, id: &str, what: &'static str) -> Result<&mut Newsletter, NewsletterFault> {
        let newsletter = self.newsletter_mut(id)?;
        if newsletter.role(by) == Role::Owner {
            Ok(newsletter)
        } else {
            Err(NewsletterFault::NotAllowed { who: "the owner", what })
        }
    }

    fn new_line(&self, text: String) -> Line {
        Line { text, at_us: self.now_ms.saturating_mul(1000) }
    }

    /// Makes a newsletter that its owner follows; returns its id.
    pub(super) fn create_newsletter(
        &mut self,
        by: &DeviceKey,
        name: &str,
        description: &str,
        picture: Option<Vec<u8>>,
    ) -> Result<String, NewsletterFault> {
        check_length("name", name.len(), 1, NAME_BYTES_MAX)?;
        check_length("description", description.len(), 0, DESCRIPTION_BYTES_MAX)?;
        if self.newsletters.by_id.len() >= NEWSLETTERS_MAX {
            return Err(NewsletterFault::TooMany { what: "newsletters", count_max: NEWSLETTERS_MAX });
        }
        let picture = picture.filter(|picture| !picture.is_empty()).map(|picture| self.keep_picture(picture)).transpose()?;
        let mut id = format!("{ID_PREFIX}{}", random::digits(ID_DIGITS));
        while self.newsletters.by_id.contains_key(&id) {
            id = format!("{ID_PREFIX}{}", random::digits(ID_DIGITS));
        }
        let invite = format!("{INVITE_PREFIX}{}", hex::encode(random::bytes::<8>()));
        let record = NewsletterRecord {
            invite: invite.clone(),
            created_s: self.now_s(),
            owner: by.number.clone(),
            admins: Default::default(),
            invited: BTreeMap::new(),
            name: self.new_line(name.to_owned()),
            description: self.new_line(description.to_owned()),
            picture,
            reaction_codes: "ALL".to_owned(),
            pinned: BTreeMap::new(),
        };
        self.newsletters.id_by_invite.insert(invite, id.clone());
        let newsletter = Newsletter { id: id.clone(), record, followers: BTreeMap::new(), posts: BTreeMap::new() };
        self.newsletters.by_id.insert(id.clone(), newsletter);
        self.record_newsletter(&id);
        self.follow_newsletter(by, &id)?;
        Ok(id)
    }

    /// The account gets the newsletter's posts from now on. Its other devices hear of it.
    pub(super) fn follow_newsletter(&mut self, by: &DeviceKey, id: &str) -> Result<(), NewsletterFault> {
        let since_s = self.now_s();
        let newsletter = self.newsletter_mut(id)?;
        if newsletter.followers.contains_key(&by.number) {
            return Ok(());
        }
        newsletter.followers.insert(by.number.clone(), Follower { since_s, ..Follower::default() });
        let metadata = answers::metadata(newsletter, Some(&by.number));
        self.record_follower(id, &by.number);
        let update = json!({ "data": { "xwa2_notify_newsletter_on_join": metadata } });
        self.tell_account(&by.number, Some(by), "NotificationNewsletterJoin", &update);
        Ok(())
    }

    /// The account gets no more posts. An owner stays the owner; an admin does not stay an admin.
    pub(super) fn unfollow_newsletter(&mut self, by: &DeviceKey, id: &str) -> Result<(), NewsletterFault> {
        let newsletter = self.newsletter_mut(id)?;
        let followed = newsletter.followers.remove(&by.number).is_some();
        newsletter.record.admins.remove(&by.number);
        let jid = newsletter.jid().to_string();
        let role = newsletter.role(&by.number).name();
        if followed {
            self.record_newsletter(id);
            self.record_follower(id, &by.number);
            let update = json!({ "data": { "xwa2_notify_newsletter_on_leave": { "id": jid, "role": role } } });
            self.tell_account(&by.number, Some(by), "NotificationNewsletterLeave", &update);
        }
        Ok(())
    }

    /// Removes a newsletter with everything in it.
    pub(super) fn delete_newsletter(&mut self, by: &DeviceKey, id: &str) -> Result<(), NewsletterFault> {
        self.own_newsletter(&by.number, id, "delete the newsletter")?;
        let Some(newsletter) = self.newsletters.by_id.remove(id) else {
            return Ok(());
        };
        self.newsletters.id_by_invite.remove(&newsletter.record.invite);
        self.newsletters.live.remove(id);
        self.unrecord_newsletter(&newsletter);
        for number in newsletter.followers.keys() {
            let change = json!({
                "id": newsletter.jid().to_string(),
                "is_requestor": *number == by.number,
                "state": { "type": "DELETED" },
            });
            let update = json!({ "data": { "xwa2_notify_newsletter_on_state_change": change } });
            self.tell_account(number, Some(by), "NotificationNewsletterStateChange", &update);
        }
        Ok(())
    }

    /// Changes what the newsletter says about itself, and tells its followers.
    pub(super) fn update_newsletter(&mut self, by: &DeviceKey, id: &str, changes: Changes) -> Result<(), NewsletterFault> {
        self.run_newsletter(&by.number, id, "change the newsletter")?;
        if let Some(name) = &changes.name {
            check_length("name", name.len(), 1, NAME_BYTES_MAX)?;
        }
        if let Some(description) = &changes.description {
            check_length("description", description.len(), 0, DESCRIPTION_BYTES_MAX)?;
        }
        if let Some(codes) = changes.reaction_codes.as_ref().filter(|codes| !REACTION_CODES.contains(&codes.as_str())) {
            return Err(NewsletterFault::Invalid { what: "setting of reactions", value: codes.clone() });
        }
        let picture = match changes.picture {
            Some(picture) if picture.is_empty() => Some(None),
            Some(picture) => Some(Some(self.keep_picture(picture)?)),
            None => None,
        };
        // The older form of the notification, which Baileys 7 reads, has the new texts beside the data.
        let settings = json!({ "name": changes.name, "description": changes.description });
        let name = changes.name.map(|name| self.new_line(name));
        let description = changes.description.map(|description| self.new_line(description));
        let record = &mut self.newsletter_mut(id)?.record;
        record.name = name.unwrap_or_else(|| record.name.clone());
        record.description = description.unwrap_or_else(|| record.description.clone());
        record.picture = picture.unwrap_or_else(|| record.picture.clone());
        record.reaction_codes = changes.reaction_codes.unwrap_or_else(|| record.reaction_codes.clone());
        self.record_newsletter(id);
        let newsletter = self.newsletter(id)?;
        let update = json!({
            "data": { "xwa2_notify_newsletter_on_metadata_update": answers::metadata(newsletter, None) },
            "updates": [{ "jid": newsletter.jid().to_string(), "settings": present(&settings) }],
        });
        let followers: Vec<String> = newsletter.followers.keys().cloned().collect();
        for number in followers {
            self.tell_account(&number, Some(by), "NotificationNewsletterUpdate", &update);
        }
        Ok(())
    }

    /// Puts a picture on the media hosts.
    fn keep_picture(&mut self, picture: Vec<u8>) -> Result<Picture, NewsletterFault> {
        check_length("picture", picture.len(), 1, PICTURE_BYTES_MAX)?;
        let direct_path = format!("/v/newsletter-picture/{}.jpg", hex::encode(Sha256::digest(&picture)));
        self.out.blobs.push(Blob { path: direct_path.clone(), bytes: Bytes::from(picture) });
        Ok(Picture { id: self.now_ms.to_string(), direct_path })
    }

    /// Silences a newsletter for a follower, or no longer.
    pub(super) fn mute_newsletter(
        &mut self,
        by: &DeviceKey,
        id: &str,
        mute: Mute,
        muted: bool,
    ) -> Result<(), NewsletterFault> {
        let newsletter = self.newsletter_mut(id)?;
        let jid = newsletter.jid().to_string();
        let Some(follower) = newsletter.followers.get_mut(&by.number) else {
            return Err(NewsletterFault::NotAllowed { who: "followers", what: "silence the newsletter" });
        };
        let kind = match mute {
            Mute::Posts => {
                follower.mutes_posts = muted;
                "MUTE_ADMIN_ACTIVITY"
            }
            Mute::Followers => {
                follower.mutes_followers = muted;
                "MUTE_FOLLOWER_ACTIVITY"
            }
        };
        self.record_follower(id, &by.number);
        let setting = json!({ "type": kind, "value": on_off(muted) });
        let change = json!({ "id": jid, "mute": on_off(muted), "setting": setting });
        let update = json!({ "data": { "xwa2_notify_newsletter_on_mute_change": change } });
        self.tell_account(&by.number, Some(by), "NotificationNewsletterMuteChange", &update);
        Ok(())
    }

    /// Asks an account to become an admin; returns until when it may say yes.
    pub(super) fn invite_admin(&mut self, by: &str, id: &str, whom: &str) -> Result<u64, NewsletterFault> {
        let until_s = self.now_s().saturating_add(ADMIN_INVITE_S);
        let record = &mut self.own_newsletter(by, id, "invite admins")?.record;
        if record.invited.len() >= INVITED_MAX {
            return Err(NewsletterFault::TooMany { what: "invited admins", count_max: INVITED_MAX });
        }
        record.invited.insert(whom.to_owned(), until_s);
        self.record_newsletter(id);
        Ok(until_s)
    }

    pub(super) fn revoke_admin_invite(&mut self, by: &str, id: &str, whom: &str) -> Result<(), NewsletterFault> {
        self.own_newsletter(by, id, "take an invitation back")?.record.invited.remove(whom);
        self.record_newsletter(id);
        Ok(())
    }

    /// An invited account becomes an admin, and follows the newsletter.
    pub(super) fn accept_admin_invite(&mut self, by: &DeviceKey, id: &str) -> Result<(), NewsletterFault> {
        let now_s = self.now_s();
        let record = &mut self.newsletter_mut(id)?.record;
        if record.admins.len() >= ADMINS_MAX {
            return Err(NewsletterFault::TooMany { what: "admins", count_max: ADMINS_MAX });
        }
        if record.invited.remove(&by.number).is_none_or(|until_s| until_s < now_s) {
            return Err(NewsletterFault::NotAllowed { who: "invited accounts", what: "become admins" });
        }
        record.admins.insert(by.number.clone());
        self.record_newsletter(id);
        self.follow_newsletter(by, id)?;
        self.tell_role(id, &by.number, "NotificationNewsletterAdminPromote", "xwa2_notify_newsletter_admin_promote")
    }

    /// Makes an admin an ordinary follower again: the owner does it, or the admin.
    pub(super) fn demote_admin(&mut self, by: &str, id: &str, whom: &str) -> Result<(), NewsletterFault> {
        let newsletter = self.newsletter_mut(id)?;
        if newsletter.role(by) != Role::Owner && by != whom {
            return Err(NewsletterFault::NotAllowed { who: "the owner", what: "demote admins" });
        }
        if !newsletter.record.admins.remove(whom) {
            return Err(NewsletterFault::NoAccount(whom.to_owned()));
        }
        self.record_newsletter(id);
        self.tell_role(id, whom, "NotificationNewsletterAdminDemote", "xwa2_notify_newsletter_admin_demote")
    }

    /// Gives the newsletter to one of its admins; the former owner stays as an admin.
    pub(super) fn change_newsletter_owner(&mut self, by: &str, id: &str, whom: &str) -> Result<(), NewsletterFault> {
        let record = &mut self.own_newsletter(by, id, "give the newsletter away")?.record;
        if !record.admins.remove(whom) {
            return Err(NewsletterFault::NoAccount(whom.to_owned()));
        }
        record.admins.insert(by.to_owned());
        whom.clone_into(&mut record.owner);
        self.record_newsletter(id);
        self.tell_role(id, whom, "NotificationNewsletterOwnerUpdate", "xwa2_notify_newsletter_owner_update")
    }

    /// Tells those who run a newsletter, and the account itself, that its role has changed.
    fn tell_role(&mut self, id: &str, whom: &str, operation: &str, field: &str) -> Result<(), NewsletterFault> {
        let user = self.lid_text(whom);
        let newsletter = self.newsletter(id)?;
        let jid = newsletter.jid().to_string();
        let role = newsletter.role(whom).name().to_uppercase();
        let mut told = newsletter.record.admins.clone();
        told.insert(newsletter.record.owner.clone());
        told.insert(whom.to_owned());
        let mut update = json!({ "data": {}, "updates": [{ "jid": jid, "user": user }] });
        if let Some(data) = update.get_mut("data").and_then(|data| data.as_object_mut()) {
            data.insert(field.to_owned(), json!({ "id": jid, "user_new_role": role, "user": { "id": user } }));
        }
        for number in told {
            self.tell_account(&number, None, operation, &update);
        }
        Ok(())
    }
}

pub(super) fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// The members of an object that are not null.
fn present(object: &serde_json::Value) -> serde_json::Value {
    let members = object.as_object().into_iter().flatten();
    members.filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(super) fn check_length(
    what: &'static str,
    bytes: usize,
    bytes_min: usize,
    bytes_max: usize,
) -> Result<(), NewsletterFault> {
    if (bytes_min..=bytes_max).contains(&bytes) {
        Ok(())
    } else {
        Err(NewsletterFault::Length { what, bytes, bytes_min, bytes_max })
    }
}
