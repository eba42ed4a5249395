//! Requests of every kind that clients make (named as in whatsapp-rust 0.7.0 and Baileys 7).

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::rng::Rng;
use super::stanzas::World;

/// Requests that are a namespace, a type and one element.
const PLAIN: [(&str, &str, &str); 40] = [
    ("w:p", "get", "ping"),
    ("passive", "set", "active"),
    ("passive", "set", "passive"),
    ("urn:xmpp:whatsapp:dirty", "set", "clean"),
    ("abt", "get", "props"),
    ("w", "get", "props"),
    ("blocklist", "get", "list"),
    ("blocklist", "set", "item"),
    ("privacy", "get", "privacy"),
    ("privacy", "set", "privacy"),
    ("privacy", "set", "tokens"),
    ("status", "set", "status"),
    ("status", "get", "status"),
    ("disappearing_mode", "set", "disappearing_mode"),
    ("w:profile:picture", "get", "picture"),
    ("w:profile:picture", "set", "picture"),
    ("w:m", "set", "media_conn"),
    ("w:stats", "set", "add"),
    ("w:g2", "get", "participating"),
    ("w:g2", "get", "query"),
    ("w:g2", "set", "create"),
    ("w:g2", "set", "leave"),
    ("w:g2", "set", "subject"),
    ("w:g2", "set", "description"),
    ("w:g2", "set", "add"),
    ("w:g2", "set", "remove"),
    ("w:g2", "set", "promote"),
    ("w:g2", "get", "invite"),
    ("w:g2", "set", "invite"),
    ("w:g2", "set", "ephemeral"),
    ("w:g2", "set", "membership_approval_mode"),
    ("w:g2", "set", "links"),
    ("w:mex", "get", "query"),
    ("newsletter", "get", "messages"),
    ("newsletter", "set", "live_updates"),
    ("spam", "set", "spam_list"),
    ("w:biz", "get", "business_profile"),
    ("md", "set", "remove-companion-device"),
    ("md", "set", "link_code_companion_reg"),
    ("w:sync:app:state", "set", "sync"),
];

/// One request.
pub(super) fn request(world: &mut World, rng: &mut Rng) -> Node {
    let (xmlns, kind, child) = match rng.below(6) {
        0 => ("encrypt", "get", keys_wanted(world, rng)),
        1 => ("encrypt", "set", upload(rng)),
        2 => ("usync", "get", usync(world, rng)),
        3 => ("w:sync:app:state", "set", sync(rng)),
        _ => {
            let (xmlns, kind, tag) = PLAIN[rng.below(PLAIN.len())];
            (xmlns, kind, plain(world, rng, tag))
        }
    };
    let mut builder = NodeBuilder::new("iq").attr("id", world.id(rng)).attr("xmlns", xmlns).attr("type", kind);
    if rng.once_in(2) {
        builder = builder.attr("to", world.address(rng));
    }
    let mut children = vec![child];
    if xmlns == "encrypt" && kind == "set" {
        // An upload is several elements side by side.
        children = children.remove(0).children().unwrap_or_default().to_vec();
    }
    builder.children(children).build()
}

fn plain(world: &mut World, rng: &mut Rng, tag: &'static str) -> Node {
    let mut builder = NodeBuilder::new(tag);
    for name in ["jid", "type", "count", "id", "name", "value", "action", "expiration", "query_id"] {
        match rng.below(5) {
            0 => builder = builder.attr(name, rng.text()),
            1 => builder = builder.attr(name, world.address(rng)),
            _ => {}
        }
    }
    match rng.below(4) {
        0 => builder.bytes(rng.bytes(200)).build(),
        1 => {
            let inner = ["participant", "description", "body", "category", "token", "item", "error", "group"];
            let children: Vec<Node> = (0..rng.below(5))
                .map(|_| NodeBuilder::new(rng.pick(&inner)).attr("jid", world.address(rng)).bytes(rng.bytes(30)).build())
                .collect();
            builder.children(children).build()
        }
        _ => builder.build(),
    }
}

fn keys_wanted(world: &World, rng: &mut Rng) -> Node {
    match rng.below(4) {
        0 => NodeBuilder::new("count").build(),
        1 => NodeBuilder::new("digest").build(),
        _ => {
            let users: Vec<Node> = (0..rng.below(4))
                .map(|_| NodeBuilder::new("user").attr("jid", world.address(rng)).attr("reason", "identity").build())
                .collect();
            NodeBuilder::new("key").children(users).build()
        }
    }
}

fn key(rng: &mut Rng, tag: &'static str) -> Node {
    let length = |rng: &mut Rng, usual: usize| if rng.once_in(8) { rng.below(70) } else { usual };
    let (id, value, signature) = (length(rng, 3), length(rng, 32), length(rng, 64));
    let mut children = vec![
        NodeBuilder::new("id").bytes(vec![rng.next() as u8; id]).build(),
        NodeBuilder::new("value").bytes(vec![rng.next() as u8; value]).build(),
    ];
    if tag == "skey" {
        children.push(NodeBuilder::new("signature").bytes(vec![rng.next() as u8; signature]).build());
    }
    NodeBuilder::new(tag).children(children).build()
}

fn upload(rng: &mut Rng) -> Node {
    if rng.once_in(4) {
        let rotate = NodeBuilder::new("rotate").children([key(rng, "skey")]).build();
        return NodeBuilder::new("all").children([rotate]).build();
    }
    let keys: Vec<Node> = (0..rng.below(6)).map(|_| key(rng, "key")).collect();
    NodeBuilder::new("all")
        .children([
            NodeBuilder::new("registration").bytes(rng.bytes(6)).build(),
            NodeBuilder::new("type").bytes([5]).build(),
            NodeBuilder::new("identity").bytes([rng.next() as u8; 32]).build(),
            NodeBuilder::new("list").children(keys).build(),
            key(rng, "skey"),
        ])
        .build()
}

fn usync(world: &World, rng: &mut Rng) -> Node {
    let protocols =
        ["devices", "contact", "lid", "status", "picture", "business", "username", "disappearing_mode", "bot", "sidelist"];
    let query: Vec<Node> = (0..rng.below(4))
        .map(|_| NodeBuilder::new(rng.pick(&protocols)).attr("version", rng.pick(&["1", "2", ""])).build())
        .collect();
    let users: Vec<Node> = (0..rng.below(5))
        .map(|_| {
            let contact = NodeBuilder::new("contact").string_content(rng.text()).build();
            NodeBuilder::new("user").attr("jid", world.address(rng)).children([contact]).build()
        })
        .collect();
    NodeBuilder::new("usync")
        .attr("sid", rng.text())
        .attr("mode", "query")
        .children([NodeBuilder::new("query").children(query).build(), NodeBuilder::new("list").children(users).build()])
        .build()
}

fn sync(rng: &mut Rng) -> Node {
    let names = ["critical_block", "critical_unblock_low", "regular", "regular_high", "regular_low", "x"];
    let collections: Vec<Node> = (0..rng.below(4))
        .map(|_| {
            let builder = NodeBuilder::new("collection").attr("name", rng.pick(&names)).attr("version", rng.text());
            match rng.below(3) {
                0 => builder.attr("return_snapshot", "true").build(),
                1 => builder.children([NodeBuilder::new("patch").bytes(rng.bytes(200)).build()]).build(),
                _ => builder.build(),
            }
        })
        .collect();
    NodeBuilder::new("sync").children(collections).build()
}
