//! How an error says back what somebody gave.

use std::fmt::Display;

/// Most characters that are said back: enough to find the value, and no error repeats a megabyte.
const SAID_BACK_MAX: usize = 80;

/// The beginning of `value`, up to 80 characters; where it is cut, … says so.
pub fn said_back(value: impl Display) -> String {
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(SAID_BACK_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_between_characters_and_shows_it() {
        assert_eq!(said_back(17), "17");
        assert_eq!(said_back("ü".repeat(80)), "ü".repeat(80));
        assert_eq!(said_back("ü".repeat(81)), format!("{}…", "ü".repeat(80)));
    }
}
