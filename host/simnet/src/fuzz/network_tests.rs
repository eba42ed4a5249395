//! Every handler of the network, with stanzas of all kinds and what hostile clients make of them.

use bytes::BytesMut;
use serde_json::{Value, json};
use wacore_libsignal::protocol::KeyPair;

use super::rng::{Rng, fuzz};
use super::stanzas::{World, mutate};
use crate::network::test_network::{TestDevice, TestNetwork, confirmation, registration};
use crate::network::{FaultCommand, LinkId};
use crate::node_codec;

const NUMBERS: [&str; 3] = ["15550001111", "15550002222", "15550003333"];
/// Rounds after which everything is taken apart and begun anew.
const LIFE: u64 = 3_000;

struct Stage {
    network: TestNetwork,
    devices: Vec<TestDevice>,
    world: World,
    /// A client that waits to be linked.
    stranger: LinkId,
}

fn stranger(network: &mut TestNetwork) -> LinkId {
    let link = network.network.open_link();
    network.network.admit(link, [9; 32], &registration(&KeyPair::generate(&mut crate::random::rng())));
    network.settle();
    link
}

impl Stage {
    fn new() -> Self {
        let mut network = TestNetwork::new();
        let mut devices: Vec<TestDevice> = NUMBERS.iter().map(|number| network.device(number)).collect();
        for number in NUMBERS {
            let mut second = network.linked(number);
            network.connect(&mut second);
            devices.push(second);
        }
        let lids = NUMBERS.iter().map(|number| network.network.lid_of(number)).collect();
        let world = World::new(NUMBERS.map(str::to_owned).to_vec(), lids);
        let stranger = stranger(&mut network);
        Self { network, devices, world, stranger }
    }

    fn round(&mut self, rng: &mut Rng) {
        let (mut node, donor) = (self.world.stanza(rng), self.world.stanza(rng));
        for _ in 0..rng.below(4) {
            mutate(rng, &mut node, &donor);
        }
        // What a client cannot write never arrives, and what is too heavy ends its connection.
        let Ok(encoded) = node_codec::encode(&node) else { return };
        let Ok((node, _)) = node_codec::open(BytesMut::from(encoded.as_ref())) else { return };
        let place = rng.below(self.devices.len());
        match rng.below(60) {
            0 => self.reconnect(place, rng),
            1 => self.network.pass(rng.below(5_000) as u64),
            2 => self.fault(rng),
            3 => {
                self.network.network.receive(self.stranger, &node);
                self.network.settle();
            }
            _ => self.network.receive(&self.devices[place], &node),
        }
        let device = &self.devices[place];
        let got = self.network.got(device);
        if rng.once_in(2) {
            got.iter().filter_map(confirmation).for_each(|answer| {
                self.network.receive(device, &answer);
            });
        }
    }

    fn reconnect(&mut self, place: usize, rng: &mut Rng) {
        self.network.hang_up();
        let device = &mut self.devices[place];
        if rng.once_in(2) {
            self.network.end(device.link);
        }
        if rng.once_in(3) {
            self.network.log_in(device);
        } else {
            self.network.connect(device);
        }
    }

    fn fault(&mut self, rng: &mut Rng) {
        let names = [
            "drop",
            "stall",
            "half_open",
            "refuse_login",
            "temp_ban",
            "replace",
            "stream_error",
            "no_ack",
            "late_ack",
            "duplicate",
            "delay",
            "reorder",
            "corrupt",
            "missing_prekeys",
            "clock_skew",
            "random",
            "clear",
            "clear",
        ];
        let mut command =
            json!({ "fault": rng.pick(&names), "ms": rng.below(3_000), "code": 503, "count": 1 + rng.below(5) });
        if rng.once_in(2) {
            command["number"] = json!(rng.pick(&NUMBERS));
        }
        if command["fault"] == "random" {
            command["seed"] = json!(rng.next());
            command["rate"] = json!(0.2);
            command["kinds"] = json!(["drop", "duplicate", "delay", "late_ack", "reorder", "corrupt", "no_ack"]);
        }
        let command: FaultCommand = serde_json::from_value::<FaultCommand>(command).unwrap();
        let _ = self.network.network.apply_fault(&command);
        self.network.settle();
    }

    /// After all devices are gone, nothing may be left of them.
    fn end(mut self) {
        for command in ["clear", "log_out"] {
            let command: FaultCommand = serde_json::from_value(json!({ "fault": command })).unwrap();
            self.network.network.apply_fault(&command).unwrap();
            self.network.settle();
        }
        for device in &self.devices {
            self.network.end(device.link);
        }
        self.network.hang_up();
        self.network.pass(10_000_000);
        let left: Vec<(&String, &Value)> = self
            .network
            .records
            .iter()
            .filter(|(key, _)| ["queue/", "device/", "prekey/"].iter().any(|kind| key.starts_with(kind)))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.network.network.remembered_for_devices(), 0);
    }
}

#[test]
fn no_stanza_stops_the_network_and_nothing_stays_of_devices_that_are_gone() {
    let mut stage = Some(Stage::new());
    fuzz("network", |rng, rounds| {
        if rounds % LIFE == LIFE - 1
            && let Some(old) = stage.take()
        {
            old.end();
        }
        if rounds % LIFE == LIFE / 2
            && let Some(old) = stage.take()
        {
            let Stage { network, mut devices, world, .. } = old;
            let mut network = network.restart();
            for device in &mut devices {
                network.connect(device);
            }
            let stranger = stranger(&mut network);
            stage = Some(Stage { network, devices, world, stranger });
        }
        stage.get_or_insert_with(Stage::new).round(rng);
    });
    if let Some(stage) = stage {
        stage.end();
    }
}
