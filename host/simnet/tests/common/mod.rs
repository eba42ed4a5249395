//! The smallest client there can be: it speaks the wire and nothing else, with codecs alone.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_binary::{Jid, Node, NodeContent, OwnedNodeRef};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::framing::encode_frame;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message as _, MessageField};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;
use waproto::whatsapp::handshake_message::{ClientFinish, ClientHello};
use waproto::whatsapp::{ClientPayload, HandshakeMessage};

/// What the control API of the networks in these tests asks for.
pub(crate) const ADMIN_KEY: &str = "operator";
/// What a client waits for an answer at most.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// A connection after its handshake.
pub(crate) struct Wire {
    socket: WebSocketStream<TcpStream>,
    read: NoiseCipher,
    write: NoiseCipher,
    received: u32,
    sent: u32,
    /// Whether the server has said that it hangs up.
    closed: bool,
}

/// A linked device, with what it needs to come back.
pub(crate) struct Device {
    noise: KeyPair,
    pub(crate) number: String,
    pub(crate) jid: Jid,
}

fn generate() -> KeyPair {
    KeyPair::generate(&mut UnwrapErr(SysRng))
}

fn public(pair: &KeyPair) -> Vec<u8> {
    pair.public_key.public_key_bytes().to_vec()
}

fn handshake(bytes: &[u8]) -> HandshakeMessage {
    HandshakeMessage::decode_from_slice(bytes).unwrap()
}

impl Wire {
    /// Opens a websocket, with small buffers so that thousands of them fit into one process.
    pub(crate) async fn socket(address: SocketAddr) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
        let url = format!("ws://{address}/ws/chat");
        tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.unwrap().0
    }

    /// Connects, proves the Noise key, and says what the client is.
    pub(crate) async fn open(address: SocketAddr, noise: &KeyPair, payload: &ClientPayload) -> Self {
        let mut socket = Self::socket(address).await;
        let ephemeral = generate();
        let mut state = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
        state.authenticate(&public(&ephemeral));
        let hello = HandshakeMessage {
            client_hello: MessageField::some(ClientHello { ephemeral: Some(public(&ephemeral)), ..Default::default() }),
            ..Default::default()
        };
        let first = encode_frame(&hello.encode_to_vec(), Some(&WA_CONN_HEADER)).unwrap();
        socket.send(Message::Binary(first.into())).await.unwrap();
        let answer = handshake(&payload_of(&mut socket).await.unwrap()).server_hello.into_option().unwrap();
        let server_ephemeral = answer.ephemeral.unwrap();
        state.authenticate(&server_ephemeral);
        state.mix_shared_secret(ephemeral.private_key.serialize(), &server_ephemeral).unwrap();
        let server_static = state.decrypt(&answer.r#static.unwrap()).unwrap();
        state.mix_shared_secret(ephemeral.private_key.serialize(), &server_static).unwrap();
        state.decrypt(&answer.payload.unwrap()).unwrap();
        let sealed_static = state.encrypt(&public(noise)).unwrap();
        state.mix_shared_secret(noise.private_key.serialize(), &server_ephemeral).unwrap();
        let sealed_payload = state.encrypt(&payload.encode_to_vec()).unwrap();
        let finish = ClientFinish { r#static: Some(sealed_static), payload: Some(sealed_payload), ..Default::default() };
        let finish = HandshakeMessage { client_finish: MessageField::some(finish), ..Default::default() };
        let frame = encode_frame(&finish.encode_to_vec(), None).unwrap();
        socket.send(Message::Binary(frame.into())).await.unwrap();
        let (write, read) = state.finish().unwrap();
        Self { socket, read, write, received: 0, sent: 0, closed: false }
    }

    pub(crate) async fn send(&mut self, node: &Node) {
        let plain = wacore_binary::marshal(node).unwrap();
        self.send_plain(&plain).await.unwrap();
    }

    /// Sends bytes as if they were a stanza; an error when the server has hung up.
    pub(crate) async fn send_plain(&mut self, plain: &[u8]) -> Result<(), tokio_tungstenite::tungstenite::Error> {
        let sealed = self.write.encrypt_with_counter(self.sent, plain).unwrap();
        self.sent += 1;
        self.socket.send(Message::Binary(encode_frame(&sealed, None).unwrap().into())).await
    }

    /// Whether the server ended the connection as it should.
    pub(crate) fn was_closed(&self) -> bool {
        self.closed
    }

    /// The next stanza; `None` when the server has hung up.
    pub(crate) async fn next(&mut self) -> Option<Node> {
        let next = tokio::time::timeout(PATIENCE, payload_of(&mut self.socket)).await.expect("the server is silent");
        self.closed |= next.as_ref().is_err_and(|closed| *closed);
        let sealed = next.ok()?;
        let mut frame = BytesMut::from(sealed.as_ref());
        self.read.decrypt_in_place_with_counter(self.received, &mut frame).unwrap();
        self.received += 1;
        let plain = wacore_binary::util::unpack_bytes(frame).unwrap();
        Some(OwnedNodeRef::new(plain).unwrap().to_owned_node())
    }
}

/// The payload of the next frame. This server puts one frame into each websocket message.
/// At the end, whether the server said so.
async fn payload_of(socket: &mut WebSocketStream<TcpStream>) -> Result<Bytes, bool> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes.slice(3..)),
            Some(Ok(Message::Close(_))) => return Err(true),
            Some(Err(_)) | None => return Err(false),
            Some(Ok(_)) => {}
        }
    }
}

pub(crate) fn attribute(node: &Node, name: &str) -> String {
    node.attrs.get(name).map(|value| value.as_str().into_owned()).unwrap_or_default()
}

fn bytes_of(node: &Node, path: &[&str]) -> Vec<u8> {
    match &node.get_optional_child_by_tag(path).unwrap().content {
        Some(NodeContent::Bytes(bytes)) => bytes.clone(),
        other => panic!("{path:?} holds {other:?}"),
    }
}

/// Makes a phone and links a new device to it.
pub(crate) async fn link(address: SocketAddr, number: &str) -> Device {
    control(address, "POST", "phones", &json!({ "number": number })).await;
    let (noise, identity, signed) = (generate(), generate(), generate());
    let signature = identity.calculate_signature(&signed.public_key.serialize(), &mut UnwrapErr(SysRng)).unwrap();
    let data = DevicePairingRegistrationData {
        e_regid: Some(vec![0, 0, 1, 7]),
        e_ident: Some(public(&identity)),
        e_skey_id: Some(vec![0, 0, 1]),
        e_skey_val: Some(public(&signed)),
        e_skey_sig: Some(signature.to_vec()),
        ..Default::default()
    };
    let payload = ClientPayload { device_pairing_data: MessageField::some(data), ..Default::default() };
    let mut wire = Wire::open(address, &noise, &payload).await;
    let asked = wire.next().await.unwrap();
    let reference = String::from_utf8(bytes_of(&asked, &["pair-device", "ref"])).unwrap();
    let secret = BASE64_STANDARD.encode([7; 32]);
    let code = format!(
        "{reference},{},{},{secret}",
        BASE64_STANDARD.encode(public(&noise)),
        BASE64_STANDARD.encode(public(&identity))
    );
    let (path, body) = (format!("phones/{number}/scan"), json!({ "code": code }));
    let (scanned, ()) = tokio::join!(control(address, "POST", &path, &body), confirm(&mut wire, &identity));
    let jid = scanned["jid"].as_str().unwrap().parse().unwrap();
    Device { noise, number: number.to_owned(), jid }
}

/// What a client does with `pair-success`, without checking it: it signs.
async fn confirm(wire: &mut Wire, identity: &KeyPair) {
    let offer = wire.next().await.unwrap();
    let sealed = bytes_of(&offer, &["pair-success", "device-identity"]);
    let details = waproto::codec::adv_signed_device_identity_hmac_decode(&sealed).unwrap().details.unwrap();
    let mut signed = waproto::codec::adv_signed_device_identity_decode(&details).unwrap();
    let account = signed.account_signature_key.clone().unwrap();
    let covered = [[6, 1].as_slice(), &signed.details.clone().unwrap(), &public(identity), &account].concat();
    signed.device_signature = Some(identity.calculate_signature(&covered, &mut UnwrapErr(SysRng)).unwrap().to_vec());
    let signed = waproto::codec::adv_signed_device_identity_to_vec(&signed);
    let signed = NodeBuilder::new("device-identity").bytes(signed).build();
    let answer = NodeBuilder::new("iq")
        .attr("type", "result")
        .attr("id", attribute(&offer, "id"))
        .children([NodeBuilder::new("pair-device-sign").children([signed]).build()]);
    wire.send(&answer.build()).await;
}

impl Device {
    /// Connects; the server's first word is still to come.
    pub(crate) async fn open(&self, address: SocketAddr) -> Wire {
        let payload = ClientPayload { username: self.number.parse().ok(), ..Default::default() };
        Wire::open(address, &self.noise, &payload).await
    }

    /// Logs in, asks for the queue, and takes what has waited.
    pub(crate) async fn connect(&self, address: SocketAddr) -> Wire {
        let mut wire = self.open(address).await;
        assert_eq!(wire.next().await.unwrap().tag, "success");
        wire.send(&request("passive", "set", NodeBuilder::new("active").build())).await;
        loop {
            let node = wire.next().await.expect("the server hung up");
            if let Some(answer) = confirmation(&node) {
                wire.send(&answer).await;
            }
            if node.tag == "ib" && node.get_optional_child("offline").is_some() {
                return wire;
            }
        }
    }

    /// A message sealed, so to speak, for one other device.
    pub(crate) fn message(to: &Device, id: &str) -> Node {
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(vec![7; 120]).build();
        let copy = NodeBuilder::new("to").attr("jid", &to.jid).children([enc]).build();
        NodeBuilder::new("message")
            .attr("id", id)
            .attr("to", to.jid.to_non_ad())
            .attr("type", "text")
            .children([NodeBuilder::new("participants").children([copy]).build()])
            .build()
    }
}

/// What a client sends back for a stanza from the queue.
pub(crate) fn confirmation(node: &Node) -> Option<Node> {
    let from = node.attrs.get("from")?.to_jid()?;
    let builder = match node.tag.as_ref() {
        "message" => NodeBuilder::new("receipt"),
        "receipt" => NodeBuilder::new("ack").attr("class", "receipt"),
        "notification" => NodeBuilder::new("ack").attr("class", "notification"),
        _ => return None,
    };
    Some(builder.attr("id", attribute(node, "id")).attr("to", from).build())
}

pub(crate) fn request(xmlns: &str, kind: &str, child: Node) -> Node {
    NodeBuilder::new("iq").attr("id", "1").attr("xmlns", xmlns).attr("type", kind).children([child]).build()
}

/// A request of the control API; its answer's body.
pub(crate) async fn control(address: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "{method} /switchboard/v1/sim/{path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {ADMIN_KEY}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 2"), "{answer}");
    serde_json::from_str(body).unwrap()
}
