//! `plugin new` and `plugin build`: a project in Rust or JavaScript that builds and passes its own test with no edit.
//!
//! A project brings its copy of the SDK and of the contract along, so that it builds wherever this binary came from.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;
use switchboard_core::records::plugin::Grants;
use switchboard_runtime::{GRANTS_SECTION, INSTANCE_KEPT, INSTANCE_SECTION, add_section};
use tokio::process::Command;

use super::{Done, Failed};

include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
/// The contract as editors know it.
const TYPES: &str = include_str!(concat!(env!("OUT_DIR"), "/plugin.d.ts"));

/// Most characters of a project's name: as of a plugin's.
const NAME_CHARS_MAX: usize = 64;
/// The target that components are built for.
const TARGET: &str = "wasm32-wasip2";
/// Where a project has the contract.
const CONTRACT: &str = "sdk/wit/since_v0.1.0";
/// The world that a project in JavaScript is built for, beside the contract.
const WORLD: &str = "project";
/// What only the operator's plugins may import.
const OPERATORS_IMPORT: &str = "import keys;";
/// What a component can export; each has a world of its own.
const INTERFACES: [&str; 9] =
    ["router", "streamer", "responder", "subscriber", "auth-policy", "template", "webhook", "sender-route", "configurable"];

/// What the SDK's own manifest says where it stands alone.
const SDK_MANIFEST: &str = r#"# The SDK for plugin authors, as `switchboard plugin new` brings it along.
[package]
name = "switchboard-guest-sdk"
version = "0.1.0"
edition = "2024"
license = "MIT OR Apache-2.0"
publish = false

[dependencies]
log = "0.4"
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
    /// The language.
    #[arg(long, value_enum, default_value_t)]
    language: Language,
}

/// What a project is written in.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Language {
    #[default]
    Rust,
    /// Built by componentize-qjs, with an engine in the component.
    #[value(name = "javascript")]
    JavaScript,
}

impl Language {
    /// The files of a new project, and what to do with it.
    fn template(self) -> (&'static [(&'static str, &'static str)], &'static str) {
        match self {
            Self::Rust => (RUST, "cargo test"),
            Self::JavaScript => (JAVASCRIPT, "npm install\n  npm test"),
        }
    }

    /// What the project in this folder is written in.
    fn of(folder: &Path) -> Result<Self, Failed> {
        if folder.join("Cargo.toml").is_file() {
            return Ok(Self::Rust);
        }
        if folder.join("package.json").is_file() {
            return Ok(Self::JavaScript);
        }
        let why =
            format!("{} has no Cargo.toml and no package.json; switchboard plugin new makes a project", folder.display());
        Err(Failed::refused("no_project", why))
    }
}

/// Cases of what the projects do, in any language.
const CASES: &str = include_str!("../../templates/tests.json.txt");
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("../../templates/rust/lib.rs.txt")),
    ("tests/answers.json", CASES),
    ("tests/config.json", include_str!("../../templates/rust/config.json.txt")),
    ("README.md", include_str!("../../templates/rust/README.md.txt")),
    (".gitignore", "/target\n"),
    ("sdk/guest-sdk/Cargo.toml", SDK_MANIFEST),
];
const JAVASCRIPT: &[(&str, &str)] = &[
    ("package.json", include_str!("../../templates/javascript/package.json.txt")),
    ("jsconfig.json", include_str!("../../templates/javascript/jsconfig.json.txt")),
    ("sdk/types/plugin.d.ts", TYPES),
    ("plugin.js", include_str!("../../templates/javascript/plugin.js.txt")),
    ("answer.js", include_str!("../../templates/javascript/answer.js.txt")),
    ("answer.test.js", include_str!("../../templates/javascript/answer.test.js.txt")),
    ("tests/answers.json", CASES),
    ("grants.json", include_str!("../../templates/javascript/grants.json.txt")),
    ("README.md", include_str!("../../templates/javascript/README.md.txt")),
    (".gitignore", "/build\n/node_modules\n"),
];

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
    let (own, first) = arguments.language.template();
    let mut files: Vec<(String, String)> =
        own.iter().map(|(path, text)| ((*path).to_owned(), text.replace("PLUGIN_NAME", name))).collect();
    // Bindings of another language are made from the contract alone.
    let brings = |path: &str| arguments.language == Language::Rust || path.starts_with("wit/");
    let sdk = SDK_FILES.iter().filter(|(path, _)| brings(path));
    files.extend(sdk.map(|(path, text)| (format!("sdk/{path}"), (*text).to_owned())));
    for (path, text) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io_failed(parent))?;
        }
        std::fs::write(&path, text).map_err(io_failed(&path))?;
    }
    let shown = folder.display().to_string();
    let words = format!(
        "{shown} is made\n\n  cd {shown}\n  {first}\n  switchboard plugin build\n  switchboard plugin test\n  export SWITCHBOARD_URL=http://127.0.0.1:8080 SWITCHBOARD_KEY=<a tenant's key>\n  switchboard plugin deploy --grant"
    );
    Ok(Done::new(json!({ "name": name, "folder": shown, "files": files.len() }), words))
}

pub(super) async fn build(arguments: &BuildArguments) -> Result<Done, Failed> {
    let folder = &arguments.dir;
    let built = match Language::of(folder)? {
        Language::Rust => build_rust(folder).await,
        Language::JavaScript => build_javascript(folder).await,
    };
    if let Err(failed) = built {
        // What an earlier build made is not what the sources say: nobody is to check or deploy it for that.
        if let Ok(stale) = component_of(folder) {
            let _ = std::fs::remove_file(stale);
        }
        return Err(failed);
    }
    let component = component_of(folder)?;
    let bytes = std::fs::metadata(&component).map_err(io_failed(&component))?.len();
    let shown = component.display().to_string();
    Ok(Done::new(json!({ "component": shown, "bytes": bytes }), shown))
}

async fn build_rust(folder: &Path) -> Result<(), Failed> {
    // A target that is there already is left alone; where there is no rustup, cargo says what is missing.
    let _ = tool("rustup", &["target", "add", TARGET], folder).await;
    ran("cargo", &["build", "--release", "--target", TARGET], folder).await
}

async fn build_javascript(folder: &Path) -> Result<(), Failed> {
    let program = folder.canonicalize().map_err(io_failed(folder))?.join("node_modules/.bin/componentize-qjs");
    if !program.exists() {
        ran("npm", &["install", "--no-audit", "--no-fund"], folder).await?;
    }
    let (component, package) = (javascript_component(folder)?, read_package(folder)?.switchboard);
    let contract = folder.join("build/wit");
    write_world(&folder.join(CONTRACT), &contract, &package.exports)?;
    let output = component.strip_prefix(folder).unwrap_or(&component).display().to_string();
    // Hosts run components that do not wait for several things at once.
    let words = ["--sync", "--wit", "build/wit", "--world", WORLD, "--js", "plugin.js", "--output", &output];
    ran(&program.display().to_string(), &words, folder).await?;
    if package.keep_instance {
        add_to(&component, INSTANCE_SECTION, INSTANCE_KEPT)?;
    }
    ask_for(folder, &component)
}

/// The contract, and beside it a world of everything that a project exports.
fn write_world(contract: &Path, folder: &Path, exports: &[String]) -> Result<(), Failed> {
    std::fs::create_dir_all(folder).map_err(io_failed(folder))?;
    for entry in std::fs::read_dir(contract).map_err(io_failed(contract))? {
        let from = entry.map_err(io_failed(contract))?.path();
        if let Some(name) = from.file_name() {
            std::fs::copy(&from, folder.join(name)).map_err(io_failed(&from))?;
        }
    }
    let (worlds, world) = (folder.join("worlds.wit"), folder.join("project.wit"));
    let known = std::fs::read_to_string(&worlds).map_err(io_failed(&worlds))?;
    std::fs::write(&world, world_of(&known, exports)).map_err(io_failed(&world))
}

/// A world of everything that the worlds of these interfaces have, but for what only the operator's plugins may import: a component
/// in JavaScript imports all that its world has, used or not.
fn world_of(worlds: &str, exports: &[String]) -> String {
    let mut items: Vec<&str> = Vec::new();
    for interface in exports {
        let begins = format!("world {interface}-plugin {{");
        let body = worlds.split_once(&begins).and_then(|(_, rest)| rest.split_once('}')).map_or("", |(body, _)| body);
        let is_item =
            |line: &&str| (line.starts_with("import ") || line.starts_with("export ")) && *line != OPERATORS_IMPORT;
        for item in body.lines().map(str::trim).filter(is_item) {
            if !items.contains(&item) {
                items.push(item);
            }
        }
    }
    format!("package switchboard:plugin@0.1.0;\n\nworld {WORLD} {{\n    {}\n}}\n", items.join("\n    "))
}

/// Adds what the project asks for in `grants.json`, if it does, to its component.
fn ask_for(folder: &Path, component: &Path) -> Result<(), Failed> {
    let asked = folder.join("grants.json");
    if !asked.is_file() {
        return Ok(());
    }
    let grants = std::fs::read(&asked).map_err(io_failed(&asked))?;
    serde_json::from_slice::<Grants>(&grants)
        .map_err(|error| Failed::refused("grants", format!("{}: {error}", asked.display())))?;
    add_to(component, GRANTS_SECTION, &grants)
}

/// Adds a section to a component.
fn add_to(component: &Path, section: &str, content: &[u8]) -> Result<(), Failed> {
    let mut bytes = std::fs::read(component).map_err(io_failed(component))?;
    add_section(&mut bytes, section, content);
    std::fs::write(component, bytes).map_err(io_failed(component))
}

/// Runs a tool that has to do its work. That it runs is said, since it may take a minute.
async fn ran(program: &str, words: &[&str], folder: &Path) -> Result<(), Failed> {
    let name = Path::new(program).file_name().map_or(program.into(), |name| name.to_string_lossy());
    let _ = writeln!(std::io::stderr(), "running {name} {}", words.join(" "));
    let ended = tool(program, words, folder).await;
    let ended = ended.map_err(|error| Failed::refused("no_tool", format!("{program} cannot be started: {error}")))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = [ended.stdout, ended.stderr].map(|said| String::from_utf8_lossy(&said).trim_end().to_owned()).concat();
    Err(Failed::refused("build_failed", format!("{program} does not build it:\n{said}")))
}

async fn tool(program: &str, words: &[&str], folder: &Path) -> std::io::Result<std::process::Output> {
    // Whoever builds from within a build of their own means this project.
    let mut command = Command::new(program);
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS"] {
        command.env_remove(variable);
    }
    command.args(words).current_dir(folder).kill_on_drop(true).output().await
}

/// The component that is given, else what `plugin build` made in this folder.
pub(super) fn component_or_built(given: Option<&PathBuf>) -> Result<PathBuf, Failed> {
    match given {
        Some(component) => Ok(component.clone()),
        None => component_of(&std::env::current_dir().map_err(io_failed(Path::new(".")))?),
    }
}

/// The component that `plugin build` made in this folder.
fn component_of(folder: &Path) -> Result<PathBuf, Failed> {
    let component = match Language::of(folder)? {
        Language::Rust => rust_component(folder)?,
        Language::JavaScript => javascript_component(folder)?,
    };
    if component.is_file() {
        return Ok(component);
    }
    let why = format!("{} is not there; switchboard plugin build makes it", component.display());
    Err(Failed::refused("not_built", why))
}

fn rust_component(folder: &Path) -> Result<PathBuf, Failed> {
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).map_err(io_failed(&manifest))?;
    let read: toml::Table =
        text.parse().map_err(|error| Failed::refused("manifest", format!("{}: {error}", manifest.display())))?;
    let package = read.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let package = package.ok_or_else(|| Failed::refused("manifest", "Cargo.toml names no package"))?;
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(folder.join("target").join(TARGET).join("release").join(file))
}

fn javascript_component(folder: &Path) -> Result<PathBuf, Failed> {
    let package = read_package(folder)?.name;
    // A name may have a scope in front.
    let name = package.rsplit('/').next().unwrap_or(&package);
    Ok(folder.join("build").join(format!("{name}.wasm")))
}

/// What `package.json` says of a plugin.
#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    switchboard: OfPlugin,
}

/// Its member `switchboard`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct OfPlugin {
    /// The interfaces that it exports.
    exports: Vec<String>,
    /// Whether its router asks for its instances to be kept.
    keep_instance: bool,
}

impl Default for OfPlugin {
    fn default() -> Self {
        Self { exports: vec!["responder".to_owned()], keep_instance: false }
    }
}

fn read_package(folder: &Path) -> Result<Package, Failed> {
    let manifest = folder.join("package.json");
    let text = std::fs::read(&manifest).map_err(io_failed(&manifest))?;
    let wrong = |why: String| Failed::refused("manifest", format!("{}: {why}", manifest.display()));
    let package: Package = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if package.switchboard.exports.is_empty() {
        return Err(wrong("switchboard.exports is empty; a plugin exports something".to_owned()));
    }
    let unknown = package.switchboard.exports.iter().find(|name| !INTERFACES.contains(&name.as_str()));
    match unknown {
        Some(name) => Err(wrong(format!("switchboard.exports has {name:?}; there are {}", INTERFACES.join(", ")))),
        None => Ok(package),
    }
}

/// What the project says of itself, to check it against the workspace.
#[cfg(test)]
fn sdk_manifest() -> serde_json::Value {
    serde_json::to_value(SDK_MANIFEST.parse::<toml::Table>().unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
    fn grants_that_no_host_reads_are_named_by_their_file() {
        let place = tempfile::tempdir().unwrap();
        for (text, why) in [("{\"sessions\":\"all\",", "EOF"), ("{\"sesions\":\"all\"}", "sesions")] {
            std::fs::write(place.path().join("grants.json"), text).unwrap();
            let words = ask_for(place.path(), Path::new("nothing.wasm")).unwrap_err().words;
            assert!(words.contains("grants.json: ") && words.contains(why), "{words}");
        }
    }

    #[test]
    fn a_name_becomes_a_package_and_a_folder_is_never_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            new(&NewArguments { name: name.to_owned(), dir: place.path().to_owned(), language: Language::Rust })
        };
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
        assert_eq!(component_of(place.path()).unwrap_err().json["code"], "no_project");
    }

    #[test]
    fn a_project_in_javascript_brings_the_contract_alone() {
        let place = tempfile::tempdir().unwrap();
        let (name, dir) = ("greeter".to_owned(), place.path().to_owned());
        new(&NewArguments { name, dir, language: Language::JavaScript }).unwrap();
        let project = place.path().join("greeter");
        assert!(project.join("sdk/wit/since_v0.1.0/worlds.wit").is_file() && !project.join("sdk/guest-sdk").exists());
        assert_eq!(javascript_component(&project).unwrap(), project.join("build/greeter.wasm"));
        let worlds = std::fs::read_to_string(project.join("sdk/wit/since_v0.1.0/worlds.wit")).unwrap();
        for interface in INTERFACES {
            assert!(worlds.contains(&format!("world {interface}-plugin {{")), "{interface}");
        }
        assert_eq!(worlds.matches("-plugin {").count(), INTERFACES.len(), "a world for each");
    }

    #[test]
    fn a_world_has_everything_once_and_nothing_that_is_the_operators() {
        let worlds = "world router-plugin {\n    import log;\n    import keys;\n    export router;\n}\n\
                      world template-plugin {\n    import log;\n    export template;\n}\n";
        let world = world_of(worlds, &["router".to_owned(), "template".to_owned()]);
        assert!(
            world.ends_with("world project {\n    import log;\n    export router;\n    export template;\n}\n"),
            "{world}"
        );
    }

    #[test]
    fn a_package_says_what_it_exports_and_is_told_what_it_cannot() {
        let place = tempfile::tempdir().unwrap();
        let read = |package: Value| {
            std::fs::write(place.path().join("package.json"), package.to_string()).unwrap();
            read_package(place.path()).map(|package| (package.switchboard.exports, package.switchboard.keep_instance))
        };
        assert_eq!(read(json!({ "name": "a" })).unwrap(), (vec!["responder".to_owned()], false));
        let both = json!({ "name": "a", "switchboard": { "exports": ["router", "configurable"], "keepInstance": true } });
        assert_eq!(read(both).unwrap(), (vec!["router".to_owned(), "configurable".to_owned()], true));
        for (switchboard, why) in [
            (json!({ "exports": ["telepath"] }), "\"telepath\"; there are router"),
            (json!({ "exports": [] }), "is empty"),
            (json!({ "export": ["router"] }), "unknown field `export`"),
        ] {
            let refused = read(json!({ "name": "a", "switchboard": switchboard })).unwrap_err().json;
            assert_eq!(refused["code"], "manifest");
            assert!(refused["detail"].as_str().unwrap().contains(why), "{refused}");
        }
    }
}
