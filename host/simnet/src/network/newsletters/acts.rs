//! What may be done with posts, and by whom: posting, changing, taking back, reacting, voting, pinning.

use std::collections::BTreeSet;

use super::rules::check_length;
use super::{
    NewsletterFault, PINNED_MAX, POST_BYTES_MAX, POSTS_MAX, Post, PostRecord, REACTION_BYTES_MAX, Reaction, Response,
    VOTE_OPTIONS_MAX, Vote,
};
use crate::address::DeviceKey;
use crate::network::Network;

/// How long a post stays pinned.
const PINNED_S: u64 = 30 * 86_400;

/// What is to be posted, or to stand where a post stood.
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) media_type: Option<String>,
    pub(super) poll_type: Option<String>,
    pub(super) plaintext: Vec<u8>,
}

impl Network {
    /// Publishes a post; returns its number. The same post sent again is the same post.
    pub(super) fn publish(&mut self, by: &DeviceKey, id: &str, draft: Draft) -> Result<u64, NewsletterFault> {
        let at_s = self.now_s();
        let newsletter = self.run_newsletter(&by.number, id, "post")?;
        check_length("post", draft.plaintext.len(), 1, POST_BYTES_MAX)?;
        if let Some(server_id) = newsletter.post_by_id(&draft.id) {
            return Ok(server_id);
        }
        let server_id = newsletter.last_server_id() + 1;
        let Draft { id: post_id, kind, media_type, poll_type, plaintext } = draft;
        let record = PostRecord {
            id: post_id,
            by: by.number.clone(),
            kind,
            media_type,
            poll_type,
            at_s,
            edited_ms: None,
            revoked: false,
            plaintext,
        };
        newsletter.posts.insert(server_id, Post { record, responses: Default::default() });
        let oldest = if newsletter.posts.len() > POSTS_MAX { newsletter.posts.pop_first() } else { None };
        if let Some((oldest, post)) = oldest {
            self.unrecord_post(id, oldest, &post);
        }
        self.record_post(id, server_id);
        self.messages_relayed += 1;
        self.deliver_post(id, server_id, by);
        Ok(server_id)
    }

    /// Puts something else where a post stood. The draft has the post's id.
    pub(super) fn edit_post(&mut self, by: &DeviceKey, id: &str, draft: Draft) -> Result<u64, NewsletterFault> {
        let now_ms = self.now_ms;
        let newsletter = self.run_newsletter(&by.number, id, "change posts")?;
        check_length("post", draft.plaintext.len(), 1, POST_BYTES_MAX)?;
        let server_id = newsletter.post_by_id(&draft.id);
        let post = server_id.and_then(|server_id| newsletter.posts.get_mut(&server_id));
        let (Some(server_id), Some(post)) = (server_id, post.filter(|post| !post.record.revoked)) else {
            return Err(NewsletterFault::NoPost(draft.id));
        };
        post.record.kind = draft.kind;
        post.record.media_type = draft.media_type;
        post.record.plaintext = draft.plaintext;
        post.record.edited_ms = Some(now_ms);
        self.record_post(id, server_id);
        self.deliver_post(id, server_id, by);
        Ok(server_id)
    }

    /// Takes a post back: its envelope stays, its content and what was done to it go.
    pub(super) fn revoke_post(&mut self, by: &DeviceKey, id: &str, post_id: &str) -> Result<u64, NewsletterFault> {
        let newsletter = self.run_newsletter(&by.number, id, "take posts back")?;
        let server_id = newsletter.post_by_id(post_id);
        let post = server_id.and_then(|server_id| newsletter.posts.get_mut(&server_id));
        let (Some(server_id), Some(post)) = (server_id, post) else {
            return Err(NewsletterFault::NoPost(post_id.to_owned()));
        };
        post.record.revoked = true;
        post.record.plaintext.clear();
        post.record.media_type = None;
        let gone = Post { record: post.record.clone(), responses: std::mem::take(&mut post.responses) };
        newsletter.record.pinned.remove(&server_id);
        self.unrecord_responses(id, server_id, &gone);
        self.record_newsletter(id);
        self.record_post(id, server_id);
        self.deliver_post(id, server_id, by);
        Ok(server_id)
    }

    /// Reacts to a post in place of an earlier reaction; an empty code takes it back.
    pub(super) fn react_to_post(&mut self, by: &str, id: &str, server_id: u64, code: &str) -> Result<(), NewsletterFault> {
        let at_s = self.now_s();
        check_length("reaction", code.len(), 0, REACTION_BYTES_MAX)?;
        if !code.is_empty() && self.newsletter(id)?.record.reaction_codes == "NONE" {
            return Err(NewsletterFault::NotAllowed { who: "nobody", what: "react in this newsletter" });
        }
        let response = self.response_to(by, id, server_id)?;
        response.reaction = (!code.is_empty()).then(|| Reaction { code: code.to_owned(), at_s });
        self.record_response(id, server_id, by);
        self.deliver_counts(id, server_id, Some(code).filter(|code| !code.is_empty()));
        Ok(())
    }

    /// Votes in a poll in place of an earlier vote. The options are hashes of their names, in hex.
    pub(super) fn vote_in_post(
        &mut self,
        by: &str,
        id: &str,
        server_id: u64,
        options: BTreeSet<String>,
    ) -> Result<(), NewsletterFault> {
        let at_s = self.now_s();
        if options.len() > VOTE_OPTIONS_MAX {
            return Err(NewsletterFault::TooMany { what: "options in a vote", count_max: VOTE_OPTIONS_MAX });
        }
        self.response_to(by, id, server_id)?.vote = Some(Vote { at_s, options });
        self.record_response(id, server_id, by);
        self.deliver_counts(id, server_id, None);
        Ok(())
    }

    /// Counts that an account has seen a post.
    pub(super) fn view_post(&mut self, by: &str, id: &str, server_id: u64) -> Result<(), NewsletterFault> {
        let response = self.response_to(by, id, server_id)?;
        if !std::mem::replace(&mut response.viewed, true) {
            self.record_response(id, server_id, by);
            self.deliver_counts(id, server_id, None);
        }
        Ok(())
    }

    fn response_to(&mut self, by: &str, id: &str, server_id: u64) -> Result<&mut Response, NewsletterFault> {
        let post = self.newsletter_mut(id)?.posts.get_mut(&server_id).filter(|post| !post.record.revoked);
        let post = post.ok_or_else(|| NewsletterFault::NoPost(server_id.to_string()))?;
        Ok(post.responses.entry(by.to_owned()).or_default())
    }

    /// Pins posts, or no longer.
    pub(super) fn pin_posts(&mut self, by: &str, id: &str, server_ids: &[u64], pinned: bool) -> Result<(), NewsletterFault> {
        let until_s = self.now_s().saturating_add(PINNED_S);
        let newsletter = self.run_newsletter(by, id, "pin posts")?;
        for server_id in server_ids {
            if !newsletter.posts.contains_key(server_id) {
                return Err(NewsletterFault::NoPost(server_id.to_string()));
            }
            if pinned {
                newsletter.record.pinned.insert(*server_id, until_s);
            } else {
                newsletter.record.pinned.remove(server_id);
            }
        }
        while newsletter.record.pinned.len() > PINNED_MAX {
            newsletter.record.pinned.pop_first();
        }
        self.record_newsletter(id);
        Ok(())
    }
}
