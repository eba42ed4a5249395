//! Declarations of a WIT package for TypeScript, as componentize-qjs hands its values to JavaScript: what an editor knows of the
//! contract.
//!
//! Each interface is a module by its full name, such as `switchboard:plugin/kv@0.1.0`. What an export has to be is the type of the
//! interface's own name in it, such as `Responder`.

use std::path::Path;

use wit_parser::{Case, Docs, Function, Interface, Resolve, Type, TypeDef, TypeDefKind, TypeId};

/// Why there are no declarations.
pub type TypesError = Box<dyn std::error::Error>;

/// Words that cannot name a function or a parameter.
const RESERVED: [&str; 12] =
    ["arguments", "case", "default", "delete", "enum", "export", "function", "import", "in", "new", "null", "with"];

/// The declarations of the package in a folder.
///
/// # Errors
/// When it is no WIT package, or has what no plugin has: resources, futures, streams.
pub fn declarations(folder: &Path) -> Result<String, TypesError> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder)?;
    of_package(&resolve, package)
}

fn of_package(resolve: &Resolve, package: wit_parser::PackageId) -> Result<String, TypesError> {
    let package = resolve.packages.get(package).ok_or("there is no such package")?;
    let mut text = "// The contract of plugins, as JavaScript sees it. Made of the files in sdk/wit.\n".to_owned();
    for id in package.interfaces.values() {
        let interface = resolve.interfaces.get(*id).ok_or("there is no such interface")?;
        let name = resolve.id_of(*id).ok_or("an interface has no name")?;
        text.push('\n');
        docs(&mut text, "", &interface.docs);
        text.push_str(&format!("declare module {name:?} {{\n"));
        for (name, id) in &interface.types {
            let def = resolve.types.get(*id).ok_or("there is no such type")?;
            docs(&mut text, "  ", &def.docs);
            text.push_str(&declared(resolve, *id, name, def)?);
        }
        functions(&mut text, resolve, interface)?;
        text.push_str("  export {};\n}\n");
    }
    Ok(text)
}

/// The functions of an interface: as imports, and as what an export has to be.
fn functions(text: &mut String, resolve: &Resolve, interface: &Interface) -> Result<(), TypesError> {
    let mut members = String::new();
    for (name, function) in &interface.functions {
        let (name, signature) = (camel(name), signature(resolve, function)?);
        docs(text, "  ", &function.docs);
        docs(&mut members, "    ", &function.docs);
        members.push_str(&format!("    {name}{signature};\n"));
        if RESERVED.contains(&name.as_str()) {
            text.push_str(&format!("  function {name}_{signature};\n  export {{ {name}_ as {name} }};\n"));
        } else {
            text.push_str(&format!("  export function {name}{signature};\n"));
        }
    }
    let own = pascal(interface.name.as_deref().unwrap_or_default());
    if !interface.functions.is_empty() {
        if interface.types.keys().any(|name| pascal(name) == own) {
            return Err(format!("{own} names the interface and a type in it").into());
        }
        text.push_str(&format!("  export interface {own} {{\n{members}  }}\n"));
    }
    Ok(())
}

fn signature(resolve: &Resolve, function: &Function) -> Result<String, TypesError> {
    let mut parameters = Vec::with_capacity(function.params.len());
    for parameter in &function.params {
        let name = camel(&parameter.name);
        let end = if RESERVED.contains(&name.as_str()) { "_" } else { "" };
        parameters.push(format!("{name}{end}: {}", written(resolve, &parameter.ty)?));
    }
    let result = match &function.result {
        None => "void".to_owned(),
        // What is an error is thrown.
        Some(result) => match result_of(resolve, result) {
            Some(ok) => ok.map_or_else(|| Ok("void".to_owned()), |ok| written(resolve, ok))?,
            None => written(resolve, result)?,
        },
    };
    Ok(format!("({}): {result}", parameters.join(", ")))
}

/// What a `result` is when it is well.
fn result_of<'a>(resolve: &'a Resolve, of: &Type) -> Option<Option<&'a Type>> {
    let Type::Id(id) = of else { return None };
    match &resolve.types.get(*id)?.kind {
        TypeDefKind::Result(result) => Some(result.ok.as_ref()),
        _ => None,
    }
}

/// A named type of an interface.
fn declared(resolve: &Resolve, id: TypeId, name: &str, def: &TypeDef) -> Result<String, TypesError> {
    let own = pascal(name);
    Ok(match &def.kind {
        TypeDefKind::Record(record) => {
            let mut text = format!("  export interface {own} {{\n");
            for field in &record.fields {
                docs(&mut text, "    ", &field.docs);
                text.push_str(&format!("    {}: {};\n", camel(&field.name), written(resolve, &field.ty)?));
            }
            text.push_str("  }\n");
            text
        }
        TypeDefKind::Variant(variant) => {
            let mut text = format!("  export type {own} =\n");
            for Case { name, ty, docs: about, .. } in &variant.cases {
                docs(&mut text, "    ", about);
                let value = ty.as_ref().map(|ty| written(resolve, ty)).transpose()?;
                let value = value.map_or_else(String::new, |value| format!("; val: {value}"));
                text.push_str(&format!("    | {{ tag: {name:?}{value} }}\n"));
            }
            format!("{};\n", text.trim_end())
        }
        TypeDefKind::Enum(cases) => {
            let names: Vec<String> = cases.cases.iter().map(|case| format!("{:?}", case.name)).collect();
            format!("  export type {own} = {};\n", names.join(" | "))
        }
        TypeDefKind::Flags(flags) => {
            let names: Vec<String> = flags.flags.iter().map(|flag| format!("{}?: boolean", camel(&flag.name))).collect();
            format!("  export type {own} = {{ {} }};\n", names.join("; "))
        }
        // Of another interface, or another name for something.
        TypeDefKind::Type(of) => format!("  export type {own} = {};\n", of_module(resolve, of)?),
        _ => format!("  export type {own} = {};\n", written_kind(resolve, id)?),
    })
}

/// A type that is taken over, by the module that it is from.
fn of_module(resolve: &Resolve, of: &Type) -> Result<String, TypesError> {
    let Type::Id(id) = of else { return written(resolve, of) };
    let def = resolve.types.get(*id).ok_or("there is no such type")?;
    match (&def.name, def.owner) {
        (Some(name), wit_parser::TypeOwner::Interface(owner)) => {
            let module = resolve.id_of(owner).ok_or("an interface has no name")?;
            Ok(format!("import({module:?}).{}", pascal(name)))
        }
        _ => written(resolve, of),
    }
}

/// A type where it is used.
fn written(resolve: &Resolve, of: &Type) -> Result<String, TypesError> {
    Ok(match of {
        Type::Bool => "boolean".to_owned(),
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::S8 | Type::S16 | Type::S32 | Type::S64 => "number".to_owned(),
        Type::F32 | Type::F64 => "number".to_owned(),
        Type::Char | Type::String => "string".to_owned(),
        Type::Id(id) => match resolve.types.get(*id).and_then(|def| def.name.as_ref()) {
            Some(name) => pascal(name),
            None => written_kind(resolve, *id)?,
        },
        Type::ErrorContext => return Err("an error context is nothing that plugins have".into()),
    })
}

/// A type without a name.
fn written_kind(resolve: &Resolve, id: TypeId) -> Result<String, TypesError> {
    let def = resolve.types.get(id).ok_or("there is no such type")?;
    Ok(match &def.kind {
        TypeDefKind::Option(of) => format!("{} | null", written(resolve, of)?),
        TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
        TypeDefKind::List(of) => {
            let of = written(resolve, of)?;
            if of.contains(' ') { format!("({of})[]") } else { format!("{of}[]") }
        }
        TypeDefKind::Tuple(tuple) => {
            let types: Result<Vec<String>, TypesError> = tuple.types.iter().map(|of| written(resolve, of)).collect();
            format!("[{}]", types?.join(", "))
        }
        TypeDefKind::Result(result) => {
            let of = |of: &Option<Type>| of.as_ref().map_or_else(|| Ok("undefined".to_owned()), |of| written(resolve, of));
            let (ok, err) = (of(&result.ok)?, of(&result.err)?);
            format!("{{ tag: \"ok\"; val: {ok} }} | {{ tag: \"err\"; val: {err} }}")
        }
        TypeDefKind::Type(of) => written(resolve, of)?,
        other => return Err(format!("a {} is nothing that plugins have", other.as_str()).into()),
    })
}

fn docs(text: &mut String, indent: &str, docs: &Docs) {
    let Some(contents) = &docs.contents else { return };
    let lines: Vec<String> = contents.trim().lines().map(|line| line.trim().replace("*/", "* /")).collect();
    match lines.as_slice() {
        [line] => text.push_str(&format!("{indent}/** {line} */\n")),
        lines => {
            text.push_str(&format!("{indent}/**\n"));
            for line in lines {
                text.push_str(format!("{indent} * {line}").trim_end());
                text.push('\n');
            }
            text.push_str(&format!("{indent} */\n"));
        }
    }
}

/// `now-ms` as JavaScript has it: `nowMs`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capital(word))
}

/// `host-error` as the name of a type: `HostError`.
fn pascal(name: &str) -> String {
    name.split('-').map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut symbols = word.chars();
    symbols.next().map(|first| first.to_ascii_uppercase().to_string() + symbols.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = r#"
        package test:types@1.2.3;

        /// Numbers and names.
        interface basics {
            /// How it stands.
            enum level { low, very-high }
            record part {
                /// In bytes.
                size-bytes: u64,
                name: option<string>,
                raw: list<u8>,
                levels: list<option<level>>,
            }
            variant error-kind { gone, invalid(part), pair(tuple<u32, string>) }
            read: func(first-part: part, new: bool) -> result<list<part>, error-kind>;
            delete: func();
        }

        interface answers {
            use basics.{part};
            answer: func(part: part) -> result<_, string>;
            all: func() -> list<result<u32, string>>;
        }
    "#;

    fn of(wit: &str) -> Result<String, TypesError> {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("test.wit", wit)?;
        of_package(&resolve, package)
    }

    #[test]
    fn every_kind_of_type_is_declared_as_javascript_has_it() {
        let expected = r#"
/** Numbers and names. */
declare module "test:types/basics@1.2.3" {
  /** How it stands. */
  export type Level = "low" | "very-high";
  export interface Part {
    /** In bytes. */
    sizeBytes: number;
    name: string | null;
    raw: Uint8Array;
    levels: (Level | null)[];
  }
  export type ErrorKind =
    | { tag: "gone" }
    | { tag: "invalid"; val: Part }
    | { tag: "pair"; val: [number, string] };
  export function read(firstPart: Part, new_: boolean): Part[];
  function delete_(): void;
  export { delete_ as delete };
  export interface Basics {
    read(firstPart: Part, new_: boolean): Part[];
    delete(): void;
  }
  export {};
}

declare module "test:types/answers@1.2.3" {
  export type Part = import("test:types/basics@1.2.3").Part;
  export function answer(part: Part): void;
  export function all(): ({ tag: "ok"; val: number } | { tag: "err"; val: string })[];
  export interface Answers {
    answer(part: Part): void;
    all(): ({ tag: "ok"; val: number } | { tag: "err"; val: string })[];
  }
  export {};
}
"#;
        let made = of(WIT).unwrap();
        let (_, made) = made.split_once('\n').unwrap();
        assert_eq!(made, expected);
    }

    #[test]
    fn what_plugins_do_not_have_is_refused() {
        let refused = of("package test:types; interface a { resource b; }").unwrap_err().to_string();
        assert_eq!(refused, "a resource is nothing that plugins have");
        let refused = of("package test:types; interface a { record a { b: bool } c: func() -> a; }").unwrap_err();
        assert_eq!(refused.to_string(), "A names the interface and a type in it");
    }
}
