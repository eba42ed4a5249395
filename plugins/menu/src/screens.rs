//! The screens of a menu, and the way from one to the next.

use serde::Deserialize;
use switchboard_guest_sdk::configurable::{ConfigFault, Known, fault_at, objects, text, texts, whole};
use switchboard_guest_sdk::said_back;

/// Most screens, and choices of one.
const SCREENS_MAX: usize = 200;
const CHOICES_MAX: usize = 50;
/// Most characters of a word, and of what a screen says.
const WORD_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 4_096;
const CHOICE: &[Known] = &[text("says", WORD_CHARS_MAX).required(), text("to", WORD_CHARS_MAX).required()];
const SCREEN: &[Known] = &[
    text("name", WORD_CHARS_MAX).required(),
    text("text", TEXT_CHARS_MAX).required(),
    objects("choices", CHOICES_MAX, CHOICE),
];
pub(crate) const KNOWN: &[Known] = &[
    texts("begin", CHOICES_MAX, WORD_CHARS_MAX).required(),
    text("first", WORD_CHARS_MAX).required(),
    whole("forget_after_minutes", 1, 43_200),
    // The host reads it: responders are told in this order.
    whole("order", 0, 1_000_000),
    objects("screens", SCREENS_MAX, SCREEN).required(),
];

#[derive(Deserialize)]
pub(crate) struct Config {
    begin: Vec<String>,
    first: String,
    pub(crate) forget_after_minutes: Option<u32>,
    screens: Vec<Screen>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Screen {
    pub(crate) name: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) choices: Vec<Choice>,
}

#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Choice {
    says: String,
    to: String,
}

fn same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

impl Config {
    fn screen(&self, name: &str) -> Result<&Screen, String> {
        let found = self.screens.iter().find(|screen| screen.name == name);
        found.ok_or_else(|| format!("configuration: no screen is named {name}"))
    }

    /// The screen to show to somebody who stands at `place` and says this; none when it is no affair of the menu.
    pub(crate) fn next(&self, place: Option<&str>, said: &str) -> Result<Option<&Screen>, String> {
        if self.begin.iter().any(|word| same(word, said)) {
            return self.screen(&self.first).map(Some);
        }
        // A screen that is no longer there is where nobody can stand.
        let Some(here) = place.and_then(|place| self.screen(place).ok()) else { return Ok(None) };
        let choice = here.choices.iter().find(|choice| same(&choice.says, said));
        choice.map_or(Ok(here), |choice| self.screen(&choice.to)).map(Some)
    }
}

/// Ways of a configuration that lead to no screen.
pub(crate) fn dead_ends(config: &Config) -> Vec<ConfigFault> {
    let nowhere = |name: &str| config.screen(name).is_err();
    let why = |name: &str| format!("is {:?}; no screen has that name", said_back(name));
    let mut faults = Vec::new();
    if nowhere(&config.first) {
        faults.push(fault_at(["first"], why(&config.first)));
    }
    for (at, screen) in config.screens.iter().enumerate() {
        for (choice_at, choice) in screen.choices.iter().enumerate().filter(|(_, choice)| nowhere(&choice.to)) {
            let place = ["screens", &at.to_string(), "choices", &choice_at.to_string(), "to"].map(str::to_owned);
            faults.push(fault_at(place, why(&choice.to)));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_begins_a_choice_goes_on_and_anything_else_shows_the_screen_again() {
        let config: Config = serde_json::from_str(
            r#"{"begin": ["menu"], "first": "main", "screens": [
                {"name": "main", "text": "1 or 2", "choices": [{"says": "1", "to": "end"}, {"says": "2", "to": "gone"}]},
                {"name": "end", "text": "bye"}]}"#,
        )
        .unwrap();
        let text = |place, said| config.next(place, said).map(|screen| screen.map(|screen| screen.text.as_str()));
        assert_eq!(text(None, " Menu "), Ok(Some("1 or 2")));
        assert_eq!(text(None, "1"), Ok(None));
        assert_eq!(text(Some("main"), "1"), Ok(Some("bye")));
        assert_eq!(text(Some("main"), "what?"), Ok(Some("1 or 2")));
        assert_eq!(text(Some("no longer there"), "1"), Ok(None));
        assert!(text(Some("main"), "2").is_err());
    }

    #[test]
    fn a_choice_and_a_beginning_that_lead_to_no_screen_are_faults() {
        let config = |first: &str, to: &str| {
            let choice = format!(r#"{{"says": "1", "to": "{to}"}}"#);
            let screens = format!(r#"[{{"name": "main", "text": "1", "choices": [{choice}]}}]"#);
            serde_json::from_str::<Config>(&format!(r#"{{"begin": [], "first": "{first}", "screens": {screens}}}"#)).unwrap()
        };
        assert!(dead_ends(&config("main", "main")).is_empty());
        let faults = dead_ends(&config("begin", "end"));
        let places: Vec<String> = faults.iter().map(|fault| fault.path.join("/")).collect();
        assert_eq!(places, ["first", "screens/0/choices/0/to"]);
        assert_eq!(faults[1].why, "is \"end\"; no screen has that name");
    }
}
