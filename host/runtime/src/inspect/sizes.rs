//! What a component is made of: counted while it is read, and bounded before anything is compiled.

use serde::Serialize;
use switchboard_core::records::plugin::SizeClass;
use wasmparser::{MemoryType, Payload};

use super::InspectError;
use crate::limits::CallLimits;

/// Largest component of the small class. Interpreters that are made for this have 1 to 2 MiB, full ones more than 10.
pub const SMALL_BYTES_MAX: usize = 4 * 1024 * 1024;
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
    /// Core instances, those of components that are instantiated in it included.
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

    /// The class in which it runs, where calls have these limits. A small component does not stay small if it needs from the
    /// start more than small ones may have.
    ///
    /// # Errors
    /// [`InspectError::TooManyItems`] with what it needs more of than even large ones may have.
    pub fn class(&self, small: &CallLimits, large: &CallLimits) -> Result<SizeClass, InspectError> {
        if self.bytes <= SMALL_BYTES_MAX && self.beyond(small).is_none() {
            return Ok(SizeClass::Small);
        }
        match self.beyond(large) {
            None => Ok(SizeClass::Large),
            Some((items, what, max)) => Err(InspectError::TooManyItems { items, what, max }),
        }
    }

    fn beyond(&self, limits: &CallLimits) -> Option<(usize, &'static str, usize)> {
        let counts = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let needs = [
            (self.instances, "instances of core modules", limits.instances_max),
            (self.memories, "memories", limits.memories_max),
            (self.tables, "tables", limits.tables_max),
            (counts(self.table_elements), "elements in a table from the start", limits.table_elements_max),
            (counts(self.memory_bytes), "bytes of memory from the start", limits.memory_bytes_max),
        ];
        needs.into_iter().find(|(needed, _, max)| needed > max)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_small_as_long_as_it_needs_no_more_than_small_ones_may_have() {
        let (small, large) = (CallLimits::default(), CallLimits::large());
        let class = |sizes: Sizes| sizes.class(&small, &large).map_err(|error| error.to_string());
        let least = Sizes { bytes: 100_000, instances: 3, memories: 1, tables: 2, ..Sizes::default() };
        assert_eq!(class(least), Ok(SizeClass::Small));
        assert_eq!(class(Sizes { bytes: SMALL_BYTES_MAX, ..least }), Ok(SizeClass::Small));
        for needy in [
            Sizes { bytes: SMALL_BYTES_MAX + 1, ..least },
            Sizes { instances: small.instances_max + 1, ..least },
            Sizes { memories: small.memories_max + 1, ..least },
            Sizes { tables: small.tables_max + 1, ..least },
            Sizes { table_elements: 20_001, ..least },
            Sizes { memory_bytes: (64 << 20) + 1, ..least },
        ] {
            assert_eq!(class(needy), Ok(SizeClass::Large), "{needy:?}");
        }
        let words = class(Sizes { memory_bytes: 4 << 30, ..least }).unwrap_err();
        assert_eq!(words, "has 4294967296 bytes of memory from the start; the limit is 268435456");
    }
}
