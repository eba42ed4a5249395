//! Whose presence a session watches, asked of WhatsApp with each login and when the settings change; and what it shows of itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use whatsapp_rust::{ChatStateType, Client, Jid, PresenceError};

use switchboard_core::clock::Clock;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::people::OwnActivity;
use switchboard_core::rules::session_settings::watched;

use super::desk::{AskError, Desk};
use super::groups::read_jid;
use super::sessions::Sessions;

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

/// Chats of one session in which something that was begun waits for its end.
const ENDINGS_MAX: usize = 16;

impl Sessions {
    /// Shows what the session's account does: `chat` is the JID of where, for what is done in one. That ends after `ends_after`,
    /// or when WhatsApp lets it end.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn show(
        &self,
        tenant: TenantId,
        id: SessionId,
        chat: Option<&str>,
        activity: OwnActivity,
        ends_after: Option<Duration>,
    ) -> Result<(), AskError> {
        let chat = chat.map(read_jid).transpose()?;
        let clock = Arc::clone(self.clock());
        self.ask(tenant, id, |client, desk| async move {
            let Some(chat) = chat.filter(|_| activity.is_in_a_chat()) else { return show_presence(&client, activity).await };
            let ends_after = ends_after.filter(|_| activity != OwnActivity::Paused);
            let place = chat.to_non_ad_string();
            desk.no_ending(&place, ends_after.is_some())?;
            show_in_chat(&client, &chat, activity).await?;
            if let Some(wait) = ends_after {
                desk.end_later(clock, chat, place, wait);
            }
            Ok(())
        })
        .await
    }
}

fn unsent(error: &dyn std::fmt::Display) -> AskError {
    tracing::warn!(%error, "a presence was not sent");
    AskError::Unavailable("the connection to WhatsApp broke".to_owned())
}

async fn show_presence(client: &Client, activity: OwnActivity) -> Result<(), AskError> {
    let there = activity == OwnActivity::Available;
    let shown = if there { client.presence().set_available().await } else { client.presence().set_unavailable().await };
    shown.map_err(|error| match error {
        PresenceError::PushNameEmpty => {
            AskError::Unavailable("WhatsApp has not told the account's own name yet; try again in a moment".to_owned())
        }
        other => unsent(&other),
    })
}

async fn show_in_chat(client: &Client, chat: &Jid, activity: OwnActivity) -> Result<(), AskError> {
    let state = match activity {
        OwnActivity::Typing => ChatStateType::Composing,
        OwnActivity::Recording => ChatStateType::Recording,
        _ => ChatStateType::Paused,
    };
    client.chatstate().send(chat, state).await.map_err(|error| unsent(&error))
}

impl Desk {
    /// What ends in this chat later is not to end any more: something else begins. Refuses where another ending is wanted and
    /// too many wait.
    fn no_ending(&self, chat: &str, another: bool) -> Result<(), AskError> {
        let Ok(mut endings) = self.endings.lock() else { return Ok(()) };
        if let Some((_, ending)) = endings.by_chat.remove(chat) {
            ending.abort();
        }
        if another && endings.by_chat.len() >= ENDINGS_MAX {
            let why = format!("in {ENDINGS_MAX} chats something waits for its end; say when it ends yourself");
            return Err(AskError::Unavailable(why));
        }
        Ok(())
    }

    /// Ends after `wait` what was begun in a chat.
    fn end_later(self: Arc<Self>, clock: Arc<dyn Clock>, chat: Jid, place: String, wait: Duration) {
        let desk = Arc::clone(&self);
        let Ok(mut endings) = self.endings.lock() else { return };
        endings.count += 1;
        let (n, at) = (endings.count, clock.now().plus(wait));
        let key = place.clone();
        let ending = tokio::spawn(async move {
            clock.sleep_until(at).await;
            let due = desk.endings.lock().is_ok_and(|mut endings| {
                let due = endings.by_chat.get(&place).is_some_and(|(latest, _)| *latest == n);
                if due {
                    endings.by_chat.remove(&place);
                }
                due
            });
            if due && let Some(client) = desk.client() {
                // Off line nobody sees it, and WhatsApp ends it by itself.
                let _ = show_in_chat(&client, &chat, OwnActivity::Paused).await;
            }
        });
        if let Some((_, before)) = endings.by_chat.insert(key, (n, ending.abort_handle())) {
            before.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use switchboard_core::clock::SystemClock;

    use super::*;

    /// Lets something end in a chat after an hour.
    fn begin(desk: &Arc<Desk>, n: usize) -> Result<(), AskError> {
        let place = format!("4915200000{n:02}@s.whatsapp.net");
        desk.no_ending(&place, true)?;
        let jid = place.parse().unwrap();
        Arc::clone(desk).end_later(Arc::new(SystemClock), jid, place, Duration::from_secs(3600));
        Ok(())
    }

    #[tokio::test]
    async fn a_chat_has_one_ending_and_a_session_few_of_them() {
        let desk = Arc::new(Desk::default());
        for n in 0..ENDINGS_MAX {
            begin(&desk, n).unwrap();
        }
        let refused = begin(&desk, ENDINGS_MAX).unwrap_err();
        assert!(matches!(&refused, AskError::Unavailable(why) if why.contains("16")), "{refused:?}");
        begin(&desk, 0).unwrap();
        assert_eq!(desk.endings.lock().unwrap().by_chat.len(), ENDINGS_MAX, "a new ending takes the place of the old");
        desk.no_ending("491520000001@s.whatsapp.net", false).unwrap();
        begin(&desk, ENDINGS_MAX).unwrap();
    }

    #[tokio::test]
    async fn an_ending_that_is_over_leaves_its_place() {
        let desk = Arc::new(Desk::default());
        let place = "491520000001@s.whatsapp.net".to_owned();
        let jid = place.parse().unwrap();
        Arc::clone(&desk).end_later(Arc::new(SystemClock), jid, place, Duration::ZERO);
        while !desk.endings.lock().unwrap().by_chat.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
