//! Holds the functions of a component against the WIT package of this host: the same parameters and results, at every depth.
//!
//! Names of parameters do not matter, since calls go by their order; names of fields and cases do.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use wasmparser::component_types::{
    ComponentAnyTypeId, ComponentDefinedType, ComponentDefinedTypeId, ComponentEntityType, ComponentFuncType,
    ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::names::KebabString;
use wasmparser::types::{Types, TypesRef};
use wasmparser::{ComponentExternalKind, Parser, Payload, ValidPayload, Validator};

use super::InspectError;
use super::names::{ItemName, PACKAGE, VERSION};

/// The package as types, encoded by the build script.
const ENCODED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plugin-package.wasm"));
/// The same, read once.
static PACKAGE_SHAPES: LazyLock<Option<PackageShapes>> = LazyLock::new(|| PackageShapes::read(ENCODED).ok().flatten());

/// The interfaces of the package.
struct PackageShapes {
    types: Types,
    interfaces: HashMap<String, ComponentInstanceTypeId>,
}

impl PackageShapes {
    fn read(encoded: &[u8]) -> wasmparser::Result<Option<Self>> {
        let mut validator = Validator::new();
        let (mut names, mut types) = (Vec::new(), None);
        for payload in Parser::new(0).parse_all(encoded) {
            let payload = payload?;
            if let Payload::ComponentExportSection(exports) = &payload {
                for export in exports.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Type {
                        names.push(export.name.name);
                    }
                }
            }
            if let ValidPayload::End(whole) = validator.payload(&payload)? {
                types = Some(whole);
            }
        }
        let Some(types) = types else { return Ok(None) };
        let found = |name: &&str| {
            let instance = instance_of(&types, name)?;
            Some(((*name).to_owned(), instance))
        };
        let interfaces = names.iter().filter_map(found).collect();
        Ok(Some(Self { types, interfaces }))
    }
}

/// In the encoding an interface is the type of a component that exports it under its whole name.
fn instance_of(types: &Types, name: &str) -> Option<ComponentInstanceTypeId> {
    let ComponentEntityType::Type { referenced: ComponentAnyTypeId::Component(id), .. } =
        types.component_item_for_export(name)?.ty
    else {
        return None;
    };
    match types[id].exports.get(&format!("{PACKAGE}/{name}@{VERSION}"))?.ty {
        ComponentEntityType::Instance(instance) => Some(instance),
        _ => None,
    }
}

/// Whether the component can do with what the host offers: every function that it imports is there, and is the same.
pub(super) fn check_import(
    types: TypesRef<'_>,
    item: &ItemName,
    instance: ComponentInstanceTypeId,
) -> Result<(), InspectError> {
    let Some((shapes, wanted)) = shapes_of(item) else { return Ok(()) };
    let pair = Pair::new(types, &shapes.types);
    for (name, id) in functions(types, instance) {
        let Some(offered) = function(shapes.types.as_ref(), wanted, name) else {
            let offered = functions(shapes.types.as_ref(), wanted).map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            let (interface, function) = (item.name.clone(), Some(short_name(name)));
            return Err(InspectError::UnknownImport { interface, function, offered });
        };
        pair.check(item, name, id, offered)?;
    }
    Ok(())
}

/// Whether the host can call the component: every function of the interface is there, and is the same.
pub(super) fn check_export(
    types: TypesRef<'_>,
    item: &ItemName,
    instance: ComponentInstanceTypeId,
) -> Result<(), InspectError> {
    let Some((shapes, wanted)) = shapes_of(item) else { return Ok(()) };
    let pair = Pair::new(types, &shapes.types);
    for (name, offered) in functions(shapes.types.as_ref(), wanted) {
        let Some(given) = function(types, instance, name) else {
            return Err(wrong(item, format!("it lacks the function {name}")));
        };
        pair.check(item, name, given, offered)?;
    }
    Ok(())
}

fn shapes_of(item: &ItemName) -> Option<(&'static PackageShapes, ComponentInstanceTypeId)> {
    let shapes = PACKAGE_SHAPES.as_ref()?;
    Some((shapes, *shapes.interfaces.get(item.of_package()?)?))
}

fn functions(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> impl Iterator<Item = (&str, ComponentFuncTypeId)> {
    let exports = types.get(instance).into_iter().flat_map(|instance| instance.exports.iter());
    exports.filter_map(|(name, item)| match item.ty {
        ComponentEntityType::Func(id) => Some((name.as_str(), id)),
        _ => None,
    })
}

fn function(types: TypesRef<'_>, instance: ComponentInstanceTypeId, name: &str) -> Option<ComponentFuncTypeId> {
    match types.get(instance)?.exports.get(name)?.ty {
        ComponentEntityType::Func(id) => Some(id),
        _ => None,
    }
}

fn wrong(item: &ItemName, why: String) -> InspectError {
    InspectError::WrongType { interface: item.name.clone(), why }
}

/// A name as it is shown: what was uploaded may be called anything.
fn short_name(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Types of the component beside those of the package.
struct Pair<'a> {
    given: TypesRef<'a>,
    wanted: TypesRef<'a>,
    /// Pairs that were found equal: types are shared, and need one look.
    equal: std::cell::RefCell<HashSet<(ComponentDefinedTypeId, ComponentDefinedTypeId)>>,
}

impl<'a> Pair<'a> {
    fn new(given: TypesRef<'a>, wanted: &'a Types) -> Self {
        Self { given, wanted: wanted.as_ref(), equal: std::cell::RefCell::default() }
    }

    fn check(
        &self,
        item: &ItemName,
        name: &str,
        given: ComponentFuncTypeId,
        wanted: ComponentFuncTypeId,
    ) -> Result<(), InspectError> {
        let differs = |why: String| wrong(item, format!("{name}: {why}"));
        let (Some(given), Some(wanted)) = (self.given.get(given), self.wanted.get(wanted)) else {
            return Err(differs("it has no type".to_owned()));
        };
        self.functions(given, wanted).map_err(differs)
    }

    fn functions(&self, given: &ComponentFuncType, wanted: &ComponentFuncType) -> Result<(), String> {
        if given.async_ != wanted.async_ {
            return Err("it is async; a plain function is expected".to_owned());
        }
        if given.params.len() != wanted.params.len() {
            return Err(format!("it has {} parameters; {} are expected", given.params.len(), wanted.params.len()));
        }
        for ((_, given), (name, wanted)) in given.params.iter().zip(&wanted.params) {
            self.values(*given, *wanted, name.as_str())?;
        }
        self.optional(given.result, wanted.result, "the result")
    }

    fn optional(&self, given: Option<ComponentValType>, wanted: Option<ComponentValType>, at: &str) -> Result<(), String> {
        match (given, wanted) {
            (None, None) => Ok(()),
            (Some(given), Some(wanted)) => self.values(given, wanted, at),
            (Some(_), None) => Err(format!("{at} has a value; none is expected")),
            (None, Some(_)) => Err(format!("{at} has no value; one is expected")),
        }
    }

    fn values(&self, given: ComponentValType, wanted: ComponentValType, at: &str) -> Result<(), String> {
        if let (ComponentValType::Type(given), ComponentValType::Type(wanted)) = (given, wanted)
            && self.equal.borrow().contains(&(given, wanted))
        {
            return Ok(());
        }
        let (Some(given_type), Some(wanted_type)) = (defined(self.given, given), defined(self.wanted, wanted)) else {
            return Err(format!("{at} has no type"));
        };
        self.defined(&given_type, &wanted_type, at)?;
        if let (ComponentValType::Type(given), ComponentValType::Type(wanted)) = (given, wanted) {
            self.equal.borrow_mut().insert((given, wanted));
        }
        Ok(())
    }

    fn defined(&self, given: &ComponentDefinedType, wanted: &ComponentDefinedType, at: &str) -> Result<(), String> {
        use ComponentDefinedType as Type;
        match (given, wanted) {
            (Type::Primitive(given), Type::Primitive(wanted)) if given == wanted => Ok(()),
            (Type::Record(given), Type::Record(wanted)) => {
                same_names("field", given.fields.keys().map(text), wanted.fields.keys().map(text), at)?;
                for ((name, wanted), given) in wanted.fields.iter().zip(given.fields.values()) {
                    self.values(*given, *wanted, &format!("{at}.{name}"))?;
                }
                Ok(())
            }
            (Type::Variant(given), Type::Variant(wanted)) => {
                same_names("case", given.cases.keys().map(text), wanted.cases.keys().map(text), at)?;
                for ((name, wanted), given) in wanted.cases.iter().zip(given.cases.values()) {
                    self.optional(given.ty, wanted.ty, &format!("{at}.{name}"))?;
                }
                Ok(())
            }
            (Type::Enum(given), Type::Enum(wanted)) => {
                same_names("case", given.iter().map(text), wanted.iter().map(text), at)
            }
            (Type::Flags(given), Type::Flags(wanted)) => {
                same_names("flag", given.iter().map(text), wanted.iter().map(text), at)
            }
            (Type::List { element: given, .. }, Type::List { element: wanted, .. }) => {
                self.values(*given, *wanted, &format!("{at}[]"))
            }
            (Type::Tuple(given), Type::Tuple(wanted)) if given.types.len() == wanted.types.len() => {
                for (n, (given, wanted)) in given.types.iter().zip(&wanted.types).enumerate() {
                    self.values(*given, *wanted, &format!("{at}.{n}"))?;
                }
                Ok(())
            }
            (Type::Option { ty: given, .. }, Type::Option { ty: wanted, .. }) => self.values(*given, *wanted, at),
            (Type::Result { ok: given, err: given_err, .. }, Type::Result { ok: wanted, err: wanted_err, .. }) => {
                self.optional(*given, *wanted, &format!("{at}.ok"))?;
                self.optional(*given_err, *wanted_err, &format!("{at}.err"))
            }
            _ => Err(format!("{at} is {}; {} is expected", words(given), words(wanted))),
        }
    }
}

fn defined(types: TypesRef<'_>, value: ComponentValType) -> Option<ComponentDefinedType> {
    match value {
        ComponentValType::Primitive(primitive) => Some(ComponentDefinedType::Primitive(primitive)),
        ComponentValType::Type(id) => types.get(id).cloned(),
    }
}

/// Whether fields, cases or flags are the same, in the same order.
fn same_names<'a>(
    what: &str,
    mut given: impl Iterator<Item = &'a str>,
    mut wanted: impl Iterator<Item = &'a str>,
    at: &str,
) -> Result<(), String> {
    loop {
        return match (given.next(), wanted.next()) {
            (None, None) => Ok(()),
            (Some(given), Some(wanted)) if given == wanted => continue,
            (Some(given), Some(wanted)) => {
                Err(format!("{at} has the {what} {} where {wanted} is expected", short_name(given)))
            }
            (Some(given), None) => Err(format!("{at} has the {what} {}, which is not expected", short_name(given))),
            (None, Some(wanted)) => Err(format!("{at} lacks the {what} {wanted}")),
        };
    }
}

fn text(name: &KebabString) -> &str {
    name.as_str()
}

fn words(shape: &ComponentDefinedType) -> String {
    use ComponentDefinedType as Type;
    match shape {
        Type::Primitive(primitive) => primitive.to_string(),
        Type::Record(_) => "a record".to_owned(),
        Type::Variant(_) => "a variant".to_owned(),
        Type::List { .. } => "a list".to_owned(),
        Type::Map { .. } => "a map".to_owned(),
        Type::FixedLengthList { length, .. } => format!("a list of {length}"),
        Type::Tuple(tuple) => format!("a tuple of {}", tuple.types.len()),
        Type::Flags(_) => "flags".to_owned(),
        Type::Enum(_) => "an enum".to_owned(),
        Type::Option { .. } => "an option".to_owned(),
        Type::Result { .. } => "a result".to_owned(),
        Type::Own(_) | Type::Borrow(_) => "a resource".to_owned(),
        Type::Future { .. } => "a future".to_owned(),
        Type::Stream { .. } => "a stream".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::INTERFACES;
    use super::*;

    #[test]
    fn the_package_is_known_with_everything_that_is_called() {
        let shapes = PACKAGE_SHAPES.as_ref().unwrap();
        for interface in INTERFACES {
            let instance = shapes.interfaces.get(interface).unwrap();
            assert!(functions(shapes.types.as_ref(), *instance).next().is_some(), "{interface}");
        }
        assert!(shapes.interfaces.contains_key("types"));
    }
}
