//! What a component is made of: counted while it is read, and bounded before anything is compiled.

use serde::Serialize;
use wasmparser::{Instance, MemoryType, Payload};

use super::InspectError;

/// Core modules of one component. The largest known guest, an interpreter with its libraries, has some forty.
const MODULES_MAX: usize = 256;
/// Components within one component.
const COMPONENTS_MAX: usize = 256;
/// Types of a component and of everything in it.
const TYPES_MAX: usize = 100_000;
/// Functions of all core modules.
const FUNCTIONS_MAX: usize = 500_000;
/// Bytes of a page of linear memory.
const PAGE_BYTES: u64 = 64 * 1024;

/// What a component is made of, everything in it included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Bytes of the component.
    pub bytes: usize,
    /// Bytes of the code of its core modules.
    pub code_bytes: usize,
    /// Core modules.
    pub modules: usize,
    /// Components in it.
    pub components: usize,
    /// Core modules that are instantiated.
    pub instances: usize,
    /// Functions of its core modules.
    pub functions: usize,
    /// Linear memories.
    pub memories: usize,
    /// Bytes that its memories have from the start.
    pub memory_bytes: u64,
    /// Tables.
    pub tables: usize,
    /// Elements that its largest table has from the start.
    pub table_elements: u64,
    /// Types.
    pub types: usize,
}

impl Sizes {
    pub(super) fn new(bytes: usize) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Counts what one payload brings.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ModuleSection { .. } => self.modules += 1,
            Payload::ComponentSection { .. } => self.components += 1,
            Payload::TypeSection(section) => self.types += to_usize(section.count()),
            Payload::CoreTypeSection(section) => self.types += to_usize(section.count()),
            Payload::ComponentTypeSection(section) => self.types += to_usize(section.count()),
            Payload::FunctionSection(section) => self.functions += to_usize(section.count()),
            Payload::CodeSectionStart { size, .. } => self.code_bytes += to_usize(*size),
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    self.instances += usize::from(matches!(instance?, Instance::Instantiate { .. }));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    self.memories += 1;
                    self.memory_bytes = self.memory_bytes.saturating_add(bytes_of(memory?));
                }
            }
            Payload::TableSection(section) => {
                for table in section.clone() {
                    self.tables += 1;
                    self.table_elements = self.table_elements.max(table?.ty.initial);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses what no component needs, so that reading the rest is soon done.
    pub(super) fn check(&self) -> Result<(), InspectError> {
        for (items, what, max) in [
            (self.modules, "core modules", MODULES_MAX),
            (self.components, "components in it", COMPONENTS_MAX),
            (self.types, "types", TYPES_MAX),
            (self.functions, "functions", FUNCTIONS_MAX),
        ] {
            if items > max {
                return Err(InspectError::TooManyItems { items, what, max });
            }
        }
        Ok(())
    }
}

fn bytes_of(memory: MemoryType) -> u64 {
    memory.initial.saturating_mul(PAGE_BYTES)
}

fn to_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
