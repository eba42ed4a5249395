//! The mount table: which plugin serves a method and a path, and who answers when none does.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use switchboard_runtime::types::Route;

use crate::plugins::ActivePlugin;

/// Why the routes of the active plugins do not make one table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Two plugins serve the same.
    #[error("{method} {path} is served by {other} already")]
    Taken {
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// Who serves it.
        other: String,
    },
    /// A path cannot be part of the table.
    #[error("the path {path} cannot be served: {why}")]
    BadPath {
        /// The path.
        path: String,
        /// Why not.
        why: String,
    },
}

/// What serves one method of one path.
#[derive(Clone)]
struct Endpoint {
    plugin: Arc<ActivePlugin>,
    route: u32,
    mount: String,
    /// What this route calls the segments that may be anything, in their order.
    names: Vec<String>,
}

/// What serves a request.
pub(super) struct Found<'a> {
    pub(super) plugin: &'a Arc<ActivePlugin>,
    /// Which of the plugin's routes, from 0.
    pub(super) route: u32,
    pub(super) declared: &'a Route,
    /// What the names in braces matched.
    pub(super) params: Vec<(String, String)>,
    /// The prefix below which it was found.
    pub(super) mount: &'a str,
}

/// What the table says of a request.
pub(super) enum Lookup<'a> {
    /// This plugin's route serves it.
    Found(Found<'a>),
    /// The path is served, with these methods; rendered by the plugin.
    WrongMethod { allowed: Vec<String>, renderer: Option<&'a Arc<ActivePlugin>> },
    /// Nobody serves the path; rendered by the plugin.
    Unknown { renderer: Option<&'a Arc<ActivePlugin>> },
}

/// Every route of every active plugin.
#[derive(Default)]
pub struct MountTable {
    paths: matchit::Router<BTreeMap<String, Endpoint>>,
    /// Prefixes and who answers for what nobody serves below them, longest first.
    owners: Vec<(String, Arc<ActivePlugin>)>,
}

impl MountTable {
    /// The table of these plugins.
    ///
    /// # Errors
    /// When two of them serve the same, or a path is not well formed.
    pub fn of(plugins: &[Arc<ActivePlugin>]) -> Result<Self, RouteError> {
        // The router cannot be added to once a path is in it, so paths are gathered first.
        let mut gathered: BTreeMap<String, BTreeMap<String, Endpoint>> = BTreeMap::new();
        let mut owners = Vec::new();
        for plugin in plugins {
            for mount in &plugin.record.mounts {
                check_prefix(&mount.prefix)?;
                if mount.owner {
                    owners.push((mount.prefix.clone(), Arc::clone(plugin)));
                }
                for (at, route) in (0_u32..).zip(&plugin.loaded.routes) {
                    let path = format!("{}{}", mount.prefix, route.path);
                    let (shape, names) = without_names(&path);
                    let methods = gathered.entry(shape).or_default();
                    let mount = mount.prefix.clone();
                    let endpoint = Endpoint { plugin: Arc::clone(plugin), route: at, mount, names };
                    if let Some(other) = methods.insert(route.method.clone(), endpoint) {
                        let other = other.plugin.full_name();
                        return Err(RouteError::Taken { method: route.method.clone(), path, other });
                    }
                }
            }
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in gathered {
            let bad = |error: matchit::InsertError| RouteError::BadPath { path: path.clone(), why: error.to_string() };
            paths.insert(&path, methods).map_err(bad)?;
        }
        owners.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Self { paths, owners })
    }

    fn owner(&self, path: &str) -> Option<&Arc<ActivePlugin>> {
        let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.owners.iter().find(|(prefix, _)| below(prefix)).map(|(_, plugin)| plugin)
    }

    /// Who serves `method` and `path`. `HEAD` is served where `GET` is.
    pub(super) fn look_up(&self, method: &str, path: &str) -> Lookup<'_> {
        let Ok(matched) = self.paths.at(path) else { return Lookup::Unknown { renderer: self.owner(path) } };
        let methods = matched.value;
        let wanted = if method == "HEAD" { "GET" } else { method };
        let found = methods.get(wanted).and_then(|endpoint| {
            Some((endpoint, endpoint.plugin.loaded.routes.get(usize::try_from(endpoint.route).ok()?)?))
        });
        let Some((endpoint, declared)) = found else {
            let mut allowed: Vec<String> = methods.keys().cloned().collect();
            if methods.contains_key("GET") {
                allowed.push("HEAD".to_owned());
            }
            let renderer = self.owner(path).or_else(|| methods.values().next().map(|endpoint| &endpoint.plugin));
            return Lookup::WrongMethod { allowed, renderer };
        };
        let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
        let values = matched.params.iter().map(|(_, value)| decoded(value));
        let params = endpoint.names.iter().cloned().zip(values).collect();
        let Endpoint { plugin, route, mount, .. } = endpoint;
        Lookup::Found(Found { plugin, route: *route, declared, params, mount })
    }
}

/// The path with numbers in the place of names in braces, and those names: two plugins may share a path and call its segments
/// differently.
fn without_names(path: &str) -> (String, Vec<String>) {
    let mut names = Vec::new();
    let segment = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(name) => {
            names.push(name.to_owned());
            format!("{{{}}}", names.len())
        }
        None => segment.to_owned(),
    };
    let segments: Vec<String> = path.split('/').map(segment).collect();
    (segments.join("/"), names)
}

fn check_prefix(prefix: &str) -> Result<(), RouteError> {
    let reserved = prefix == "/switchboard" || prefix.starts_with("/switchboard/");
    if !prefix.starts_with('/') || prefix.ends_with('/') || prefix.contains(['{', '}']) || reserved {
        let why = "a prefix begins with /, does not end with /, has no braces and is not below /switchboard".to_owned();
        return Err(RouteError::BadPath { path: prefix.to_owned(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_braces_make_no_difference_between_paths_and_are_kept_in_their_order() {
        let (ours, names) = without_names("/api/v1/groups/{jid}/people/{person}");
        assert_eq!((ours.as_str(), names), ("/api/v1/groups/{1}/people/{2}", vec!["jid".to_owned(), "person".to_owned()]));
        assert_eq!(without_names("/api/v1/groups/{id}/people/{who}").0, ours);
        assert_eq!(without_names("/api/v1/status"), ("/api/v1/status".to_owned(), Vec::new()));
    }
}
