//! Newsletters in the JSON that clients read.
//!
//! The shapes are those that wacore 0.7.0 (`mex_operations.rs`), whatsapp-rust 0.7.0 (`features/newsletter.rs`) and
//! Baileys 7 (`Socket/newsletter.js`) read: numbers as texts, roles in lower case in `viewer_metadata` and in upper case
//! in lists of followers, and an object for each text and picture, even where there is none.

use serde_json::{Value, json};

use super::rules::on_off;
use super::{Follower, Line, Newsletter, Picture, Role};

/// Everything about a newsletter, as `viewer` sees it.
pub(super) fn metadata(newsletter: &Newsletter, viewer: Option<&str>) -> Value {
    let record = &newsletter.record;
    let mut value = json!({
        "id": newsletter.jid().to_string(),
        "state": { "type": "ACTIVE" },
        "thread_metadata": {
            "creation_time": record.created_s.to_string(),
            "name": line(&record.name),
            "description": line(&record.description),
            "handle": null,
            "invite": record.invite,
            "picture": picture(record.picture.as_ref(), "IMAGE"),
            "preview": picture(record.picture.as_ref(), "PREVIEW"),
            "pinned_messages": pinned(newsletter),
            "settings": { "reaction_codes": { "value": record.reaction_codes } },
            "subscribers_count": newsletter.followers.len().to_string(),
            "verification": "UNVERIFIED",
            "wamo_sub": null,
        },
        "status_metadata": null,
    });
    if let (Some(viewer), Some(object)) = (viewer, value.as_object_mut()) {
        let follower = newsletter.followers.get(viewer).cloned().unwrap_or_default();
        object.insert("viewer_metadata".to_owned(), viewer_metadata(newsletter.role(viewer), &follower));
    }
    value
}

fn viewer_metadata(role: Role, follower: &Follower) -> Value {
    let mut settings = Vec::new();
    if role != Role::Guest {
        settings.push(json!({ "type": "MUTE_ADMIN_ACTIVITY", "value": on_off(follower.mutes_posts) }));
    }
    if role.runs_it() {
        settings.push(json!({ "type": "MUTE_FOLLOWER_ACTIVITY", "value": on_off(follower.mutes_followers) }));
    }
    json!({
        "mute": on_off(follower.mutes_posts),
        "role": role.name(),
        "settings": settings,
        "wamo_sub_status": null,
    })
}

fn line(line: &Line) -> Value {
    json!({ "id": line.at_us.to_string(), "text": line.text, "update_time": line.at_us.to_string() })
}

fn picture(picture: Option<&Picture>, kind: &str) -> Value {
    json!({
        "direct_path": picture.map(|picture| &picture.direct_path),
        "id": picture.map(|picture| &picture.id),
        "type": kind,
    })
}

/// The pinned posts, by the ids that their senders gave them.
pub(super) fn pinned(newsletter: &Newsletter) -> Value {
    let pinned = newsletter.record.pinned.iter().filter_map(|(server_id, until_s)| {
        let post = newsletter.posts.get(server_id)?;
        Some(json!({ "message_id": post.record.id, "expiry_ts": until_s.to_string() }))
    });
    pinned.collect()
}

/// The newsletter's address and nothing else, for those who asked for a change.
pub(super) fn bare(newsletter: &Newsletter) -> Value {
    json!({ "__typename": "XWA2Newsletter", "id": newsletter.jid().to_string(), "state": { "type": "ACTIVE" } })
}

/// A page of a directory.
pub(super) fn page(newsletters: &[&Newsletter], start: usize, more: bool) -> Value {
    let result: Vec<Value> = newsletters.iter().map(|newsletter| metadata(newsletter, None)).collect();
    let end = start.saturating_add(newsletters.len());
    json!({
        "page_info": {
            "start_cursor": start.to_string(),
            "end_cursor": end.to_string(),
            "has_next_page": more,
            "has_previous_page": start > 0,
        },
        "result": result,
    })
}
