//! A policy that denies what has a word in it, and misbehaves where a message asks it to.
//!
//! Configuration: `{"deny": "word", "reason": "why"}`. The reason may have `{template}`, `{who}`, `{zone}` and `{sent}` in it.

use serde::Deserialize;
use switchboard_guest_sdk::auth_policy::{Guest, Question, Verdict};
use switchboard_guest_sdk::types::Content;
use switchboard_guest_sdk::{config, export_auth_policy};

#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    deny: Option<String>,
    #[serde(default)]
    reason: String,
}

struct Policy;

impl Guest for Policy {
    fn judge(question: Question) -> Verdict {
        let Ok(rules) = config::<Rules>() else { return Verdict::Deny("the configuration cannot be read".to_owned()) };
        let text = match &question.message.content {
            Content::Text(text) => text.as_str(),
            Content::Interactive(asked) => asked.body.as_str(),
            _ => "",
        };
        match text {
            "trap" => std::process::abort(),
            "spin" => loop {
                std::hint::black_box(text);
            },
            "reason-huge" => return Verdict::Deny("x".repeat(100_000)),
            _ => {}
        }
        match rules.deny {
            Some(word) if text.contains(&word) => Verdict::Deny(reason(&rules.reason, &question)),
            _ => Verdict::Allow,
        }
    }
}

fn reason(pattern: &str, question: &Question) -> String {
    let template = question.template.as_ref().map_or("none", |call| call.name.as_str());
    let who = match &question.principal {
        None => "nobody",
        Some(principal) if principal.test => "a test key",
        Some(_) => "a key",
    };
    let zone = question.recipient_zone_minutes.map_or_else(|| "unknown".to_owned(), |minutes| minutes.to_string());
    pattern
        .replace("{template}", template)
        .replace("{who}", who)
        .replace("{zone}", &zone)
        .replace("{sent}", &question.sent_last_day.to_string())
}

export_auth_policy!(Policy);
