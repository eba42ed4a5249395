//! State files that somebody has damaged: the network refuses them, or works with what they say.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

use super::rng::{Rng, fuzz};
use crate::network::Network;
use crate::network::test_network::TestNetwork;
use crate::state_log::StateLog;

const ANN: &str = "15550001111";
const BOB: &str = "15550002222";

/// The records of a network in which something has happened.
fn records() -> BTreeMap<String, Value> {
    let mut stage = TestNetwork::new();
    let (ann, bob) = (stage.device(ANN), stage.device(BOB));
    stage.send_message(&ann, &bob, "A1");
    stage.receive(&ann, &NodeBuilder::new("presence").attr("type", "available").attr("name", "Ann").build());
    stage.end(ann.link);
    stage.network.send_text(ANN, BOB, "hello", None).unwrap();
    stage.settle();
    stage.records
}

fn spoil(rng: &mut Rng, value: &mut Value) {
    match value {
        Value::Object(fields) if !rng.once_in(8) && !fields.is_empty() => {
            let name = fields.keys().nth(rng.below(fields.len())).unwrap().clone();
            if rng.once_in(4) {
                fields.remove(&name);
            } else {
                spoil(rng, &mut fields[&name]);
            }
        }
        Value::Array(items) if !rng.once_in(8) && !items.is_empty() => {
            let place = rng.below(items.len());
            spoil(rng, &mut items[place]);
        }
        Value::String(text) if !rng.once_in(4) => {
            let mut bytes = std::mem::take(text).into_bytes();
            rng.damage(&mut bytes);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        other => {
            *other = match rng.below(7) {
                0 => Value::Null,
                1 => json!(rng.next()),
                2 => json!(-1),
                3 => json!(rng.text()),
                4 => json!([]),
                5 => json!({}),
                // Addresses inside addresses, as a stored stanza.
                _ => json!(format!("00f8030a0b{}", "fa".repeat(50_000))),
            }
        }
    }
}

#[test]
fn damaged_records_are_refused_or_used_but_never_fatal() {
    let good = records();
    assert!(Network::restore(good.clone()).is_ok());
    fuzz("records", |rng, _| {
        let mut records = good.clone();
        for _ in 0..1 + rng.below(3) {
            let key = records.keys().nth(rng.below(records.len())).unwrap().clone();
            match rng.below(4) {
                0 => {
                    records.remove(&key);
                }
                1 => {
                    let value = records.remove(&key).unwrap();
                    let mut name = key.into_bytes();
                    rng.damage(&mut name);
                    records.insert(String::from_utf8_lossy(&name).into_owned(), value);
                }
                _ => spoil(rng, records.get_mut(&key).unwrap()),
            }
        }
        if let Ok(mut network) = Network::restore(records) {
            network.set_now(1_700_000_000_000);
            let _ = network.send_text(ANN, BOB, "still there", None);
            network.run_due();
            network.phones();
            network.take_outbox();
        }
    });
}

#[test]
fn damaged_state_file_is_refused_or_read_but_never_fatal() {
    let dir = std::env::temp_dir().join(format!("switchboard-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let lines: Vec<u8> = records()
        .into_iter()
        .flat_map(|record| {
            let mut line = serde_json::to_vec(&[record]).unwrap();
            line.push(b'\n');
            line
        })
        .collect();
    fuzz("state file", |rng, _| {
        let mut bytes = lines.clone();
        for _ in 0..rng.below(4) {
            rng.damage(&mut bytes);
        }
        std::fs::write(dir.join("state.log"), &bytes).unwrap();
        if let Ok((_, records)) = StateLog::open(&dir) {
            let _ = Network::restore(records);
        }
    });
    std::fs::remove_dir_all(dir).unwrap();
}
