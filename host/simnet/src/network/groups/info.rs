//! A group as a `<group>` element, and the questions that are answered with it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::model::{Addressing, Group, Mode, Place, Rank, Who};
use super::refusal::Done;
use super::{Network, group_jid};
use crate::address::DeviceKey;
use crate::network::LinkId;
use crate::wire;

/// Groups in one question (wacore 0.7.0 `BATCH_GROUP_INFO_LIMIT`).
const BATCH_MAX: usize = 10_000;
/// Pictures in one question (wacore 0.7.0 `BATCH_PROFILE_PICTURES_LIMIT`).
const PICTURES_MAX: usize = 1_000;
/// Bytes of the digest that a participant hash keeps.
const HASH_BYTES: usize = 6;

/// What of a group is told.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) members: bool,
    pub(super) description: bool,
}

impl Shown {
    pub(super) const ALL: Self = Self { members: true, description: true };
    /// What an invite link shows to those who are not in the group.
    pub(super) const OUTSIDE: Self = Self { members: false, description: true };
}

impl Network {
    /// `<query request="interactive"/>`: everything, or nothing at all to who has the member list already.
    pub(super) fn answer_group_query(&self, id: &str, asker: &str, query: &Node) -> Done<Vec<Node>> {
        let group = self.group_of_member(id, asker)?;
        let known = wire::attribute(query, "phash");
        if known.is_some_and(|known| known == participant_hash(&self.member_jids(group))) {
            return Ok(Vec::new());
        }
        Ok(self.group_nodes(id, group, Shown::ALL))
    }

    /// `<query><group jid/>…</query>`: several groups at once, each with its own error.
    pub(super) fn answer_batch_query(&self, asker: &str, query: &Node) -> Vec<Node> {
        let asked = query.get_children_by_tag("group").take(BATCH_MAX);
        let groups =
            asked.filter_map(|group| wire::address(group, "jid")).map(|jid| match self.group_of_member(&jid.user, asker) {
                Ok(group) => self.group_node(&jid.user, group, Shown::ALL),
                Err(refusal) => NodeBuilder::new("group").attr("id", jid.user.as_str()).attr("error", refusal.code).build(),
            });
        vec![NodeBuilder::new("groups").children(groups.collect::<Vec<_>>()).build()]
    }

    /// `<participating>`: the asker's groups. Parents of communities come twice, since whatsapp-rust 0.7.0 looks for them
    /// among the groups as well and Baileys 7 under `communities` alone.
    pub(super) fn answer_participating(&self, asker: &str, query: &Node) -> Vec<Node> {
        let shown = Shown {
            members: query.get_optional_child("participants").is_some(),
            description: query.get_optional_child("description").is_some(),
        };
        let ids = self.groups_of(asker);
        let groups: Vec<(&String, &Group)> = ids.iter().filter_map(|id| Some((id, self.groups.by_id.get(id)?))).collect();
        let all = groups.iter().map(|(id, group)| self.group_node(id, group, shown)).collect::<Vec<_>>();
        let parents = groups.iter().filter(|(_, group)| group.is_parent());
        let parents: Vec<Node> = parents.map(|(id, group)| as_community(self.group_node(id, group, shown))).collect();
        let mut answer = vec![NodeBuilder::new("groups").children(all).build()];
        if !parents.is_empty() {
            answer.push(NodeBuilder::new("communities").children(parents).build());
        }
        answer
    }

    /// `<pictures>`: where the pictures of several groups lie, each with its own error; a group without one comes back
    /// without an address (wacore 0.7.0 `GetGroupProfilePicturesIq`).
    pub(super) fn answer_pictures(&self, link: LinkId, asker: &str, query: &Node) -> Vec<Node> {
        let asked = query.get_children_by_tag("picture").take(PICTURES_MAX);
        let asked = asked.filter_map(|picture| Some((wire::address(picture, "jid")?, picture)));
        let pictures = asked.map(|(jid, picture)| {
            let kind = if wire::attribute_is(picture, "type", "image") { "image" } else { "preview" };
            let node = NodeBuilder::new("picture").attr("jid", &jid);
            let node = match self.group_of_member(&jid.user, asker) {
                Ok(_) => self.with_group_picture(link, node, &jid, kind),
                Err(refusal) => node.attr("error", refusal.code),
            };
            node.build()
        });
        vec![NodeBuilder::new("pictures").children(pictures.collect::<Vec<_>>()).build()]
    }

    /// The answer that describes one group. The parent of a community has both names: Baileys 7 reads groups under
    /// `group` and communities under `community`, whatsapp-rust 0.7.0 takes the first of the two.
    pub(super) fn group_nodes(&self, id: &str, group: &Group, shown: Shown) -> Vec<Node> {
        let node = self.group_node(id, group, shown);
        if group.is_parent() { vec![node.clone(), as_community(node)] } else { vec![node] }
    }

    /// The `<group>` element as wacore 0.7.0 `GroupInfoResponse` and Baileys 7 `extractGroupMetadata` read it. Its id has no
    /// server: Baileys appends one in `communityCreate` and `communityFetchLinkedGroups`.
    pub(super) fn group_node(&self, id: &str, group: &Group, shown: Shown) -> Node {
        let mut node = NodeBuilder::new("group")
            .attr("id", id)
            .attr("subject", &group.subject)
            .attr("s_t", group.subject_s)
            .attr("creation", group.created_s)
            .attr("addressing_mode", group.addressing.wire())
            .attr("p_v_id", group.version)
            .attr("a_v_id", group.version)
            .attr("size", group.members.len());
        node = self.with_person(node, group.addressing, ["creator", "creator_pn"], &group.creator);
        node = self.with_person(node, group.addressing, ["s_o", "s_o_pn"], &group.subject_by);
        let mut children = Vec::new();
        if shown.description {
            children.extend(self.description_node(group));
        }
        children.extend(setting_nodes(group, self.now_s()));
        children.extend(place_nodes(group));
        if shown.members {
            children.extend(self.member_nodes(group));
        }
        node.children(children).build()
    }

    fn description_node(&self, group: &Group) -> Option<Node> {
        let description = group.description.as_ref()?;
        let node = NodeBuilder::new("description").attr("id", &description.id).attr("t", description.at_s);
        let node = self.with_person(node, group.addressing, ["participant", "participant_pn"], &description.by);
        Some(node.children([wire::leaf("body", description.text.as_bytes())]).build())
    }

    /// One `<participant>` for each member.
    pub(super) fn member_nodes(&self, group: &Group) -> Vec<Node> {
        let nodes = group.members.iter().map(|(number, member)| self.ranked_node(group.addressing, number, member.rank));
        nodes.collect()
    }

    /// A `<participant>` that says what they may do.
    pub(super) fn ranked_node(&self, addressing: Addressing, number: &str, rank: Rank) -> Node {
        let node = self.participant_node(addressing, number);
        match rank.wire() {
            Some(rank) => node.attr("type", rank).build(),
            None => node.build(),
        }
    }

    /// A `<participant>` under the name that the group uses, with the other name beside it.
    pub(super) fn participant_node(&self, addressing: Addressing, number: &str) -> NodeBuilder {
        let account = DeviceKey::new(number, 0);
        let other = self.jid_of(&account, addressing.other());
        let node = NodeBuilder::new("participant").attr("jid", self.jid_of(&account, addressing.space()));
        match addressing {
            Addressing::Lid => node.attr("phone_number", other),
            Addressing::Pn => node.attr("lid", other),
        }
    }

    /// Names somebody in two attributes: under the name the group uses, and by number where that is another one.
    pub(super) fn with_person(
        &self,
        node: NodeBuilder,
        addressing: Addressing,
        [name, name_pn]: [&'static str; 2],
        number: &str,
    ) -> NodeBuilder {
        let account = DeviceKey::new(number, 0);
        let node = node.attr(name, self.jid_of(&account, addressing.space()));
        match addressing {
            Addressing::Lid => node.attr(name_pn, Jid::pn(number)),
            Addressing::Pn => node,
        }
    }

    /// The members' accounts as the group addresses them.
    pub(super) fn member_jids(&self, group: &Group) -> Vec<Jid> {
        let space = group.addressing.space();
        group.members.keys().map(|number| self.jid_of(&DeviceKey::new(number.as_str(), 0), space)).collect()
    }
}

/// The settings that differ from what clients assume. An absent element means off.
fn setting_nodes(group: &Group, now_s: u64) -> Vec<Node> {
    let settings = &group.settings;
    let flags = [
        ("locked", settings.locked),
        ("announcement", settings.announcement),
        ("no_frequently_forwarded", settings.no_frequently_forwarded),
        ("allow_admin_reports", settings.admin_reports),
        ("group_history", settings.history),
        ("limit_sharing_enabled", settings.limit_sharing),
    ];
    let mut nodes: Vec<Node> =
        flags.into_iter().filter(|(_, on)| *on).map(|(tag, _)| NodeBuilder::new(tag).build()).collect();
    if settings.ephemeral_s > 0 {
        let mut ephemeral = NodeBuilder::new("ephemeral").attr("expiration", settings.ephemeral_s);
        if let Some(trigger) = settings.ephemeral_trigger {
            ephemeral = ephemeral.attr("trigger", trigger);
        }
        nodes.push(ephemeral.build());
    }
    // Baileys 7 takes the mere presence of the element for "on".
    if settings.approval {
        nodes.push(approval_node(true));
    }
    if group.is_growth_locked(now_s) {
        nodes.push(growth_locked_node(settings.growth_locked_until_s));
    }
    nodes.push(mode_node(Mode::Add, settings.add));
    nodes.push(mode_node(Mode::Link, settings.link));
    nodes.push(mode_node(Mode::ShareHistory, settings.share_history));
    nodes
}

/// The element that says who may do something. Its text is in no dictionary of the wire and travels as bytes: wacore 0.7.0
/// reads those in notifications (stanza/groups.rs), but in `GroupInfoResponse` only a token, so that it shows no mode there.
pub(super) fn mode_node(mode: Mode, who: Who) -> Node {
    NodeBuilder::new(mode.tag()).string_content(mode.wire(who)).build()
}

/// `<membership_approval_mode>` with its state.
pub(super) fn approval_node(on: bool) -> Node {
    let state = NodeBuilder::new("group_join").attr("state", if on { "on" } else { "off" }).build();
    NodeBuilder::new("membership_approval_mode").children([state]).build()
}

/// Tells until when nobody may join by a link.
pub(super) fn growth_locked_node(until_s: u64) -> Node {
    NodeBuilder::new("growth_locked").attr("type", "invite").attr("expiration", until_s).build()
}

fn place_nodes(group: &Group) -> Vec<Node> {
    let mut nodes = Vec::new();
    if let Some(parent) = group.parent() {
        nodes.push(NodeBuilder::new("linked_parent").attr("jid", group_jid(parent)).build());
    }
    match &group.place {
        Place::Parent { approval, open } => {
            let mut parent = NodeBuilder::new("parent");
            if *approval {
                parent = parent.attr("default_membership_approval_mode", "request_required");
            }
            nodes.push(parent.build());
            if *open {
                nodes.push(NodeBuilder::new("allow_non_admin_sub_group_creation").build());
            }
        }
        Place::Announcements { .. } => nodes.push(NodeBuilder::new("default_sub_group").build()),
        Place::General { .. } => nodes.push(NodeBuilder::new("general_chat").build()),
        Place::Alone | Place::Linked { .. } => {}
    }
    nodes
}

/// The same element under the name that communities have elsewhere.
fn as_community(mut group: Node) -> Node {
    group.tag = "community".into();
    group
}

/// The hash of a list of devices or accounts, by which server and client see whether they know the same ones: each as
/// `user.0:device@server`, sorted, and of their digest the first bytes (wacore 0.7.0 `participant_list_hash`).
pub(super) fn participant_hash(jids: &[Jid]) -> String {
    let mut names: Vec<String> = jids.iter().map(|jid| format!("{}.0:{}@{}", jid.user, jid.device, jid.server)).collect();
    names.sort_unstable();
    let digest = Sha256::digest(names.concat());
    let kept: Vec<u8> = digest.iter().copied().take(HASH_BYTES).collect();
    format!("2:{}", BASE64_STANDARD_NO_PAD.encode(kept))
}

#[cfg(test)]
mod tests {
    use wacore_binary::Jid;

    use super::participant_hash;

    #[test]
    fn participant_hash_does_not_depend_on_the_order() {
        let (a, b) = (Jid::lid_device("111", 0), Jid::lid_device("222", 3));
        let hash = participant_hash(&[a.clone(), b.clone()]);
        assert_eq!(hash, participant_hash(&[b, a]));
        assert!(hash.starts_with("2:"), "{hash}");
        assert_eq!(hash.len(), 10);
        // SHA-256 of "111.0:0@lid222.0:3@lid", computed elsewhere.
        assert_eq!(hash, "2:Tkyn4BNB");
    }
}
