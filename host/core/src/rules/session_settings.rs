//! Settings of a session that the host itself heeds, beside those of its pacing. Others are kept for whoever set them.

use serde_json::{Map, Value};

use super::address::{JidServer, parse_recipient};
use super::plan::PACING_SETTING;
use super::said_back::said_back;

/// Whether files of messages are fetched as they come in: `true` or `false`.
pub const FETCH_MEDIA: &str = "fetch_media";
/// Whose coming and going is told as events: a list of numbers or JIDs.
pub const WATCH_PRESENCE: &str = "watch_presence";
/// Whether the session sends: `true` or `false`. One that does not accepts nothing.
pub const SENDING: &str = "sending";
/// Every setting that the host heeds.
pub const HEEDED: [&str; 4] = [FETCH_MEDIA, PACING_SETTING, SENDING, WATCH_PRESENCE];
/// Most people of whom that is told.
pub const WATCHED_MAX: usize = 100;

/// A setting that the host does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct SettingError {
    /// Which setting.
    pub setting: &'static str,
    /// The place of the entry that is wrong, from 0, where it is a list and not the whole of it is.
    pub at: Option<usize>,
    /// Why, for the customer.
    pub why: String,
}

/// The first of these settings that the host does not heed, but for those that stay as they are in `kept`. What is kept already
/// was set by a dialect, which alone knows what it may be and what hangs on it.
pub fn unheeded<'a>(settings: &'a Map<String, Value>, kept: &Map<String, Value>) -> Option<&'a str> {
    let changes = |(name, value): &(&'a String, &Value)| !HEEDED.contains(&name.as_str()) && kept.get(*name) != Some(value);
    settings.iter().find(changes).map(|(name, _)| name.as_str())
}

/// Whether files are fetched as they come in.
///
/// # Errors
/// When the setting is no truth value.
pub fn fetches_media(settings: &Map<String, Value>) -> Result<bool, SettingError> {
    flag(settings, FETCH_MEDIA, false)
}

/// Whether the session sends.
///
/// # Errors
/// When the setting is no truth value.
pub fn sends(settings: &Map<String, Value>) -> Result<bool, SettingError> {
    flag(settings, SENDING, true)
}

fn flag(settings: &Map<String, Value>, setting: &'static str, unset: bool) -> Result<bool, SettingError> {
    match settings.get(setting) {
        None | Some(Value::Null) => Ok(unset),
        Some(Value::Bool(set)) => Ok(*set),
        Some(other) => {
            Err(SettingError { setting, at: None, why: format!("{}: true or false is needed", said_back(other)) })
        }
    }
}

/// Whose presence is watched: JIDs.
///
/// # Errors
/// When the setting is no list of people, or one of too many.
pub fn watched(settings: &Map<String, Value>) -> Result<Vec<String>, SettingError> {
    let refused = |why: String| SettingError { setting: WATCH_PRESENCE, at: None, why };
    let people = match settings.get(WATCH_PRESENCE) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(people)) => people,
        Some(other) => return Err(refused(format!("{}: a list of numbers is needed", said_back(other)))),
    };
    if people.len() > WATCHED_MAX {
        return Err(refused(format!("has {} people; the limit is {WATCHED_MAX}", people.len())));
    }
    let person = |(at, value): (usize, &Value)| {
        let refused = |why: String| SettingError { at: Some(at), ..refused(why) };
        let text = value.as_str().ok_or_else(|| refused(format!("{}: a number as text is needed", said_back(value))))?;
        let jid = parse_recipient(text).map_err(|error| refused(error.to_string()))?;
        if jid.server == JidServer::Group {
            return Err(refused(format!("{jid} is a group, which does not come and go")));
        }
        Ok(jid.to_string())
    };
    people.iter().enumerate().map(person).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(name: &str, value: Value) -> Map<String, Value> {
        Map::from_iter([(name.to_owned(), value)])
    }

    #[test]
    fn files_are_fetched_when_that_is_wished_and_a_wish_that_is_none_is_named() {
        for (value, fetches) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
            assert_eq!(fetches_media(&settings(FETCH_MEDIA, value)), Ok(fetches));
        }
        assert_eq!(fetches_media(&Map::new()), Ok(false));
        let error = fetches_media(&settings(FETCH_MEDIA, json!("yes"))).unwrap_err();
        assert_eq!((error.setting, error.to_string().as_str()), (FETCH_MEDIA, "\"yes\": true or false is needed"));
    }

    #[test]
    fn a_setting_that_nobody_heeds_is_found() {
        let kept = settings("webhook_url", json!(""));
        for name in HEEDED {
            assert_eq!(unheeded(&settings(name, json!(1)), &kept), None, "{name}");
        }
        assert_eq!(unheeded(&settings("webhook_url", json!("")), &kept), None, "it stays as it is");
        for other in [json!("http://other.example"), json!(null)] {
            assert_eq!(unheeded(&settings("webhook_url", other), &kept), Some("webhook_url"), "another's to change");
        }
        assert_eq!(unheeded(&settings("fetch_medai", json!(true)), &kept), Some("fetch_medai"));
    }

    #[test]
    fn people_are_watched_by_number_or_jid_and_nothing_else_is_a_person() {
        let told = watched(&settings(WATCH_PRESENCE, json!(["+49 151 23456789", "98765432101234@lid"])));
        assert_eq!(told.unwrap(), ["4915123456789@s.whatsapp.net", "98765432101234@lid"]);
        assert_eq!(watched(&settings(WATCH_PRESENCE, json!(null))), Ok(Vec::new()));
        let many: Vec<String> = (0..=WATCHED_MAX).map(|n| format!("4915100000{n:03}")).collect();
        for (value, at, words) in [
            (json!("+4915123456789"), None, "a list of numbers"),
            (json!([4_915_123_456_789_u64]), Some(0), "as text"),
            (json!(["+4915123456789", "ada"]), Some(1), "ada"),
            (json!(["120363041234567890@g.us"]), Some(0), "is a group"),
            (json!(many), None, "has 101 people; the limit is 100"),
        ] {
            let error = watched(&settings(WATCH_PRESENCE, value)).unwrap_err();
            assert!(error.to_string().contains(words) && error.at == at, "{error:?}");
        }
    }
}
