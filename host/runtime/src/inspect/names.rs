//! Which interfaces a component may import and export, by their names and versions.

use serde::Serialize;

use super::{InspectError, Owner};
use crate::log::short_words;

/// The WIT package of plugins.
pub(crate) const PACKAGE: &str = "switchboard:plugin";
/// The version of it that this host offers.
pub(crate) const VERSION: &str = "0.1.0";
/// Interfaces that a component may export and this host calls.
pub const INTERFACES: [&str; 7] = ["router", "streamer", "responder", "webhook", "auth-policy", "template", "sender-route"];
/// The interface by which a component checks its configuration. It serves nobody else, so it is none of [`INTERFACES`].
pub(super) const CONFIGURABLE: &str = "configurable";
/// The interface by which a responder says what it is told of. It goes with `responder`, and is none of [`INTERFACES`] either.
pub(super) const SUBSCRIBER: &str = "subscriber";
/// Interfaces that a component may import.
const IMPORTS: [&str; 17] = [
    "contents", "types", "log", "config", "sessions", "messages", "media", "groups", "contacts", "chats", "account", "keys",
    "webhooks", "events", "kv", "http", "secrets",
];
/// Imports that only the operator's plugins may have.
const OPERATOR_IMPORTS: [&str; 1] = ["keys"];
/// The version of WASI that is linked, with nothing in it. Components of every earlier 0.2 fit.
const WASI_VERSION: &str = "0.2.12";
/// The interfaces of WASI that are linked.
const WASI: [(&str, &[&str]); 7] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", &["types", "preopens"]),
    // Every request is denied, see `no_http`.
    ("wasi:http", &["types", "outgoing-handler"]),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:random", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// A name that a component imports or exports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemName {
    /// As the component has it, such as `switchboard:plugin/log@0.1.0`.
    pub name: String,
    /// Such as `switchboard:plugin`; none where the name is that of a function or another thing on its own.
    pub package: Option<String>,
    /// Such as `log`.
    pub interface: Option<String>,
    /// Such as `0.1.0`.
    pub version: Option<String>,
}

impl ItemName {
    pub(super) fn parse(name: &str) -> Self {
        let (whole, version) = match name.split_once('@') {
            Some((whole, version)) => (whole, Some(version)),
            None => (name, None),
        };
        let path = whole.split_once('/').filter(|(package, _)| package.contains(':') && !name.contains('='));
        Self {
            name: name.to_owned(),
            package: path.map(|(package, _)| package.to_owned()),
            interface: path.map(|(_, interface)| interface.to_owned()),
            version: path.and(version).map(str::to_owned),
        }
    }

    /// The interface, where it is one of our package.
    pub(super) fn of_package(&self) -> Option<&str> {
        self.interface.as_deref().filter(|_| self.package.as_deref() == Some(PACKAGE))
    }
}

/// What an export of our package is to this host.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exported {
    /// One of [`INTERFACES`].
    Served,
    /// The check of a configuration.
    Configurable,
    /// What a responder is told of.
    Subscriber,
}

/// Judges an export of our package, whose interface is `interface`.
pub(super) fn judge_export(item: &ItemName, interface: &str) -> Result<Exported, InspectError> {
    let exported = match interface {
        CONFIGURABLE => Exported::Configurable,
        SUBSCRIBER => Exported::Subscriber,
        known if INTERFACES.contains(&known) => Exported::Served,
        _ => return Err(InspectError::UnknownExport { interface: short_words(&item.name) }),
    };
    check_version(item, VERSION).map(|()| exported)
}

/// Judges an import by its name alone.
pub(super) fn judge_import(item: &ItemName) -> Result<(), InspectError> {
    let unknown = |offered: String| {
        let (interface, function) = (short_words(&item.name), None);
        Err(InspectError::UnknownImport { interface, function, offered })
    };
    if let Some(interface) = item.of_package() {
        check_version(item, VERSION)?;
        return if IMPORTS.contains(&interface) { Ok(()) } else { unknown(IMPORTS.join(", ")) };
    }
    let package = item.package.as_deref().unwrap_or_default();
    let Some((_, interfaces)) = WASI.iter().find(|(known, _)| *known == package) else {
        let wasi: Vec<&str> = WASI.iter().map(|(package, _)| *package).collect();
        return unknown(format!("{PACKAGE}@{VERSION} and, of version {WASI_VERSION}, {}", wasi.join(", ")));
    };
    check_version(item, WASI_VERSION)?;
    match &item.interface {
        Some(interface) if interfaces.contains(&interface.as_str()) => Ok(()),
        _ => unknown(format!("{} of {package}@{WASI_VERSION}", interfaces.join(", "))),
    }
}

/// Whether `owner` may have this import.
pub(super) fn permit(item: &ItemName, owner: Owner) -> Result<(), InspectError> {
    match item.of_package() {
        Some(interface) if OPERATOR_IMPORTS.contains(&interface) && owner == Owner::Tenant => {
            Err(InspectError::ForbiddenImport { interface: item.name.clone() })
        }
        _ => Ok(()),
    }
}

fn check_version(item: &ItemName, offered: &'static str) -> Result<(), InspectError> {
    // Below 1.0 every minor version is a break; a patch is none. Versions with a suffix never fit others.
    let line = |version: &str| version.rsplit_once('.').map(|(line, _)| line.to_owned());
    let asked = item.version.as_deref().unwrap_or("none");
    if line(asked) == line(offered) && !asked.contains(['-', '+']) {
        return Ok(());
    }
    Err(InspectError::WrongVersion { interface: short_words(&item.name), asked: short_words(asked), offered })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str) -> Result<(), InspectError> {
        judge_import(&ItemName::parse(name))
    }

    #[test]
    fn names_come_apart_into_package_interface_and_version() {
        let parts = |name| {
            let item = ItemName::parse(name);
            (item.package, item.interface, item.version)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("wasi:io/streams@0.2.3"), (some("wasi:io"), some("streams"), some("0.2.3")));
        assert_eq!(parts("a:b/c"), (some("a:b"), some("c"), None));
        assert_eq!(parts("init"), (None, None, None));
        assert_eq!(parts("url=<https://a/b@1>"), (None, None, None));
    }

    #[test]
    fn every_earlier_patch_of_a_version_fits_and_no_other_does() {
        for name in ["switchboard:plugin/log@0.1.0", "switchboard:plugin/log@0.1.7", "wasi:io/streams@0.2.0"] {
            assert_eq!(judged(name), Ok(()), "{name}");
        }
        for name in ["switchboard:plugin/log@0.2.0", "switchboard:plugin/log", "wasi:io/streams@0.3.0"] {
            assert_eq!(judged(name).unwrap_err().code(), "wrong_version", "{name}");
        }
        assert_eq!(judged("wasi:io/streams@0.2.0-rc-2023-11-10").unwrap_err().code(), "wrong_version");
    }

    #[test]
    fn only_the_operators_plugins_may_import_keys() {
        let keys = ItemName::parse("switchboard:plugin/keys@0.1.0");
        assert_eq!(permit(&keys, Owner::Operator), Ok(()));
        assert_eq!(permit(&keys, Owner::Tenant).unwrap_err().code(), "forbidden_import");
        assert_eq!(permit(&ItemName::parse("switchboard:plugin/log@0.1.0"), Owner::Tenant), Ok(()));
    }
}
