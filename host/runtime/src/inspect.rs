//! Looks at an uploaded component before it may run, and refuses it by name, with the cure.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

/// The WIT package of plugins.
const PACKAGE: &str = "switchboard:plugin";
/// The version of it that this host offers.
const VERSION: &str = "0.1.0";
/// Interfaces that a component may export and this host calls.
pub const INTERFACES: [&str; 7] = ["router", "streamer", "responder", "webhook", "auth-policy", "template", "sender-route"];
/// The interface by which a component checks its configuration. It serves nobody else, so it is none of [`INTERFACES`].
const CONFIGURABLE: &str = "configurable";
/// Interfaces that a component may import.
const IMPORTS: [&str; 17] = [
    "contents", "types", "log", "config", "sessions", "messages", "media", "groups", "contacts", "chats", "account", "keys",
    "webhooks", "events", "kv", "http", "secrets",
];
/// Imports that only the operator's plugins may have.
const OPERATOR_IMPORTS: [&str; 1] = ["keys"];
/// Packages of WASI that are linked, with nothing in them.
const WASI_PACKAGES: [&str; 6] = ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];
/// Imports or exports of one component.
const ITEMS_MAX: usize = 256;

/// Who uploads: it decides what may be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The operator of the host.
    Operator,
    /// A tenant.
    Tenant,
}

/// Why an uploaded component was refused. Shown to the customer as is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// No bytes.
    #[error("the upload is empty; send the bytes of a component")]
    Empty,
    /// Over the size limit.
    #[error("the component is {bytes} bytes; the limit is {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not WebAssembly.
    #[error(
        "not a WebAssembly component: it does not begin with \\0asm; upload the .wasm file below target/wasm32-wasip2/release"
    )]
    NotWasm,
    /// Machine code.
    #[error("precompiled code is never accepted; upload the component itself and the host compiles it")]
    Precompiled,
    /// A core module.
    #[error("a core module, not a component; build with: cargo build --release --target wasm32-wasip2")]
    CoreModule,
    /// It does not validate or compile.
    #[error("the component is not valid: {why}")]
    Invalid {
        /// What the compiler said.
        why: String,
    },
    /// Compilation used too much.
    #[error("the component takes too much to compile: {why}")]
    CompileLimit {
        /// Which limit.
        why: String,
    },
    /// It imports something that nobody offers or its owner may not have.
    #[error("imports {interface}, {why}")]
    ForbiddenImport {
        /// The import.
        interface: String,
        /// Why not, with the cure.
        why: String,
    },
    /// It asks for another version of the package.
    #[error(
        "{interface} is of version {asked}; this host offers {VERSION}: set the switchboard-guest-sdk in Cargo.toml to {VERSION}"
    )]
    WrongVersion {
        /// The interface.
        interface: String,
        /// The version that the component was built for.
        asked: String,
    },
    /// It exports nothing that this host calls.
    #[error(
        "exports none of the interfaces router, streamer, responder, webhook, auth-policy, template, sender-route; implement one and export it with the SDK's export_router!, export_streamer!, export_responder!, export_webhook!, export_auth_policy!, export_template! or export_sender_route!"
    )]
    NoKnownInterface,
    /// Too many imports or exports.
    #[error("has {items} {what}; the limit is {ITEMS_MAX}")]
    TooManyItems {
        /// How many.
        items: usize,
        /// Imports or exports.
        what: &'static str,
    },
    /// The shapes of its functions are not those of the package.
    #[error("does not fit {PACKAGE}@{VERSION}: {why}")]
    WrongType {
        /// What does not fit.
        why: String,
    },
    /// It failed when it was tried.
    #[error("failed its trial call of {call}: {why}")]
    TrialFailed {
        /// Which call.
        call: &'static str,
        /// How.
        why: String,
    },
    /// What it declares cannot be used.
    #[error("declares {what}: {why}")]
    BadDeclaration {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
}

impl InspectError {
    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::NotWasm => "not_wasm",
            Self::Precompiled => "precompiled",
            Self::CoreModule => "core_module",
            Self::Invalid { .. } => "invalid_component",
            Self::CompileLimit { .. } => "compile_limit",
            Self::ForbiddenImport { .. } => "forbidden_import",
            Self::WrongVersion { .. } => "wrong_version",
            Self::NoKnownInterface => "no_known_interface",
            Self::TooManyItems { .. } => "too_many_items",
            Self::WrongType { .. } => "wrong_type",
            Self::TrialFailed { .. } => "trial_failed",
            Self::BadDeclaration { .. } => "bad_declaration",
        }
    }
}

/// What the first bytes already tell.
pub(crate) fn inspect_bytes(bytes: &[u8], bytes_max: usize) -> Result<(), InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if bytes.len() > bytes_max {
        return Err(InspectError::TooLarge { bytes: bytes.len(), bytes_max });
    }
    // Compiled code is an ELF file.
    if bytes.starts_with(b"\x7fELF") || Engine::detect_precompiled(bytes).is_some() {
        return Err(InspectError::Precompiled);
    }
    match bytes.first_chunk::<8>() {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(InspectError::CoreModule),
        _ => Err(InspectError::NotWasm),
    }
}

/// What a component exports that this host knows.
pub(crate) struct Exports {
    /// What it serves, in the order of [`INTERFACES`].
    pub(crate) interfaces: Vec<String>,
    /// Whether it checks its configuration.
    pub(crate) configurable: bool,
}

/// Looks at imports and exports.
pub(crate) fn inspect_items(engine: &Engine, component: &Component, owner: Owner) -> Result<Exports, InspectError> {
    let shape = component.component_type();
    let items = shape.imports(engine).len();
    if items > ITEMS_MAX {
        return Err(InspectError::TooManyItems { items, what: "imports" });
    }
    for (name, _) in shape.imports(engine) {
        inspect_import(name, owner)?;
    }
    let items = shape.exports(engine).len();
    if items > ITEMS_MAX {
        return Err(InspectError::TooManyItems { items, what: "exports" });
    }
    let (mut known, mut configurable) = (Vec::new(), false);
    for (name, item) in shape.exports(engine) {
        let Some((interface, version)) = of_package(name) else { continue };
        if !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            continue;
        }
        check_version(name, version)?;
        if INTERFACES.contains(&interface) {
            known.push(interface.to_owned());
        }
        configurable |= interface == CONFIGURABLE;
    }
    // Compilers write exports in any order.
    known.sort_by_key(|known| INTERFACES.iter().position(|interface| interface == known));
    if known.is_empty() { Err(InspectError::NoKnownInterface) } else { Ok(Exports { interfaces: known, configurable }) }
}

/// The interface and version of a name such as `switchboard:plugin/log@0.1.0`.
fn of_package(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    Some((interface, version))
}

fn check_version(name: &str, version: &str) -> Result<(), InspectError> {
    // Below 1.0 every minor version is a break; a patch is none.
    let line = |version: &str| version.rsplit_once('.').map(|(line, _)| line.to_owned());
    if line(version) == line(VERSION) {
        return Ok(());
    }
    Err(InspectError::WrongVersion { interface: name.to_owned(), asked: version.to_owned() })
}

fn inspect_import(name: &str, owner: Owner) -> Result<(), InspectError> {
    let refuse = |why: &str| Err(InspectError::ForbiddenImport { interface: name.to_owned(), why: why.to_owned() });
    if let Some((interface, version)) = of_package(name) {
        check_version(name, version)?;
        if !IMPORTS.contains(&interface) {
            return refuse(
                "which this host does not have: build against the switchboard-guest-sdk of this host, or remove what calls it",
            );
        }
        if OPERATOR_IMPORTS.contains(&interface) && owner == Owner::Tenant {
            return refuse(
                "which only the operator's plugins may have: remove what calls it, or let the operator install the plugin with the operator's key",
            );
        }
        return Ok(());
    }
    let package = name.split('/').next().unwrap_or_default();
    if WASI_PACKAGES.contains(&package) {
        return Ok(());
    }
    refuse(
        "which no plugin may have: plugins import switchboard:plugin and WASI p2, without wasi:http; remove the dependency that needs it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_by_name() {
        let refused = |bytes: &[u8]| inspect_bytes(bytes, 100).unwrap_err();
        assert_eq!(refused(b""), InspectError::Empty);
        assert_eq!(refused(b"PK\x03\x04zip"), InspectError::NotWasm);
        assert_eq!(refused(b"\0asm"), InspectError::NotWasm);
        assert_eq!(refused(b"\0asm\x01\0\0\0"), InspectError::CoreModule);
        assert_eq!(refused(b"\x7fELF...."), InspectError::Precompiled);
        assert_eq!(refused(&[0; 101]), InspectError::TooLarge { bytes: 101, bytes_max: 100 });
        assert_eq!(inspect_bytes(b"\0asm\x0d\0\x01\0", 100), Ok(()));
    }

    #[test]
    fn imports_are_refused_with_the_cure() {
        assert_eq!(inspect_import("switchboard:plugin/log@0.1.0", Owner::Tenant), Ok(()));
        assert_eq!(inspect_import("wasi:io/streams@0.2.3", Owner::Tenant), Ok(()));
        assert_eq!(inspect_import("switchboard:plugin/keys@0.1.0", Owner::Operator), Ok(()));
        let code = |name| inspect_import(name, Owner::Tenant).unwrap_err().code();
        assert_eq!(code("switchboard:plugin/keys@0.1.0"), "forbidden_import");
        assert_eq!(code("wasi:http/outgoing-handler@0.2.3"), "forbidden_import");
        assert_eq!(code("switchboard:plugin/teleport@0.1.0"), "forbidden_import");
        let error = inspect_import("switchboard:plugin/log@0.2.0", Owner::Tenant).unwrap_err().to_string();
        assert!(error.contains("0.2.0") && error.contains("0.1.0"), "{error}");
    }
}
