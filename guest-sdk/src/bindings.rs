//! What wit-bindgen makes of the WIT package: the imports once, then one world for each interface that can be exported.
#![expect(missing_docs, reason = "generated from the WIT package, whose comments are the documentation")]
#![allow(clippy::allow_attributes, unsafe_code, unreachable_pub, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../wit/since_v0.1.0",
    world: "host-imports",
    generate_all,
});

macro_rules! world {
    ($module:ident, $world:literal, $export:literal $(, $import:literal => $path:path)*) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit/since_v0.1.0",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $export,
                with: {
                    "switchboard:plugin/contents@0.1.0": crate::bindings::switchboard::plugin::contents,
                    "switchboard:plugin/types@0.1.0": crate::bindings::switchboard::plugin::types,
                    "switchboard:plugin/log@0.1.0": crate::bindings::switchboard::plugin::log,
                    "switchboard:plugin/config@0.1.0": crate::bindings::switchboard::plugin::config,
                    $($import: $path,)*
                },
            });
        }
    };
}

world!(
    router_world,
    "router-plugin",
    "export_router_world",
    "switchboard:plugin/sessions@0.1.0" => crate::bindings::switchboard::plugin::sessions,
    "switchboard:plugin/messages@0.1.0" => crate::bindings::switchboard::plugin::messages,
    "switchboard:plugin/groups@0.1.0" => crate::bindings::switchboard::plugin::groups,
    "switchboard:plugin/contacts@0.1.0" => crate::bindings::switchboard::plugin::contacts,
    "switchboard:plugin/chats@0.1.0" => crate::bindings::switchboard::plugin::chats,
    "switchboard:plugin/media@0.1.0" => crate::bindings::switchboard::plugin::media,
    "switchboard:plugin/account@0.1.0" => crate::bindings::switchboard::plugin::account,
    "switchboard:plugin/keys@0.1.0" => crate::bindings::switchboard::plugin::keys,
    "switchboard:plugin/webhooks@0.1.0" => crate::bindings::switchboard::plugin::webhooks,
    "switchboard:plugin/events@0.1.0" => crate::bindings::switchboard::plugin::events,
    "switchboard:plugin/kv@0.1.0" => crate::bindings::switchboard::plugin::kv,
    "switchboard:plugin/http@0.1.0" => crate::bindings::switchboard::plugin::http,
    "switchboard:plugin/secrets@0.1.0" => crate::bindings::switchboard::plugin::secrets
);
world!(
    streamer_world,
    "streamer-plugin",
    "export_streamer_world",
    "switchboard:plugin/sessions@0.1.0" => crate::bindings::switchboard::plugin::sessions
);
world!(
    responder_world,
    "responder-plugin",
    "export_responder_world",
    "switchboard:plugin/kv@0.1.0" => crate::bindings::switchboard::plugin::kv,
    "switchboard:plugin/http@0.1.0" => crate::bindings::switchboard::plugin::http,
    "switchboard:plugin/secrets@0.1.0" => crate::bindings::switchboard::plugin::secrets
);
world!(auth_policy_world, "auth-policy-plugin", "export_auth_policy_world");
world!(template_world, "template-plugin", "export_template_world");
world!(webhook_world, "webhook-plugin", "export_webhook_world");

// These have no types in common with the others.
pub mod subscriber_world {
    wit_bindgen::generate!({
        path: "../wit/since_v0.1.0",
        world: "subscriber-plugin",
        pub_export_macro: true,
        export_macro_name: "export_subscriber_world",
        with: {
            "switchboard:plugin/log@0.1.0": crate::bindings::switchboard::plugin::log,
            "switchboard:plugin/config@0.1.0": crate::bindings::switchboard::plugin::config,
        },
    });
}

pub mod configurable_world {
    wit_bindgen::generate!({
        path: "../wit/since_v0.1.0",
        world: "configurable-plugin",
        pub_export_macro: true,
        export_macro_name: "export_configurable_world",
        with: {
            "switchboard:plugin/log@0.1.0": crate::bindings::switchboard::plugin::log,
            "switchboard:plugin/config@0.1.0": crate::bindings::switchboard::plugin::config,
        },
    });
}
world!(sender_route_world, "sender-route-plugin", "export_sender_route_world");
