//! Businesses: what they say about themselves, under a name that the network has verified; and their empty shop windows.
//!
//! An account is a business once somebody has filled in its profile: its own client, or the control API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};
use waproto::buffa::Message as _;
use waproto::whatsapp::VerifiedNameCertificate;
use waproto::whatsapp::verified_name_certificate::Details;

use super::account::put;
use super::{CommandFault, LinkId, Network};
use crate::address::DeviceKey;
use crate::wire;

/// The version of profiles that both clients ask for.
const PROFILE_VERSION: &str = "244";
/// Bytes in any one text of a profile.
const TEXT_BYTES_MAX: usize = 4_096;
/// Websites, categories and opening hours in a profile.
const ITEMS_MAX: usize = 20;
/// Who issues the names of small businesses.
const NAME_ISSUER: &str = "smb:wa";

/// All businesses by number.
pub(super) type Businesses = BTreeMap<String, BusinessProfile>;

/// What a business says about itself; stored under `business/<number>`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BusinessProfile {
    /// The verified name.
    name: String,
    description: String,
    address: String,
    email: String,
    websites: Vec<String>,
    categories: Vec<Category>,
    hours: Option<Hours>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Category {
    id: String,
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Hours {
    timezone: String,
    days: Vec<Day>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Day {
    /// `sun` to `sat`.
    day: String,
    /// `open_24h`, `specific_hours` or `appointment_only`.
    mode: String,
    /// Minutes after midnight.
    #[serde(default)]
    open: Option<u32>,
    #[serde(default)]
    close: Option<u32>,
}

impl BusinessProfile {
    fn check(&self) -> Result<(), CommandFault> {
        let texts = [&self.name, &self.description, &self.address, &self.email];
        let categories = self.categories.iter().flat_map(|category| [&category.id, &category.name]);
        let days = self.hours.iter().flat_map(|hours| hours.days.iter().flat_map(|day| [&day.day, &day.mode]));
        let longest = texts.into_iter().chain(&self.websites).chain(categories).chain(days).map(String::len).max();
        let bytes = longest.unwrap_or(0);
        if bytes > TEXT_BYTES_MAX {
            return Err(CommandFault::TextLength { what: "a text of the profile", bytes, bytes_max: TEXT_BYTES_MAX });
        }
        let items = self.websites.len().max(self.categories.len());
        let items = items.max(self.hours.as_ref().map_or(0, |hours| hours.days.len()));
        if items > ITEMS_MAX { Err(CommandFault::TooManyItems { items, items_max: ITEMS_MAX }) } else { Ok(()) }
    }
}

impl Network {
    /// The control API makes an account a business.
    pub(crate) fn set_business(&mut self, number: &str, profile: BusinessProfile) -> Result<(), CommandFault> {
        let number = self.key_of_phone(number)?.number;
        profile.check()?;
        self.keep_business(&number, profile);
        Ok(())
    }

    /// Makes an account a business with this name, or a private one again.
    pub(super) fn set_business_name(&mut self, number: &str, name: &str) {
        let profile = self.businesses.get(number).cloned().unwrap_or_default();
        self.keep_business(number, BusinessProfile { name: name.to_owned(), ..profile });
    }

    /// The verified name of a business; `None` for a private account.
    pub(super) fn business_name(&self, number: &str) -> Option<&str> {
        self.businesses.get(number).map(|profile| profile.name.as_str()).filter(|name| !name.is_empty())
    }

    fn keep_business(&mut self, number: &str, profile: BusinessProfile) {
        self.out.records.push(put(format!("business/{number}"), &profile));
        self.businesses.insert(number.to_owned(), profile);
    }

    pub(super) fn restore_business(&mut self, number: &str, value: Value) -> Option<()> {
        self.businesses.insert(number.to_owned(), serde_json::from_value(value).ok()?);
        Some(())
    }

    /// Requests about profiles (`w:biz`). False when this is none of them.
    pub(super) fn receive_business_iq(&mut self, link: LinkId, key: &DeviceKey, kind: &str, id: &str, node: &Node) -> bool {
        let Some(asked) = node.get_optional_child("business_profile") else {
            return false;
        };
        let answer = if kind == "set" {
            self.change_business(key, id, asked)
        } else {
            let profiles = asked.get_children_by_tag("profile").filter_map(|asked| self.business_profile_node(asked));
            let profiles: Vec<Node> = profiles.collect();
            let list = NodeBuilder::new("business_profile").attr("v", PROFILE_VERSION).children(profiles).build();
            wire::result(id).children([list]).build()
        };
        self.send(link, answer);
        true
    }

    /// One profile as both clients read it; nothing for an account that is no business.
    fn business_profile_node(&self, asked: &Node) -> Option<Node> {
        let jid = wire::address(asked, "jid")?;
        let profile = self.businesses.get(&self.number_of(&jid)?)?;
        let text = |tag: &'static str, text: &str| (!text.is_empty()).then(|| wire::leaf(tag, text.as_bytes()));
        let mut children: Vec<Node> = Vec::new();
        children.extend(text("address", &profile.address));
        children.extend(text("description", &profile.description));
        children.extend(text("email", &profile.email));
        children.extend(profile.websites.iter().filter_map(|website| text("website", website)));
        if !profile.categories.is_empty() {
            let categories = profile.categories.iter().map(|category| {
                NodeBuilder::new("category").attr("id", &category.id).bytes(category.name.as_bytes()).build()
            });
            children.push(NodeBuilder::new("categories").children(categories).build());
        }
        children.extend(profile.hours.as_ref().map(hours_node));
        Some(NodeBuilder::new("profile").attr("jid", jid.to_non_ad()).children(children).build())
    }

    /// A client changes its own profile; what it does not name stays (`mutation_type="delta"`).
    fn change_business(&mut self, key: &DeviceKey, id: &str, change: &Node) -> Node {
        let mut profile = self.businesses.get(&key.number).cloned().unwrap_or_default();
        if profile.name.is_empty() {
            profile.name = self.push_name(key);
        }
        for (tag, field) in
            [("address", &mut profile.address), ("description", &mut profile.description), ("email", &mut profile.email)]
        {
            if let Some(child) = change.get_optional_child(tag) {
                *field = text_of(child);
            }
        }
        let websites: Vec<String> = change.get_children_by_tag("website").map(text_of).collect();
        if !websites.is_empty() {
            profile.websites = websites;
        }
        if let Some(hours) = change.get_optional_child("business_hours") {
            profile.hours = Some(hours_of(hours));
        }
        if profile.check().is_err() {
            return wire::refusal(id, 406, "not-acceptable");
        }
        self.keep_business(&key.number, profile);
        wire::result(id).build()
    }

    /// Requests about shop windows and orders (`w:biz:catalog`, `fb:thrift_iq`). They are all empty, and nothing can be
    /// put into them.
    pub(super) fn receive_catalog_iq(&mut self, link: LinkId, kind: &str, id: &str, node: &Node) -> bool {
        let Some(asked) = wire::children(node).first() else {
            return false;
        };
        let answer = match (kind, asked.tag.as_ref()) {
            ("get", "product_catalog") => wire::result(id).children([NodeBuilder::new("product_catalog").build()]).build(),
            ("get", "collections") => wire::result(id).children([NodeBuilder::new("collections").build()]).build(),
            ("set", "product_catalog_delete") => {
                let none = NodeBuilder::new("product_catalog_delete").attr("deleted_count", "0").build();
                wire::result(id).children([none]).build()
            }
            ("get", _) => wire::refusal(id, 404, "item-not-found"),
            _ => wire::refusal(id, 405, "not-allowed"),
        };
        self.send(link, answer);
        true
    }

    /// The name of a business in the certificate that its peers read; `None` for an account that is no business.
    pub(super) fn verified_name(&self, number: &str) -> Option<Node> {
        let name = self.business_name(number)?;
        let details = Details {
            serial: number.parse().ok(),
            issuer: Some(NAME_ISSUER.to_owned()),
            verified_name: Some(name.to_owned()),
            ..Details::default()
        };
        let certificate = VerifiedNameCertificate { details: Some(details.encode_to_vec()), ..Default::default() };
        Some(NodeBuilder::new("verified_name").attr("v", "1").bytes(certificate.encode_to_vec()).build())
    }
}

fn hours_node(hours: &Hours) -> Node {
    let days = hours.days.iter().map(|day| {
        let mut config = NodeBuilder::new("business_hours_config").attr("day_of_week", &day.day).attr("mode", &day.mode);
        if let (Some(open), Some(close)) = (day.open, day.close) {
            config = config.attr("open_time", open).attr("close_time", close);
        }
        config.build()
    });
    NodeBuilder::new("business_hours").attr("timezone", &hours.timezone).children(days).build()
}

fn hours_of(node: &Node) -> Hours {
    let minutes = |node: &Node, name: &str| wire::attribute(node, name).and_then(|minutes| minutes.parse().ok());
    let days = node.get_children_by_tag("business_hours_config").map(|config| Day {
        day: wire::attribute(config, "day_of_week").unwrap_or_default(),
        mode: wire::attribute(config, "mode").unwrap_or_default(),
        open: minutes(config, "open_time"),
        close: minutes(config, "close_time"),
    });
    Hours { timezone: wire::attribute(node, "timezone").unwrap_or_default(), days: days.collect() }
}

fn text_of(node: &Node) -> String {
    match &node.content {
        Some(NodeContent::String(text)) => text.as_str().to_owned(),
        Some(NodeContent::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}
