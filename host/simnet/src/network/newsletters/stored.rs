//! Newsletters as state records, and back.

use serde_json::Value;

use super::{Follower, Newsletter, NewsletterRecord, Post, PostRecord, Response};
use crate::network::Network;
use crate::network::account::put;

fn newsletter_record(id: &str) -> String {
    format!("newsletter/{id}")
}

fn follower_record(id: &str, number: &str) -> String {
    format!("newsletter/{id}/follower/{number}")
}

fn post_record(id: &str, server_id: u64) -> String {
    format!("newsletter/{id}/post/{server_id}")
}

fn response_record(id: &str, server_id: u64, number: &str) -> String {
    format!("newsletter/{id}/response/{server_id}/{number}")
}

impl Network {
    pub(super) fn record_newsletter(&mut self, id: &str) {
        if let Some(newsletter) = self.newsletters.by_id.get(id) {
            self.out.records.push(put(newsletter_record(id), &newsletter.record));
        }
    }

    /// Writes down that an account follows, or that it no longer does.
    pub(super) fn record_follower(&mut self, id: &str, number: &str) {
        let follower = self.newsletters.by_id.get(id).and_then(|newsletter| newsletter.followers.get(number));
        let key = follower_record(id, number);
        let record = follower.map_or((key.clone(), None), |follower| put(key, follower));
        self.out.records.push(record);
    }

    pub(super) fn record_post(&mut self, id: &str, server_id: u64) {
        let post = self.newsletters.by_id.get(id).and_then(|newsletter| newsletter.posts.get(&server_id));
        if let Some(post) = post {
            self.out.records.push(put(post_record(id, server_id), &post.record));
        }
    }

    pub(super) fn record_response(&mut self, id: &str, server_id: u64, number: &str) {
        let post = self.newsletters.by_id.get(id).and_then(|newsletter| newsletter.posts.get(&server_id));
        if let Some(response) = post.and_then(|post| post.responses.get(number)) {
            self.out.records.push(put(response_record(id, server_id, number), response));
        }
    }

    /// Forgets the records of a post and of what was done to it.
    pub(super) fn unrecord_post(&mut self, id: &str, server_id: u64, post: &Post) {
        self.unrecord_responses(id, server_id, post);
        self.out.records.push((post_record(id, server_id), None));
    }

    pub(super) fn unrecord_responses(&mut self, id: &str, server_id: u64, post: &Post) {
        let keys = post.responses.keys().map(|number| response_record(id, server_id, number));
        self.out.records.extend(keys.map(|key| (key, None)));
    }

    /// Forgets all records of a newsletter.
    pub(super) fn unrecord_newsletter(&mut self, newsletter: &Newsletter) {
        for (server_id, post) in &newsletter.posts {
            self.unrecord_post(&newsletter.id, *server_id, post);
        }
        let followers = newsletter.followers.keys().map(|number| follower_record(&newsletter.id, number));
        self.out.records.extend(followers.map(|key| (key, None)));
        self.out.records.push((newsletter_record(&newsletter.id), None));
    }

    /// Takes back one record. Sorted by name, a newsletter comes before what belongs to it, and its posts before the
    /// responses to them.
    pub(in crate::network) fn restore_newsletter(&mut self, path: &str, value: Value) -> Option<()> {
        let parts: Vec<&str> = path.split('/').collect();
        let (id, rest) = parts.split_first()?;
        if rest.is_empty() {
            let record: NewsletterRecord = serde_json::from_value(value).ok()?;
            self.newsletters.id_by_invite.insert(record.invite.clone(), (*id).to_owned());
            let newsletter =
                Newsletter { id: (*id).to_owned(), record, followers: Default::default(), posts: Default::default() };
            self.newsletters.by_id.insert((*id).to_owned(), newsletter);
            return Some(());
        }
        let newsletter = self.newsletters.by_id.get_mut(*id)?;
        match rest {
            ["follower", number] => {
                let follower: Follower = serde_json::from_value(value).ok()?;
                newsletter.followers.insert((*number).to_owned(), follower);
            }
            ["post", server_id] => {
                let record: PostRecord = serde_json::from_value(value).ok()?;
                newsletter.posts.insert(server_id.parse().ok()?, Post { record, responses: Default::default() });
            }
            ["response", server_id, number] => {
                let response: Response = serde_json::from_value(value).ok()?;
                newsletter.posts.get_mut(&server_id.parse().ok()?)?.responses.insert((*number).to_owned(), response);
            }
            _ => return None,
        }
        Some(())
    }
}
