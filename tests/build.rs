//! Builds the guests that only tests call, and the first-party plugins.

use std::env;
use std::path::Path;

use switchboard_guest_build::{GuestWorkspace, emit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("..");
    build(
        &root,
        "tests/guests",
        "test-guests",
        &[
            ("GUEST_BOT", "bot.wasm"),
            ("GUEST_HOSTILE", "hostile.wasm"),
            ("GUEST_IMPORTS_KEYS", "imports_keys.wasm"),
            ("GUEST_KEEPER", "keeper.wasm"),
            ("GUEST_LETTERHEAD", "letterhead.wasm"),
            ("GUEST_LIVE", "live.wasm"),
            ("GUEST_MIRROR", "mirror.wasm"),
            ("GUEST_NO_INTERFACE", "no_interface.wasm"),
            ("GUEST_POLICY", "policy.wasm"),
            ("GUEST_PROBER", "prober.wasm"),
        ],
    )?;
    build(
        &root,
        "plugins",
        "plugins",
        &[
            ("PLUGIN_AUTO_REPLY", "auto_reply.wasm"),
            ("PLUGIN_MENU", "menu.wasm"),
            ("PLUGIN_RECIPIENTS", "recipients.wasm"),
            ("PLUGIN_ROUND_ROBIN", "round_robin.wasm"),
            ("PLUGIN_SLACK", "slack.wasm"),
            ("PLUGIN_TEMPLATES", "templates.wasm"),
            ("PLUGIN_WASENDER", "wasender.wasm"),
        ],
    )
}

/// Builds the workspace in `folder` and tells the tests where its components are.
fn build(
    root: &Path,
    folder: &str,
    target_name: &'static str,
    components: &[(&str, &str)],
) -> Result<(), Box<dyn std::error::Error>> {
    let folder = root.join(folder);
    let watched = vec![folder.clone(), root.join("guest-sdk"), root.join("wit")];
    let built = GuestWorkspace { folder, watched, target_name }.build()?;
    for (variable, file) in components {
        emit(&format!("rustc-env={variable}={}", built.join(file).display()));
    }
    Ok(())
}
