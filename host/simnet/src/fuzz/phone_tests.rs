//! What phones are sent: ciphertexts that are none, and messages that no app would write.

use waproto::whatsapp::Message;

use super::rng::{Rng, fuzz};
use crate::phone::{DeviceAddress, EncKind, Envelope, Phone, device_sent};

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

fn address(number: &str) -> DeviceAddress {
    DeviceAddress { user: number.to_owned(), device: 0 }
}

/// Bytes of a protobuf whose fields and wire types fit together, whatever they mean.
fn protobuf(rng: &mut Rng, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.below(6) {
        let fields = if rng.once_in(3) { 120 } else { 40 };
        let field = 1 + rng.below(fields);
        let wire = [0, 2, 2, 2, 5, 1][rng.below(6)];
        varint(&mut bytes, (field << 3 | wire) as u64);
        match wire {
            0 => varint(&mut bytes, if rng.once_in(2) { rng.next() } else { rng.below(40) as u64 }),
            1 => bytes.extend(rng.next().to_le_bytes()),
            5 => bytes.extend((rng.next() as u32).to_le_bytes()),
            _ => {
                let content = match rng.below(3) {
                    0 => rng.bytes(40),
                    1 => rng.text().into_bytes(),
                    _ if depth < 12 => protobuf(rng, depth + 1),
                    _ => Vec::new(),
                };
                varint(&mut bytes, content.len() as u64);
                bytes.extend(content);
            }
        }
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

#[test]
fn phone_survives_any_ciphertext() {
    let (mut ann, mut bob) = (Phone::new(ANN, "100", "").unwrap(), Phone::new(BOB, "200", "").unwrap());
    let bundle = bob.bundle(true).unwrap();
    let text = ann.compose_text("hello");
    let first = ann.encrypt(&address(BOB), Some(&bundle), &text).unwrap();
    let key = ann.share_sender_key("1@g.us").unwrap();
    let shared = ann.encrypt(&address(BOB), None, &key).unwrap();
    let group = ann.encrypt_group("1@g.us", &text).unwrap();
    bob.decrypt(&address(ANN), shared.kind, &shared.ciphertext).unwrap();
    let kinds = [EncKind::Msg, EncKind::PkMsg, EncKind::SkMsg];
    fuzz("ciphertexts", |rng, _| {
        let mut ciphertext = match rng.below(4) {
            0 => rng.bytes(300),
            1 => first.ciphertext.clone(),
            2 => group.ciphertext.clone(),
            _ => [vec![0x33], protobuf(rng, 0)].concat(),
        };
        for _ in 0..1 + rng.below(3) {
            rng.damage(&mut ciphertext);
        }
        let _ = bob.decrypt(&address(ANN), kinds[rng.below(3)], &ciphertext);
        bob.dirty_records();
    });
}

#[test]
fn phone_shows_or_ignores_any_message_and_remembers_it_after_a_restart() {
    let mut bob = Phone::new(BOB, "200", "").unwrap();
    let mut records = std::collections::BTreeMap::new();
    fuzz("messages", |rng, rounds| {
        let mut bytes = protobuf(rng, 0);
        if rng.once_in(4) {
            rng.damage(&mut bytes);
        }
        let Ok(message) = waproto::codec::message_decode(&bytes) else { return };
        let message: Message = if rng.once_in(6) { device_sent("1@s.whatsapp.net", &message) } else { message };
        let envelope = Envelope { id: rounds.to_string(), chat: rng.text(), from: rng.text(), at_ms: rng.next() };
        bob.receive(envelope, &message);
        for (key, value) in bob.dirty_records() {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        if rounds % 2_000 == 1_999 {
            bob = Phone::restore(records.clone().into_iter()).unwrap();
        }
    });
    Phone::restore(records.into_iter()).unwrap();
}
