//! A responder: who writes while nobody is there is told when somebody will be, once in a while and not at every message.
//!
//! ```json
//! {"zone": "+01:00", "reply": "We are there from Monday to Friday, 9 to 17.", "again_after_minutes": 720,
//!  "open": [{"day": "mon", "from": "09:00", "until": "17:00"}, {"day": "tue", "from": "09:00", "until": "17:00"}]}
//! ```
//!
//! Hours may go over midnight; a day may have several. Messages in groups are left alone. With `"ends_chain": true` the responders
//! behind it, a menu say, are not told of what comes while nobody is there; `order` is its place among them.
//!
//! As a worked example: what has to be remembered from one message to the next is in `kv`. `put_if` writes only if nobody has
//! written before, and what it writes is kept together with the answer: a run that is repeated after a crash answers once.

use serde::Deserialize;
use switchboard_guest_sdk::configurable::{Known, flag, objects, offset, text, time_of_day, whole, word};
use switchboard_guest_sdk::hours::{WallClock, is_within, minutes_of_day, offset_minutes, wall_clock};
use switchboard_guest_sdk::kv::{self, Expected};
use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run};
use switchboard_guest_sdk::subscriber::{ChatKind, Subscription};
use switchboard_guest_sdk::{config, export_configurable, export_responder, export_subscriber, grants, text_to};

/// Monday first, as [`WallClock`] counts.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Most stretches of hours.
const OPEN_MAX: usize = 28;
/// Most characters of the reply.
const REPLY_CHARS_MAX: usize = 4_096;
/// How long nobody is told again unless it is set, minutes.
const AGAIN_AFTER: u32 = 720;

const KNOWN: &[Known] = &[
    offset("zone").required(),
    text("reply", REPLY_CHARS_MAX).required(),
    whole("again_after_minutes", 1, 43_200),
    flag("ends_chain"),
    whole("order", 0, 1_000_000),
    objects(
        "open",
        OPEN_MAX,
        &[word("day", &DAYS).required(), time_of_day("from").required(), time_of_day("until").required()],
    ),
];

#[derive(Deserialize)]
struct Config {
    zone: String,
    reply: String,
    again_after_minutes: Option<u32>,
    #[serde(default)]
    ends_chain: bool,
    #[serde(default)]
    open: Vec<Hours>,
}

#[derive(Deserialize)]
struct Hours {
    day: String,
    from: String,
    until: String,
}

impl Config {
    /// Whether somebody is there at `now_ms`.
    fn is_open(&self, now_ms: u64) -> Result<bool, String> {
        let zone = offset_minutes(&self.zone).ok_or("configuration: zone is no offset")?;
        let now = wall_clock(now_ms, zone);
        Ok(self.open.iter().any(|hours| hours.have(now)))
    }
}

impl Hours {
    fn have(&self, now: WallClock) -> bool {
        let Some(day) = DAYS.iter().position(|day| *day == self.day) else { return false };
        let (Some(from), Some(until)) = (minutes_of_day(&self.from), minutes_of_day(&self.until)) else { return false };
        let after_midnight = until < from && now.minute < until;
        // What goes on after midnight belongs to the day on which it began.
        let begun_on = if after_midnight { (now.weekday + 6) % 7 } else { now.weekday };
        begun_on == day && is_within(now.minute, from, until)
    }
}

struct BusinessHours;

impl Guest for BusinessHours {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    fn respond(run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let config: Config = config()?;
        if message.from_me || config.is_open(run.now_ms)? {
            return Ok(vec![]);
        }
        let end = if config.ends_chain { vec![Command::EndChain] } else { vec![] };
        let again_after_s = config.again_after_minutes.unwrap_or(AGAIN_AFTER).saturating_mul(60);
        let told =
            kv::put_if(&format!("told/{}/{}", event.session, message.chat), &Expected::Absent, b"1", Some(again_after_s));
        if !told.map_err(|error| format!("{error:?}"))? {
            return Ok(end);
        }
        Ok([vec![Command::Send(text_to(&message.chat, config.reply))], end].concat())
    }
}

// It has no need to see what people write, nor who they are.
grants!({ "sessions": "all", "kv_bytes": 1048576, "send": { "per_minute": 120 } });
export_responder!(BusinessHours);
export_subscriber!(
    BusinessHours,
    Subscription {
        chat_kinds: vec![ChatKind::Person],
        ends_chain: config().is_ok_and(|config: Config| config.ends_chain),
        ..Subscription::everything()
    }
);
export_configurable!(BusinessHours, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday, 2026-01-15, 12:00 UTC.
    const NOON: u64 = 1_768_478_400_000;
    const HOUR: u64 = 3_600_000;

    fn open(day: &str, from: &str, until: &str, at: u64) -> bool {
        let hours = format!(r#"[{{"day": "{day}", "from": "{from}", "until": "{until}"}}]"#);
        let config = format!(r#"{{"zone": "+01:00", "reply": "x", "open": {hours}}}"#);
        serde_json::from_str::<Config>(&config).unwrap().is_open(at).unwrap()
    }

    #[test]
    fn hours_are_those_of_the_zone_that_is_set() {
        assert!(open("thu", "09:00", "13:01", NOON) && !open("thu", "09:00", "13:00", NOON));
        assert!(!open("wed", "09:00", "17:00", NOON));
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        assert!(open("thu", "20:00", "02:00", NOON + 8 * HOUR), "Thursday, 21:00");
        assert!(open("thu", "20:00", "02:00", NOON + 12 * HOUR), "Friday, 01:00");
        assert!(!open("fri", "20:00", "02:00", NOON + 12 * HOUR));
    }
}
