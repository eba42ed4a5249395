//! The plugins that the binary carries. They take the very path of an upload.

use serde_json::json;
use switchboard_core::records::plugin::Mount;

/// A component inside the binary.
pub(crate) struct Builtin {
    /// Its name.
    pub(crate) name: &'static str,
    /// The component.
    pub(crate) component: &'static [u8],
}

/// Every plugin that is carried.
pub(crate) const BUILTINS: [Builtin; 15] = [
    Builtin { name: "auto-reply", component: include_bytes!(env!("PLUGIN_AUTO_REPLY")) },
    Builtin { name: "business-hours", component: include_bytes!(env!("PLUGIN_BUSINESS_HOURS")) },
    Builtin { name: "cloudevents", component: include_bytes!(env!("PLUGIN_CLOUDEVENTS")) },
    Builtin { name: "menu", component: include_bytes!(env!("PLUGIN_MENU")) },
    Builtin { name: "prosendi", component: include_bytes!(env!("PLUGIN_PROSENDI")) },
    Builtin { name: "quiet-hours", component: include_bytes!(env!("PLUGIN_QUIET_HOURS")) },
    Builtin { name: "recipients", component: include_bytes!(env!("PLUGIN_RECIPIENTS")) },
    Builtin { name: "round-robin", component: include_bytes!(env!("PLUGIN_ROUND_ROBIN")) },
    Builtin { name: "sendapi", component: include_bytes!(env!("PLUGIN_SENDAPI")) },
    Builtin { name: "shop-order", component: include_bytes!(env!("PLUGIN_SHOP_ORDER")) },
    Builtin { name: "slack", component: include_bytes!(env!("PLUGIN_SLACK")) },
    Builtin { name: "templates", component: include_bytes!(env!("PLUGIN_TEMPLATES")) },
    Builtin { name: "wafastapi", component: include_bytes!(env!("PLUGIN_WAFASTAPI")) },
    Builtin { name: "wamux", component: include_bytes!(env!("PLUGIN_WAMUX")) },
    Builtin { name: "wasender", component: include_bytes!(env!("PLUGIN_WASENDER")) },
];

/// The carried component of this name.
pub(crate) fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// Whether a builtin serves all tenants as the operator's from the first start, so that no tenant installs it.
pub(crate) fn is_shared_api(name: &str) -> bool {
    shared_from_start().iter().any(|shared| shared.name == name && !shared.mounts.is_empty())
}

/// A plugin that the operator has from the first start.
pub(crate) struct Shared {
    /// Name of the builtin, and of the plugin.
    pub(crate) name: &'static str,
    /// Where its router is reached.
    pub(crate) mounts: Vec<Mount>,
    /// Its configuration.
    pub(crate) config: serde_json::Value,
}

/// What the operator has from the first start: the dialects, and what renders templates.
pub(crate) fn shared_from_start() -> Vec<Shared> {
    let owner = |prefix: &str| Mount { prefix: prefix.to_owned(), owner: true, host: None };
    let guest = |prefix: &str| Mount { prefix: prefix.to_owned(), owner: false, host: None };
    vec![
        Shared { name: "prosendi", mounts: vec![owner("/api/whatsapp")], config: json!({}) },
        Shared { name: "sendapi", mounts: vec![owner("/v1")], config: json!({}) },
        Shared { name: "templates", mounts: vec![], config: json!({}) },
        Shared { name: "wafastapi", mounts: vec![guest("/api/whatsapp")], config: json!({}) },
        Shared { name: "wamux", mounts: vec![guest("/api/v1")], config: json!({}) },
        Shared { name: "wasender", mounts: vec![owner("/api/v1"), owner("/api")], config: json!({}) },
    ]
}
