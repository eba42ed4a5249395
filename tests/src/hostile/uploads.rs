//! Cases of the suite that are no plugins, or none that anybody may run.

use switchboard_core::storage::ARTIFACT_BYTES_MAX;
use switchboard_runtime::{GRANTS_SECTION, OPENAPI_SECTION, add_section};

use super::bytes::{COMPONENT, component, leb, list, name, section};
use super::modules::{Module, PLAIN, policy};
use super::{Case, Deed};
use crate::components::{bytes, replaced};

const fn case(name: &'static str, deed: Deed, words: &'static str) -> Case {
    Case { name, deed, words }
}

/// Text that becomes a component.
macro_rules! wat {
    ($text:expr) => {
        Deed::Component(|| wat::parse_str($text).unwrap())
    };
}

/// A plain plugin whose module has something more.
macro_rules! having {
    ($($field:ident: $value:expr),+) => {
        Deed::Component(|| Module { $($field: $value,)+ ..PLAIN }.component())
    };
}

/// So many parts, written one after the other around a component.
fn repeated(count: usize, part: impl Fn(usize) -> String) -> Vec<u8> {
    let parts: String = (0..count).map(part).collect();
    wat::parse_str(format!("(component {parts})")).unwrap()
}

/// A plugin that carries this in a custom section.
fn carrying(section: &str, content: &[u8]) -> Vec<u8> {
    let mut plugin = PLAIN.component();
    add_section(&mut plugin, section, content);
    plugin
}

fn hostile() -> Vec<u8> {
    bytes(env!("GUEST_HOSTILE"))
}

/// A component within a component within a component.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| component(&[section(4, &inner)]))
}

/// A million of what a section lists, each with a name.
fn million_named(kind: u8, rest: &[u8]) -> Vec<u8> {
    let function_type = section(7, &[1, 0x40, 0, 1, 0]);
    component(&[function_type, list(kind, 1_000_000, |n| [[0].as_slice(), &name(&format!("n{n}")), rest].concat())])
}

/// What is wrong with the bytes themselves.
pub(super) const BYTES: &[Case] = &[
    case("no_bytes__is_refused_as_empty", Deed::Component(Vec::new), ""),
    case("a_zip_file__is_refused_as_not_wasm", Deed::Component(|| b"PK\x03\x04\x14\0\0\0\x08\0".repeat(1000)), ""),
    case("a_gzip_bomb__is_refused_as_not_wasm", Deed::Component(|| b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()), ""),
    case("a_tar_with_paths_upwards__is_refused_as_not_wasm", Deed::Component(|| b"../../etc/passwd\0".repeat(100)), ""),
    case("a_core_module__is_refused_as_core_module", wat!("(module)"), ""),
    case("a_wrong_layer__is_refused_as_unknown_encoding", Deed::Component(|| b"\0asm\x0d\0\x02\0".to_vec()), ""),
    case("a_wrong_magic_number__is_refused_as_not_wasm", Deed::Component(|| b"\0bsm\x0d\0\x01\0".to_vec()), ""),
    case("machine_code__is_refused_as_precompiled", Deed::Component(|| b"\x7fELF\x02\x01\x01\0".repeat(500)), ""),
    case(
        "machine_code_behind_a_good_beginning__is_refused_as_invalid_component",
        Deed::Component(|| [COMPONENT.as_slice(), b"\x7fELF\x02\x01\x01\0"].concat()),
        "",
    ),
    case("machine_code_in_a_custom_section__is_answered", Deed::Component(|| carrying(".text", &[0xcc; 100_000])), ""),
    case("a_file_of_50_mb__is_refused_as_too_large", Deed::Component(|| vec![0; 50_000_000]), ""),
    case(
        "a_custom_section_of_100_mb__is_refused_as_too_large",
        Deed::Component(|| carrying("x", &vec![0; 100_000_000])),
        "",
    ),
    case(
        "a_custom_section_as_large_as_may_be__is_answered",
        Deed::Component(|| {
            let plugin = PLAIN.component();
            carrying("x", &vec![0; ARTIFACT_BYTES_MAX - plugin.len() - 16])
        }),
        "",
    ),
    case(
        "a_section_that_promises_4_gib__is_refused_as_truncated",
        Deed::Component(|| [COMPONENT.as_slice(), &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']].concat()),
        "",
    ),
    case("a_component_cut_in_half__is_refused_as_truncated", Deed::Component(|| hostile()[..50_000].to_vec()), ""),
    case(
        "a_component_without_its_last_byte__is_refused_as_truncated",
        Deed::Component(|| {
            let mut plugin = PLAIN.component();
            plugin.pop();
            plugin
        }),
        "",
    ),
    case(
        "control_characters_in_the_section_of_names__traps",
        Deed::Component(|| {
            let trap = Module { respond: "unreachable", more: "(func $\"\\1b[2J\\0d\\0aforged\")", ..PLAIN };
            let mut plugin = trap.component();
            add_section(&mut plugin, "name", b"\x00\x08\x07\x1b[2J\r\n\0");
            plugin
        }),
        "unreachable",
    ),
    case(
        "control_characters_in_an_import__is_refused_as_invalid_component",
        wat!("(component (import \"a\\1b[2J\\0aforged\" (func)))"),
        "",
    ),
    case(
        "a_path_upwards_as_an_export__is_refused_as_invalid_component",
        wat!(
            "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) \
           (func $f (canon lift (core func $i \"f\"))) (export \"../../etc/passwd\" (func $f)))"
        ),
        "",
    ),
];

/// What it is made of.
pub(super) const ITEMS: &[Case] = &[
    case("10000_components_within_each_other__is_refused_as_too_many_items", Deed::Component(|| nested(10_000)), ""),
    case(
        "10000_components_beside_each_other__is_refused_as_too_many_items",
        Deed::Component(|| component(&vec![section(4, &COMPONENT); 10_000])),
        "",
    ),
    case(
        "10000_core_modules__is_refused_as_too_many_items",
        Deed::Component(|| component(&vec![section(1, b"\0asm\x01\0\0\0"); 10_000])),
        "",
    ),
    case(
        "a_million_types__is_refused_as_too_many_items",
        Deed::Component(|| component(&[list(7, 1_000_000, |_| vec![0x7f])])),
        "",
    ),
    case("a_million_imports__is_refused_as_too_many_items", Deed::Component(|| million_named(10, &[1, 0])), ""),
    case("a_million_exports__is_refused_as_too_many_items", Deed::Component(|| million_named(11, &[1, 0, 0])), ""),
    case(
        "a_section_that_promises_4_billion_types__is_refused_as_too_many_items",
        Deed::Component(|| component(&[section(7, &leb(4_000_000_000))])),
        "",
    ),
    case(
        "types_that_double_40_times__is_refused_as_invalid_component",
        Deed::Component(|| {
            repeated(40, |n| match n {
                0 => "(type $t0 (tuple string string))".to_owned(),
                n => format!("(type $t{n} (tuple $t{} $t{}))", n - 1, n - 1),
            })
        }),
        "",
    ),
    case(
        "4_gib_of_memory_from_the_start__is_refused_as_too_many_items",
        having!(
            memory: "(memory (export \"memory\") 65536)"
        ),
        "bytes of memory from the start",
    ),
    case(
        "90_memories__is_refused_as_too_many_items",
        Deed::Component(|| {
            let memories = "(memory 1)".repeat(90);
            let more: &'static str = Box::leak(memories.into_boxed_str());
            Module { more, ..PLAIN }.component()
        }),
        "memories",
    ),
    case(
        "90_tables__is_refused_as_too_many_items",
        Deed::Component(|| {
            let tables = "(table 1 funcref)".repeat(90);
            let more: &'static str = Box::leak(tables.into_boxed_str());
            Module { more, ..PLAIN }.component()
        }),
        "tables",
    ),
    case(
        "a_table_of_a_million__is_refused_as_too_many_items",
        having!(more: "(table 1000000 funcref)"),
        "elements in a table",
    ),
    case("memory_of_64_bits__is_refused_as_unsupported_feature", wat!("(component (core module (memory i64 1)))"), ""),
    case(
        "memory_that_threads_share__is_refused_as_unsupported_feature",
        wat!("(component (core module (memory 1 1 shared)))"),
        "",
    ),
    case("garbage_collection__is_refused_as_unsupported_feature", wat!("(component (core module (type (struct))))"), ""),
    case("exceptions__is_refused_as_unsupported_feature", wat!("(component (core module (tag)))"), ""),
    case("the_component_models_own_async__is_refused_as_unsupported_feature", wat!("(component (type (stream u8)))"), ""),
    case(
        "the_same_import_twice__is_refused_as_invalid_component",
        wat!("(component (import \"a\" (func)) (import \"a\" (func)))"),
        "",
    ),
    case("the_operators_keys__is_refused_as_forbidden_import", Deed::Component(|| bytes(env!("GUEST_IMPORTS_KEYS"))), ""),
    case(
        "an_import_of_nobody__is_refused_as_unknown_import",
        wat!("(component (import \"wasi:nn/tensor@0.2.0-rc-2024-10-28\" (instance)))"),
        "",
    ),
    case(
        "an_import_of_a_later_version__is_refused_as_wrong_version",
        Deed::Component(|| replaced(&bytes(env!("PLUGIN_AUTO_REPLY")), b"plugin/config@0.1.0", b"plugin/config@0.9.0")),
        "",
    ),
    case(
        "a_function_of_wasi_that_is_not_there__is_refused_as_wrong_type",
        Deed::Component(|| replaced(&bytes(env!("PLUGIN_AUTO_REPLY")), b"get-environment", b"set-environment")),
        "",
    ),
    case(
        "an_export_of_another_shape__is_refused_as_wrong_type",
        wat!("(component (instance $i) (export \"switchboard:plugin/responder@0.1.0\" (instance $i)))"),
        "",
    ),
    case(
        "no_export_that_is_known__is_refused_as_no_known_interface",
        Deed::Component(|| bytes(env!("GUEST_NO_INTERFACE"))),
        "",
    ),
];

/// What shows when it is tried, or when it is asked what it declares.
pub(super) const TRIALS: &[Case] = &[
    case(
        "loops_at_its_start__is_refused_as_trial_failed",
        having!(
            more: "(func $begin (loop $a (br $a))) (start $begin)"
        ),
        "over the cpu limit",
    ),
    case(
        "breaks_at_its_start__is_refused_as_trial_failed",
        having!(more: "(func $begin unreachable) (start $begin)"),
        "unreachable",
    ),
    case(
        "a_policy_that_breaks_at_its_start__is_refused_as_trial_failed",
        Deed::Component(|| policy("(func $begin unreachable) (start $begin)")),
        "failed to start in its trial: trapped: wasm trap",
    ),
    case(
        "grows_at_its_start__is_refused_as_trial_failed",
        having!(
            more: "(func $begin (loop $a (drop (memory.grow (i32.const 16))) (br $a))) (start $begin)"
        ),
        "over the memory limit",
    ),
    case(
        "data_beyond_its_memory__is_refused_as_trial_failed",
        having!(more: "(data (i32.const 131072) \"x\")"),
        "out of bounds",
    ),
    case(
        "functions_beyond_its_table__is_refused_as_trial_failed",
        having!(
            more: "(table 1 funcref) (elem (i32.const 1) $realloc)"
        ),
        "out of bounds",
    ),
    case("a_trial_that_spins__is_refused_as_trial_failed", Deed::Configured("\"spin\""), "over the cpu limit"),
    case("a_trial_that_traps__is_refused_as_trial_failed", Deed::Configured("\"trap\""), "unreachable"),
    case("257_routes__is_refused_as_bad_declaration", Deed::Configured("\"many-routes\""), "257"),
    case("a_route_of_an_unknown_method__is_refused_as_bad_declaration", Deed::Configured("\"bad-method\""), "TRACE"),
    case("a_body_larger_than_any_may_be__is_refused_as_bad_declaration", Deed::Configured("\"big-body\""), ""),
    case("an_event_kind_of_half_a_mib__is_refused_as_bad_declaration", Deed::Configured("\"long-event-kind\""), ""),
    case(
        "a_wish_for_grants_of_a_mib__is_refused_as_bad_declaration",
        Deed::Component(|| carrying(GRANTS_SECTION, &vec![b' '; 1024 * 1024])),
        "",
    ),
    case(
        "a_wish_for_grants_that_nests__is_refused_as_bad_declaration",
        Deed::Component(|| carrying(GRANTS_SECTION, "[".repeat(16_000).as_bytes())),
        "",
    ),
    case(
        "a_wish_for_more_room_than_there_is__is_refused_as_bad_declaration",
        Deed::Component(|| carrying(GRANTS_SECTION, b"{\"kv_bytes\":18446744073709551615}")),
        "",
    ),
    case(
        "a_document_that_nests__is_refused_as_bad_declaration",
        Deed::Component(|| {
            let mut plugin = hostile();
            add_section(&mut plugin, OPENAPI_SECTION, "[".repeat(100_000).as_bytes());
            plugin
        }),
        "",
    ),
];
