//! The prekey store: upload, count, digest, rotation, and handing bundles to others.

use std::collections::HashSet;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::CryptographicHash;

use super::account::{Device, SignedKey, prekey_record, put};
use super::faults::PrekeyFault;
use super::{LinkId, Network};
use crate::address::DeviceKey;
use crate::phone::{DeviceBundle, OneTimePreKey};
use crate::wire;

/// One-time keys kept for one device.
const PREKEYS_MAX: usize = 5_000;
/// Users in one request for bundles: the devices of the largest group.
const BUNDLES_MAX: usize = 2_000;
/// When this many one-time keys are left, the device is asked for more; and once more at none.
const PREKEYS_LOW: usize = 4;
/// Marks keys for Curve25519.
pub(super) const KEY_TYPE: u8 = 5;
const NOT_ACCEPTABLE: u16 = 406;

impl Network {
    /// Requests in the `encrypt` namespace. False when this is none of them.
    pub(super) fn receive_encrypt_iq(&mut self, link: LinkId, key: &DeviceKey, id: &str, node: &Node) -> bool {
        let answer = if let Some(wanted) = node.get_optional_child("key") {
            Some(self.fetch_bundles(id, wanted))
        } else if node.get_optional_child("count").is_some() {
            self.device(key).map(|device| {
                let count = NodeBuilder::new("count").attr("value", device.one_time.len()).build();
                wire::result(id).children([count]).build()
            })
        } else if node.get_optional_child("digest").is_some() {
            Some(self.digest(key, id))
        } else if let Some(signed) = node.get_optional_child_by_tag(&["rotate", "skey"]) {
            Some(self.rotate(key, id, signed))
        } else if node.get_optional_child("identity").is_some() {
            Some(self.upload(key, id, node))
        } else {
            None
        };
        let Some(answer) = answer else { return false };
        self.send(link, answer);
        true
    }

    fn upload(&mut self, key: &DeviceKey, id: &str, node: &Node) -> Node {
        let Some(upload) = read_upload(node) else {
            return wire::refusal(id, 400, "bad-request");
        };
        let Some(device) = self.device_mut(key) else {
            return wire::refusal(id, 404, "item-not-found");
        };
        if device.one_time.len() + upload.one_time.len() > PREKEYS_MAX {
            return wire::refusal(id, 507, "too-many-prekeys");
        }
        device.record.registration_id = upload.registration_id;
        device.record.identity = upload.identity;
        device.record.signed_prekey = upload.signed;
        // Built anew from sorted keys the map is half as large.
        let known = std::mem::take(&mut device.one_time);
        device.one_time = known.into_iter().chain(upload.one_time.iter().copied()).collect();
        for (prekey, public) in upload.one_time {
            self.out.records.push(put(prekey_record(key, prekey), &hex::encode(public)));
        }
        self.record_device(key);
        wire::result(id).build()
    }

    fn rotate(&mut self, key: &DeviceKey, id: &str, signed: &Node) -> Node {
        let (Some(signed), Some(device)) = (read_signed(signed), self.device_mut(key)) else {
            return wire::refusal(id, 400, "bad-request");
        };
        device.record.signed_prekey = signed;
        self.record_device(key);
        wire::result(id).build()
    }

    /// What we hold for the device, with a hash of it, so that it can see whether it must upload again.
    fn digest(&self, key: &DeviceKey, id: &str) -> Node {
        let (Some(device), Ok(mut hash)) = (self.device(key), CryptographicHash::new("SHA-1")) else {
            return wire::refusal(id, 404, "item-not-found");
        };
        let bundle = device.bundle();
        hash.update(&bundle.identity);
        hash.update(&bundle.signed_prekey.public);
        hash.update(&bundle.signed_prekey.signature);
        for public in device.one_time.values() {
            hash.update(public);
        }
        let ids = device.one_time.keys().map(|prekey| wire::leaf("id", wire::three_bytes(*prekey)));
        let mut children = bundle_children(&bundle);
        children.push(NodeBuilder::new("list").children(ids).build());
        children.push(wire::leaf("hash", hash.finalize()));
        wire::result(id).children([NodeBuilder::new("digest").children(children).build()]).build()
    }

    fn fetch_bundles(&mut self, id: &str, wanted: &Node) -> Node {
        let mut users = Vec::new();
        let mut asked = HashSet::new();
        for user in wanted.get_children_by_tag("user").take(BUNDLES_MAX) {
            let Some(jid) = wire::address(user, "jid").filter(|jid| asked.insert(jid.clone())) else {
                continue;
            };
            let key = self.key_of(&jid);
            let bundle = key.as_ref().and_then(|key| match self.prekey_fault(key) {
                None => self.take_bundle(key),
                Some(PrekeyFault::OneTime) => self.bundle_without_one_time(key),
                Some(PrekeyFault::All) => None,
            });
            let children = match (&key, bundle) {
                (Some(key), Some(bundle)) => self.bundle_with_identity(key, &bundle),
                _ => vec![NodeBuilder::new("error").attr("code", NOT_ACCEPTABLE).attr("text", "not-acceptable").build()],
            };
            users.push(NodeBuilder::new("user").attr("jid", jid).children(children).build());
        }
        wire::result(id).children([NodeBuilder::new("list").children(users).build()]).build()
    }

    fn bundle_with_identity(&self, key: &DeviceKey, bundle: &DeviceBundle) -> Vec<Node> {
        let mut children = bundle_children(bundle);
        if let Some(device) = self.device(key) {
            children.push(wire::leaf("device-identity", device.record.device_identity.clone()));
        }
        children
    }

    /// A device's bundle as it is when all its one-time keys are used up.
    fn bundle_without_one_time(&mut self, key: &DeviceKey) -> Option<DeviceBundle> {
        if key.device == 0 {
            return self.accounts.get_mut(&key.number)?.phone.bundle(false).ok();
        }
        self.device(key).map(Device::bundle)
    }

    /// A device's bundle with a one-time key, which is then gone.
    pub(super) fn take_bundle(&mut self, key: &DeviceKey) -> Option<DeviceBundle> {
        if key.device == 0 {
            let bundle = self.accounts.get_mut(&key.number)?.phone.bundle(true);
            self.record_phone(&key.number);
            return bundle.ok();
        }
        let device = self.device_mut(key)?;
        let mut bundle = device.bundle();
        if let Some((id, public)) = device.one_time.pop_first() {
            let left = device.one_time.len();
            bundle.one_time = Some(OneTimePreKey { id, public });
            self.out.records.push((prekey_record(key, id), None));
            if left == PREKEYS_LOW || left == 0 {
                let count = NodeBuilder::new("count").attr("value", left).build();
                self.notify(key, "encrypt", vec![count]);
            }
        }
        Some(bundle)
    }
}

/// Registration, type, identity and keys, as bundles and digests carry them.
pub(super) fn bundle_children(bundle: &DeviceBundle) -> Vec<Node> {
    let mut children = vec![
        wire::leaf("registration", bundle.registration_id.to_be_bytes()),
        wire::leaf("type", [KEY_TYPE]),
        wire::leaf("identity", bundle.identity),
    ];
    children.extend(key_children(bundle));
    children
}

/// The signed prekey and the one-time key, if there is one.
pub(super) fn key_children(bundle: &DeviceBundle) -> Vec<Node> {
    let mut children = Vec::with_capacity(2);
    if let Some(one_time) = &bundle.one_time {
        let parts = [wire::leaf("id", wire::three_bytes(one_time.id)), wire::leaf("value", one_time.public)];
        children.push(NodeBuilder::new("key").children(parts).build());
    }
    let parts = [
        wire::leaf("id", wire::three_bytes(bundle.signed_prekey.id)),
        wire::leaf("value", bundle.signed_prekey.public),
        wire::leaf("signature", bundle.signed_prekey.signature),
    ];
    children.push(NodeBuilder::new("skey").children(parts).build());
    children
}

struct Upload {
    registration_id: u32,
    identity: [u8; 32],
    signed: SignedKey,
    one_time: Vec<(u32, [u8; 32])>,
}

fn read_upload(node: &Node) -> Option<Upload> {
    let list = node.get_optional_child("list")?;
    let one_time = list
        .get_children_by_tag("key")
        .map(|key| Some((wire::number(wire::child_content(key, "id")?)?, wire::child_key(key, "value")?)))
        .collect::<Option<Vec<_>>>()?;
    Some(Upload {
        registration_id: wire::number(wire::child_content(node, "registration")?)?,
        identity: wire::child_key(node, "identity")?,
        signed: read_signed(node.get_optional_child("skey")?)?,
        one_time,
    })
}

fn read_signed(node: &Node) -> Option<SignedKey> {
    Some(SignedKey {
        id: wire::number(wire::child_content(node, "id")?)?,
        public: wire::child_key(node, "value")?,
        signature: wire::child_key(node, "signature")?,
    })
}
