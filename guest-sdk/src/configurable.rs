//! The interface `configurable`: what may be set for a plugin, as a table of names.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use crate::bindings::configurable_world::exports::switchboard::plugin::configurable::{ConfigFault, Guest};
use crate::{hours, said_back};

/// A name that can be set.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    name: &'static str,
    kind: Kind,
    required: bool,
}

/// What can be set under a name.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole { min: u64, max: u64 },
    Limit { min: u64, max: u64 },
    Flag,
    Text { chars_max: usize },
    Texts { count_max: usize, chars_max: usize },
    TimeOfDay,
    Offset,
    Word(&'static [&'static str]),
    Objects { count_max: usize, members: &'static [Known] },
}

const fn optional(name: &'static str, kind: Kind) -> Known {
    Known { name, kind, required: false }
}

/// A whole number from `min` to `max`.
pub const fn whole(name: &'static str, min: u64, max: u64) -> Known {
    optional(name, Kind::Whole { min, max })
}

/// A whole number from `min` to `max`, or `null` for no limit.
pub const fn limit(name: &'static str, min: u64, max: u64) -> Known {
    optional(name, Kind::Limit { min, max })
}

/// True or false.
pub const fn flag(name: &'static str) -> Known {
    optional(name, Kind::Flag)
}

/// A text of 1 to `chars_max` characters that are not all blank.
pub const fn text(name: &'static str, chars_max: usize) -> Known {
    optional(name, Kind::Text { chars_max })
}

/// A list of at most `count_max` texts, each as [`text`].
pub const fn texts(name: &'static str, count_max: usize, chars_max: usize) -> Known {
    optional(name, Kind::Texts { count_max, chars_max })
}

/// A time of the day, such as `21:30`; see [`hours`](crate::hours).
pub const fn time_of_day(name: &'static str) -> Known {
    optional(name, Kind::TimeOfDay)
}

/// How far a clock is from UTC, such as `+02:00`; see [`hours`](crate::hours).
pub const fn offset(name: &'static str) -> Known {
    optional(name, Kind::Offset)
}

/// One of these words.
pub const fn word(name: &'static str, words: &'static [&'static str]) -> Known {
    optional(name, Kind::Word(words))
}

/// A list of at most `count_max` objects with these members.
pub const fn objects(name: &'static str, count_max: usize, members: &'static [Known]) -> Known {
    optional(name, Kind::Objects { count_max, members })
}

impl Known {
    /// The same, which must be set.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// What is expected, in words.
    fn expected(&self) -> String {
        match self.kind {
            Kind::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Limit { min, max } => format!("a whole number from {min} to {max}, or null for no limit,"),
            Kind::Flag => "true or false".to_owned(),
            Kind::Text { chars_max } => format!("a text of 1 to {chars_max} characters"),
            Kind::Texts { count_max, chars_max } => {
                format!("a list of at most {count_max} texts of 1 to {chars_max} characters")
            }
            Kind::TimeOfDay => "a time of the day, 00:00 to 23:59,".to_owned(),
            Kind::Offset => "an offset from UTC, such as +02:00,".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Objects { count_max, .. } => format!("a list of at most {count_max} objects"),
        }
    }

    fn takes(&self, value: &Value) -> bool {
        let within = |min, max| value.as_u64().is_some_and(|number| (min..=max).contains(&number));
        match self.kind {
            Kind::Whole { min, max } => within(min, max),
            Kind::Limit { min, max } => value.is_null() || within(min, max),
            Kind::Flag => value.is_boolean(),
            Kind::Text { chars_max } => is_text(value, chars_max),
            Kind::Texts { count_max, chars_max } => {
                value.as_array().is_some_and(|all| all.len() <= count_max && all.iter().all(|text| is_text(text, chars_max)))
            }
            Kind::TimeOfDay => value.as_str().and_then(hours::minutes_of_day).is_some(),
            Kind::Offset => value.as_str().and_then(hours::offset_minutes).is_some(),
            Kind::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Kind::Objects { count_max, .. } => {
                value.as_array().is_some_and(|all| all.len() <= count_max && all.iter().all(Value::is_object))
            }
        }
    }
}

fn is_text(value: &Value, chars_max: usize) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty() && text.chars().count() <= chars_max)
}

/// What is wrong with a configuration where these names are known, and no others. Nothing is wrong where no fault is returned.
pub fn check(known: &[Known], configuration: &str) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    match serde_json::from_str(configuration) {
        Ok(Value::Object(given)) => check_members(known, &given, &[], &mut faults),
        Ok(other) => faults.push(fault(&[], format!("is {}; an object is expected", said_back(&other)))),
        Err(error) => faults.push(fault(&[], format!("is not JSON: {error}"))),
    }
    faults
}

/// The same, and where nothing is wrong with that, what `further` finds wrong with the configuration as the plugin reads it: what a
/// table cannot say, such as a name that leads nowhere.
pub fn check_further<T: DeserializeOwned>(
    known: &[Known],
    further: impl FnOnce(&T) -> Vec<ConfigFault>,
    configuration: &str,
) -> Vec<ConfigFault> {
    let faults = check(known, configuration);
    if !faults.is_empty() {
        return faults;
    }
    match serde_json::from_str(configuration) {
        Ok(read) => further(&read),
        Err(error) => vec![fault(&[], error.to_string())],
    }
}

/// Something that is wrong at a place: names and places in lists, from 0, the outermost first.
///
/// ```
/// use switchboard_guest_sdk::configurable::fault_at;
///
/// let fault = fault_at(["screens", "0", "choices"], "is \"main\"; there is no such screen");
/// assert_eq!(fault.path, ["screens", "0", "choices"]);
/// ```
pub fn fault_at<S: Into<String>>(place: impl IntoIterator<Item = S>, why: impl Into<String>) -> ConfigFault {
    ConfigFault { path: place.into_iter().map(Into::into).collect(), why: why.into() }
}

fn check_members(known: &[Known], given: &Map<String, Value>, way: &[String], faults: &mut Vec<ConfigFault>) {
    let at = |name: &str| way.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
    for (name, value) in given {
        let Some(known) = known.iter().find(|known| known.name == name) else {
            let names: Vec<&str> = known.iter().map(|known| known.name).collect();
            faults.push(fault(&at(name), format!("is not known; there are: {}", names.join(", "))));
            continue;
        };
        if !known.takes(value) {
            faults.push(fault(&at(name), format!("is {}; {} is expected", said_back(value), known.expected())));
        } else if let Kind::Objects { members, .. } = known.kind {
            for (index, entry) in value.as_array().into_iter().flatten().enumerate() {
                let Value::Object(entry) = entry else { continue };
                let way: Vec<String> = at(name).into_iter().chain([index.to_string()]).collect();
                check_members(members, entry, &way, faults);
            }
        }
    }
    for missing in known.iter().filter(|known| known.required && !given.contains_key(known.name)) {
        faults.push(fault(&at(missing.name), format!("is required: {}", missing.expected())));
    }
}

fn fault(path: &[String], why: String) -> ConfigFault {
    ConfigFault { path: path.to_vec(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        limit("per_minute", 1, 100),
        whole("tries", 0, 5),
        flag("quiet"),
        word("match", &["word", "exact"]),
        objects("replies", 2, &[text("keyword", 5).required()]),
        texts("words", 2, 4),
        time_of_day("from"),
        offset("zone"),
    ];

    fn faults(configuration: &str) -> Vec<(String, String)> {
        check(KNOWN, configuration).into_iter().map(|fault| (fault.path.join("/"), fault.why)).collect()
    }

    #[test]
    fn what_the_table_says_is_taken_and_nothing_has_to_be_set() {
        assert_eq!(faults("{}"), []);
        let whole = r#"{"per_minute":100,"tries":0,"quiet":true,"match":"exact","replies":[{"keyword":"hours"}],"words":["abcd"],
            "from":"08:30","zone":"-03:30"}"#;
        assert_eq!(faults(whole), []);
        assert_eq!(faults(r#"{"per_minute":null,"replies":[]}"#), []);
    }

    #[test]
    fn a_fault_names_the_place_the_value_and_the_limit() {
        let expected = "a whole number from 1 to 100, or null for no limit, is expected";
        for (value, shown) in [("0", "0"), ("-3", "-3"), ("101", "101"), ("1.5", "1.5"), ("\"10\"", "\"10\"")] {
            let found = faults(&format!(r#"{{"per_minute":{value}}}"#));
            assert_eq!(found, [("per_minute".to_owned(), format!("is {shown}; {expected}"))]);
        }
        for (configuration, place, why) in [
            (
                r#"{"per_minut":1}"#,
                "per_minut",
                "is not known; there are: per_minute, tries, quiet, match, replies, words, from, zone",
            ),
            (r#"{"tries":null}"#, "tries", "is null; a whole number from 0 to 5 is expected"),
            (r#"{"quiet":"yes"}"#, "quiet", "is \"yes\"; true or false is expected"),
            (r#"{"match":"sounds"}"#, "match", "is \"sounds\"; one of word, exact is expected"),
            (
                r#"{"words":["abcd",""]}"#,
                "words",
                "is [\"abcd\",\"\"]; a list of at most 2 texts of 1 to 4 characters is expected",
            ),
            (r#"{"from":"24:00"}"#, "from", "is \"24:00\"; a time of the day, 00:00 to 23:59, is expected"),
            (r#"{"zone":"CET"}"#, "zone", "is \"CET\"; an offset from UTC, such as +02:00, is expected"),
            (r#"{"replies":{}}"#, "replies", "is {}; a list of at most 2 objects is expected"),
            (r#"{"replies":[{},{"keyword":"x"}]}"#, "replies/0/keyword", "is required: a text of 1 to 5 characters"),
            (r#"{"replies":[{"keyword":" "}]}"#, "replies/0/keyword", "is \" \"; a text of 1 to 5 characters is expected"),
            ("[]", "", "is []; an object is expected"),
        ] {
            assert_eq!(faults(configuration), [(place.to_owned(), why.to_owned())]);
        }
        assert!(faults("{")[0].1.starts_with("is not JSON"));
    }

    #[test]
    fn every_fault_is_told_and_long_values_are_cut() {
        let long = "x".repeat(200);
        let found = faults(&format!(r#"{{"match":"{long}","tries":9,"nope":1}}"#));
        assert_eq!(found.iter().map(|(place, _)| place.as_str()).collect::<Vec<_>>(), ["match", "nope", "tries"]);
        assert!(found[0].1.chars().count() < 130 && found[0].1.contains('…'), "{}", found[0].1);
    }
}
