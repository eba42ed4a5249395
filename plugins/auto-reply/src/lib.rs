//! Answers messages by keyword. What it answers is configuration, not code:
//!
//! ```json
//! {"replies": [{"keyword": "hours", "reply": "We are open 9 to 17."}], "match": "word", "groups": false, "quote": true}
//! ```
//!
//! The first reply whose keyword matches is sent. `match` is `word` (default: the keyword stands in the text as words of its
//! own), `exact` (the text is the keyword) or `contains`. Upper and lower case are the same.
//!
//! As a worked example: a responder answers an event with commands. What it may be set to is a table (`KNOWN`), from which the host
//! refuses all else by its place before a run ever sees it.

use serde::Deserialize;
use switchboard_guest_sdk::configurable::{Known, flag, objects, text, whole, word};
use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Incoming, Run};
use switchboard_guest_sdk::types::{Content, Quote};
use switchboard_guest_sdk::{config, export_configurable, export_responder, grants, text_to};

/// Most replies.
const REPLIES_MAX: usize = 1_000;
/// Most characters of a keyword, and of a reply.
const KEYWORD_CHARS_MAX: usize = 1_000;
const REPLY_CHARS_MAX: usize = 65_536;

const KNOWN: &[Known] = &[
    objects(
        "replies",
        REPLIES_MAX,
        &[text("keyword", KEYWORD_CHARS_MAX).required(), text("reply", REPLY_CHARS_MAX).required()],
    ),
    word("match", &["word", "exact", "contains"]),
    flag("groups"),
    flag("quote"),
    // The host reads it: responders are told in this order.
    whole("order", 0, 1_000_000),
];

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    replies: Vec<Reply>,
    #[serde(default, rename = "match")]
    matching: Matching,
    /// Whether messages in groups are answered.
    #[serde(default)]
    groups: bool,
    /// Whether the reply quotes what it answers.
    #[serde(default)]
    quote: bool,
}

#[derive(Deserialize)]
struct Reply {
    keyword: String,
    reply: String,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Matching {
    #[default]
    Word,
    Exact,
    Contains,
}

struct AutoReply;

impl Guest for AutoReply {
    fn event_kinds() -> Vec<String> {
        vec!["message.received".to_owned()]
    }

    fn respond(_run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let config: Config = config()?;
        // Answering ourselves would never end.
        if message.from_me || (message.group && !config.groups) {
            return Ok(vec![]);
        }
        let Content::Text(text) = &message.content else { return Ok(vec![]) };
        let chosen = config.replies.iter().find(|reply| matches(config.matching, text, &reply.keyword));
        Ok(chosen.map(|chosen| answer(&message, chosen, config.quote)).into_iter().collect())
    }
}

fn answer(message: &Incoming, chosen: &Reply, quote: bool) -> Command {
    let mut outgoing = text_to(&message.chat, chosen.reply.clone());
    if quote {
        let sender = Some(message.sender.jid.clone());
        outgoing.extras.quote = Some(Quote { message_id: message.id.clone(), sender });
    }
    Command::Send(outgoing)
}

fn matches(matching: Matching, text: &str, keyword: &str) -> bool {
    let (text, keyword) = (text.trim().to_lowercase(), keyword.trim().to_lowercase());
    if keyword.is_empty() {
        return false;
    }
    match matching {
        Matching::Exact => text == keyword,
        Matching::Contains => text.contains(&keyword),
        Matching::Word => {
            let words = |text: &str| -> Vec<String> {
                text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            };
            let wanted = words(&keyword);
            !wanted.is_empty() && words(&text).windows(wanted.len()).any(|window| window == wanted)
        }
    }
}

// It answers whoever wrote without knowing who that is.
grants!({ "sessions": "all", "fields": ["text"], "send": { "per_minute": 600 } });
export_responder!(AutoReply);
export_configurable!(AutoReply, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_matches_as_words_exactly_or_anywhere() {
        assert!(matches(Matching::Word, "What are your HOURS?", "hours"));
        assert!(matches(Matching::Word, "opening hours please", "Opening Hours"));
        assert!(!matches(Matching::Word, "ours", "hours") && !matches(Matching::Word, "24hours", "hours"));
        assert!(matches(Matching::Exact, " Hours ", "hours") && !matches(Matching::Exact, "hours?", "hours"));
        assert!(matches(Matching::Contains, "24hours", "hours"));
    }

    #[test]
    fn a_configuration_that_it_would_not_follow_is_refused() {
        let faults = |json: &str| switchboard_guest_sdk::configurable::check(KNOWN, json);
        let good = r#"{"replies":[{"keyword":"hours","reply":"9 to 17"}],"match":"exact","groups":true,"quote":false}"#;
        assert!(faults(good).is_empty() && faults("{}").is_empty());
        for wrong in [r#"{"reply":[]}"#, r#"{"match":"regex"}"#, r#"{"replies":[{"keyword":"hours"}]}"#] {
            assert_eq!(faults(wrong).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn an_empty_keyword_matches_nothing() {
        for matching in [Matching::Word, Matching::Exact, Matching::Contains] {
            assert!(!matches(matching, "anything", " ") && !matches(matching, "", ""));
        }
        assert!(!matches(Matching::Word, "?!", "!"));
    }
}
