//! The `Cargo.toml` files: what they depend on, which features they have, and under which licence they stand.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use toml::{Table, Value};

use crate::source::SOURCES;

/// Every `Cargo.toml`, by its path from the root.
pub(crate) static MANIFESTS: LazyLock<BTreeMap<String, Table>> = LazyLock::new(|| {
    let manifests = SOURCES.iter().filter(|source| source.name() == "Cargo.toml");
    manifests.filter_map(|source| Some((source.path.clone(), source.text.parse::<Table>().ok()?))).collect()
});

/// One entry of a dependency table.
pub(crate) struct Dependency {
    /// The table it stands in, without its target.
    pub(crate) kind: &'static str,
    /// The package, whatever it is called here.
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    pub(crate) optional: bool,
}

/// What a manifest depends on, for every target; for a workspace, what its members may inherit.
pub(crate) fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let workspace = manifest.get("workspace").and_then(Value::as_table);
    let mut found = Vec::new();
    for table in [manifest].into_iter().chain(targets).chain(workspace) {
        for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let entries = table.get(kind).and_then(Value::as_table);
            found.extend(entries.into_iter().flatten().map(|(key, value)| dependency(kind, key, value)));
        }
    }
    found
}

fn dependency(kind: &'static str, key: &str, value: &Value) -> Dependency {
    let name = value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
    let features = value.get("features").map(texts).unwrap_or_default();
    let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
    Dependency { kind, name, features, optional }
}

/// The features of a package, and what each of them turns on.
pub(crate) fn features(manifest: &Table) -> Vec<(String, Vec<String>)> {
    let table = manifest.get("features").and_then(Value::as_table);
    table.into_iter().flatten().map(|(name, enabled)| (name.clone(), texts(enabled))).collect()
}

/// The licence of the package at `path`, inherited or its own.
pub(crate) fn licence(path: &str) -> Option<String> {
    let own = MANIFESTS.get(path)?.get("package")?.get("license")?;
    let inherited = || workspace_of(path)?.get("package")?.get("license");
    let text = own.as_str().or_else(|| inherited()?.as_str())?;
    Some(text.to_owned())
}

/// The nearest workspace above the package, or its own.
fn workspace_of(path: &str) -> Option<&'static Value> {
    let mut folder = path.strip_suffix("Cargo.toml")?;
    loop {
        let workspace = MANIFESTS.get(&format!("{folder}Cargo.toml")).and_then(|manifest| manifest.get("workspace"));
        if workspace.is_some() {
            return workspace;
        }
        let parent = folder.strip_suffix('/')?;
        folder = parent.rfind('/').and_then(|slash| parent.get(..=slash)).unwrap_or_default();
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
