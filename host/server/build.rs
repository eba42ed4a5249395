//! Builds the plugins that the binary carries, and lists what new plugin projects bring along.

use std::env;
use std::path::{Path, PathBuf};

use switchboard_guest_build::{GuestWorkspace, declarations, emit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let plugins = root.join("plugins");
    let watched = vec![plugins.clone(), root.join("guest-sdk"), root.join("wit")];
    let built = GuestWorkspace { folder: plugins, watched, target_name: "plugins" }.build()?;
    for (variable, file) in [
        ("PLUGIN_AUTO_REPLY", "auto_reply.wasm"),
        ("PLUGIN_BUSINESS_HOURS", "business_hours.wasm"),
        ("PLUGIN_CLOUDEVENTS", "cloudevents.wasm"),
        ("PLUGIN_MENU", "menu.wasm"),
        ("PLUGIN_PROSENDI", "prosendi.wasm"),
        ("PLUGIN_QUIET_HOURS", "quiet_hours.wasm"),
        ("PLUGIN_RECIPIENTS", "recipients.wasm"),
        ("PLUGIN_ROUND_ROBIN", "round_robin.wasm"),
        ("PLUGIN_SENDAPI", "sendapi.wasm"),
        ("PLUGIN_SHOP_ORDER", "shop_order.wasm"),
        ("PLUGIN_SLACK", "slack.wasm"),
        ("PLUGIN_TEMPLATES", "templates.wasm"),
        ("PLUGIN_WAFASTAPI", "wafastapi.wasm"),
        ("PLUGIN_WAMUX", "wamux.wasm"),
        ("PLUGIN_WASENDER", "wasender.wasm"),
    ] {
        emit(&format!("rustc-env={variable}={}", built.join(file).display()));
    }
    embed_sdk(&root)
}

/// Lists what a new plugin project brings along: the SDK's sources and the contract, and what editors are told of that.
fn embed_sdk(root: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for folder in ["guest-sdk/src", "wit"] {
        collect(&root.join(folder), folder, &mut files)?;
        emit(&format!("rerun-if-changed={}", root.join(folder).display()));
    }
    files.sort();
    let mut text =
        "/// The SDK's sources and the contract, by their paths in the project.\nconst SDK_FILES: &[(&str, &str)] = &[\n"
            .to_owned();
    for (name, path) in files {
        text.push_str(&format!("    ({name:?}, include_str!({:?})),\n", path.canonicalize()?));
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    std::fs::write(out.join("sdk_files.rs"), text)?;
    std::fs::write(out.join("plugin.d.ts"), declarations(&root.join("wit/since_v0.1.0"))?)?;
    Ok(())
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn std::error::Error>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &name, files)?;
        } else {
            files.push((name, entry.path()));
        }
    }
    Ok(())
}
