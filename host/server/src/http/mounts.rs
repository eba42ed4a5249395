//! The mount table: which plugin serves a method and a path, and who answers when none does.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use switchboard_core::records::id::TenantId;
use switchboard_core::records::plugin::{Mount, OWN_PREFIX};
use switchboard_core::rules::said_back::said_back;
use switchboard_runtime::types::Route;

use crate::plugins::ActivePlugin;

/// Most characters of a host name, and of what stands between two dots of it.
const HOST_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;
/// Most prefixes of one plugin of a tenant, and characters of one.
const OWN_MOUNTS_MAX: usize = 8;
const OWN_PREFIX_CHARS_MAX: usize = 128;

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
    /// Two plugins are to answer for what nobody serves.
    #[error("what nobody serves below {prefix} is answered by {other} already")]
    TwoOwners {
        /// The prefix.
        prefix: String,
        /// Who answers.
        other: String,
    },
    /// A tenant's plugin would be reached where another one of it is.
    #[error(
        "{prefix} cannot be a place of this plugin, since {other} is reached at {taken} already: give one of them another prefix"
    )]
    Overlap {
        /// The prefix.
        prefix: String,
        /// Where the other one is.
        taken: String,
        /// Which.
        other: String,
    },
    /// A name is no host name.
    #[error("{0:?} is not a host name: use a name such as api.example.com, without a port")]
    BadHost(String),
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
#[derive(Clone, Default)]
pub struct MountTable {
    shared: Arc<SharedTable>,
    /// The routers of each tenant that has one.
    own: BTreeMap<TenantId, Arc<Table>>,
}

/// The routes of the operator's plugins.
#[derive(Default)]
struct SharedTable {
    /// What requests for any host find.
    common: Table,
    /// What is bound to a host name is looked at first.
    bound: BTreeMap<String, Table>,
}

/// The routes of one host name, or of none.
#[derive(Default)]
struct Table {
    paths: matchit::Router<BTreeMap<String, Endpoint>>,
    /// Prefixes and who answers for what nobody serves below them, longest first.
    owners: Vec<(String, Arc<ActivePlugin>)>,
}

/// A table that is being put together. The router cannot be added to once a path is in it, so paths are gathered first.
#[derive(Default)]
struct Gathered {
    paths: BTreeMap<String, BTreeMap<String, Endpoint>>,
    owners: Vec<(String, Arc<ActivePlugin>)>,
}

impl MountTable {
    /// This table, where these are all of the plugins of `owner`.
    ///
    /// # Errors
    /// When two of them serve the same, or a path is not well formed.
    pub(crate) fn with(&self, owner: TenantId, plugins: &[Arc<ActivePlugin>]) -> Result<Self, RouteError> {
        let plugins = plugins.iter().filter(|plugin| plugin.record.tenant == owner);
        let mut table = self.clone();
        if owner == TenantId::OPERATOR {
            table.shared = Arc::new(SharedTable::of(plugins)?);
            return Ok(table);
        }
        match own_table(plugins)? {
            Some(own) => drop(table.own.insert(owner, Arc::new(own))),
            None => drop(table.own.remove(&owner)),
        }
        Ok(table)
    }

    /// Who serves `method` and `path` in the place of a tenant.
    pub(super) fn look_up_own(&self, tenant: TenantId, method: &str, path: &str) -> Lookup<'_> {
        self.own.get(&tenant).map_or(Lookup::Unknown { renderer: None }, |table| table.look_up(method, path))
    }

    /// Who serves `method` and `path` for `host`, which is in lower case and has no port. `HEAD` is served where `GET` is.
    pub(super) fn look_up(&self, host: Option<&str>, method: &str, path: &str) -> Lookup<'_> {
        self.shared.look_up(host, method, path)
    }

    /// Who answers for what nobody serves at `path` of `host`.
    pub(super) fn owner(&self, host: Option<&str>, path: &str) -> Option<&Arc<ActivePlugin>> {
        self.shared.owner(host, path)
    }
}

/// The routes of one tenant's plugins, if there are any.
fn own_table<'a>(plugins: impl Iterator<Item = &'a Arc<ActivePlugin>>) -> Result<Option<Table>, RouteError> {
    let mut gathered = Gathered::default();
    for plugin in plugins.filter(|plugin| !plugin.loaded.routes.is_empty()) {
        for mount in plugin.record.places() {
            let meets = |taken: &str| is_below(&mount.prefix, taken) || is_below(taken, &mount.prefix);
            if let Some((taken, other)) = gathered.owners.iter().find(|(taken, _)| meets(taken)) {
                let (taken, other) = (taken.clone(), other.record.name.clone());
                return Err(RouteError::Overlap { prefix: mount.prefix, taken, other });
            }
            gathered.add(plugin, &mount)?;
        }
    }
    if gathered.paths.is_empty() { Ok(None) } else { gathered.table().map(Some) }
}

/// Whether a path is a prefix, or below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl SharedTable {
    fn of<'a>(plugins: impl Iterator<Item = &'a Arc<ActivePlugin>>) -> Result<Self, RouteError> {
        let mut gathered: BTreeMap<Option<String>, Gathered> = BTreeMap::new();
        for plugin in plugins {
            for mount in plugin.record.places() {
                check_prefix(&mount.prefix)?;
                gathered.entry(mount.host.clone()).or_default().add(plugin, &mount)?;
            }
        }
        let mut table = Self::default();
        for (host, gathered) in gathered {
            let made = gathered.table()?;
            match host {
                None => table.common = made,
                Some(host) => drop(table.bound.insert(host, made)),
            }
        }
        Ok(table)
    }

    fn look_up(&self, host: Option<&str>, method: &str, path: &str) -> Lookup<'_> {
        let bound = host.and_then(|host| self.bound.get(host)).map(|table| table.look_up(method, path));
        match (bound, self.common.look_up(method, path)) {
            (None, common) => common,
            (Some(found @ Lookup::Found(_)), _) | (Some(_), found @ Lookup::Found(_)) => found,
            (
                Some(Lookup::WrongMethod { mut allowed, renderer }),
                Lookup::WrongMethod { allowed: more, renderer: other },
            ) => {
                allowed.extend(more);
                allowed.sort_unstable();
                allowed.dedup();
                Lookup::WrongMethod { allowed, renderer: renderer.or(other) }
            }
            (Some(wrong @ Lookup::WrongMethod { .. }), _) | (Some(_), wrong @ Lookup::WrongMethod { .. }) => wrong,
            (Some(Lookup::Unknown { renderer }), Lookup::Unknown { renderer: other }) => {
                Lookup::Unknown { renderer: renderer.or(other) }
            }
        }
    }

    fn owner(&self, host: Option<&str>, path: &str) -> Option<&Arc<ActivePlugin>> {
        let bound = host.and_then(|host| self.bound.get(host)).and_then(|table| table.owner(path));
        bound.or_else(|| self.common.owner(path))
    }
}

impl Gathered {
    fn add(&mut self, plugin: &Arc<ActivePlugin>, mount: &Mount) -> Result<(), RouteError> {
        // What is said of a conflict names the host as well.
        let at = |path: &str| format!("{}{path}", mount.host.as_deref().unwrap_or_default());
        if mount.owner {
            if let Some((_, other)) = self.owners.iter().find(|(prefix, _)| *prefix == mount.prefix) {
                return Err(RouteError::TwoOwners { prefix: at(&mount.prefix), other: other.full_name() });
            }
            self.owners.push((mount.prefix.clone(), Arc::clone(plugin)));
        }
        for (place, route) in (0_u32..).zip(&plugin.loaded.routes) {
            let path = format!("{}{}", mount.prefix, route.path);
            let (shape, names) = without_names(&path);
            let methods = self.paths.entry(shape).or_default();
            let endpoint = Endpoint { plugin: Arc::clone(plugin), route: place, mount: mount.prefix.clone(), names };
            if let Some(other) = methods.insert(route.method.clone(), endpoint) {
                let other = other.plugin.full_name();
                return Err(RouteError::Taken { method: route.method.clone(), path: at(&path), other });
            }
        }
        Ok(())
    }

    fn table(mut self) -> Result<Table, RouteError> {
        let mut paths = matchit::Router::new();
        for (path, methods) in self.paths {
            let bad = |error: matchit::InsertError| RouteError::BadPath { path: path.clone(), why: error.to_string() };
            paths.insert(&path, methods).map_err(bad)?;
        }
        self.owners.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(Table { paths, owners: self.owners })
    }
}

impl Table {
    fn owner(&self, path: &str) -> Option<&Arc<ActivePlugin>> {
        self.owners.iter().find(|(prefix, _)| is_below(path, prefix)).map(|(_, plugin)| plugin)
    }

    fn look_up(&self, method: &str, path: &str) -> Lookup<'_> {
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

/// A host name as requests are looked up by it.
///
/// # Errors
/// [`RouteError::BadHost`].
pub(crate) fn host_name(given: &str) -> Result<String, RouteError> {
    let name = given.trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=LABEL_CHARS_MAX).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > HOST_CHARS_MAX || !name.split('.').all(label) {
        return Err(RouteError::BadHost(said_back(given)));
    }
    Ok(name)
}

/// Whether a tenant's plugin can be reached there, within the tenant's own place.
///
/// # Errors
/// [`RouteError::BadPath`] and [`RouteError::BadHost`].
pub(crate) fn check_own_mounts(mounts: &[Mount]) -> Result<(), RouteError> {
    let bad = |path: &str, why: String| Err(RouteError::BadPath { path: said_back(path), why });
    if mounts.len() > OWN_MOUNTS_MAX {
        return bad("", format!("there are {} prefixes; the limit is {OWN_MOUNTS_MAX}", mounts.len()));
    }
    for Mount { prefix, host, .. } in mounts {
        if host.is_some() {
            return bad(prefix, "only the operator can bind a router to a host name".to_owned());
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain);
        let fits = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
        if !fits || prefix.len() > OWN_PREFIX_CHARS_MAX {
            let why = "a prefix such as /orders is expected: segments of a-z, 0-9, - and _, each after a /, at most 128 characters";
            return bad(prefix, why.to_owned());
        }
    }
    Ok(())
}

fn check_prefix(prefix: &str) -> Result<(), RouteError> {
    let reserved = is_below(prefix, "/switchboard") || is_below(prefix, OWN_PREFIX.trim_end_matches('/'));
    if !prefix.starts_with('/') || prefix.ends_with('/') || prefix.contains(['{', '}']) || reserved {
        let why =
            "a prefix begins with /, does not end with /, has no braces and is not below /switchboard or /t".to_owned();
        return Err(RouteError::BadPath { path: prefix.to_owned(), why });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_taken_without_a_port_and_whatever_its_case() {
        assert_eq!(host_name("API.Example.com."), Ok("api.example.com".to_owned()));
        assert_eq!(host_name("localhost"), Ok("localhost".to_owned()));
        for bad in ["", ".", "a..b", "api.example.com:443", "http://api", "-a.example", "a b", "ä.example", "*.example"] {
            assert_eq!(host_name(bad), Err(RouteError::BadHost(bad.to_owned())), "{bad}");
        }
        assert!(host_name(&"a".repeat(64)).is_err() && host_name(&"a.".repeat(128)).is_err());
    }

    #[test]
    fn a_tenants_prefixes_are_plain_and_of_no_host() {
        let mount = |prefix: &str| Mount { prefix: prefix.to_owned(), owner: false, host: None };
        for good in ["/orders", "/shop-1/orders", "/a_b"] {
            assert_eq!(check_own_mounts(&[mount(good)]), Ok(()), "{good}");
        }
        for bad in ["", "/", "orders", "/orders/", "//orders", "/a//b", "/..", "/Orders", "/{id}", "/a b", "/%2e", "/a.b"] {
            assert!(matches!(check_own_mounts(&[mount(bad)]), Err(RouteError::BadPath { .. })), "{bad}");
        }
        assert!(check_own_mounts(&[mount(&format!("/{}", "a".repeat(128)))]).is_err());
        assert!(check_own_mounts(&vec![mount("/a"); 9]).is_err());
        assert!(check_own_mounts(&[Mount { host: Some("wa.example.com".to_owned()), ..mount("/a") }]).is_err());
    }

    #[test]
    fn names_in_braces_make_no_difference_between_paths_and_are_kept_in_their_order() {
        let (ours, names) = without_names("/api/v1/groups/{jid}/people/{person}");
        assert_eq!((ours.as_str(), names), ("/api/v1/groups/{1}/people/{2}", vec!["jid".to_owned(), "person".to_owned()]));
        assert_eq!(without_names("/api/v1/groups/{id}/people/{who}").0, ours);
        assert_eq!(without_names("/api/v1/status"), ("/api/v1/status".to_owned(), Vec::new()));
    }
}
