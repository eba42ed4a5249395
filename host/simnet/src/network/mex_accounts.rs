//! What clients ask of accounts through `w:mex`: whether their own is restricted, and what others say about themselves.
//!
//! The numbers are wacore 0.7.0's (`mex_operations.rs`) and Baileys 7's (`Types/Mex.js`).

use serde_json::{Value, json};
use wacore_binary::Jid;

use super::Network;
use crate::address::{DeviceKey, Space};

/// Users in one question.
const USERS_MAX: usize = 1_000;
const MONTH_S: u64 = 30 * 86_400;

impl Network {
    /// Carries out a query; `None` when its number is none of these.
    pub(super) fn account_operation(&self, query_id: &str, variables: &Value) -> Option<Value> {
        match query_id {
            // Nobody is kept from writing to strangers.
            "23983697327930364" => Some(json!({ "xwa2_fetch_account_reachout_timelock": {
                "is_active": false, "enforcement_type": "DEFAULT", "time_enforcement_ends": "0",
            } })),
            "24503548349331633" => Some(json!({ "xwa2_message_capping_info": self.mex_capping() })),
            "29829202653362039" | "26438847999065394" => {
                let users: Vec<Value> = asked_users(variables).filter_map(|jid| self.mex_user(&jid)).collect();
                Some(json!({ "xwa2_fetch_wa_users": users }))
            }
            "24535500086059408" => Some(json!({ "xwa2_users_updates_since": [{ "updates": self.mex_about(variables) }] })),
            // Nobody has a user name or a text status here.
            "25347099718279209" => Some(
                json!({ "xwa2_username_get": { "username_info": { "username": null, "state": "EMPTY", "pin": null } } }),
            ),
            "24072923595647473" => Some(json!({ "xwa2_text_status_list": [] })),
            _ => None,
        }
    }

    /// How many new chats an account may open: as many as it likes.
    fn mex_capping(&self) -> Value {
        let now_s = self.now_s();
        json!({
            "total_quota": "-1",
            "used_quota": "0",
            "cycle_start_timestamp": now_s.to_string(),
            "cycle_end_timestamp": now_s.saturating_add(MONTH_S).to_string(),
            "server_sent_timestamp": now_s.to_string(),
            "ote_status": "NOT_ELIGIBLE",
            "mv_status": "NOT_ELIGIBLE",
            "capping_status": "NONE",
        })
    }

    fn mex_user(&self, jid: &Jid) -> Option<Value> {
        let number = self.number_of(jid)?;
        let account = self.accounts.get(&number)?;
        Some(json!({
            "__typename": "XWA2User",
            "id": self.jid_of(&DeviceKey::new(number.as_str(), 0), Space::Lid).to_string(),
            "jid": jid.to_non_ad().to_string(),
            "country_code": null,
            "about_status_info": {
                "__typename": "XWA2AboutStatus",
                "text": account.about,
                "timestamp": self.now_s().to_string(),
                "status": if account.about.is_empty() { "EMPTY" } else { "SET" },
            },
            "username_info": { "__typename": "XWA2ResponseStatus", "status": "EMPTY" },
            "integrity_signals_info": { "is_new_account": false, "is_suspicious_start_chat": false },
        }))
    }

    fn mex_about(&self, variables: &Value) -> Vec<Value> {
        let user = variables.get("user").and_then(|user| user.get("user_id")).and_then(Value::as_str);
        let number = user.and_then(|user| self.number_of(&user.parse().ok()?));
        let account = number.and_then(|number| self.accounts.get(&number));
        account.map(|account| json!({ "__typename": "XWA2AboutStatus", "text": account.about })).into_iter().collect()
    }
}

/// The users that a query is about.
fn asked_users(variables: &Value) -> impl Iterator<Item = Jid> {
    let asked = variables.get("input").and_then(|input| input.get("query_input")).and_then(Value::as_array);
    let users = asked.into_iter().flatten().take(USERS_MAX);
    users.filter_map(|user| user.get("jid").and_then(Value::as_str)?.parse().ok())
}
