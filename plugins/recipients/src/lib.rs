//! A policy: messages go to those on a list alone, and never to those on another.
//!
//! ```json
//! {"allow": ["+49", "120363000000000000@g.us"], "deny": ["+491520000001"]}
//! ```
//!
//! An entry is a telephone number, the beginning of one (`+49` is all of Germany), or the JID of a group. What is on `deny` is
//! refused even where it is on `allow`. Without `allow`, or with an empty one, everybody is allowed who is not denied.
//!
//! As a worked example: a policy implements one function, `judge`. What it answers besides `Allow` is the reason that the caller is
//! told. It knows the recipient as the host has understood them, not as the caller has written them.

use serde::Deserialize;
use switchboard_guest_sdk::auth_policy::{Guest, Question, Verdict};
use switchboard_guest_sdk::configurable::{Known, texts, whole};
use switchboard_guest_sdk::{config, export_auth_policy, export_configurable};

/// Most entries of a list.
const ENTRIES_MAX: usize = 2_000;
/// Most characters of an entry.
const ENTRY_CHARS_MAX: usize = 64;

const KNOWN: &[Known] = &[
    texts("allow", ENTRIES_MAX, ENTRY_CHARS_MAX),
    texts("deny", ENTRIES_MAX, ENTRY_CHARS_MAX),
    // The host reads it: policies are asked in this order.
    whole("order", 0, 1_000_000),
];

#[derive(Default, Deserialize)]
struct Lists {
    #[serde(default)]
    allow: Vec<String>,
    #[serde(default)]
    deny: Vec<String>,
}

struct Recipients;

impl Guest for Recipients {
    fn judge(question: Question) -> Verdict {
        // What cannot be read lets nobody through: a list is there for a reason.
        match config() {
            Ok(lists) => judge(&lists, &question.message.to),
            Err(why) => Verdict::Deny(why),
        }
    }
}

fn judge(lists: &Lists, to: &str) -> Verdict {
    let is_on = |list: &[String]| list.iter().any(|entry| covers(entry, to));
    if is_on(&lists.deny) {
        return Verdict::Deny("the recipient is on the list of those who get nothing".to_owned());
    }
    if !lists.allow.is_empty() && !is_on(&lists.allow) {
        return Verdict::Deny("the recipient is not on the list of those who may be written to".to_owned());
    }
    Verdict::Allow
}

/// Whether an entry is about the chat of the JID `to`.
fn covers(entry: &str, to: &str) -> bool {
    if entry.contains('@') {
        return entry.eq_ignore_ascii_case(to);
    }
    // Numbers are told by their digits: of people alone, since a group's begin with those of whoever made it.
    let Some(number) = to.strip_suffix("@s.whatsapp.net") else { return false };
    let digits: String = entry.chars().filter(char::is_ascii_digit).collect();
    !digits.is_empty() && number.starts_with(&digits)
}

export_auth_policy!(Recipients);
export_configurable!(Recipients, KNOWN);

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: &str = "491520000001@s.whatsapp.net";
    const PIERRE: &str = "33612345678@s.whatsapp.net";
    const GROUP: &str = "491520000001-1600000000@g.us";

    fn allowed(allow: &[&str], deny: &[&str]) -> [bool; 3] {
        let owned = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect();
        let lists = Lists { allow: owned(allow), deny: owned(deny) };
        [ANNA, PIERRE, GROUP].map(|to| matches!(judge(&lists, to), Verdict::Allow))
    }

    #[test]
    fn lists_name_numbers_beginnings_of_numbers_and_groups() {
        assert_eq!(allowed(&[], &[]), [true, true, true]);
        assert_eq!(allowed(&["+49"], &[]), [true, false, false]);
        assert_eq!(allowed(&["+49 1520 000001", GROUP], &[]), [true, false, true]);
        assert_eq!(allowed(&[], &["33"]), [true, false, true]);
    }

    #[test]
    fn what_is_denied_is_refused_even_where_it_is_allowed() {
        assert_eq!(allowed(&["+49", "+33"], &["+491520000001"]), [false, true, false]);
    }

    #[test]
    fn an_entry_without_a_digit_covers_nobody() {
        assert_eq!(allowed(&["+"], &[]), [false, false, false]);
    }
}
