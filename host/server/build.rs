//! Builds the plugins that the binary carries.

use std::env;
use std::path::Path;

use switchboard_guest_build::{GuestWorkspace, emit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let plugins = root.join("plugins");
    let watched = vec![plugins.clone(), root.join("guest-sdk"), root.join("wit")];
    let built = GuestWorkspace { folder: plugins, watched, target_name: "plugins" }.build()?;
    for (variable, file) in [
        ("PLUGIN_AUTO_REPLY", "auto_reply.wasm"),
        ("PLUGIN_CLOUDEVENTS", "cloudevents.wasm"),
        ("PLUGIN_PROSENDI", "prosendi.wasm"),
        ("PLUGIN_QUIET_HOURS", "quiet_hours.wasm"),
        ("PLUGIN_RECIPIENTS", "recipients.wasm"),
        ("PLUGIN_ROUND_ROBIN", "round_robin.wasm"),
        ("PLUGIN_SENDAPI", "sendapi.wasm"),
        ("PLUGIN_SLACK", "slack.wasm"),
        ("PLUGIN_TEMPLATES", "templates.wasm"),
        ("PLUGIN_WAFASTAPI", "wafastapi.wasm"),
        ("PLUGIN_WAMUX", "wamux.wasm"),
        ("PLUGIN_WASENDER", "wasender.wasm"),
    ] {
        emit(&format!("rustc-env={variable}={}", built.join(file).display()));
    }
    Ok(())
}
