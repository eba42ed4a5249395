//! What the control API asks of newsletters: phones' users make them, follow them, post and react.

use std::collections::BTreeMap;

use serde::Serialize;

use super::acts::Draft;
use super::queries::newsletter_of;
use super::{Newsletter, NewsletterFault, Post};
use crate::address::{DeviceKey, parse_number};
use crate::network::{CommandFault, Network};
use crate::random;

/// A newsletter as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct NewsletterSummary {
    jid: String,
    invite: String,
    name: String,
    description: String,
    owner: String,
    admins: Vec<String>,
    followers: Vec<String>,
    messages: Vec<PostView>,
}

/// A post as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct PostView {
    server_id: u64,
    id: String,
    by: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    edited: bool,
    revoked: bool,
    reactions: BTreeMap<String, usize>,
    votes: BTreeMap<String, usize>,
    views: usize,
}

impl Network {
    /// A phone's user makes a newsletter; returns its address and its invite code.
    pub(crate) fn make_newsletter(
        &mut self,
        by: &str,
        name: &str,
        description: &str,
    ) -> Result<(String, String), CommandFault> {
        let by = self.key_of_phone(by)?;
        let id = self.create_newsletter(&by, name, description, None)?;
        let newsletter = self.newsletter(&id)?;
        Ok((newsletter.jid().to_string(), newsletter.record.invite.clone()))
    }

    /// Everything about a newsletter.
    pub(crate) fn newsletter_summary(&self, jid: &str) -> Result<NewsletterSummary, CommandFault> {
        let newsletter = self.named_newsletter(jid)?;
        let record = &newsletter.record;
        Ok(NewsletterSummary {
            jid: newsletter.jid().to_string(),
            invite: record.invite.clone(),
            name: record.name.text.clone(),
            description: record.description.text.clone(),
            owner: record.owner.clone(),
            admins: record.admins.iter().cloned().collect(),
            followers: newsletter.followers.keys().cloned().collect(),
            messages: newsletter.posts.iter().map(|(server_id, post)| view(*server_id, post)).collect(),
        })
    }

    /// Phones' users follow a newsletter; all of them or none.
    pub(crate) fn follow_by_phones(&mut self, jid: &str, numbers: &[String]) -> Result<(), CommandFault> {
        let id = self.named_newsletter(jid)?.id.clone();
        let keys: Result<Vec<DeviceKey>, CommandFault> = numbers.iter().map(|number| self.key_of_phone(number)).collect();
        for key in keys? {
            self.follow_newsletter(&key, &id)?;
        }
        Ok(())
    }

    /// A phone's user follows a newsletter no longer.
    pub(crate) fn unfollow_by_phone(&mut self, jid: &str, number: &str) -> Result<(), CommandFault> {
        let id = self.named_newsletter(jid)?.id.clone();
        let key = self.key_of_phone(number)?;
        Ok(self.unfollow_newsletter(&key, &id)?)
    }

    /// A phone's user posts a text; returns the post's id and number.
    pub(crate) fn post_by_phone(&mut self, jid: &str, by: &str, text: &str) -> Result<(String, u64), CommandFault> {
        let id = self.named_newsletter(jid)?.id.clone();
        let by = self.key_of_phone(by)?;
        let draft = self.text_draft(&by, random::message_id(), text)?;
        let post_id = draft.id.clone();
        let server_id = self.publish(&by, &id, draft)?;
        Ok((post_id, server_id))
    }

    /// A phone's user changes a post into another text.
    pub(crate) fn edit_by_phone(&mut self, jid: &str, by: &str, server_id: u64, text: &str) -> Result<(), CommandFault> {
        let (id, post_id) = self.named_post(jid, server_id)?;
        let by = self.key_of_phone(by)?;
        let draft = self.text_draft(&by, post_id, text)?;
        self.edit_post(&by, &id, draft)?;
        Ok(())
    }

    /// A phone's user takes a post back.
    pub(crate) fn revoke_by_phone(&mut self, jid: &str, by: &str, server_id: u64) -> Result<(), CommandFault> {
        let (id, post_id) = self.named_post(jid, server_id)?;
        let by = self.key_of_phone(by)?;
        self.revoke_post(&by, &id, &post_id)?;
        Ok(())
    }

    /// A phone's user reacts to a post; an empty emoji takes the reaction back.
    pub(crate) fn react_by_phone(&mut self, jid: &str, by: &str, server_id: u64, emoji: &str) -> Result<(), CommandFault> {
        let (id, _) = self.named_post(jid, server_id)?;
        let by = self.key_of_phone(by)?;
        Ok(self.react_to_post(&by.number, &id, server_id, emoji)?)
    }

    fn text_draft(&self, by: &DeviceKey, id: String, text: &str) -> Result<Draft, CommandFault> {
        let account = self.accounts.get(&by.number).ok_or_else(|| CommandFault::NoPhone(by.number.clone()))?;
        let plaintext = waproto::codec::message_to_vec(&account.phone.compose_text(text));
        Ok(Draft { id, kind: "text".to_owned(), media_type: None, poll_type: None, plaintext })
    }

    /// The phone of a number.
    pub(in crate::network) fn key_of_phone(&self, number: &str) -> Result<DeviceKey, CommandFault> {
        let number = parse_number(number)?;
        if self.accounts.contains_key(&number) { Ok(DeviceKey::new(number, 0)) } else { Err(CommandFault::NoPhone(number)) }
    }

    fn named_newsletter(&self, jid: &str) -> Result<&Newsletter, NewsletterFault> {
        let id = newsletter_of(jid).ok_or_else(|| NewsletterFault::NotFound(jid.to_owned()))?;
        self.newsletter(&id)
    }

    fn named_post(&self, jid: &str, server_id: u64) -> Result<(String, String), NewsletterFault> {
        let newsletter = self.named_newsletter(jid)?;
        let post = newsletter.posts.get(&server_id).ok_or_else(|| NewsletterFault::NoPost(server_id.to_string()))?;
        Ok((newsletter.id.clone(), post.record.id.clone()))
    }
}

fn view(server_id: u64, post: &Post) -> PostView {
    let message = waproto::codec::message_decode(&post.record.plaintext).unwrap_or_default();
    let text = message.extended_text_message.as_option().and_then(|extended| extended.text.clone());
    let owned = |counts: BTreeMap<&str, usize>| counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    PostView {
        server_id,
        id: post.record.id.clone(),
        by: post.record.by.clone(),
        kind: post.record.kind.clone(),
        text: message.conversation.or(text),
        edited: post.record.edited_ms.is_some(),
        revoked: post.record.revoked,
        reactions: owned(post.reactions()),
        votes: owned(post.votes()),
        views: post.views(),
    }
}
