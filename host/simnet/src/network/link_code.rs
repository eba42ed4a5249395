//! Linking by a code that the user reads off the client and types into the phone.
//!
//! `companion_hello` gives the client a reference; once the code is in the phone the client hears `primary_hello` with the
//! phone's sealed key, and answers with a bundle in `companion_finish`. If the phone can open it, the pairing goes on as
//! after a scan. (Stages and elements as `pair_code.rs` of wacore 0.7.0 and Baileys 7 have them.)

use serde::Serialize;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};

use super::pairing_time::CODE_MS;
use super::{Effect, Link, LinkId, Network, ScanFault};
use crate::address::DeviceKey;
use crate::phone::{EnteredCode, LinkCodeError, PairingCode, WRAPPED_KEY_BYTES};
use crate::{random, wire};

/// The element of every stage, and the type of the notification.
const STAGE_TAG: &str = "link_code_companion_reg";
/// Codes that a client may ask for on one connection.
const CODES_MAX: u32 = 10;
/// How often a code may be tried; a client ends it after as many (`pair_code.rs` of wacore 0.7.0).
const TRIES_MAX: u32 = 3;
/// Bytes of what a client says about the platform it runs on.
const DISPLAY_BYTES_MAX: usize = 128;
const BAD_REQUEST: u16 = 400;
const RATE_OVERLIMIT: u16 = 429;

/// Why a code did not lead to a link. Shown to the caller of the control API as is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkFault {
    #[error("no client is waiting for a code on phone {0}; none asked, or its code has expired")]
    NotWaiting(String),
    #[error("the code was tried {TRIES_MAX} times; the client must show another")]
    TooManyTries,
    #[error(transparent)]
    Code(#[from] LinkCodeError),
    #[error(transparent)]
    Offer(#[from] ScanFault),
}

/// Where linking by code stands on one connection.
#[derive(Default)]
pub(super) struct CodeLink {
    hello: Option<Hello>,
    asked: u32,
}

/// What the client said when it showed its code.
struct Hello {
    number: String,
    reference: Vec<u8>,
    wrapped: [u8; WRAPPED_KEY_BYTES],
    platform_id: String,
    platform_display: String,
    at_ms: u64,
    tries: u32,
    entered: Option<EnteredCode>,
    /// Why the last try failed.
    failure: Option<LinkFault>,
}

/// A client that waits for its code, as the phone shows it to its owner.
#[derive(Debug, Serialize)]
pub(crate) struct WaitingClient {
    platform_id: String,
    platform_display: String,
    expires_in_ms: u64,
}

/// How it stands with a code that was typed in.
pub(crate) enum LinkOutcome {
    /// The client has still to answer.
    Pending,
    /// The phone has taken the client; what follows is as after a scan.
    Offered(DeviceKey),
    /// It did not work.
    Failed(LinkFault),
}

impl CodeLink {
    /// When the code on the screen stops being good.
    pub(super) fn good_until(&self) -> Option<u64> {
        self.hello.as_ref().map(|hello| hello.at_ms.saturating_add(CODE_MS))
    }
}

impl Network {
    /// The stages that a client sends. False when the node is none of them.
    pub(super) fn receive_link_code(&mut self, link: LinkId, node: &Node) -> bool {
        let stage = if node.tag == "iq" { node.get_optional_child(STAGE_TAG) } else { None };
        let (Some(stage), Some(id)) = (stage, wire::attribute(node, "id")) else { return false };
        match wire::attribute(stage, "stage").as_deref() {
            Some("companion_hello") => self.receive_companion_hello(link, &id, stage),
            Some("companion_finish") => self.receive_companion_finish(link, &id, stage),
            _ => self.send(link, wire::refusal(&id, BAD_REQUEST, "bad-request")),
        }
        true
    }

    fn receive_companion_hello(&mut self, link: LinkId, id: &str, stage: &Node) {
        let number = wire::address(stage, "jid").and_then(|jid| self.number_of(&jid));
        let now_ms = self.now_ms;
        let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) else { return };
        let hello = number.and_then(|number| read_hello(stage, number, now_ms));
        let hello = hello.filter(|(_, noise)| *noise == pairing.registration.noise);
        pairing.code.asked = pairing.code.asked.saturating_add(1);
        if pairing.code.asked > CODES_MAX {
            return self.send(link, wire::refusal(id, RATE_OVERLIMIT, "rate-overlimit"));
        }
        let Some((hello, _)) = hello else {
            return self.send(link, wire::refusal(id, BAD_REQUEST, "bad-request"));
        };
        let reference = wire::leaf("link_code_pairing_ref", hello.reference.as_slice());
        pairing.code.hello = Some(hello);
        let answer = NodeBuilder::new(STAGE_TAG).attr("stage", "companion_hello").children([reference]).build();
        self.send(link, wire::result(id).children([answer]).build());
        self.out.effects.push(Effect::Changed);
    }

    /// The clients that wait for a code on this phone, the last that asked first.
    pub(crate) fn waiting_for_code(&self, number: &str) -> Vec<WaitingClient> {
        let mut waiting: Vec<(&Hello, u64)> = self.hellos(number).map(|(_, hello)| (hello, hello.at_ms)).collect();
        waiting.sort_by_key(|(_, at_ms)| std::cmp::Reverse(*at_ms));
        let shown = waiting.into_iter().map(|(hello, at_ms)| WaitingClient {
            platform_id: hello.platform_id.clone(),
            platform_display: hello.platform_display.clone(),
            expires_in_ms: at_ms.saturating_add(CODE_MS).saturating_sub(self.now_ms),
        });
        shown.collect()
    }

    fn hellos(&self, number: &str) -> impl Iterator<Item = (LinkId, &Hello)> {
        let current = move |hello: &&Hello| hello.number == number && self.now_ms < hello.at_ms.saturating_add(CODE_MS);
        self.links.iter().filter_map(move |(link, state)| match state {
            Link::Pairing(pairing) if pairing.offer.is_none() => {
                pairing.code.hello.as_ref().filter(current).map(|hello| (*link, hello))
            }
            _ => None,
        })
    }

    /// The client whose code the owner of this phone types in, the last that asked; and what it sealed with its code.
    pub(crate) fn link_hello(&self, number: &str) -> Result<(LinkId, [u8; WRAPPED_KEY_BYTES]), LinkFault> {
        let newest = self.hellos(number).max_by_key(|(link, hello)| (hello.at_ms, *link));
        let (link, hello) = newest.ok_or_else(|| LinkFault::NotWaiting(number.to_owned()))?;
        if hello.tries >= TRIES_MAX { Err(LinkFault::TooManyTries) } else { Ok((link, hello.wrapped)) }
    }

    /// The owner of a phone has typed a code in: the client hears of it.
    pub(crate) fn enter_link_code(&mut self, number: &str, link: LinkId, entered: EnteredCode) -> Result<(), LinkFault> {
        let not_waiting = || LinkFault::NotWaiting(number.to_owned());
        if !self.hellos(number).any(|(waiting, _)| waiting == link) {
            return Err(not_waiting());
        }
        let identity = self.accounts.get(number).map(|account| account.phone.identity()).ok_or_else(not_waiting)?;
        let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) else { return Err(not_waiting()) };
        let hello = pairing.code.hello.as_mut().ok_or_else(not_waiting)?;
        let stage = NodeBuilder::new(STAGE_TAG)
            .attr("stage", "primary_hello")
            .children([
                wire::leaf("link_code_pairing_wrapped_primary_ephemeral_pub", entered.wrapped),
                wire::leaf("primary_identity_pub", identity),
                wire::leaf("link_code_pairing_ref", hello.reference.as_slice()),
            ])
            .build();
        hello.tries += 1;
        hello.entered = Some(entered);
        hello.failure = None;
        let notification = NodeBuilder::new("notification")
            .attr("from", SERVER_JID)
            .attr("type", STAGE_TAG)
            .attr("id", random::stanza_id())
            .attr("t", self.now_s())
            .children([stage])
            .build();
        self.send(link, notification);
        Ok(())
    }

    fn receive_companion_finish(&mut self, link: LinkId, id: &str, stage: &Node) {
        // The server only carries the bundle; whether the phone can open it the client hears from the phone, or not at all.
        self.send(link, wire::result(id).build());
        let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) else { return };
        let registration = (pairing.registration.noise, pairing.registration.identity);
        let Some(hello) = pairing.code.hello.as_mut() else { return };
        let reference = wire::child_content(stage, "link_code_pairing_ref");
        if reference != Some(hello.reference.as_slice()) {
            tracing::warn!("a client finished a pairing by code that it had not begun");
            return;
        }
        let Some(entered) = hello.entered.take() else { return };
        let (number, reference) = (hello.number.clone(), hex::encode(&hello.reference));
        let outcome = self.open_bundle(&number, &entered, stage, registration, reference);
        let outcome = outcome.and_then(|code| Ok(self.offer_link(link, &code, number)?));
        match outcome {
            Ok(key) => self.own.note_linked(link, key),
            Err(fault) => {
                if let Some(Link::Pairing(pairing)) = self.links.get_mut(&link)
                    && let Some(hello) = pairing.code.hello.as_mut()
                {
                    hello.failure = Some(fault);
                }
            }
        }
        self.out.effects.push(Effect::Changed);
    }

    /// What a QR code would have told the phone, from the bundle.
    fn open_bundle(
        &self,
        number: &str,
        entered: &EnteredCode,
        stage: &Node,
        (noise_public, identity_public): ([u8; 32], [u8; 32]),
        reference: String,
    ) -> Result<PairingCode, LinkFault> {
        let account = self.accounts.get(number).ok_or_else(|| LinkFault::NotWaiting(number.to_owned()))?;
        let named: Option<[u8; 32]> = wire::child_key(stage, "companion_identity_public");
        if named != Some(identity_public) {
            return Err(ScanFault::WrongKeys.into());
        }
        let bundle = wire::child_content(stage, "link_code_pairing_wrapped_key_bundle").unwrap_or_default();
        let adv_secret = account.phone.open_link_bundle(entered, bundle, &identity_public)?;
        Ok(PairingCode { reference, noise_public, identity_public, adv_secret })
    }

    /// How the last try on this connection stands; a failure is told once.
    pub(crate) fn link_outcome(&mut self, link: LinkId) -> LinkOutcome {
        if let Some(key) = self.own.linked(link) {
            return LinkOutcome::Offered(key.clone());
        }
        let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) else {
            return LinkOutcome::Failed(ScanFault::NotWaiting.into());
        };
        match pairing.code.hello.as_mut().and_then(|hello| hello.failure.take()) {
            Some(fault) => LinkOutcome::Failed(fault),
            None => LinkOutcome::Pending,
        }
    }
}

/// A client's hello, and the Noise key that it names.
fn read_hello(stage: &Node, number: String, at_ms: u64) -> Option<(Hello, [u8; 32])> {
    let text = |tag| {
        let bytes = wire::child_content(stage, tag)?;
        let text = std::str::from_utf8(bytes).ok()?;
        (1..=DISPLAY_BYTES_MAX).contains(&text.len()).then(|| text.to_owned())
    };
    let hello = Hello {
        number,
        reference: random::bytes::<32>().to_vec(),
        wrapped: wire::child_key(stage, "link_code_pairing_wrapped_companion_ephemeral_pub")?,
        platform_id: text("companion_platform_id")?,
        platform_display: text("companion_platform_display")?,
        at_ms,
        tries: 0,
        entered: None,
        failure: None,
    };
    Some((hello, wire::child_key(stage, "companion_server_auth_key_pub")?))
}
