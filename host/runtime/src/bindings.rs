//! What wasmtime makes of the WIT package: the imports once, then a world for each interface that is called.
#![expect(unreachable_pub, reason = "generated code is public wherever it stands")]

wasmtime::component::bindgen!({
    path: "../../wit/since_v0.1.0",
    world: "host-imports",
    imports: { default: async | trappable },
    exports: { default: async },
});

macro_rules! world {
    ($module:ident, $world:literal $(, $import:literal: $path:path)*) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit/since_v0.1.0",
                world: $world,
                imports: { default: async | trappable },
                exports: { default: async },
                with: {
                    "switchboard:plugin/contents": crate::bindings::switchboard::plugin::contents,
                    "switchboard:plugin/types": crate::bindings::switchboard::plugin::types,
                    "switchboard:plugin/log": crate::bindings::switchboard::plugin::log,
                    "switchboard:plugin/config": crate::bindings::switchboard::plugin::config,
                    $($import: $path,)*
                },
            });
        }
    };
}

world!(
    router_world,
    "router-plugin",
    "switchboard:plugin/sessions": crate::bindings::switchboard::plugin::sessions,
    "switchboard:plugin/messages": crate::bindings::switchboard::plugin::messages,
    "switchboard:plugin/groups": crate::bindings::switchboard::plugin::groups,
    "switchboard:plugin/contacts": crate::bindings::switchboard::plugin::contacts,
    "switchboard:plugin/chats": crate::bindings::switchboard::plugin::chats,
    "switchboard:plugin/media": crate::bindings::switchboard::plugin::media,
    "switchboard:plugin/account": crate::bindings::switchboard::plugin::account,
    "switchboard:plugin/keys": crate::bindings::switchboard::plugin::keys,
    "switchboard:plugin/webhooks": crate::bindings::switchboard::plugin::webhooks,
    "switchboard:plugin/events": crate::bindings::switchboard::plugin::events,
    "switchboard:plugin/kv": crate::bindings::switchboard::plugin::kv,
    "switchboard:plugin/http": crate::bindings::switchboard::plugin::http,
    "switchboard:plugin/secrets": crate::bindings::switchboard::plugin::secrets
);
world!(
    streamer_world,
    "streamer-plugin",
    "switchboard:plugin/sessions": crate::bindings::switchboard::plugin::sessions
);
world!(
    responder_world,
    "responder-plugin",
    "switchboard:plugin/kv": crate::bindings::switchboard::plugin::kv,
    "switchboard:plugin/http": crate::bindings::switchboard::plugin::http,
    "switchboard:plugin/secrets": crate::bindings::switchboard::plugin::secrets
);
world!(webhook_world, "webhook-plugin");
world!(auth_policy_world, "auth-policy-plugin");
world!(template_world, "template-plugin");
world!(sender_route_world, "sender-route-plugin");

// These have no types in common with the others.
pub mod subscriber_world {
    wasmtime::component::bindgen!({
        path: "../../wit/since_v0.1.0",
        world: "subscriber-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "switchboard:plugin/log": crate::bindings::switchboard::plugin::log,
            "switchboard:plugin/config": crate::bindings::switchboard::plugin::config,
        },
    });
}

pub mod configurable_world {
    wasmtime::component::bindgen!({
        path: "../../wit/since_v0.1.0",
        world: "configurable-plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        with: {
            "switchboard:plugin/log": crate::bindings::switchboard::plugin::log,
            "switchboard:plugin/config": crate::bindings::switchboard::plugin::config,
        },
    });
}
