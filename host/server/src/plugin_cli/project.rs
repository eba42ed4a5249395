//! `plugin new` and `plugin build`: a project that builds and passes its own test with no edit.
//!
//! A project brings its copy of the SDK and of the contract along, so that it builds wherever this binary came from.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Done, Failed};

include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));

/// Most characters of a project's name: as of a plugin's.
const NAME_CHARS_MAX: usize = 64;
/// The target that components are built for.
const TARGET: &str = "wasm32-wasip2";

/// What the SDK's own manifest says where it stands alone.
const SDK_MANIFEST: &str = r#"# The SDK for plugin authors, as `switchboard plugin new` brings it along.
[package]
name = "switchboard-guest-sdk"
version = "0.1.0"
edition = "2024"
license = "MIT OR Apache-2.0"
publish = false

[dependencies]
serde = { version = "1", features = ["derive", "rc"] }
serde_json = "1"
time = { version = "0.3", default-features = false, features = ["formatting", "parsing", "std"] }
wit-bindgen = { version = "0.61", default-features = false, features = ["macros", "realloc"] }
"#;

/// `plugin new`.
#[derive(Args)]
pub(super) struct NewArguments {
    /// The plugin's name, and the folder's: a-z, 0-9 and -.
    name: String,
    /// Where the folder is made.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// `plugin build`.
#[derive(Args)]
pub(super) struct BuildArguments {
    /// The project's folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

fn io_failed(path: &Path) -> impl Fn(std::io::Error) -> Failed {
    let path = path.display().to_string();
    move |error| Failed::refused("files", format!("{path}: {error}"))
}

pub(super) fn new(arguments: &NewArguments) -> Result<Done, Failed> {
    let name = &arguments.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    // It becomes the name of a package, too.
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.len() > NAME_CHARS_MAX || !name.chars().all(plain) {
        let why = format!("{name:?} must be 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -, and begin with a letter");
        return Err(Failed::refused("name", why));
    }
    let folder = arguments.dir.join(name);
    if folder.exists() {
        return Err(Failed::refused("exists", format!("{} is there already", folder.display())));
    }
    let own = |text: &str| text.replace("PLUGIN_NAME", name);
    let mut files = vec![
        ("Cargo.toml".to_owned(), own(include_str!("../../templates/rust/Cargo.toml.txt"))),
        ("src/lib.rs".to_owned(), own(include_str!("../../templates/rust/lib.rs.txt"))),
        ("README.md".to_owned(), own(include_str!("../../templates/rust/README.md.txt"))),
        (".gitignore".to_owned(), "/target\n".to_owned()),
        ("sdk/guest-sdk/Cargo.toml".to_owned(), SDK_MANIFEST.to_owned()),
    ];
    files.extend(SDK_FILES.iter().map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    for (path, text) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io_failed(parent))?;
        }
        std::fs::write(&path, text).map_err(io_failed(&path))?;
    }
    let shown = folder.display().to_string();
    let words = format!(
        "{shown} is made\n\n  cd {shown}\n  cargo test\n  switchboard plugin build\n  switchboard plugin deploy --grant"
    );
    Ok(Done::new(json!({ "name": name, "folder": shown, "files": files.len() }), words))
}

pub(super) async fn build(arguments: &BuildArguments) -> Result<Done, Failed> {
    let folder = &arguments.dir;
    if !folder.join("Cargo.toml").is_file() {
        let why = format!("{} has no Cargo.toml; switchboard plugin new makes a project", folder.display());
        return Err(Failed::refused("no_project", why));
    }
    // A target that is there already is left alone; where there is no rustup, cargo says what is missing.
    let _ = tool("rustup", &["target", "add", TARGET], folder).await;
    let built = tool("cargo", &["build", "--release", "--target", TARGET], folder).await;
    let built = built.map_err(|error| Failed::refused("no_cargo", format!("cargo cannot be started: {error}")))?;
    if !built.status.success() {
        let said = String::from_utf8_lossy(&built.stderr).trim_end().to_owned();
        return Err(Failed::refused("build_failed", format!("cargo does not build it:\n{said}")));
    }
    let component = component_of(folder)?;
    let bytes = std::fs::metadata(&component).map_err(io_failed(&component))?.len();
    let shown = component.display().to_string();
    Ok(Done::new(json!({ "component": shown, "bytes": bytes }), shown))
}

async fn tool(program: &str, words: &[&str], folder: &Path) -> std::io::Result<std::process::Output> {
    // Whoever builds from within a build of their own means this project.
    let mut command = Command::new(program);
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command.args(words).current_dir(folder).kill_on_drop(true).output().await
}

/// The component that `plugin build` made in this folder.
pub(super) fn component_of(folder: &Path) -> Result<PathBuf, Failed> {
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(io_failed(&manifest))?;
    let manifest: toml::Table =
        text.parse().map_err(|error| Failed::refused("manifest", format!("{}: {error}", manifest.display())))?;
    let package = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let package = package.ok_or_else(|| Failed::refused("manifest", "Cargo.toml names no package"))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    let component = folder.join("target").join(TARGET).join("release").join(file);
    if component.is_file() {
        return Ok(component);
    }
    let why = format!("{} is not there; switchboard plugin build makes it", component.display());
    Err(Failed::refused("not_built", why))
}

/// What the project says of itself, to check it against the workspace.
#[cfg(test)]
fn sdk_manifest() -> Value {
    serde_json::to_value(SDK_MANIFEST.parse::<toml::Table>().unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_asks_for_the_same_versions_as_in_the_workspace() {
        let workspace: toml::Table = include_str!("../../../../Cargo.toml").parse().unwrap();
        let of_workspace = serde_json::to_value(&workspace["workspace"]["dependencies"]).unwrap();
        let own: toml::Table = include_str!("../../../../guest-sdk/Cargo.toml").parse().unwrap();
        let names: Vec<&String> = own["dependencies"].as_table().unwrap().keys().collect();
        let alone = sdk_manifest();
        assert_eq!(alone["dependencies"].as_object().unwrap().len(), names.len());
        for name in names {
            assert_eq!(alone["dependencies"][name], of_workspace[name], "{name}");
        }
        assert_eq!(alone["package"]["version"], json!(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_name_becomes_a_package_and_a_folder_is_never_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let new = |name: &str| new(&NewArguments { name: name.to_owned(), dir: place.path().to_owned() });
        for wrong in ["", "1st", "Upper", "a_b", "../x", &"x".repeat(65)] {
            assert_eq!(new(wrong).unwrap_err().json["code"], "name", "{wrong}");
        }
        let made = new("greeter").unwrap();
        assert!(made.json["files"].as_u64().unwrap() > 10);
        let manifest = std::fs::read_to_string(place.path().join("greeter/Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"greeter\"") && !manifest.contains("PLUGIN_NAME"), "{manifest}");
        assert!(place.path().join("greeter/sdk/wit/since_v0.1.0/worlds.wit").is_file());
        assert_eq!(new("greeter").unwrap_err().json["code"], "exists");
        assert_eq!(component_of(&place.path().join("greeter")).unwrap_err().json["code"], "not_built");
    }
}
