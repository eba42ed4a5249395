//! Why an uploaded component was refused: a name for programs, words for people, and the line to change.

use std::fmt;

use super::names::{PACKAGE, VERSION};

/// Where components of Rust come from, as a command.
const BUILD: &str = "cargo build --release --target wasm32-wasip2";

/// Why an uploaded component was refused. Shown to its owner as is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InspectError {
    /// No bytes.
    Empty,
    /// Over the size limit.
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not WebAssembly.
    NotWasm,
    /// Machine code.
    Precompiled,
    /// A core module.
    CoreModule,
    /// WebAssembly of a version that this host does not read.
    UnknownEncoding {
        /// The version that the file names.
        version: u16,
        /// The layer that the file names; 1 is that of components.
        layer: u16,
    },
    /// The file ends before one of its sections does.
    Truncated {
        /// Its size.
        bytes: usize,
        /// Where the section that is cut off would end.
        needed: usize,
    },
    /// It does not validate or compile.
    Invalid {
        /// What the validator or the compiler said.
        why: String,
    },
    /// It uses a proposal of WebAssembly that this host does not run.
    UnsupportedFeature {
        /// What the validator said.
        why: String,
        /// Whether it is the component model's own concurrency.
        concurrency: bool,
    },
    /// Compilation used too much.
    CompileLimit {
        /// Which limit.
        why: String,
    },
    /// It imports what this host does not offer to anybody.
    UnknownImport {
        /// The import.
        interface: String,
        /// The function of it, where that alone is unknown.
        function: Option<String>,
        /// What is offered in its place.
        offered: String,
    },
    /// It imports what its owner may not have.
    ForbiddenImport {
        /// The import.
        interface: String,
    },
    /// It asks for another version of a package.
    WrongVersion {
        /// The interface, with its version.
        interface: String,
        /// The version that the component was built for.
        asked: String,
        /// The version that this host offers.
        offered: &'static str,
    },
    /// It exports nothing that this host calls.
    NoKnownInterface {
        /// What it exports instead, shortened.
        exports: String,
    },
    /// It exports an interface of the package that the package does not have.
    UnknownExport {
        /// The interface.
        interface: String,
    },
    /// Too many of its parts.
    TooManyItems {
        /// How many.
        items: usize,
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The shapes of its functions are not those of the package.
    WrongType {
        /// The interface; empty when only linking tells.
        interface: String,
        /// What does not fit.
        why: String,
    },
    /// It failed when it was tried.
    TrialFailed {
        /// Which call, or [`InspectError::START`].
        call: &'static str,
        /// How.
        why: String,
    },
    /// What it declares cannot be used.
    BadDeclaration {
        /// What.
        what: String,
        /// Why not.
        why: String,
    },
}

impl InspectError {
    /// What a component is tried in that has nothing to say when it is loaded.
    pub const START: &'static str = "start";

    /// A name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::NotWasm => "not_wasm",
            Self::Precompiled => "precompiled",
            Self::CoreModule => "core_module",
            Self::UnknownEncoding { .. } => "unknown_encoding",
            Self::Truncated { .. } => "truncated",
            Self::Invalid { .. } => "invalid_component",
            Self::UnsupportedFeature { .. } => "unsupported_feature",
            Self::CompileLimit { .. } => "compile_limit",
            Self::UnknownImport { .. } => "unknown_import",
            Self::ForbiddenImport { .. } => "forbidden_import",
            Self::WrongVersion { .. } => "wrong_version",
            Self::NoKnownInterface { .. } => "no_known_interface",
            Self::UnknownExport { .. } => "unknown_export",
            Self::TooManyItems { .. } => "too_many_items",
            Self::WrongType { .. } => "wrong_type",
            Self::TrialFailed { .. } => "trial_failed",
            Self::BadDeclaration { .. } => "bad_declaration",
        }
    }

    /// The interface that it is about, as the component names it.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::UnknownImport { interface, .. }
            | Self::ForbiddenImport { interface }
            | Self::WrongVersion { interface, .. }
            | Self::UnknownExport { interface }
            | Self::WrongType { interface, .. } => Some(interface).filter(|name| !name.is_empty()).map(String::as_str),
            _ => None,
        }
    }

    /// The version that was asked for, and the one that is offered.
    pub fn versions(&self) -> Option<(&str, &str)> {
        match self {
            Self::WrongVersion { asked, offered, .. } => Some((asked, offered)),
            _ => None,
        }
    }

    /// What to change in the plugin's sources or its build; nothing where the words before say it already.
    pub fn change(&self) -> Option<String> {
        let sdk = || {
            format!("in Cargo.toml set switchboard-guest-sdk to {VERSION}, or in WIT take the package {PACKAGE}@{VERSION}")
        };
        Some(match self {
            Self::Empty => "send the bytes of a component".to_owned(),
            Self::NotWasm => "upload the .wasm file that the build made; of cargo it lies below target/wasm32-wasip2/release".to_owned(),
            Self::Precompiled => "upload the component itself and the host compiles it".to_owned(),
            Self::CoreModule => {
                format!("in Rust build with: {BUILD}; of other modules make a component first, as componentize-qjs and componentize-py do")
            }
            Self::Truncated { .. } => "upload the whole file".to_owned(),
            Self::UnsupportedFeature { concurrency: true, .. } => {
                "make exports and imports plain functions; with componentize-qjs build with --sync".to_owned()
            }
            Self::UnsupportedFeature { .. } => {
                "build with the compiler's default target features (in Rust, without target-feature flags)".to_owned()
            }
            Self::UnknownImport { interface, .. } if interface.starts_with(PACKAGE) => sdk(),
            Self::UnknownImport { interface, .. } if interface.starts_with("wasi:") => {
                format!("in Rust build with: {BUILD}; elsewhere choose the world of WASI 0.2 without what needs this")
            }
            Self::UnknownImport { .. } => "remove the import, or what in the world or the dependencies brings it".to_owned(),
            Self::ForbiddenImport { .. } => {
                "remove what calls it, or let the operator install the plugin with the operator's key".to_owned()
            }
            Self::WrongVersion { interface, .. } if interface.starts_with(PACKAGE) => sdk(),
            Self::WrongVersion { offered, .. } => {
                format!("in Rust build with: {BUILD}; elsewhere choose a world of WASI {offered} or earlier of 0.2")
            }
            Self::NoKnownInterface { .. } => {
                "implement one and export it: in Rust with the SDK's macro of its name, such as export_responder!, elsewhere \
                 with the world of its name, such as responder-plugin"
                    .to_owned()
            }
            Self::UnknownExport { .. } => "remove the export from the world".to_owned(),
            // What only linking tells is a function of WASI.
            Self::WrongType { interface, .. } if interface.is_empty() => {
                format!("in Rust build with: {BUILD}; elsewhere choose a world of an earlier WASI 0.2")
            }
            Self::WrongType { .. } => sdk(),
            Self::TooLarge { .. }
            | Self::UnknownEncoding { .. }
            | Self::Invalid { .. }
            | Self::CompileLimit { .. }
            | Self::TooManyItems { .. }
            | Self::TrialFailed { .. }
            | Self::BadDeclaration { .. } => return None,
        })
    }

    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the upload is empty"),
            Self::TooLarge { bytes, bytes_max } => write!(f, "the component is {bytes} bytes; the limit is {bytes_max}"),
            Self::NotWasm => write!(f, "not a WebAssembly component: it does not begin with \\0asm"),
            Self::Precompiled => write!(f, "precompiled code is never accepted"),
            Self::CoreModule => write!(f, "a core module, not a component"),
            Self::UnknownEncoding { version, layer } => {
                write!(f, "WebAssembly of version {version}, layer {layer}; this host reads components, version 13, layer 1")
            }
            Self::Truncated { bytes, needed } => {
                write!(f, "the file ends after {bytes} bytes, within a section that ends at {needed}")
            }
            Self::Invalid { why } => write!(f, "the component is not valid: {why}"),
            Self::UnsupportedFeature { why, .. } => write!(f, "uses what this host does not run: {why}"),
            Self::CompileLimit { why } => write!(f, "the component takes too much to compile: {why}"),
            Self::UnknownImport { interface, function: Some(function), offered } => {
                write!(f, "imports {function} of {interface}, which this host does not have; it has {offered}")
            }
            Self::UnknownImport { interface, function: None, offered } => {
                write!(f, "imports {interface}, which this host does not have; it has {offered}")
            }
            Self::ForbiddenImport { interface } => {
                write!(f, "imports {interface}, which only the operator's plugins may have")
            }
            Self::WrongVersion { interface, asked, offered } => {
                write!(f, "{interface} is of version {asked}; this host offers {offered}")
            }
            Self::NoKnownInterface { exports } => {
                let known = super::INTERFACES.join(", ");
                write!(f, "exports none of the interfaces {known} of {PACKAGE}, but {exports}")
            }
            Self::UnknownExport { interface } => {
                let known = super::INTERFACES.join(", ");
                write!(f, "exports {interface}, which this host does not know; it calls {known}")
            }
            Self::TooManyItems { items, what, max } => write!(f, "has {items} {what}; the limit is {max}"),
            Self::WrongType { interface, why } if interface.is_empty() => {
                write!(f, "does not fit this host: {why}")
            }
            Self::WrongType { interface, why } => write!(f, "{interface} is not the one of this host: {why}"),
            Self::TrialFailed { call, why } if *call == Self::START => write!(f, "failed to start in its trial: {why}"),
            Self::TrialFailed { call, why } => write!(f, "failed its trial call of {call}: {why}"),
            Self::BadDeclaration { what, why } => write!(f, "declares {what}: {why}"),
        }
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tell(f)?;
        match self.change() {
            Some(change) => write!(f, "; {change}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for InspectError {}
