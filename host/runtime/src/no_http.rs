//! `wasi:http` for components that import it without need, as those of JavaScript do: every request is denied. Plugins that may
//! ask others do so through the host's own `http`.
//!
//! Nothing of a request is kept. Its resources are empty, and a function answers that requests are denied, where its type can say
//! so, or the least that its type can say.

use wasmtime::component::types::{ComponentItem, Type, Variant};
use wasmtime::component::{Component, Linker, Resource, ResourceType, Val};
use wasmtime::{Engine, StoreContextMut};

use crate::call::CallState;

/// What interfaces of it begin with.
const INTERFACES: &str = "wasi:http/";
/// The resources of `wasi:http/types`; what else it names belongs to `wasi:io`.
const RESOURCES: [&str; 11] = [
    "fields",
    "future-incoming-response",
    "future-trailers",
    "incoming-body",
    "incoming-request",
    "incoming-response",
    "outgoing-body",
    "outgoing-request",
    "outgoing-response",
    "request-options",
    "response-outparam",
];
/// The case of `error-code` that says so.
const DENIED: &str = "HTTP-request-denied";

/// What every resource of `wasi:http` is.
struct Nothing;

/// Whether a component imports any of it.
pub(crate) fn is_imported(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.starts_with(INTERFACES))
}

/// Links what a component imports of it.
pub(crate) fn link(linker: &mut Linker<CallState>, engine: &Engine, component: &Component) -> wasmtime::Result<()> {
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        if !name.starts_with(INTERFACES) {
            continue;
        }
        let mut linked = linker.instance(name)?;
        for (name, item) in interface.exports(engine) {
            match item.ty {
                ComponentItem::Resource(_) if RESOURCES.contains(&name) => {
                    linked.resource(name, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(_) => linked.func_new(name, |mut store, function, given, results| {
                    store.data_mut().count()?;
                    for value in given {
                        // What was lent must be back when the function ends, and what was given is not kept.
                        if let Val::Resource(handle) = value {
                            handle.try_into_resource::<Nothing>(&mut store)?;
                        }
                    }
                    for (result, shape) in results.iter_mut().zip(function.results()) {
                        *result = least(&mut store, &shape)?;
                    }
                    Ok(())
                })?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// The least that a type can say, and of errors that requests are denied.
fn least(store: &mut StoreContextMut<'_, CallState>, shape: &Type) -> wasmtime::Result<Val> {
    Ok(match shape {
        Type::Bool => Val::Bool(false),
        Type::U8 => Val::U8(0),
        Type::U16 => Val::U16(0),
        Type::U32 => Val::U32(0),
        Type::U64 => Val::U64(0),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Tuple(tuple) => {
            let values: wasmtime::Result<_> = tuple.types().map(|shape| least(store, &shape)).collect();
            Val::Tuple(values?)
        }
        Type::Result(result) => match result.err() {
            Some(Type::Variant(error)) if says_denied(&error) => Val::Result(Err(Some(Box::new(denied())))),
            _ => match result.ok() {
                Some(ok) => Val::Result(Ok(Some(Box::new(least(store, &ok)?)))),
                None => Val::Result(Ok(None)),
            },
        },
        Type::Variant(variant) if says_denied(variant) => denied(),
        // The method of a request that never came.
        Type::Variant(_) => Val::Variant("get".to_owned(), None),
        Type::Own(resource) if *resource == ResourceType::host::<Nothing>() => {
            Val::Resource(Resource::<Nothing>::new_own(0).try_into_resource_any(store)?)
        }
        // A stream of a body that goes nowhere.
        _ => return Err(wasmtime::Error::msg("wasi:http is denied: there is nobody to send to")),
    })
}

fn says_denied(error: &Variant) -> bool {
    error.cases().any(|case| case.name == DENIED)
}

fn denied() -> Val {
    Val::Variant(DENIED.to_owned(), None)
}
