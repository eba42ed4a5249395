//! Linking a new device: references for its QR code, the scan by a phone, the device's counter-signature.

use std::collections::BTreeMap;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, SERVER_JID};
use waproto::buffa::Message as _;
use waproto::whatsapp::{ADVSignedDeviceIdentity, ClientPairingProps, ClientPayload, DeviceProps};

use super::account::{Device, DeviceRecord, SignedKey};
use super::link_code::CodeLink;
use super::pairing_time::reference_is_current;
use super::queue::DeviceQueue;
use super::session::PUSH_NAME_BYTES_MAX;
use super::timers::Later;
use super::{Effect, Link, LinkId, Network, pairing_time};
use crate::address::{DeviceKey, Space};
use crate::phone::{PairingCode, PhoneError};
use crate::{random, wire};

/// Why a scanned code led to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanFault {
    #[error("no phone has the number {0}: make it first, with POST /switchboard/v1/sim/phones")]
    NoPhone(String),
    #[error("no client is waiting with this code; it was used, has expired or belongs to another server")]
    NotWaiting,
    #[error("the keys in the code are not those that the waiting client registered")]
    WrongKeys,
    #[error("account {number} has all of its {max} devices", max = super::account::DEVICE_MAX)]
    NoFreeDevice { number: String },
    #[error("the phone does not accept the code: {0}")]
    Phone(#[from] PhoneError),
}

/// A client that wants to become a device.
pub(super) struct Pairing {
    references: Vec<String>,
    /// When the references were given out.
    pub(super) began_ms: u64,
    pub(super) registration: Registration,
    pub(super) offer: Option<Offer>,
    /// Where it stands with a code that its user types into the phone.
    pub(super) code: CodeLink,
}

/// What the client said about itself.
pub(super) struct Registration {
    pub(super) noise: [u8; 32],
    registration_id: u32,
    pub(super) identity: [u8; 32],
    signed_prekey: SignedKey,
    push_name: String,
    /// What it wants to know of the past.
    props: DeviceProps,
}

/// What a phone has offered it.
pub(super) struct Offer {
    request: String,
    pub(super) key: DeviceKey,
    key_index: u32,
}

impl Network {
    /// Starts a pairing: sends the references.
    pub(super) fn register(&mut self, link: LinkId, noise: [u8; 32], payload: &ClientPayload) {
        let Some(registration) = read_registration(noise, payload) else {
            tracing::warn!("a client registered with incomplete keys");
            return self.refuse(link, wire::failure(400));
        };
        if let Some(failure) = self.registration_refusal() {
            return self.refuse(link, failure);
        }
        let references: Vec<String> =
            (0..pairing_time::REFERENCES).map(|_| format!("2@{}", hex::encode(random::bytes::<32>()))).collect();
        for reference in &references {
            self.link_by_pairing_reference.insert(reference.clone(), link);
        }
        let leaves: Vec<Node> = references.iter().map(|reference| wire::leaf("ref", reference.as_bytes())).collect();
        self.send(link, request(&random::stanza_id(), NodeBuilder::new("pair-device").children(leaves).build()));
        let (began_ms, code) = (self.now_ms, CodeLink::default());
        let pairing = Pairing { references, began_ms, registration, offer: None, code };
        self.links.insert(link, Link::Pairing(Box::new(pairing)));
        self.later(pairing_time::REFERENCES_MS, Later::EndPairing { link });
    }

    /// A phone scans a code: the given number's, or the one that belongs to the client's login name.
    pub(crate) fn scan(&mut self, code: &PairingCode, number: Option<&str>) -> Result<(LinkId, DeviceKey), ScanFault> {
        if let Some(number) = number
            && !self.accounts.contains_key(number)
        {
            return Err(ScanFault::NoPhone(number.to_owned()));
        }
        let link = self.link_by_pairing_reference.get(&code.reference).copied().ok_or(ScanFault::NotWaiting)?;
        let Some(Link::Pairing(pairing)) = self.links.get(&link) else {
            return Err(ScanFault::NotWaiting);
        };
        let shown = pairing.references.iter().position(|reference| *reference == code.reference);
        let age_ms = self.now_ms.saturating_sub(pairing.began_ms);
        if !shown.is_some_and(|turn| reference_is_current(turn, age_ms)) {
            return Err(ScanFault::NotWaiting);
        }
        let registration = &pairing.registration;
        if registration.noise != code.noise_public || registration.identity != code.identity_public {
            return Err(ScanFault::WrongKeys);
        }
        let number = match number {
            Some(number) => number.to_owned(),
            None => {
                let login_name = registration.push_name.clone();
                self.account_for_login_name(&login_name)?
            }
        };
        Ok((link, self.offer_link(link, code, number)?))
    }

    /// A phone takes the client as its next companion, and tells it so.
    pub(super) fn offer_link(&mut self, link: LinkId, code: &PairingCode, number: String) -> Result<DeviceKey, ScanFault> {
        let account = self.accounts.get_mut(&number).ok_or_else(|| ScanFault::NoPhone(number.clone()))?;
        let device = account.free_device().ok_or_else(|| ScanFault::NoFreeDevice { number: number.clone() })?;
        let identity = account.phone.link(code, device)?;
        account.promised.push(device);
        account.last_device = device;
        self.record_account(&number);
        self.record_phone(&number);
        let key = DeviceKey::new(number, device);
        self.offer(link, &key, identity.device_identity_hmac, identity.key_index);
        Ok(key)
    }

    fn account_for_login_name(&mut self, login_name: &str) -> Result<String, PhoneError> {
        let known = self.number_by_login_name.get(login_name).filter(|_| !login_name.is_empty());
        if let Some(number) = known {
            return Ok(number.clone());
        }
        let number = self.invent_number();
        self.create_account(&number, login_name, (!login_name.is_empty()).then_some(login_name))?;
        Ok(number)
    }

    fn offer(&mut self, link: LinkId, key: &DeviceKey, device_identity: Vec<u8>, key_index: u32) {
        let id = random::stanza_id();
        let device = NodeBuilder::new("device")
            .attr("jid", self.jid_of(key, Space::Number))
            .attr("lid", self.jid_of(key, Space::Lid))
            .build();
        let success = NodeBuilder::new("pair-success")
            .children([
                wire::leaf("device-identity", device_identity),
                NodeBuilder::new("platform").attr("name", "android").build(),
                wire::leaf("client-props", client_props()),
                device,
            ])
            .build();
        if let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) {
            pairing.offer = Some(Offer { request: id.clone(), key: key.clone(), key_index });
            for reference in pairing.references.drain(..) {
                self.link_by_pairing_reference.remove(&reference);
            }
        }
        self.send(link, request(&id, success));
    }

    /// Whether a scan has come to its end: `Some(true)` for a linked device, `Some(false)` when it was given up.
    pub(crate) fn scan_outcome(&self, link: LinkId, key: &DeviceKey) -> Option<bool> {
        if self.device(key).is_some() {
            return Some(true);
        }
        match self.links.get(&link) {
            Some(Link::Pairing(pairing)) if pairing.offer.is_some() => None,
            _ => Some(false),
        }
    }

    pub(super) fn receive_while_pairing(&mut self, link: LinkId, node: &Node) {
        if self.receive_link_code(link, node) || self.answer_ping(link, node) {
            return;
        }
        let Some(Link::Pairing(pairing)) = self.links.get_mut(&link) else {
            return;
        };
        let Some(offer) = &pairing.offer else { return };
        if node.tag != "iq" || !wire::attribute_is(node, "id", &offer.request) {
            return;
        }
        let signed = node
            .get_optional_child_by_tag(&["pair-device-sign", "device-identity"])
            .and_then(wire::content)
            .map(<[u8]>::to_vec);
        let Some(offer) = pairing.offer.take() else { return };
        let Some(account) = self.accounts.get_mut(&offer.key.number) else {
            return;
        };
        account.promised.retain(|device| *device != offer.key.device);
        let verified = signed.as_ref().is_some_and(|signed| account.phone.verify_link(offer.key.device, signed).is_ok());
        match signed.filter(|_| verified) {
            Some(signed) => self.complete_pairing(link, &offer, &signed),
            None => {
                account.phone.unlink(offer.key.device);
                self.record_phone(&offer.key.number);
                tracing::warn!("a client did not sign the identity that its phone offered");
                self.out.effects.push(Effect::Close(link));
            }
        }
        self.out.effects.push(Effect::Changed);
    }

    fn complete_pairing(&mut self, link: LinkId, offer: &Offer, signed: &[u8]) {
        let Some(account) = self.accounts.get_mut(&offer.key.number) else {
            return;
        };
        let account_key = account.phone.identity();
        let Some(Link::Pairing(pairing)) = self.links.get(&link) else {
            return;
        };
        let registration = &pairing.registration;
        let props = registration.props.clone();
        let record = DeviceRecord {
            noise: registration.noise,
            registration_id: registration.registration_id,
            identity: registration.identity,
            signed_prekey: registration.signed_prekey.clone(),
            device_identity: with_account_key(signed, &account_key),
            key_index: offer.key_index,
            push_name: registration.push_name.clone(),
        };
        self.device_by_noise_key.insert(registration.noise, offer.key.clone());
        let device = Device { record, one_time: BTreeMap::new(), queue: DeviceQueue::default() };
        account.devices.insert(offer.key.device, device);
        self.record_device(&offer.key);
        self.record_phone(&offer.key.number);
        self.announce_linked(&offer.key);
        self.introduce_companion(&offer.key, &props);
        self.send(link, wire::stream_restart());
        self.out.effects.push(Effect::Close(link));
    }

    pub(super) fn abandon_pairing(&mut self, pairing: &Pairing) {
        for reference in &pairing.references {
            self.link_by_pairing_reference.remove(reference);
        }
        if let Some(offer) = &pairing.offer
            && let Some(account) = self.accounts.get_mut(&offer.key.number)
        {
            account.promised.retain(|device| *device != offer.key.device);
            account.phone.unlink(offer.key.device);
            self.record_phone(&offer.key.number);
        }
        self.out.effects.push(Effect::Changed);
    }
}

/// What the phone says of its own state: its chats are addressed by LID already.
fn client_props() -> Vec<u8> {
    ClientPairingProps { is_chat_db_lid_migrated: Some(true), ..ClientPairingProps::default() }.encode_to_vec()
}

fn request(id: &str, child: Node) -> Node {
    NodeBuilder::new("iq")
        .attr("from", SERVER_JID)
        .attr("type", "set")
        .attr("id", id)
        .attr("xmlns", "md")
        .children([child])
        .build()
}

fn read_registration(noise: [u8; 32], payload: &ClientPayload) -> Option<Registration> {
    let data = payload.device_pairing_data.as_option()?;
    let signed_prekey = SignedKey {
        id: wire::number(data.e_skey_id.as_deref()?)?,
        public: data.e_skey_val.as_deref()?.try_into().ok()?,
        signature: data.e_skey_sig.as_deref()?.try_into().ok()?,
    };
    Some(Registration {
        noise,
        registration_id: wire::number(data.e_regid.as_deref()?)?,
        identity: data.e_ident.as_deref()?.try_into().ok()?,
        signed_prekey,
        push_name: wire::shortened(payload.push_name.as_deref().unwrap_or_default(), PUSH_NAME_BYTES_MAX).to_owned(),
        props: read_props(data.device_props.as_deref()),
    })
}

/// Clients that say nothing, or nothing that can be read, want what everybody gets.
fn read_props(bytes: Option<&[u8]>) -> DeviceProps {
    bytes.and_then(|bytes| DeviceProps::decode_from_slice(bytes).ok()).unwrap_or_default()
}

/// Some clients leave the account's key out of what they sign; those who fetch the identity need it.
fn with_account_key(signed: &[u8], account_key: &[u8; 32]) -> Vec<u8> {
    let Ok(mut identity) = ADVSignedDeviceIdentity::decode_from_slice(signed) else {
        return signed.to_vec();
    };
    if identity.account_signature_key.as_ref().is_none_or(Vec::is_empty) {
        identity.account_signature_key = Some(account_key.to_vec());
    }
    identity.encode_to_vec()
}
