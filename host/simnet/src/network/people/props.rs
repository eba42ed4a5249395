//! The experiment settings (`abt`) that clients ask for at each login.
//!
//! Codes and defaults are those of the client's registry (wacore 0.7.0 iq/abprops.rs). Everything that is not listed
//! here is left to the client's own default.

use sha2::{Digest as _, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::Network;
use super::scenario::Scenario;
use crate::wire;

/// Seconds after which a client asks again.
const REFRESH_S: u32 = 86_400;
const REFRESH_ID: &str = "1";

/// Settings that are the same for everybody.
const COMMON: [(u32, &str); 12] = [
    // Chats between two are addressed by LID, as with accounts that WhatsApp has migrated.
    (9_435, "1"),    // lid_one_on_one_migration_enabled
    (13_161, "1"),   // lid_one_on_one_migration_compatible
    (10_518, "1"),   // privacy_token_sending_on_all_1_on_1_messages
    (11_261, "1"),   // privacy_token_sending_on_group_create
    (11_262, "1"),   // privacy_token_sending_on_group_participant_add
    (9_666, "1"),    // profile_pic_privacy_token
    (20_798, "1"),   // profile_scraping_privacy_token_in_about_usync
    (14_303, "0"),   // lid_trusted_token_issue_to_lid
    (865, "604800"), // tctoken_duration
    (996, "604800"), // tctoken_duration_sender
    (909, "4"),      // tctoken_num_buckets
    (997, "4"),      // tctoken_num_buckets_sender
];
const NCT_SEND: u32 = 24_941; // wa_nct_token_send_enabled
const NCT_CREATE: u32 = 24_915; // wa_nct_token_salt_creation_enabled
const NCT_HISTORY: u32 = 25_189; // wa_nct_token_history_sync_enabled
const NCT_SYNCD: u32 = 25_253; // wa_nct_token_syncd_enabled

impl Network {
    /// All settings of an account; nothing but the hash when the client has them already.
    pub(super) fn props(&self, number: &str, node: &Node) -> Node {
        let settings = settings(self.person(number).scenario);
        let mut digest = Sha256::new();
        for (code, value) in &settings {
            digest.update(format!("{code}={value};"));
        }
        let hash: String = hex::encode(digest.finalize()).chars().take(16).collect();
        let known = node.get_optional_child("props").and_then(|props| wire::attribute(props, "hash"));
        let unchanged = known.is_some_and(|known| known == hash);
        let changed = settings
            .iter()
            .filter(|_| !unchanged)
            .map(|(code, value)| NodeBuilder::new("prop").attr("config_code", *code).attr("config_value", *value).build());
        NodeBuilder::new("props")
            .attr("protocol", "1")
            .attr("ab_key", &hash)
            .attr("hash", &hash)
            .attr("refresh", REFRESH_S)
            .attr("refresh_id", REFRESH_ID)
            .attr("delta_update", unchanged)
            .children(changed)
            .build()
    }
}

fn settings(scenario: Scenario) -> Vec<(u32, &'static str)> {
    let switch = |on: bool| if on { "1" } else { "0" };
    let mut settings = COMMON.to_vec();
    settings.extend([
        (NCT_SEND, switch(scenario.nct_send_ab)),
        (NCT_CREATE, switch(scenario.nct_history_ab || scenario.nct_syncd_ab)),
        (NCT_HISTORY, switch(scenario.nct_history_ab)),
        (NCT_SYNCD, switch(scenario.nct_syncd_ab)),
    ]);
    settings
}
