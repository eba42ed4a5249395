//! Bytes that are no frames, no stanzas and no codes.

use bytes::{Bytes, BytesMut};
use wacore_binary::consts::WA_CONN_HEADER;
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::HandshakeMessage;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello};

use super::bombs::zlib_stored;
use super::rng::{Rng, fuzz};
use super::stanzas::{World, mutate};
use crate::certificate::{ServerKeys, StoredKeys};
use crate::frames::{FRAME_BYTES_MAX, FrameReader, HANDSHAKE_FRAME_BYTES_MAX};
use crate::node_codec;
use crate::noise::{self, HelloAnswer};
use crate::phone::PairingCode;

fn world() -> World {
    World::new(vec!["15550001111".to_owned()], vec!["100000000000001".to_owned()])
}

#[test]
fn frame_reader_survives_any_bytes_in_any_pieces() {
    fuzz("frames", |rng, _| {
        let mut stream = if rng.once_in(3) { b"ED\0\x01\0\0\x02xy".to_vec() } else { Vec::new() };
        stream.extend_from_slice(&WA_CONN_HEADER);
        for _ in 0..rng.below(6) {
            let frame = rng.bytes(400);
            stream.extend([0, (frame.len() >> 8) as u8, frame.len() as u8]);
            stream.extend(frame);
        }
        for _ in 0..rng.below(3) {
            rng.damage(&mut stream);
        }
        let mut reader = FrameReader::default();
        let (mut rest, mut cut) = (stream.as_slice(), 0);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.below(rest.len()));
            rest = after;
            if reader.feed(piece).is_err() {
                return;
            }
            while let Ok(Some(frame)) = reader.next(HANDSHAKE_FRAME_BYTES_MAX) {
                cut += frame.len();
            }
        }
        assert!(cut <= stream.len());
        let _ = reader.next(FRAME_BYTES_MAX);
    });
}

#[test]
fn stanza_reader_survives_any_bytes_and_what_it_reads_can_be_written() {
    let mut world = world();
    fuzz("stanzas", |rng, _| {
        let mut bytes = if rng.once_in(4) {
            rng.bytes(600)
        } else {
            let (mut node, donor) = (world.stanza(rng), world.stanza(rng));
            for _ in 0..rng.below(4) {
                mutate(rng, &mut node, &donor);
            }
            node_codec::encode(&node).map(|encoded| encoded.to_vec()).unwrap_or_default()
        };
        for _ in 0..rng.below(4) {
            rng.damage(&mut bytes);
        }
        if rng.once_in(5) && bytes.len() < 60_000 && bytes.len() > 1 {
            bytes = [[2].as_slice(), &zlib_stored(&bytes[1..])].concat();
        }
        if let Ok((node, weight)) = node_codec::open(BytesMut::from(bytes.as_slice())) {
            assert!(weight.elements <= bytes.len() && weight.attributes <= bytes.len());
            if let Ok(written) = node_codec::encode(&node) {
                let _ = node_codec::reopen(&written);
            }
        }
        let _ = node_codec::reopen(&Bytes::from(bytes));
    });
}

#[test]
fn handshake_survives_any_bytes() {
    let keys = ServerKeys::new(&StoredKeys::generate(), 1_700_000_000_000).unwrap();
    fuzz("handshakes", |rng, _| {
        let part = |rng: &mut Rng| {
            let length = [0, 31, 32, 32, 32, 48, 200][rng.below(7)];
            Some(vec![rng.next() as u8; length])
        };
        let (ephemeral, sealed, payload) = (part(rng), part(rng).filter(|_| rng.once_in(2)), part(rng));
        let hello = ClientHello { ephemeral, r#static: sealed, payload, ..Default::default() };
        let finish = ClientFinish { r#static: part(rng), payload: part(rng), ..Default::default() };
        let message = |hello, finish| {
            HandshakeMessage { client_hello: hello, client_finish: finish, ..Default::default() }.encode_to_vec()
        };
        let mut first = message(MessageField::some(hello), Default::default());
        let mut second = message(Default::default(), MessageField::some(finish));
        for bytes in [&mut first, &mut second] {
            if rng.once_in(3) {
                rng.damage(bytes);
            }
        }
        if let Ok(HelloAnswer::Pending { pending, .. }) = noise::read_hello(&keys, &first) {
            assert!(pending.read_finish(&second).is_err(), "nobody can guess the keys");
        }
    });
}

#[test]
fn pairing_code_survives_any_text() {
    fn code(rng: &mut Rng) -> String {
        let key = |rng: &mut Rng| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, rng.bytes(64));
        format!("2@{},{},{},{}", rng.text(), key(rng), key(rng), key(rng))
    }
    fuzz("codes", |rng, _| {
        let mut bytes = code(rng).into_bytes();
        for _ in 0..rng.below(4) {
            rng.damage(&mut bytes);
        }
        let _ = PairingCode::parse(&String::from_utf8_lossy(&bytes));
        let _ = PairingCode::parse(&rng.text());
    });
}
