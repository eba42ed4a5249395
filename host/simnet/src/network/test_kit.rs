//! For tests: what the harnesses of this room have in common. A companion that really holds keys, and what a network has
//! written down.

use std::collections::BTreeMap;

use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::ClientPayload;

use super::account::{Device, DeviceRecord, SignedKey};
use super::queue::DeviceQueue;
use super::{LinkId, Network};
use crate::address::DeviceKey;
use crate::phone::Phone;

/// Links a companion to a phone without the ceremony; `signal` keeps its keys, of which `one_time` can be asked for.
pub(super) fn install(network: &mut Network, key: &DeviceKey, noise: [u8; 32], signal: &mut Phone, one_time: usize) {
    let bundle = signal.bundle(false).unwrap();
    let one_time = (0..one_time).filter_map(|_| signal.bundle(true).unwrap().one_time);
    let one_time = one_time.map(|prekey| (prekey.id, prekey.public)).collect();
    let record = DeviceRecord {
        noise,
        registration_id: bundle.registration_id,
        identity: bundle.identity,
        signed_prekey: SignedKey {
            id: bundle.signed_prekey.id,
            public: bundle.signed_prekey.public,
            signature: bundle.signed_prekey.signature,
        },
        device_identity: vec![1, 2, 3],
        key_index: u32::from(key.device),
        push_name: format!("{} on {}", key.number, key.device),
    };
    let account = network.accounts.get_mut(&key.number).unwrap();
    account.last_device = account.last_device.max(key.device);
    account.devices.insert(key.device, Device { record, one_time, queue: DeviceQueue::default() });
    network.device_by_noise_key.insert(noise, key.clone());
    network.record_account(&key.number);
    network.record_device(key);
}

/// A new connection of an installed companion that asks for what waits for it.
pub(super) fn log_in(network: &mut Network, noise: [u8; 32]) -> LinkId {
    let link = network.open_link();
    network.admit(link, noise, &ClientPayload::default());
    let active = NodeBuilder::new("active").build();
    let iq = NodeBuilder::new("iq").attr("id", "active").attr("type", "set").attr("xmlns", "passive");
    network.receive(link, &iq.children([active]).build());
    link
}

/// Writes down what has changed, as the state log would.
pub(super) fn write_down(records: &mut BTreeMap<String, Value>, changes: Vec<(String, Option<Value>)>) {
    for (key, value) in changes {
        match value {
            Some(value) => records.insert(key, value),
            None => records.remove(&key),
        };
    }
}
