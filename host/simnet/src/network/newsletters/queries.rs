//! What each query does and answers, by what it reads from its variables.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use wacore_binary::Jid;

use super::operations::Operation as Op;
use super::rules::{Changes, Mute};
use super::{Newsletter, NewsletterFault, answers, is_newsletter};
use crate::address::{DeviceKey, Space};
use crate::network::Network;

/// Newsletters, followers or posts in one answer.
const ANSWER_MAX: usize = 1_000;
/// Newsletters on a page of a directory when nobody says how many.
pub(super) const PAGE: usize = 50;

impl Network {
    pub(super) fn mex_create(&mut self, key: &DeviceKey, variables: &Value) -> Result<Value, NewsletterFault> {
        // whatsmeow calls it `newsletter_input`.
        let input = variables.get("input").or_else(|| variables.get("newsletter_input"));
        let input = input.ok_or(NewsletterFault::Missing("input"))?;
        let name = text(input, "name").ok_or(NewsletterFault::Missing("name"))?;
        let description = text(input, "description").unwrap_or_default();
        let picture = picture_in(input)?;
        let id = self.create_newsletter(key, name, description, picture)?;
        if let Some(codes) = reaction_codes_in(input) {
            self.update_newsletter(key, &id, Changes { reaction_codes: Some(codes), ..Changes::default() })?;
        }
        Ok(json!({ "xwa2_newsletter_create": self.seen_by(key, &id)? }))
    }

    /// Only what is there is changed; Baileys 7 sends `null` for what it leaves alone.
    pub(super) fn mex_update(&mut self, key: &DeviceKey, variables: &Value) -> Result<Value, NewsletterFault> {
        let id = newsletter_id(variables)?;
        let updates = variables.get("updates").ok_or(NewsletterFault::Missing("updates"))?;
        let changes = Changes {
            name: text(updates, "name").map(str::to_owned),
            description: text(updates, "description").map(str::to_owned),
            picture: picture_in(updates)?,
            reaction_codes: reaction_codes_in(updates),
        };
        self.update_newsletter(key, &id, changes)?;
        Ok(json!({ "xwa2_newsletter_update": self.seen_by(key, &id)? }))
    }

    pub(super) fn mex_fetch(&self, key: &DeviceKey, variables: &Value) -> Result<Value, NewsletterFault> {
        let input = variables.get("input").ok_or(NewsletterFault::Missing("input"))?;
        let wanted = text(input, "key").ok_or(NewsletterFault::Missing("key"))?;
        let id = match text(input, "type") {
            Some("INVITE") => self.newsletters.id_by_invite.get(wanted).cloned(),
            _ => newsletter_of(wanted),
        };
        let id = id.ok_or_else(|| NewsletterFault::NotFound(wanted.to_owned()))?;
        Ok(json!({ "xwa2_newsletter": self.seen_by(key, &id)? }))
    }

    pub(super) fn mex_subscribed(&self, key: &DeviceKey) -> Value {
        let all = self.newsletters.by_id.values();
        let followed = all.filter(|newsletter| newsletter.followers.contains_key(&key.number));
        let followed: Vec<Value> =
            followed.take(ANSWER_MAX).map(|newsletter| answers::metadata(newsletter, Some(&key.number))).collect();
        json!({ "xwa2_newsletter_subscribed": followed })
    }

    /// The newsletters that the account does not follow, those with most followers first.
    pub(super) fn newsletter_directory(&self, key: &DeviceKey, variables: &Value) -> Value {
        let input = variables.get("input").unwrap_or(&Value::Null);
        let search = text(input, "search_text").unwrap_or_default().to_lowercase();
        let start: usize = text(input, "start_cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let limit = limit_in(input, "limit");
        let all = self.newsletters.by_id.values();
        let mut found: Vec<&Newsletter> = all
            .filter(|newsletter| !newsletter.followers.contains_key(&key.number))
            .filter(|newsletter| newsletter.record.name.text.to_lowercase().contains(&search))
            .collect();
        found.sort_by_key(|newsletter| std::cmp::Reverse(newsletter.followers.len()));
        let more = found.len() > start.saturating_add(limit);
        let page: Vec<&Newsletter> = found.into_iter().skip(start).take(limit).collect();
        answers::page(&page, start, more)
    }

    pub(super) fn mex_user_setting(
        &mut self,
        key: &DeviceKey,
        id: &str,
        variables: &Value,
    ) -> Result<Value, NewsletterFault> {
        let input = variables.get("input").ok_or(NewsletterFault::Missing("input"))?;
        let kind = text(input, "type").ok_or(NewsletterFault::Missing("type"))?;
        let mute = match kind {
            "MUTE_ADMIN_ACTIVITY" => Mute::Posts,
            "MUTE_FOLLOWER_ACTIVITY" => Mute::Followers,
            other => return Err(NewsletterFault::Invalid { what: "setting", value: other.to_owned() }),
        };
        self.mute_newsletter(key, id, mute, text(input, "value") == Some("ON"))?;
        Ok(json!({ "xwa2_newsletter_update_user_setting": self.seen_by(key, id)? }))
    }

    /// Lists of people, which only those who run the newsletter may see.
    pub(super) fn mex_people(
        &mut self,
        key: &DeviceKey,
        id: &str,
        operation: Op,
        variables: &Value,
    ) -> Result<Value, NewsletterFault> {
        let newsletter = &*self.run_newsletter(&key.number, id, "see who is in it")?;
        let jid = newsletter.jid().to_string();
        let record = &newsletter.record;
        let admin_count = record.admins.len().saturating_add(1);
        let invited: Vec<String> = record.invited.keys().cloned().collect();
        let count = limit_in(variables.get("input").unwrap_or(&Value::Null), "count");
        let followers: Vec<(String, u64)> =
            newsletter.followers.iter().take(count).map(|(number, follower)| (number.clone(), follower.since_s)).collect();
        let subscribers = newsletter.followers.len();
        match operation {
            Op::AdminInfo => Ok(json!({ "xwa2_newsletter_admin": {
                "id": jid,
                "admin_count": admin_count,
                "admin_profile": null,
                "admin_settings": { "admin_profiles_enabled": false },
                "capabilities": [],
            } })),
            Op::Followers { field, list } => {
                let edges: Result<Vec<Value>, NewsletterFault> =
                    followers.iter().map(|(number, since_s)| self.follower_edge(id, number, *since_s)).collect();
                Ok(json!({ field: { list: { "edges": edges? } } }))
            }
            // wacore 0.7.0 asks under this number for invited admins, Baileys 7 for the number of followers.
            _ => {
                let invited: Vec<Value> = invited
                    .iter()
                    .map(|number| json!({ "user": { "id": self.lid_text(number), "pn": self.number_text(number) } }))
                    .collect();
                Ok(json!({
                    "xwa2_newsletter_admin": { "id": jid, "pending_admin_invites": invited },
                    "xwa2_newsletter_subscribers": { "subscribers": subscribers },
                }))
            }
        }
    }

    fn follower_edge(&self, id: &str, number: &str, since_s: u64) -> Result<Value, NewsletterFault> {
        let role = self.newsletter(id)?.role(number).name().to_uppercase();
        let name = self.accounts.get(number).map(|account| account.name.as_str()).filter(|name| !name.is_empty());
        Ok(json!({
            "node": {
                "id": self.lid_text(number),
                "pn": self.number_text(number),
                "display_name": name,
                "username_info": null,
            },
            "role": role,
            "follow_time": since_s.to_string(),
            "admin_profile": null,
        }))
    }

    fn number_text(&self, number: &str) -> String {
        self.jid_of(&DeviceKey::new(number, 0), Space::Number).to_string()
    }

    /// What the owner does with admins.
    pub(super) fn mex_admins(
        &mut self,
        key: &DeviceKey,
        id: &str,
        operation: Op,
        variables: &Value,
    ) -> Result<Value, NewsletterFault> {
        let user = text(variables, "user_id").ok_or(NewsletterFault::Missing("user_id"))?;
        let jid: Option<Jid> = user.parse().ok();
        let whom = jid.and_then(|jid| self.number_of(&jid)).ok_or_else(|| NewsletterFault::NoAccount(user.to_owned()))?;
        let field = match operation {
            Op::InviteAdmin => {
                let until_s = self.invite_admin(&key.number, id, &whom)?;
                let jid = self.newsletter(id)?.jid().to_string();
                let invite = json!({ "id": jid, "invite_expiration_time": until_s.to_string() });
                return Ok(json!({ "xwa2_newsletter_admin_invite_create": invite }));
            }
            Op::RevokeAdminInvite => {
                self.revoke_admin_invite(&key.number, id, &whom)?;
                "xwa2_newsletter_admin_invite_revoke"
            }
            Op::Demote { field } => {
                self.demote_admin(&key.number, id, &whom)?;
                field
            }
            _ => {
                self.change_newsletter_owner(&key.number, id, &whom)?;
                "xwa2_newsletter_change_owner"
            }
        };
        Ok(json!({ field: answers::bare(self.newsletter(id)?) }))
    }

    pub(super) fn mex_pin(
        &mut self,
        key: &DeviceKey,
        id: &str,
        variables: &Value,
        field: &str,
        pinned: bool,
    ) -> Result<Value, NewsletterFault> {
        let ids = variables.get("input").and_then(|input| input.get("message_ids"));
        let ids = ids.and_then(Value::as_array).ok_or(NewsletterFault::Missing("message_ids"))?;
        let newsletter = self.newsletter(id)?;
        let server_ids: Vec<u64> = ids.iter().filter_map(Value::as_str).filter_map(|id| newsletter.post_by_id(id)).collect();
        self.pin_posts(&key.number, id, &server_ids, pinned)?;
        let newsletter = self.newsletter(id)?;
        let thread = json!({ "pinned_messages": answers::pinned(newsletter) });
        Ok(json!({ field: { "id": newsletter.jid().to_string(), "thread_metadata": thread } }))
    }

    /// Who reacted to a post with what, or voted for what.
    pub(super) fn mex_responses(&self, id: &str, operation: Op, variables: &Value) -> Result<Value, NewsletterFault> {
        let input = variables.get("input").ok_or(NewsletterFault::Missing("input"))?;
        let wanted = text(input, "server_id").ok_or(NewsletterFault::Missing("server_id"))?;
        let no_post = || NewsletterFault::NoPost(wanted.to_owned());
        let server_id: u64 = wanted.parse().map_err(|_| no_post())?;
        let post = self.newsletter(id)?.posts.get(&server_id).ok_or_else(no_post)?;
        let by_code = |code: &str| -> Vec<Value> {
            let senders = post
                .responses
                .iter()
                .filter(|(_, response)| response.reaction.as_ref().is_some_and(|reaction| reaction.code == code));
            senders.map(|(number, _)| json!({ "node": { "id": self.lid_text(number) } })).collect()
        };
        let by_option = |option: &str| -> Vec<Value> {
            let voters = post.responses.iter().filter_map(|(number, response)| {
                let vote = response.vote.as_ref().filter(|vote| vote.options.contains(option))?;
                Some(json!({ "node": { "id": self.lid_text(number) }, "action_time": vote.at_s.to_string() }))
            });
            voters.collect()
        };
        if operation == Op::Reactions {
            let reactions = post.reactions().into_keys();
            let reactions: Vec<Value> =
                reactions.map(|code| json!({ "reaction_code": code, "sender_list": { "edges": by_code(code) } })).collect();
            return Ok(json!({ "xwa2_newsletters_reaction_sender_list": { "reactions": reactions } }));
        }
        let votes = post.votes().into_keys();
        let votes: Vec<Value> =
            votes.map(|option| json!({ "vote_hash": option, "voter_list": { "edges": by_option(option) } })).collect();
        Ok(json!({ "voter_list": { "votes": votes } }))
    }
}

/// No newsletter here has a category, so each is empty.
pub(super) fn directory_categories(variables: &Value) -> Value {
    let categories = variables.get("input").and_then(|input| input.get("categories")).and_then(Value::as_array);
    let result: Vec<Value> = categories
        .into_iter()
        .flatten()
        .map(|category| json!({ "category": category, "category_title": category, "newsletters": [] }))
        .collect();
    json!({ "xwa2_newsletters_directory_category_preview": { "result": result } })
}

/// Links are not fetched here, so no domain has a preview.
pub(super) fn previewable_domains(variables: &Value) -> Value {
    let domains = variables.get("url_domains").and_then(Value::as_array);
    let previews: Vec<Value> =
        domains.into_iter().flatten().map(|domain| json!({ "url_domain": domain, "is_previewable": false })).collect();
    json!({ "xwa2_newsletter_message_integrity": { "url_previews": previews } })
}

/// The newsletter that a query names, in whichever place its operation has for it.
pub(super) fn newsletter_id(variables: &Value) -> Result<String, NewsletterFault> {
    let input = variables.get("input");
    let named = text(variables, "newsletter_id")
        .or_else(|| input.and_then(|input| text(input, "newsletter_id").or_else(|| text(input, "id"))));
    let named = named.ok_or(NewsletterFault::Missing("newsletter_id"))?;
    newsletter_of(named).ok_or_else(|| NewsletterFault::NotFound(named.to_owned()))
}

/// The id in a newsletter's address.
pub(super) fn newsletter_of(text: &str) -> Option<String> {
    let jid: Jid = text.parse().ok()?;
    is_newsletter(&jid).then(|| jid.user.as_str().to_owned())
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn limit_in(input: &Value, name: &str) -> usize {
    let limit = input.get(name).and_then(Value::as_u64).map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    limit.unwrap_or(PAGE).min(ANSWER_MAX)
}

/// A picture as base64; an empty text takes it away.
fn picture_in(value: &Value) -> Result<Option<Vec<u8>>, NewsletterFault> {
    let Some(picture) = text(value, "picture") else {
        return Ok(None);
    };
    let decoded = BASE64.decode(picture);
    decoded.map(Some).map_err(|error| NewsletterFault::Invalid { what: "picture", value: error.to_string() })
}

fn reaction_codes_in(value: &Value) -> Option<String> {
    let codes = value.get("settings")?.get("reaction_codes")?;
    text(codes, "value").map(str::to_owned)
}
