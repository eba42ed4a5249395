//! Whose presence a session watches: asked of WhatsApp with each login, and when the settings change.

use std::collections::BTreeSet;

use whatsapp_rust::{Client, Jid};

use switchboard_core::rules::session_settings::watched;

/// What a session's settings hold.
type Settings = serde_json::Map<String, serde_json::Value>;

/// Asks WhatsApp to tell of those who are watched `now`, and no longer of those who were `before`. What fails is asked again
/// with the next login.
pub(super) async fn watch(client: &Client, before: &Settings, now: &Settings) {
    // Settings that cannot be read were refused when they were to be set.
    let people = |settings| -> BTreeSet<String> { watched(settings).unwrap_or_default().into_iter().collect() };
    let (before, now) = (people(before), people(now));
    let jid = |person: &String| person.parse::<Jid>().ok();
    for gone in before.difference(&now).filter_map(jid) {
        if let Err(error) = client.presence().unsubscribe(&gone).await {
            tracing::debug!(%error, "a presence is watched until the next login");
        }
    }
    for new in now.difference(&before).filter_map(jid) {
        if let Err(error) = client.presence().subscribe(new).await {
            tracing::debug!(%error, "a presence is watched from the next login on");
        }
    }
}
