//! The `newsletter` queries: posts, what has become of them, live counts, and what the account itself did to posts.
//!
//! wacore 0.7.0 sends the query for posts to the newsletter; WhatsApp Web and whatsmeow send it to the server and name the
//! newsletter in it. Both are answered.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::delivery::{Part, post_node, vote_leaf};
use super::{Newsletter, NewsletterFault, Post, Response, is_newsletter};
use crate::address::DeviceKey;
use crate::network::{LinkId, Network};
use crate::wire;

/// How long a device hears of every reaction before it must ask again. The real server says 90 seconds.
const LIVE_S: u64 = 90;
/// Posts in one answer.
const POSTS_IN_ANSWER_MAX: usize = 300;
/// Posts in an answer to a query that names no count.
const POSTS_IN_ANSWER: usize = 50;

impl Network {
    /// Requests in the `newsletter` namespace. False when this is none of them.
    pub(in crate::network) fn receive_newsletter_iq(
        &mut self,
        link: LinkId,
        key: &DeviceKey,
        id: &str,
        node: &Node,
    ) -> bool {
        let Some(asked) = wire::children(node).first() else {
            return false;
        };
        let answer = match asked.tag.as_ref() {
            "messages" => self.posts_before(key, node, asked),
            "message_updates" => self.posts_after(key, node, asked),
            "live_updates" => self.watch_newsletter(key, node, asked),
            "my_addons" => self.own_responses(key, asked),
            _ => return false,
        };
        let answer = match answer {
            Ok(content) => wire::result(id).children([content]).build(),
            Err(fault) => wire::refusal(id, fault.code(), fault.condition()),
        };
        self.send(link, answer);
        true
    }

    fn asked_newsletter(&self, node: &Node, asked: &Node) -> Result<&Newsletter, NewsletterFault> {
        let to = wire::address(node, "to").filter(is_newsletter);
        let named = || wire::address(asked, "jid").filter(is_newsletter);
        if let Some(jid) = to.or_else(named) {
            return self.newsletter(jid.user.as_str());
        }
        let invite = wire::attribute(asked, "key").unwrap_or_default();
        let id = self.newsletters.id_by_invite.get(&invite).ok_or(NewsletterFault::NotFound(invite))?;
        self.newsletter(id)
    }

    /// The last posts before a number, oldest first.
    fn posts_before(&self, key: &DeviceKey, node: &Node, asked: &Node) -> Result<Node, NewsletterFault> {
        let newsletter = self.asked_newsletter(node, asked)?;
        let before = number(asked, "before").unwrap_or(u64::MAX);
        let mut posts: Vec<_> = newsletter.posts.range(..before).rev().take(count(asked)).collect();
        posts.reverse();
        Ok(self.post_list(newsletter, key, &posts))
    }

    /// The first posts after a number that were made or changed since a time, oldest first.
    fn posts_after(&self, key: &DeviceKey, node: &Node, asked: &Node) -> Result<Node, NewsletterFault> {
        let newsletter = self.asked_newsletter(node, asked)?;
        let after = number(asked, "after").unwrap_or(0);
        let since_s = number(asked, "since").unwrap_or(0);
        let posts: Vec<_> = newsletter
            .posts
            .range(after.saturating_add(1)..)
            .filter(|(_, post)| changed_s(post) >= since_s)
            .take(count(asked))
            .collect();
        let list = self.post_list(newsletter, key, &posts);
        Ok(NodeBuilder::new("message_updates").children([list]).build())
    }

    fn post_list(&self, newsletter: &Newsletter, key: &DeviceKey, posts: &[(&u64, &Post)]) -> Node {
        let posts = posts.iter().map(|(server_id, post)| post_node(**server_id, post, Some(&key.number), Part::Whole));
        let list = NodeBuilder::new("messages").attr("jid", newsletter.jid()).attr("t", self.now_s());
        list.children(posts).build()
    }

    /// From now on the device hears of every reaction, for a while.
    fn watch_newsletter(&mut self, key: &DeviceKey, node: &Node, asked: &Node) -> Result<Node, NewsletterFault> {
        let id = self.asked_newsletter(node, asked)?.id.clone();
        let until_ms = self.now_ms.saturating_add(LIVE_S * 1000);
        // No longer than there are newsletters and devices.
        self.newsletters.live.entry(id).or_default().insert(key.clone(), until_ms);
        Ok(NodeBuilder::new("live_updates").attr("duration", LIVE_S).build())
    }

    /// What the account has done to posts, newest post first: in one newsletter, or in all that it follows.
    fn own_responses(&self, key: &DeviceKey, asked: &Node) -> Result<Node, NewsletterFault> {
        let mut left = number(asked, "limit").map_or(POSTS_IN_ANSWER, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        left = left.min(POSTS_IN_ANSWER_MAX);
        let newsletters: Vec<&Newsletter> = match wire::address(asked, "jid") {
            Some(jid) => vec![self.newsletter(jid.user.as_str())?],
            None => {
                let all = self.newsletters.by_id.values();
                all.filter(|newsletter| newsletter.followers.contains_key(&key.number)).collect()
            }
        };
        let mut lists = Vec::new();
        for newsletter in newsletters {
            let posts = newsletter.posts.iter().rev();
            let own = posts.filter_map(|(server_id, post)| own_response(*server_id, post.responses.get(&key.number)?));
            let own: Vec<Node> = own.take(left).collect();
            left -= own.len();
            if !own.is_empty() {
                lists.push(own_list(newsletter.jid(), own));
            }
        }
        Ok(NodeBuilder::new("my_addons").children(lists).build())
    }
}

fn own_list(jid: Jid, messages: Vec<Node>) -> Node {
    NodeBuilder::new("messages").attr("jid", jid).children(messages).build()
}

fn own_response(server_id: u64, response: &Response) -> Option<Node> {
    let reaction = response
        .reaction
        .as_ref()
        .map(|reaction| NodeBuilder::new("reaction").attr("code", &reaction.code).attr("t", reaction.at_s).build());
    let votes = response.vote.as_ref().map(|vote| {
        let options = vote.options.iter().filter_map(|option| Some(vote_leaf(option)?.build()));
        NodeBuilder::new("votes").attr("t", vote.at_s).children(options).build()
    });
    let children: Vec<Node> = reaction.into_iter().chain(votes).collect();
    if children.is_empty() {
        return None;
    }
    Some(NodeBuilder::new("message").attr("server_id", server_id).children(children).build())
}

/// When something last happened to a post, in seconds.
fn changed_s(post: &Post) -> u64 {
    let edited_s = post.record.edited_ms.map_or(0, |edited_ms| edited_ms / 1000);
    let responses = post.responses.values().flat_map(|response| {
        let reacted_s = response.reaction.as_ref().map(|reaction| reaction.at_s);
        let voted_s = response.vote.as_ref().map(|vote| vote.at_s);
        reacted_s.into_iter().chain(voted_s)
    });
    responses.max().unwrap_or(0).max(edited_s).max(post.record.at_s)
}

fn number(node: &Node, name: &str) -> Option<u64> {
    wire::attribute(node, name)?.parse().ok()
}

fn count(asked: &Node) -> usize {
    let count = number(asked, "count").map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    count.unwrap_or(POSTS_IN_ANSWER).min(POSTS_IN_ANSWER_MAX)
}
