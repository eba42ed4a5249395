//! A policy: nobody is written to at night, by the clock where the recipient is.
//!
//! ```json
//! {"from": "21:00", "until": "08:00", "zone": "+01:00", "except_templates": ["otp"], "answers": true}
//! ```
//!
//! The host tells the recipient's offset from UTC where the number gives it away; `zone` is for all others, groups among them, and
//! without it they are refused nothing. `except_templates` names templates that may be sent at any hour. With `answers` (the
//! default) responders may answer at night: whoever wrote is awake.
//!
//! As a worked example: a rule about time has no clock of its own. The question brings the time, so that the same question gets the
//! same answer whenever it is asked, in a test too.

use serde::Deserialize;
use switchboard_guest_sdk::auth_policy::{Guest, Question, Verdict};
use switchboard_guest_sdk::configurable::{Known, flag, offset, texts, time_of_day, whole};
use switchboard_guest_sdk::hours::{is_within, minutes_of_day, offset_minutes, wall_clock};
use switchboard_guest_sdk::{config, export_auth_policy, export_configurable};

/// Most templates that can be excepted.
const TEMPLATES_MAX: usize = 100;
/// Most characters of a template's name.
const NAME_CHARS_MAX: usize = 512;

const KNOWN: &[Known] = &[
    time_of_day("from").required(),
    time_of_day("until").required(),
    offset("zone"),
    texts("except_templates", TEMPLATES_MAX, NAME_CHARS_MAX),
    flag("answers"),
    // The host reads it: policies are asked in this order.
    whole("order", 0, 1_000_000),
];

#[derive(Deserialize)]
struct Rules {
    from: String,
    until: String,
    zone: Option<String>,
    #[serde(default)]
    except_templates: Vec<String>,
    #[serde(default = "yes")]
    answers: bool,
}

fn yes() -> bool {
    true
}

/// What the rules go by.
struct Asked<'a> {
    now_ms: u64,
    zone_minutes: Option<i32>,
    template: Option<&'a str>,
    answer: bool,
}

struct QuietHours;

impl Guest for QuietHours {
    fn judge(question: Question) -> Verdict {
        let asked = Asked {
            now_ms: question.now_ms,
            zone_minutes: question.recipient_zone_minutes,
            template: question.template.as_ref().map(|call| call.name.as_str()),
            answer: question.principal.is_none(),
        };
        config().and_then(|rules| judge(&rules, &asked)).unwrap_or_else(Verdict::Deny)
    }
}

fn judge(rules: &Rules, asked: &Asked<'_>) -> Result<Verdict, String> {
    let read =
        |name: &str, text: &str| minutes_of_day(text).ok_or_else(|| format!("configuration: {name} is no time of the day"));
    let (from, until) = (read("from", &rules.from)?, read("until", &rules.until)?);
    let excepted = |name: &str| rules.except_templates.iter().any(|other| other == name);
    if (asked.answer && rules.answers) || asked.template.is_some_and(excepted) {
        return Ok(Verdict::Allow);
    }
    let usual = || rules.zone.as_deref().and_then(offset_minutes);
    let Some(zone) = asked.zone_minutes.map(i64::from).or_else(usual) else { return Ok(Verdict::Allow) };
    let minute = wall_clock(asked.now_ms, zone).minute;
    if !is_within(minute, from, until) {
        return Ok(Verdict::Allow);
    }
    let clock = format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, until) = (&rules.from, &rules.until);
    Ok(Verdict::Deny(format!("it is {clock} where the recipient is; nobody is written to from {from} until {until}")))
}

export_auth_policy!(QuietHours);
export_configurable!(QuietHours, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;

    /// Thursday, 2026-01-15, 20:30 UTC.
    const EVENING: u64 = 1_768_509_000_000;

    fn reason(zone: Option<&str>, asked: &Asked<'_>) -> Option<String> {
        let (from, until) = ("21:00".to_owned(), "08:00".to_owned());
        let rules =
            Rules { from, until, zone: zone.map(str::to_owned), except_templates: vec!["otp".to_owned()], answers: true };
        match judge(&rules, asked).unwrap() {
            Verdict::Allow => None,
            Verdict::Deny(reason) => Some(reason),
        }
    }

    fn asked(zone_minutes: Option<i32>) -> Asked<'static> {
        Asked { now_ms: EVENING, zone_minutes, template: None, answer: false }
    }

    #[test]
    fn the_clock_is_the_recipients() {
        assert_eq!(reason(None, &asked(Some(0))), None, "20:30 in London");
        let berlin = reason(None, &asked(Some(60))).unwrap();
        assert_eq!(berlin, "it is 21:30 where the recipient is; nobody is written to from 21:00 until 08:00");
        assert!(reason(None, &asked(Some(600))).is_some(), "06:30 in Sydney");
    }

    #[test]
    fn who_has_no_clock_goes_by_the_zone_that_is_set() {
        assert_eq!(reason(None, &asked(None)), None);
        assert!(reason(Some("+01:00"), &asked(None)).is_some());
        assert_eq!(reason(Some("+01:00"), &asked(Some(0))), None, "the recipient's own comes first");
    }

    #[test]
    fn answers_and_excepted_templates_go_at_any_hour() {
        assert_eq!(reason(None, &Asked { answer: true, ..asked(Some(60)) }), None);
        assert_eq!(reason(None, &Asked { template: Some("otp"), ..asked(Some(60)) }), None);
        assert!(reason(None, &Asked { template: Some("sale"), ..asked(Some(60)) }).is_some());
    }
}
