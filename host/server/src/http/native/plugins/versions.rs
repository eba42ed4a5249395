//! Versions of a plugin: looked at, activated, gone back from and removed.

use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Value, json};

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Plugin, PluginVersion};

use super::super::{Answered, Call, Route, no_content, route};
use super::grants::WithGrants;
use super::{JSON_BYTES_MAX, TENANT, no_plugin};
use crate::http::front_door::FrontDoor;
use crate::http::problem::{Problem, json as json_answer, with_type};
use crate::plugins::{InstallError, Which};

/// Most versions of one page.
const PAGE_MAX: usize = 100;
/// Fewest characters of a hash that name a version.
const PREFIX_CHARS_MIN: usize = 8;
/// The parameters of the list of versions.
const LIST: &[&str] = &["cursor", "limit", TENANT];

pub(in crate::http::native) const ROUTES: &[Route] = &[
    route("GET", "plugins/{name}/versions", |door, call| Box::pin(door.list_versions(call))).asked(LIST),
    route("GET", "plugins/{name}/versions/{version}", |door, call| Box::pin(door.show_version(call))).asked(&[TENANT]),
    route("DELETE", "plugins/{name}/versions/{version}", |door, call| Box::pin(door.delete_version(call))).asked(&[TENANT]),
    route("POST", "plugins/{name}/versions/{version}/activate", |door, call| Box::pin(door.activate_version(call))),
    route("GET", "plugins/{name}/versions/{version}/component", |door, call| Box::pin(door.show_component(call))),
    route("POST", "plugins/{name}/rollback", |door, call| Box::pin(door.roll_back(call))),
];

pub(super) fn version_json(version: &PluginVersion, plugin: &Plugin) -> Value {
    json!({
        "sha256": version.sha256, "n": version.n, "bytes": version.bytes, "uploaded_at": version.uploaded_at,
        "uploaded_by": version.uploaded_by, "note": version.note, "active": version.sha256 == plugin.sha256,
        "activated_at": version.activated_at, "class": version.declared.class, "interfaces": version.declared.interfaces,
        "event_types": version.declared.event_kinds, "asked": version.asked, "load_ms": version.load_ms,
        "keeps_instance": version.declared.keeps_instance,
    })
}

/// The version that `text` names: by its number, its hash, or the first characters of that.
fn named<'a>(versions: &'a [PluginVersion], text: &str) -> Result<&'a PluginVersion, InstallError> {
    let by_number = text.parse().ok().and_then(|n: u64| versions.iter().find(|version| version.n == n));
    if let Some(version) = by_number {
        return Ok(version);
    }
    let text = text.to_ascii_lowercase();
    if text.len() < PREFIX_CHARS_MIN {
        return Err(InstallError::NoSuchVersion);
    }
    let mut fitting = versions.iter().filter(|version| version.sha256.starts_with(&text));
    match (fitting.next(), fitting.next()) {
        (Some(version), None) => Ok(version),
        (Some(_), Some(_)) => Err(InstallError::AmbiguousVersion(text)),
        (None, _) => Err(InstallError::NoSuchVersion),
    }
}

impl FrontDoor {
    /// A plugin and the version of it that the path names.
    async fn version(&self, owner: TenantId, call: &Call) -> Result<(Plugin, PluginVersion), Problem> {
        let plugin = self.storage.plugin(owner, call.param(0)).await?.ok_or_else(no_plugin)?;
        let versions = self.storage.plugin_versions(owner, &plugin.name).await?;
        let version = named(&versions, call.param(1))?.clone();
        Ok((plugin, version))
    }

    async fn list_versions(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let plugin = self.storage.plugin(owner, call.param(0)).await?.ok_or_else(no_plugin)?;
        let query = call.query();
        let (limit, before) = (query.limit(PAGE_MAX)?, query.number::<u64>("cursor")?.unwrap_or(u64::MAX));
        let versions = self.storage.plugin_versions(owner, &plugin.name).await?;
        let mut earlier = versions.iter().rev().filter(|version| version.n < before);
        let page: Vec<&PluginVersion> = earlier.by_ref().take(limit).collect();
        let next = page.last().filter(|_| earlier.next().is_some()).map(|last| last.n.to_string());
        let page: Vec<Value> = page.into_iter().map(|version| version_json(version, &plugin)).collect();
        Ok(json_answer(StatusCode::OK, &json!({ "versions": page, "next_cursor": next })))
    }

    async fn show_version(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let (plugin, version) = self.version(owner, &call).await?;
        Ok(json_answer(StatusCode::OK, &version_json(&version, &plugin)))
    }

    async fn delete_version(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let (plugin, version) = self.version(owner, &call).await?;
        self.plugins.delete_version(owner, &plugin.name, &version.sha256).await?;
        Ok(no_content())
    }

    async fn activate_version(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let (plugin, version) = self.version(owner, &call).await?;
        let grants = call.json_or_nothing::<WithGrants>(JSON_BYTES_MAX).await?.wish();
        let which = Which::Version(&version.sha256);
        let record = self.plugins.activate(owner, &plugin.name, which, grants.as_ref()).await?;
        Ok(json_answer(StatusCode::OK, &self.plugin_json(&record)))
    }

    async fn roll_back(&self, call: Call) -> Answered {
        let owner = self.plugins_write(&call).await?.owner;
        let name = call.param(0).to_owned();
        let grants = call.json_or_nothing::<WithGrants>(JSON_BYTES_MAX).await?.wish();
        let record = self.plugins.activate(owner, &name, Which::Before, grants.as_ref()).await?;
        Ok(json_answer(StatusCode::OK, &self.plugin_json(&record)))
    }

    /// The component itself, for its owner alone.
    async fn show_component(&self, call: Call) -> Answered {
        let owner = self.plugins_read(&call).await?.owner;
        let (plugin, version) = self.version(owner, &call).await?;
        let component = self.storage.artifact(owner, &version.sha256).await?.ok_or(InstallError::NoComponent)?;
        let mut answer = with_type(StatusCode::OK, "application/wasm", component.into());
        let name = format!("attachment; filename=\"{}-{}.wasm\"", plugin.name, version.n);
        if let Ok(name) = HeaderValue::from_str(&name) {
            answer.headers_mut().insert(CONTENT_DISPOSITION, name);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use switchboard_core::clock::Timestamp;
    use switchboard_core::records::plugin::Declared;

    use super::*;

    fn version(n: u64, sha256: &str) -> PluginVersion {
        PluginVersion { n, ..PluginVersion::new(sha256, 1, Timestamp(1), Declared::default()) }
    }

    #[test]
    fn a_version_is_named_by_its_number_its_hash_or_enough_of_it() {
        let versions = [version(1, "12345678aa"), version(2, "12345678bb"), version(3, "99999999cc")];
        for (text, n) in [("2", 2), ("12345678BB", 2), ("99999999", 3), ("12345678a", 1)] {
            assert_eq!(named(&versions, text).unwrap().n, n, "{text}");
        }
        for text in ["", "0", "4", "9999999", "99999999cd", "latest"] {
            assert!(matches!(named(&versions, text), Err(InstallError::NoSuchVersion)), "{text}");
        }
        assert!(matches!(named(&versions, "12345678"), Err(InstallError::AmbiguousVersion(_))));
    }
}
