//! What the name of a new account may ask for: how strict it is about privacy tokens, and which of their parts its
//! clients are given.
//!
//! A name that begins `restricted:` makes an account that takes a first message only with a token; one that begins
//! `scenario:<flag>,<flag>=<0|1>…:` sets each flag by itself, as the end-to-end tests of whatsapp-rust write them.

use serde::{Deserialize, Serialize};

const RESTRICTED_PREFIX: &str = "restricted:";
const SCENARIO_PREFIX: &str = "scenario:";

/// The flags. An ordinary account has none but the two that accept tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Scenario {
    /// Strangers need a token to write to the account, to see its picture and its presence.
    pub(super) restricted: bool,
    /// A token that the sender made from its salt is good enough for a message.
    pub(super) cs_enabled: bool,
    /// A token that the account gave away is good.
    pub(super) tc_enabled: bool,
    /// Its clients are told to make tokens from their salt,
    pub(super) nct_send_ab: bool,
    /// to take the salt from the history sync,
    pub(super) nct_history_ab: bool,
    /// and to take it from the app state.
    pub(super) nct_syncd_ab: bool,
    /// Its phone puts the salt into the history sync,
    pub(super) nct_history_delivery: bool,
    /// and into the app state.
    pub(super) nct_syncd_delivery: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            restricted: false,
            cs_enabled: true,
            tc_enabled: true,
            nct_send_ab: false,
            nct_history_ab: false,
            nct_syncd_ab: false,
            nct_history_delivery: false,
            nct_syncd_delivery: false,
        }
    }
}

impl Scenario {
    /// What the name of a new account asks for.
    pub(super) fn parse(name: &str) -> Self {
        let mut scenario = Self::default();
        if name.starts_with(RESTRICTED_PREFIX) {
            scenario.restricted = true;
        } else if let Some((flags, _)) = name.strip_prefix(SCENARIO_PREFIX).and_then(|rest| rest.split_once(':')) {
            for flag in flags.split(',') {
                let (flag, value) = flag.split_once('=').unwrap_or((flag, "1"));
                match scenario.flag(flag.trim()) {
                    Some(switch) => *switch = matches!(value.trim(), "1" | "true"),
                    None => tracing::warn!(flag, "the name of an account asks for a scenario flag that is unknown"),
                }
            }
        }
        scenario
    }

    fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "restricted" => &mut self.restricted,
            "cs_enabled" => &mut self.cs_enabled,
            "tc_enabled" => &mut self.tc_enabled,
            "nct_send_ab" => &mut self.nct_send_ab,
            "nct_history_ab" => &mut self.nct_history_ab,
            "nct_syncd_ab" => &mut self.nct_syncd_ab,
            "nct_history_delivery" => &mut self.nct_history_delivery,
            "nct_syncd_delivery" => &mut self.nct_syncd_delivery,
            _ => return None,
        })
    }

    pub(super) fn delivers_salt(self) -> bool {
        self.nct_history_delivery || self.nct_syncd_delivery
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;

    #[test]
    fn ordinary_name_asks_for_nothing() {
        for name in ["", "Ann", "e2e_messaging_a", "scenario:", "scenario:restricted", "a restricted:b"] {
            assert_eq!(Scenario::parse(name), Scenario::default(), "{name}");
        }
    }

    #[test]
    fn restricted_prefix_restricts_and_takes_both_tokens() {
        let scenario = Scenario::parse("restricted:e2e_tctok_reply_a_6f");
        assert_eq!(scenario, Scenario { restricted: true, ..Scenario::default() });
        assert!(scenario.cs_enabled && scenario.tc_enabled);
    }

    #[test]
    fn each_flag_is_set_by_itself() {
        let scenario = Scenario::parse("scenario:restricted,tc_enabled=0,cs_enabled=1:e2e_a:with:colons");
        assert_eq!(scenario, Scenario { restricted: true, tc_enabled: false, ..Scenario::default() });
        let scenario =
            Scenario::parse("scenario:nct_send_ab=1,nct_history_ab=1,nct_history_delivery=1,nct_syncd_delivery=0:x");
        assert!(scenario.nct_send_ab && scenario.nct_history_ab && scenario.nct_history_delivery);
        assert!(!scenario.nct_syncd_delivery && !scenario.nct_syncd_ab && !scenario.restricted);
        assert!(scenario.delivers_salt());
        assert!(!Scenario::parse("scenario:nct_send_ab=1:x").delivers_salt());
    }

    #[test]
    fn unknown_flag_changes_nothing() {
        assert_eq!(Scenario::parse("scenario:fast,,=1:x"), Scenario::default());
    }
}
