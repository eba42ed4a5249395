//! How many core instances a component comes to. A component within may be instantiated over and over, by others that are: the
//! count doubles with every few bytes.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Instance, Payload,
};

/// Counts while a component is read.
#[derive(Default)]
pub(super) struct InstanceCount {
    /// The components around what is read now, the outermost first.
    around: Vec<Part>,
    /// What was counted of the component itself.
    total: u64,
    /// The most that one instance of a component within comes to.
    largest: u64,
}

/// A component or a core module that is being read.
struct Part {
    is_component: bool,
    /// Core instances of one instance of it.
    instances: u64,
    /// The same of each component in its index space.
    components: Vec<u64>,
}

impl InstanceCount {
    /// The core instances of the component that was read, with those of everything in it.
    pub(super) fn total(&self) -> usize {
        usize::try_from(self.total).unwrap_or(usize::MAX)
    }

    pub(super) fn count(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding, .. } => {
                let is_component = *encoding == wasmparser::Encoding::Component;
                self.around.push(Part { is_component, instances: 0, components: Vec::new() });
            }
            Payload::End(_) => self.end(),
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    self.add(u64::from(matches!(instance?, Instance::Instantiate { .. })));
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.add(self.of_component(0, component_index));
                    }
                }
            }
            Payload::ComponentAliasSection(section) => {
                for alias in section.clone() {
                    match alias? {
                        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                            self.have(self.of_component(count, index));
                        }
                        // Whichever it is, it is none larger than the largest.
                        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
                            self.have(self.largest);
                        }
                        _ => {}
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section.clone() {
                    if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                        self.have(self.largest);
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        self.have(self.of_component(0, export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What was read last ends.
    fn end(&mut self) {
        let Some(part) = self.around.pop().filter(|part| part.is_component) else { return };
        self.largest = self.largest.max(part.instances);
        match self.around.last_mut() {
            Some(outer) => outer.components.push(part.instances),
            None => self.total = part.instances,
        }
    }

    fn add(&mut self, instances: u64) {
        if let Some(part) = self.around.last_mut() {
            part.instances = part.instances.saturating_add(instances);
        }
    }

    /// One more component in the index space of the one that is read.
    fn have(&mut self, instances: u64) {
        if let Some(part) = self.around.last_mut() {
            part.components.push(instances);
        }
    }

    /// What one instance of a component comes to, that many components further out. What is not there is refused by others.
    fn of_component(&self, outwards: u32, index: u32) -> u64 {
        let part = usize::try_from(outwards).ok().and_then(|outwards| self.around.iter().rev().nth(outwards));
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        part.and_then(|part| part.components.get(index)).copied().unwrap_or_default()
    }
}
