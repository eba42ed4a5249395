//! Looks at an uploaded component before anything is compiled, and refuses it by name, with the line to change.
//!
//! All of it is a pure function of the bytes, and needs no engine. The bodies of functions are left to the compiler.

mod error;
mod instances;
mod names;
mod shapes;
mod sizes;

use serde::Serialize;
use switchboard_core::storage::ARTIFACT_BYTES_MAX;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, ValidPayload, Validator, WasmFeatures};

pub use error::InspectError;
pub use names::{INTERFACES, ItemName};
pub use sizes::{SMALL_BYTES_MAX, Sizes};

use crate::log::short_words;
use instances::InstanceCount;
use names::Exported;

/// Imports or exports of one component.
const ITEMS_MAX: usize = 256;
/// The last kind of section that components have.
const SECTION_KIND_MAX: u8 = 12;
/// What wasmtime is set up to run, see `engine::compile_config`; what is over here would be refused by the compiler.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Who uploads: it decides what may be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The operator of the host.
    Operator,
    /// A tenant.
    Tenant,
}

/// What a component is, read off its bytes. It has not been compiled, and its functions have not been looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What it serves, in the order of [`INTERFACES`].
    pub interfaces: Vec<String>,
    /// Whether it checks its configuration.
    pub configurable: bool,
    /// Whether its responder says what it wants to be told of.
    pub subscriber: bool,
    /// Everything that it imports, in its order.
    pub imports: Vec<ItemName>,
    /// Everything that it exports, in its order; what this host does not know of other packages is never called.
    pub exports: Vec<ItemName>,
    /// What it is made of.
    pub sizes: Sizes,
}

impl Inspection {
    /// Whether `owner` may upload it.
    ///
    /// # Errors
    /// [`InspectError::ForbiddenImport`].
    pub fn permit(&self, owner: Owner) -> Result<(), InspectError> {
        self.imports.iter().try_for_each(|item| names::permit(item, owner))
    }
}

/// Looks at a component of at most 32 MiB: at its form, its sizes, and the names, versions and types of what it imports and exports.
/// It may take a while: some ms for each MiB.
///
/// # Errors
/// Whatever keeps the component from being a plugin of this host, whoever uploads it.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    check_head(bytes)?;
    check_whole(bytes)?;
    let read = Read::new(bytes)?;
    let inspection = read.judge()?;
    Ok(inspection)
}

/// What the first bytes already tell.
fn check_head(bytes: &[u8]) -> Result<(), InspectError> {
    if bytes.is_empty() {
        return Err(InspectError::Empty);
    }
    if bytes.len() > ARTIFACT_BYTES_MAX {
        return Err(InspectError::TooLarge { bytes: bytes.len(), bytes_max: ARTIFACT_BYTES_MAX });
    }
    // Compiled code is an ELF file.
    if bytes.starts_with(b"\x7fELF") {
        return Err(InspectError::Precompiled);
    }
    match *bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(InspectError::CoreModule),
        [0, b'a', b's', b'm', v0, v1, l0, l1, ..] => {
            let (version, layer) = (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([l0, l1]));
            Err(InspectError::UnknownEncoding { version, layer })
        }
        _ => Err(InspectError::NotWasm),
    }
}

/// Whether every section ends where the file does or before: an upload that was cut off is told as such.
fn check_whole(bytes: &[u8]) -> Result<(), InspectError> {
    // The magic number and the version.
    let mut at = 8;
    while let Some(kind) = bytes.get(at) {
        if *kind > SECTION_KIND_MAX {
            // Not cut off but wrong, which the parser tells.
            return Ok(());
        }
        // A section is its kind, the length of the rest in LEB128, and the rest.
        let (mut length, mut shift) = (0_u64, 0);
        at += 1;
        loop {
            let Some(byte) = bytes.get(at) else {
                return Err(InspectError::Truncated { bytes: bytes.len(), needed: at + 1 });
            };
            at += 1;
            length |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 28 {
                break;
            }
        }
        at = at.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if at > bytes.len() {
            return Err(InspectError::Truncated { bytes: bytes.len(), needed: at });
        }
    }
    Ok(())
}

/// A component that validates.
struct Read {
    imports: Vec<ItemName>,
    exports: Vec<ItemName>,
    sizes: Sizes,
    types: Types,
}

impl Read {
    fn new(bytes: &[u8]) -> Result<Self, InspectError> {
        let mut sizes = Sizes::new(bytes.len());
        let (mut imports, mut exports, mut types) = (Vec::new(), Vec::new(), None);
        let mut validator = Validator::new_with_features(FEATURES);
        let mut parser = Parser::new(0);
        parser.set_features(FEATURES);
        let (mut depth, mut instances) = (0_usize, InstanceCount::default());
        for payload in parser.parse_all(bytes) {
            let payload = payload.map_err(|error| invalid(&error))?;
            sizes.count(&payload).map_err(|error| invalid(&error))?;
            sizes.check()?;
            instances.count(&payload).map_err(|error| invalid(&error))?;
            match &payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::ComponentImportSection(section) if depth == 0 => {
                    let names = section.clone().into_iter().map(|import| Ok(ItemName::parse(import?.name.name)));
                    collect(&mut imports, names, "imports")?;
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    let names = section.clone().into_iter().map(|export| Ok(ItemName::parse(export?.name.name)));
                    collect(&mut exports, names, "exports")?;
                }
                _ => {}
            }
            if let ValidPayload::End(ended) = validator.payload(&payload).map_err(|error| invalid(&error))? {
                depth = depth.saturating_sub(1);
                // The last one to end is the component itself.
                types = Some(ended);
            }
        }
        sizes.instances = instances.total();
        let types = types.ok_or(InspectError::Invalid { why: "it has no end".to_owned() })?;
        Ok(Self { imports, exports, sizes, types })
    }

    /// Judges every import and every export that is ours.
    fn judge(self) -> Result<Inspection, InspectError> {
        let types = self.types.as_ref();
        for item in &self.imports {
            names::judge_import(item)?;
            if let Some(ComponentEntityType::Instance(instance)) = types.component_item_for_import(&item.name).map(|i| i.ty)
            {
                shapes::check_import(types, item, instance)?;
            }
        }
        let (mut interfaces, mut configurable, mut subscriber) = (Vec::new(), false, false);
        for item in &self.exports {
            let Some(interface) = item.of_package() else { continue };
            let exported = names::judge_export(item, interface)?;
            let Some(ComponentEntityType::Instance(instance)) = types.component_item_for_export(&item.name).map(|i| i.ty)
            else {
                return Err(InspectError::WrongType { interface: item.name.clone(), why: "it is no interface".to_owned() });
            };
            shapes::check_export(types, item, instance)?;
            match exported {
                Exported::Configurable => configurable = true,
                Exported::Subscriber => subscriber = true,
                Exported::Served => interfaces.push(interface.to_owned()),
            }
        }
        if interfaces.is_empty() {
            return Err(InspectError::NoKnownInterface { exports: listed(&self.exports) });
        }
        // Compilers write exports in any order.
        interfaces.sort_by_key(|known| INTERFACES.iter().position(|interface| interface == known));
        let Self { imports, exports, sizes, .. } = self;
        Ok(Inspection { interfaces, configurable, subscriber, imports, exports, sizes })
    }
}

fn collect(
    items: &mut Vec<ItemName>,
    names: impl Iterator<Item = wasmparser::Result<ItemName>>,
    what: &'static str,
) -> Result<(), InspectError> {
    for name in names {
        items.push(name.map_err(|error| invalid(&error))?);
        if items.len() > ITEMS_MAX {
            return Err(InspectError::TooManyItems { items: items.len(), what, max: ITEMS_MAX });
        }
    }
    Ok(())
}

/// The first of some names, in words.
fn listed(items: &[ItemName]) -> String {
    /// Names that are told.
    const TOLD: usize = 5;
    if items.is_empty() {
        return "nothing at all".to_owned();
    }
    let names: Vec<&str> = items.iter().take(TOLD).map(|item| item.name.as_str()).collect();
    let more = if items.len() > TOLD { format!(" and {} more", items.len() - TOLD) } else { String::new() };
    short_words(&format!("{}{more}", names.join(", ")))
}

fn invalid(error: &wasmparser::Error) -> InspectError {
    let why = short_words(&error.to_string());
    match error.missing_wasm_feature() {
        Some(missing) => {
            let concurrency = missing.intersects(WasmFeatures::CM_ASYNC.union(WasmFeatures::CM_ASYNC_STACKFUL));
            InspectError::UnsupportedFeature { why, concurrency }
        }
        None => InspectError::Invalid { why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_by_name() {
        let refused = |bytes: &[u8]| inspect(bytes).unwrap_err();
        assert_eq!(refused(b""), InspectError::Empty);
        assert_eq!(refused(b"PK\x03\x04zip"), InspectError::NotWasm);
        assert_eq!(refused(b"\0asm"), InspectError::NotWasm);
        assert_eq!(refused(b"\0asm\x01\0\0\0"), InspectError::CoreModule);
        assert_eq!(refused(b"\0asm\x0e\0\x01\0"), InspectError::UnknownEncoding { version: 14, layer: 1 });
        assert_eq!(refused(b"\x7fELF...."), InspectError::Precompiled);
        assert_eq!(refused(b"\0asm\x0d\0\x01\0").code(), "no_known_interface");
    }

    #[test]
    fn a_file_that_ends_within_a_section_says_how_much_is_missing() {
        let section = [b"\0asm\x0d\0\x01\0".as_slice(), &[0, 0x90, 0x01, 1, b'x']].concat();
        assert_eq!(inspect(&section), Err(InspectError::Truncated { bytes: 13, needed: 11 + 144 }));
        assert_eq!(inspect(&section[..9]), Err(InspectError::Truncated { bytes: 9, needed: 10 }));
        assert_eq!(inspect(&section[..10]), Err(InspectError::Truncated { bytes: 10, needed: 11 }));
    }
}
