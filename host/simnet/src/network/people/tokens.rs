//! Privacy tokens: what an account gives to those it trusts, and what strangers must show.
//!
//! A trusted-contact token goes from an account to another (`<tokens>` in the namespace `privacy`), which shows it when
//! it writes back or looks at the profile. Where there is none, a client can make one from its account's salt
//! (`<cstoken>`): HMAC-SHA256 over the recipient's `<lid>@lid`, as wacore 0.7.0 iq/tctoken.rs computes it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Answer, Network, Refusal, TRUST_RECORD};
use crate::address::{DeviceKey, Space};
use crate::network::account::put;
use crate::{random, wire};

/// Tokens in one request.
const TOKENS_MAX: usize = 1_000;
/// How many of the tokens for one receiver count: the one before the latest may still be on its way back.
const GENERATIONS: usize = 2;
/// A token counts for this many whole weeks, the current one included (`tctoken_duration`, `tctoken_num_buckets`).
const BUCKET_S: u64 = 604_800;
const BUCKETS: u64 = 4;
const KIND: &str = "trusted_contact";
/// The ack error of a message from a stranger without a token.
const NO_TOKEN: &str = "463";

/// One token; stored under `trust/<issuer>/<receiver>` with those before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TrustToken {
    #[serde(with = "crate::hex_serde::blob")]
    token: Vec<u8>,
    /// When it was given, in seconds, as the issuer says.
    at: u64,
}

impl Network {
    /// An account gives tokens to others. The answer is empty: the bytes go to the receivers alone.
    pub(super) fn issue_tokens(&mut self, key: &DeviceKey, tokens: &Node) -> Answer {
        for wanted in tokens.get_children_by_tag("token").take(TOKENS_MAX) {
            let jid = wire::address(wanted, "jid").ok_or(Refusal::BadRequest)?;
            if wire::attribute(wanted, "type").is_some_and(|kind| kind != KIND) {
                continue;
            }
            let at = wire::attribute(wanted, "t").and_then(|t| t.parse().ok()).unwrap_or_else(|| self.now_s());
            let receiver = self.number_of(&jid).filter(|receiver| *receiver != key.number);
            if let Some(receiver) = receiver {
                self.give_token(&key.number, &receiver, at);
            }
        }
        Ok(Vec::new())
    }

    /// The phone of a restricted account gives a token to whom it writes, as clients do after they have sent a message:
    /// one in each week. Others need none from the phones.
    pub(super) fn phone_gives_token(&mut self, issuer: &str, receiver: &str) {
        let now_s = self.now_s();
        let given = self.people.trust.get(&(issuer.to_owned(), receiver.to_owned())).and_then(|given| given.last());
        let this_week = given.is_some_and(|given| given.at / BUCKET_S == now_s / BUCKET_S);
        if self.person(issuer).scenario.restricted && !this_week {
            self.give_token(issuer, receiver, now_s);
        }
    }

    fn give_token(&mut self, issuer: &str, receiver: &str, at: u64) {
        let token = random::bytes::<32>().to_vec();
        let given = self.people.trust.entry((issuer.to_owned(), receiver.to_owned())).or_default();
        given.push(TrustToken { token: token.clone(), at });
        if given.len() > GENERATIONS {
            given.remove(0);
        }
        self.out.records.push(put(format!("{TRUST_RECORD}/{issuer}/{receiver}"), given));
        if self.has_blocked(receiver, issuer) {
            return;
        }
        let lid = self.account_jid(issuer, Space::Lid);
        for device in self.companions_of(receiver) {
            let mut notice = self.notice(issuer, "privacy_token").with("sender_lid", &lid);
            let token = NodeBuilder::new("token")
                .attr("jid", self.jid_of(&device, Space::Number))
                .attr("t", at)
                .attr("type", KIND)
                .bytes(token.as_slice())
                .build();
            notice.children = vec![NodeBuilder::new("tokens").children([token]).build()];
            self.queue_notice(&device, &notice);
        }
    }

    /// Whether what a node shows is a token that `issuer` gave to `receiver`.
    pub(super) fn shows_trust(&self, issuer: &str, receiver: &str, node: &Node) -> bool {
        let Some(shown) = wire::child_content(node, "tctoken") else {
            return false;
        };
        let oldest = (self.now_s() / BUCKET_S + 1).saturating_sub(BUCKETS) * BUCKET_S;
        let given = self.people.trust.get(&(issuer.to_owned(), receiver.to_owned()));
        self.person(issuer).scenario.tc_enabled
            && given.is_some_and(|given| given.iter().any(|given| given.token == shown && given.at >= oldest))
    }

    /// The error with which a direct message is refused, if it is. A stranger needs a token for a restricted account;
    /// once it has been let in, it is none any more.
    pub(in crate::network) fn direct_message_refusal(
        &mut self,
        sender: &DeviceKey,
        chat: &Jid,
        node: &Node,
    ) -> Option<&'static str> {
        let recipient = self.number_of(chat).filter(|recipient| *recipient != sender.number)?;
        let scenario = self.person(&recipient).scenario;
        if !scenario.restricted || self.is_admitted(&recipient, &sender.number) {
            return None;
        }
        let trusted = self.shows_trust(&recipient, &sender.number, node);
        if trusted || (scenario.cs_enabled && self.shows_salted_token(&sender.number, &recipient, node)) {
            self.change_acquaintance(&recipient, &sender.number, |acquaintance| acquaintance.admitted = true);
            return None;
        }
        Some(NO_TOKEN)
    }

    fn is_admitted(&self, recipient: &str, sender: &str) -> bool {
        self.acquaintance(recipient, sender).is_some_and(|acquaintance| acquaintance.admitted)
    }

    fn shows_salted_token(&self, sender: &str, recipient: &str, node: &Node) -> bool {
        let salt = self.nct_salt(sender);
        let (Some(shown), Some(salt)) = (wire::child_content(node, "cstoken"), salt) else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&salt) else {
            return false;
        };
        mac.update(self.account_jid(recipient, Space::Lid).to_string().as_bytes());
        mac.verify_slice(shown).is_ok()
    }

    fn nct_salt(&self, number: &str) -> Option<Vec<u8>> {
        hex::decode(self.person(number).nct_salt.as_deref()?).ok()
    }

    /// The salt that belongs into the `nctSalt` of an account's history sync, if its scenario delivers it there.
    pub(in crate::network) fn history_nct_salt(&self, number: &str) -> Option<Vec<u8>> {
        self.nct_salt(number).filter(|_| self.person(number).scenario.nct_history_delivery)
    }

    /// The salt that belongs into the app state of an account (`nct_salt_sync` in `regular_high`), if its scenario
    /// delivers it there.
    pub(in crate::network) fn app_state_nct_salt(&self, number: &str) -> Option<Vec<u8>> {
        self.nct_salt(number).filter(|_| self.person(number).scenario.nct_syncd_delivery)
    }
}
