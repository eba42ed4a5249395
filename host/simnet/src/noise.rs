//! The server's side of the Noise handshake and the encrypted frames after it.
//!
//! A new client starts with XX. A client that kept our certificate starts with IK; if it used a key that we no
//! longer have, we answer as in XX and it falls back.

use bytes::BytesMut;
use wacore_binary::Node;
use wacore_binary::consts::{NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::encode_frame;
use wacore_noise::{HandshakeError, NoiseCipher, NoiseError, NoiseHandshake};
use waproto::buffa::{DecodeError, Message as _, MessageField};
use waproto::whatsapp::handshake_message::{ClientHello, ServerHello};
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

use crate::certificate::{ServerKeys, public_bytes};
use crate::node_codec::{self, StanzaFault, Weight};
use crate::random;

/// Why a client's bytes could not be understood. The connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoiseFault {
    #[error("handshake message is not a protobuf")]
    NotProtobuf(#[from] DecodeError),
    #[error("handshake message has no {0}")]
    Missing(&'static str),
    #[error("{name} is {bytes} bytes; expected 32")]
    KeyLength { name: &'static str, bytes: usize },
    #[error("handshake failed")]
    Handshake(#[from] HandshakeError),
    #[error("frame could not be encrypted or decrypted")]
    Cipher(#[from] NoiseError),
    #[error(transparent)]
    Stanza(#[from] StanzaFault),
    #[error("frame of {bytes} bytes is too large")]
    FrameTooLarge { bytes: usize },
    #[error("connection has used up its {0} frame counters")]
    CounterExhausted(u32),
}

/// A finished handshake: who is there and how to talk to them.
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) noise_public: [u8; 32],
    pub(crate) payload: ClientPayload,
}

/// What to do after the client's first message.
pub(crate) enum HelloAnswer {
    /// IK: the client has said everything.
    Accepted { reply: Vec<u8>, accepted: Box<Accepted> },
    /// XX: the client must still prove its key.
    Pending { reply: Vec<u8>, pending: Box<PendingFinish> },
}

/// Between our hello and the client's finish.
pub(crate) struct PendingFinish {
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Reads the client's first handshake message.
pub(crate) fn read_hello(keys: &ServerKeys, message: &[u8]) -> Result<HelloAnswer, NoiseFault> {
    let hello = HandshakeMessage::decode_from_slice(message)?
        .client_hello
        .into_option()
        .ok_or(NoiseFault::Missing("client hello"))?;
    let client_ephemeral = key("client ephemeral", hello.ephemeral.as_deref())?;
    if hello.r#static.is_none() {
        return start_xx(keys, NOISE_PATTERN_XX, &client_ephemeral);
    }
    match accept_ik(keys, &client_ephemeral, &hello) {
        // The client's copy of our key is out of date. It has sent nothing that a fallback cannot repeat.
        Err(NoiseFault::Handshake(_)) => start_xx(keys, NOISE_PATTERN_XXFALLBACK, &client_ephemeral),
        other => other,
    }
}

fn start_xx(keys: &ServerKeys, pattern: &str, client_ephemeral: &[u8; 32]) -> Result<HelloAnswer, NoiseFault> {
    let ephemeral = KeyPair::generate(&mut random::rng());
    let mut noise = NoiseHandshake::new(pattern, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    noise.authenticate(&public_bytes(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_static = noise.encrypt(&public_bytes(&keys.leaf))?;
    noise.mix_shared_secret(keys.leaf.private_key.serialize(), client_ephemeral)?;
    let sealed_chain = noise.encrypt(&keys.chain)?;
    let reply = server_hello(&ephemeral, Some(sealed_static), sealed_chain);
    let pending = Box::new(PendingFinish { noise, ephemeral });
    Ok(HelloAnswer::Pending { reply, pending })
}

fn accept_ik(keys: &ServerKeys, client_ephemeral: &[u8; 32], hello: &ClientHello) -> Result<HelloAnswer, NoiseFault> {
    let sealed_static = hello.r#static.as_deref().unwrap_or_default();
    let sealed_payload = hello.payload.as_deref().ok_or(NoiseFault::Missing("payload"))?;
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(&public_bytes(&keys.leaf));
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(keys.leaf.private_key.serialize(), client_ephemeral)?;
    let client_static = key("client static", Some(noise.decrypt(sealed_static)?.as_slice()))?;
    noise.mix_shared_secret(keys.leaf.private_key.serialize(), &client_static)?;
    let payload = ClientPayload::decode_from_slice(&noise.decrypt(sealed_payload)?)?;

    let ephemeral = KeyPair::generate(&mut random::rng());
    noise.authenticate(&public_bytes(&ephemeral));
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let sealed_chain = noise.encrypt(&keys.chain)?;
    let accepted = Box::new(Accepted { transport: Transport::new(noise)?, noise_public: client_static, payload });
    let reply = server_hello(&ephemeral, None, sealed_chain);
    Ok(HelloAnswer::Accepted { reply, accepted })
}

impl PendingFinish {
    /// Reads the client's last handshake message.
    pub(crate) fn read_finish(mut self, message: &[u8]) -> Result<Accepted, NoiseFault> {
        let finish = HandshakeMessage::decode_from_slice(message)?
            .client_finish
            .into_option()
            .ok_or(NoiseFault::Missing("client finish"))?;
        let sealed_static = finish.r#static.as_deref().ok_or(NoiseFault::Missing("static key"))?;
        let sealed_payload = finish.payload.as_deref().ok_or(NoiseFault::Missing("payload"))?;
        let client_static = key("client static", Some(self.noise.decrypt(sealed_static)?.as_slice()))?;
        self.noise.mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = ClientPayload::decode_from_slice(&self.noise.decrypt(sealed_payload)?)?;
        Ok(Accepted { transport: Transport::new(self.noise)?, noise_public: client_static, payload })
    }
}

/// Both directions after the handshake.
pub(crate) struct Transport {
    read: NoiseCipher,
    write: NoiseCipher,
    frames_read: u32,
    frames_written: u32,
}

impl Transport {
    fn new(noise: NoiseHandshake) -> Result<Self, NoiseFault> {
        // The handshake names its keys from the client's side.
        let (read, write) = noise.finish()?;
        Ok(Self { read, write, frames_read: 0, frames_written: 0 })
    }

    /// Decrypts one frame into a node.
    pub(crate) fn open(&mut self, mut frame: BytesMut) -> Result<(Node, Weight), NoiseFault> {
        self.read.decrypt_in_place_with_counter(self.frames_read, &mut frame)?;
        self.frames_read = next(self.frames_read)?;
        Ok(node_codec::open(frame)?)
    }

    /// Encrypts one encoded stanza into a frame with its length.
    pub(crate) fn seal(&mut self, stanza: &[u8]) -> Result<Vec<u8>, NoiseFault> {
        let sealed = self.write.encrypt_with_counter(self.frames_written, stanza)?;
        self.frames_written = next(self.frames_written)?;
        frame(&sealed)
    }
}

/// A payload with its three length bytes.
pub(crate) fn frame(payload: &[u8]) -> Result<Vec<u8>, NoiseFault> {
    encode_frame(payload, None).map_err(|_| NoiseFault::FrameTooLarge { bytes: payload.len() })
}

fn next(counter: u32) -> Result<u32, NoiseFault> {
    counter.checked_add(1).ok_or(NoiseFault::CounterExhausted(u32::MAX))
}

fn key(name: &'static str, bytes: Option<&[u8]>) -> Result<[u8; 32], NoiseFault> {
    let bytes = bytes.ok_or(NoiseFault::Missing(name))?;
    bytes.try_into().map_err(|_| NoiseFault::KeyLength { name, bytes: bytes.len() })
}

fn server_hello(ephemeral: &KeyPair, sealed_static: Option<Vec<u8>>, sealed_chain: Vec<u8>) -> Vec<u8> {
    HandshakeMessage {
        server_hello: MessageField::some(ServerHello {
            ephemeral: Some(public_bytes(ephemeral).to_vec()),
            r#static: sealed_static,
            payload: Some(sealed_chain),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}
