//! Every refusal of an upload, its code and its words, from real bytes. The table is a golden file: `UPDATE_GOLDEN=1` writes it
//! anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use switchboard_core::storage::ARTIFACT_BYTES_MAX;
use switchboard_runtime::{CompileError, Compiler, Owner, Runtime, add_section, inspect};
use switchboard_tests::components::replaced;

use crate::stage::{component, context, runtime, settings};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/refusals.txt");
/// What says which codes there are.
const CODES: &str = include_str!("../../../host/runtime/src/inspect/error.rs");
const AUTO_REPLY: &str = env!("PLUGIN_AUTO_REPLY");
const HOSTILE: &str = env!("GUEST_HOSTILE");
const IMPORTS_KEYS: &str = env!("GUEST_IMPORTS_KEYS");
const NO_INTERFACE: &str = env!("GUEST_NO_INTERFACE");

/// What is wrong with an upload, and the upload.
type Upload = (&'static str, Vec<u8>);

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// What is no component that could be read.
fn unreadable() -> Vec<Upload> {
    // Of a size that no path in its debug information can change.
    let mut whole = wat("(component)");
    add_section(&mut whole, "ballast", &[0; 20_000]);
    vec![
        ("no bytes", Vec::new()),
        ("a zip file", b"PK\x03\x04".to_vec()),
        ("a component as text", b"(component)".to_vec()),
        ("machine code", b"\x7fELF\x02\x01\x01\0".to_vec()),
        ("a core module", wat("(module)")),
        ("a component of another version", b"\0asm\x0e\0\x01\0".to_vec()),
        ("more bytes than are taken", vec![0; ARTIFACT_BYTES_MAX + 1]),
        ("half a file", whole[..10_000].to_vec()),
        ("a file without its last byte", wat("(component (component))")[..10].to_vec()),
        ("garbage after a good beginning", [b"\0asm\x0d\0\x01\0".as_slice(), &[0xff; 100]].concat()),
        ("a component that does not validate", {
            // A type that is not there.
            [wat("(component)").as_slice(), &[10, 6, 1, 0, 1, b'x', 1, 9]].concat()
        }),
        ("64-bit memory", wat("(component (core module (memory i64 1)))")),
        ("a future", wat("(component (type (future u32)))")),
        ("too many components in it", wat(&format!("(component {})", "(component)".repeat(257)))),
        ("too many imports", {
            let imports: String = (0..257).map(|n| format!("(import \"f{n}\" (func))")).collect();
            wat(&format!("(component {imports})"))
        }),
    ]
}

/// A component that imports `items` of the interface `name`.
fn importing(name: &str, items: &str) -> Vec<u8> {
    wat(&format!("(component (import \"{name}\" (instance {items})))"))
}

/// A component whose `responder` has a function `event-kinds` of this type, and no other.
fn responder(result: &str, core_result: &str) -> Vec<u8> {
    wat(&format!(
        "(component
           (core module $m (memory (export \"memory\") 1) (func (export \"k\") {core_result} unreachable))
           (core instance $i (instantiate $m))
           (func $k {result} (canon lift (core func $i \"k\") (memory $i \"memory\")))
           (instance $r (export \"event-kinds\" (func $k)))
           (export \"switchboard:plugin/responder@0.1.0\" (instance $r)))"
    ))
}

/// What imports something that it cannot have.
fn importers() -> Vec<Upload> {
    let log = "switchboard:plugin/log@0.1.0";
    let auto_reply = component(AUTO_REPLY);
    vec![
        ("a version of ours that is not offered", replaced(&auto_reply, b"plugin/config@0.1.0", b"plugin/config@0.9.0")),
        ("no version of ours", importing("switchboard:plugin/log", "")),
        ("an interface of ours that is not there", importing("switchboard:plugin/teleport@0.1.0", "")),
        ("a function of ours that is not there", importing(log, "(export \"shout\" (func (param \"message\" string)))")),
        ("a number where ours has an enum", {
            importing(log, "(export \"write\" (func (param \"level\" u32) (param \"message\" string)))")
        }),
        ("an enum with other cases", {
            let level = "(type $l (enum \"debug\" \"info\" \"error\")) (export \"level\" (type $e (eq $l)))";
            importing(log, &format!("{level} (export \"write\" (func (param \"level\" $e) (param \"message\" string)))"))
        }),
        ("a function with too few parameters", { importing(log, "(export \"write\" (func (param \"message\" string)))") }),
        ("a WASI that comes later", importing("wasi:io/streams@0.3.0", "")),
        ("a WASI before it was one", importing("wasi:io/streams@0.2.0-rc-2023-11-10", "")),
        ("an interface of WASI that is not there", importing("wasi:clocks/sundial@0.2.0", "")),
        ("a proposal of WASI", importing("wasi:nn/tensor@0.2.0-rc-2024-10-28", "")),
        ("a function of WASI that is not there", replaced(&auto_reply, b"get-environment", b"set-environment")),
        ("somebody else's interface", importing("acme:tools/hammer@1.0.0", "")),
        ("a function on its own", wat("(component (import \"helper\" (func)))")),
    ]
}

/// What exports something that it cannot.
fn exporters() -> Vec<Upload> {
    vec![
        ("no exports", wat("(component)")),
        ("exports of no known interface", component(NO_INTERFACE)),
        ("an interface of ours that is not known", {
            wat("(component (instance $i) (export \"switchboard:plugin/telepath@0.1.0\" (instance $i)))")
        }),
        ("an export of a version that is not offered", {
            wat("(component (instance $i) (export \"switchboard:plugin/responder@0.2.0\" (instance $i)))")
        }),
        ("an export without a function", {
            wat("(component (instance $i) (export \"switchboard:plugin/responder@0.1.0\" (instance $i)))")
        }),
        ("an export with another result", responder("(result u32)", "(result i32)")),
        ("an export with a result too few", responder("", "")),
        ("an export with a list of something else", responder("(result (list u8))", "(result i32)")),
    ]
}

async fn refused(runtime: &Runtime, bytes: &[u8], owner: Owner, config: &str) -> (&'static str, String) {
    match runtime.load(bytes, owner, &context(None, config)).await {
        Err(CompileError::Refused(error)) => (error.code(), error.to_string()),
        other => panic!("{config}: {other:?}"),
    }
}

/// What a compiler comes to that ends in the middle, as it does at its limits.
async fn compile_limit() -> (&'static str, String) {
    // It looks for the program `compile-component`, and ends with a code of its own.
    let program = "/usr/bin/env".into();
    let mut settings = settings(1);
    settings.compiler = Compiler::Child { program };
    refused(&runtime(settings), &component(AUTO_REPLY), Owner::Tenant, "{}").await
}

#[tokio::test]
async fn every_refusal_says_what_is_wrong_and_what_to_change() {
    let runtime = runtime(settings(1));
    let mut told = Vec::new();
    for (what, bytes) in [unreadable(), importers(), exporters()].concat() {
        told.push((what, refused(&runtime, &bytes, Owner::Tenant, "{}").await));
    }
    told.push(("keys of a tenant's plugin", refused(&runtime, &component(IMPORTS_KEYS), Owner::Tenant, "{}").await));
    told.push(("a trap in its trial", refused(&runtime, &component(HOSTILE), Owner::Tenant, "\"trap\"").await));
    told.push(("a method that is none", refused(&runtime, &component(HOSTILE), Owner::Tenant, "\"bad-method\"").await));
    told.push(("a compilation that ends in the middle", compile_limit().await));

    let (_, codes) = CODES.split_once("pub fn code(&self)").unwrap();
    let (codes, _) = codes.split_once("\n    }\n").unwrap();
    let codes: BTreeSet<&str> = codes.split('"').skip(1).step_by(2).collect();
    assert_eq!(told.iter().map(|(_, (code, _))| *code).collect::<BTreeSet<_>>(), codes, "there is an upload for each");

    let mut table = String::new();
    for (what, (code, words)) in told {
        writeln!(table, "{what}\n  {code}\n  {words}\n").unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &table).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).expect("run once with UPDATE_GOLDEN=1");
    assert_eq!(table, golden, "run with UPDATE_GOLDEN=1 if this is what owners of plugins shall see from now on");
}

#[test]
fn what_is_refused_by_its_bytes_needs_no_compiler() {
    for (what, bytes) in [unreadable(), importers(), exporters()].concat() {
        let told = inspect(&bytes).map(|_| ());
        // Which functions WASI has is known to the linker alone.
        assert_eq!(told.is_ok(), what == "a function of WASI that is not there", "{what}: {told:?}");
    }
}

#[test]
fn an_inspection_tells_what_a_component_needs_and_serves() {
    let inspection = inspect(&component(HOSTILE)).unwrap();
    assert_eq!(inspection.interfaces, ["router", "responder", "webhook"]);
    assert!(!inspection.configurable && inspect(&component(AUTO_REPLY)).unwrap().configurable);
    let imports: Vec<_> = inspection.imports.iter().filter_map(|item| item.interface.as_deref()).collect();
    assert!(imports.contains(&"log") && imports.contains(&"sessions"), "{imports:?}");
    let log = inspection.imports.iter().find(|item| item.interface.as_deref() == Some("log")).unwrap();
    assert_eq!((log.package.as_deref(), log.version.as_deref()), (Some("switchboard:plugin"), Some("0.1.0")));
    let sizes = inspection.sizes;
    assert_eq!((sizes.bytes, sizes.memories), (component(HOSTILE).len(), 1));
    assert!(sizes.code_bytes > 10_000 && sizes.memory_bytes >= 1 << 20 && sizes.modules >= 1, "{sizes:?}");
    assert!(sizes.instances >= sizes.modules && sizes.functions > 100 && sizes.tables >= 1, "{sizes:?}");
}
