//! Cases of the suite that no compiler would write: core modules by hand, wrapped into components.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{Case, Deed};

/// The contract with plugins.
const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/since_v0.1.0");
/// As much of WASI as the cases use.
const WASI_IO: &str = "package wasi:io@0.2.0; interface poll { resource pollable { block: func(); } \
    poll: func(in: list<borrow<pollable>>) -> list<u32>; }";
const WASI_CLOCKS: &str = "package wasi:clocks@0.2.0; interface monotonic-clock { use wasi:io/poll@0.2.0.{pollable}; \
    subscribe-duration: func(when: u64) -> pollable; }";
const WASI_RANDOM: &str = "package wasi:random@0.2.0; interface random { get-random-bytes: func(len: u64) -> list<u8>; \
    get-random-u64: func() -> u64; }";
/// What the cases may import and export.
const WORLDS: &str = "package test:hostile; \
    world plain { include switchboard:plugin/responder-plugin@0.1.0; import wasi:io/poll@0.2.0; \
      import wasi:clocks/monotonic-clock@0.2.0; import wasi:random/random@0.2.0; } \
    world things { include switchboard:plugin/responder-plugin@0.1.0; \
      export things: interface { resource thing { constructor(); } } } \
    world policy { export switchboard:plugin/auth-policy@0.1.0; }";

/// A core module that serves `responder`, piece by piece. As it is it sends nothing to anybody.
pub(super) struct Module {
    pub(super) imports: &'static str,
    pub(super) memory: &'static str,
    /// The body of `cabi_realloc`.
    pub(super) realloc: &'static str,
    /// The body of `respond`: where its result lies.
    pub(super) respond: &'static str,
    /// The body of what cleans up after `respond`.
    pub(super) after: &'static str,
    /// What stands beside the functions.
    pub(super) more: &'static str,
    pub(super) world: &'static str,
    pub(super) encoding: StringEncoding,
}

/// Where the result of `respond` lies unless the module says otherwise: no commands.
const NOTHING: &str = "(i32.const 2048)";

pub(super) const PLAIN: Module = Module {
    imports: "",
    memory: "(memory (export \"memory\") 2)",
    realloc: "(local.set 0 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8))) \
        (global.set $heap (i32.add (local.get 0) (local.get 3))) (local.get 0)",
    respond: NOTHING,
    after: "",
    more: "",
    world: "plain",
    encoding: StringEncoding::UTF8,
};

impl Module {
    /// The core module, as text.
    fn text(&self) -> String {
        let Self { imports, memory, realloc, respond, after, more, .. } = self;
        let responder = "switchboard:plugin/responder@0.1.0";
        format!(
            "(module {imports} {memory} (global $heap (mut i32) (i32.const 8192))
               (func $realloc (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) {realloc})
               (func (export \"{responder}#event-kinds\") (result i32) (i32.const 1024))
               (func $respond (export \"{responder}#respond\") (param i32) (result i32) {respond})
               (func (export \"cabi_post_{responder}#respond\") (param i32) {after})
               (data (i32.const 1024) \"\\10\\04\\00\\00\\01\\00\\00\\00\")
               (data (i32.const 1040) \"\\20\\04\\00\\00\\10\\00\\00\\00\")
               (data (i32.const 1056) \"message.received\")
               {more})"
        )
    }

    /// The component.
    pub(super) fn component(&self) -> Vec<u8> {
        component_of(&self.text(), self.world, self.encoding)
    }
}

/// A policy with this beside what every policy has: it says nothing of itself when it is loaded.
pub(super) fn policy(more: &str) -> Vec<u8> {
    let judge = "switchboard:plugin/auth-policy@0.1.0#judge";
    let text = format!(
        "(module (memory (export \"memory\") 1)
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
           (func (export \"{judge}\") (param i32) (result i32) (i32.const 1024))
           (func (export \"cabi_post_{judge}\") (param i32))
           {more})"
    );
    component_of(&text, "policy", StringEncoding::UTF8)
}

fn component_of(text: &str, world: &str, encoding: StringEncoding) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(PACKAGE).unwrap();
    for (name, text) in [("io", WASI_IO), ("clocks", WASI_CLOCKS), ("random", WASI_RANDOM)] {
        resolve.push_str(name, text).unwrap();
    }
    let package = resolve.push_str("worlds", WORLDS).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(text).unwrap();
    embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// Looks through 24 MiB of memory and 10,000 places of a table.
pub(super) const SNIFFER: Module = Module {
    respond: "(drop (memory.grow (i32.const 384))) (local.set 0 (i32.const 131072))
        (loop $bytes
          (if (i64.ne (i64.load (local.get 0)) (i64.const 0)) (then unreachable))
          (local.set 0 (i32.add (local.get 0) (i32.const 8)))
          (br_if $bytes (i32.lt_u (local.get 0) (i32.const 25165824))))
        (drop (table.grow $t (ref.null func) (i32.const 9999))) (local.set 0 (i32.const 0))
        (loop $places
          (if (i32.eqz (ref.is_null (table.get $t (local.get 0)))) (then unreachable))
          (local.set 0 (i32.add (local.get 0) (i32.const 1)))
          (br_if $places (i32.lt_u (local.get 0) (i32.const 10000))))
        (i32.const 2048)",
    more: "(table $t 1 funcref)",
    ..PLAIN
};

const LOG: &str = "(import \"switchboard:plugin/log@0.1.0\" \"write\" (func $log (param i32 i32 i32)))";
const CLOCK: &str =
    "(import \"wasi:clocks/monotonic-clock@0.2.0\" \"subscribe-duration\" (func $wait (param i64) (result i32)))
    (import \"wasi:io/poll@0.2.0\" \"[method]pollable.block\" (func $block (param i32)))
    (import \"wasi:io/poll@0.2.0\" \"poll\" (func $poll (param i32 i32 i32)))
    (import \"wasi:io/poll@0.2.0\" \"[resource-drop]pollable\" (func $drop (param i32)))";
const RANDOM: &str = "(import \"wasi:random/random@0.2.0\" \"get-random-bytes\" (func $bytes (param i64 i32)))
    (import \"wasi:random/random@0.2.0\" \"get-random-u64\" (func $number (result i64)))";
const THING: &str = "(import \"[export]things\" \"[resource-new]thing\" (func $new (param i32) (result i32)))
    (import \"[export]things\" \"[resource-drop]thing\" (func $drop (param i32)))";
/// A resource whose destructor never ends.
const ENDLESS: &str = "(func (export \"things#[constructor]thing\") (result i32) (call $new (i32.const 1)))
    (func (export \"things#[dtor]thing\") (param i32) (loop $again (br $again)))";

/// A component whose `respond` has this body.
macro_rules! responds {
    ($body:expr) => {
        Deed::Component(|| Module { respond: $body, ..PLAIN }.component())
    };
    ($body:expr, $($field:ident: $value:expr),+) => {
        Deed::Component(|| Module { respond: $body, $($field: $value,)+ ..PLAIN }.component())
    };
}

/// A component that differs in something else.
macro_rules! having {
    ($($field:ident: $value:expr),+) => {
        Deed::Component(|| Module { $($field: $value,)+ ..PLAIN }.component())
    };
}

const fn case(name: &'static str, deed: Deed, words: &'static str) -> Case {
    Case { name, deed, words }
}

pub(super) const TIME: &[Case] = &[
    case(
        "branches_for_ever_without_a_call__ends_at_the_cpu_limit",
        responds!("(loop $a (loop $b (br_if $b (i32.const 0)) (br $a))) unreachable"),
        "computed longer than",
    ),
    case(
        "copies_memory_for_ever__ends_at_the_cpu_limit",
        responds!(
            "(loop $a (memory.copy (i32.const 0) (i32.const 8388608) (i32.const 8388608)) (br $a)) unreachable",
            memory: "(memory (export \"memory\") 256)"
        ),
        "",
    ),
    case(
        "fills_memory_for_ever__ends_at_the_cpu_limit",
        responds!(
            "(loop $a (memory.fill (i32.const 65536) (i32.const 165) (i32.const 16711680)) (br $a)) unreachable",
            memory: "(memory (export \"memory\") 256)"
        ),
        "",
    ),
    case(
        "fills_a_table_for_ever__ends_at_the_cpu_limit",
        responds!(
            "(loop $a (table.fill $t (i32.const 0) (ref.func $realloc) (i32.const 10000)) (br $a)) unreachable",
            more: "(table $t 10000 funcref) (elem declare func $realloc)"
        ),
        "",
    ),
    case("loops_in_realloc__ends_at_the_cpu_limit", having!(realloc: "(loop $a (br $a)) unreachable"), ""),
    case("loops_after_its_answer__ends_at_the_cpu_limit", having!(after: "(loop $a (br $a))"), ""),
    case(
        "loops_in_a_destructor__ends_at_the_cpu_limit",
        responds!("(call $drop (call $new (i32.const 1))) (i32.const 2048)", imports: THING, more: ENDLESS, world: "things"),
        "",
    ),
    case(
        "leaves_a_destructor_that_loops__is_answered",
        responds!("(drop (call $new (i32.const 1))) (i32.const 2048)", imports: THING, more: ENDLESS, world: "things"),
        "",
    ),
    case(
        "two_functions_call_each_other__ends_at_the_stack_limit",
        responds!(
            "(call $a (local.get 0))",
            more: "(func $a (param i32) (result i32) (i32.add (call $b (local.get 0)) (i32.const 1))) \
                (func $b (param i32) (result i32) (i32.add (call $a (local.get 0)) (i32.const 1)))"
        ),
        "",
    ),
    case("divides_by_zero__traps", responds!("(i32.div_u (i32.const 1) (i32.const 0))"), "divide by zero"),
    case(
        "calls_through_an_empty_table__traps",
        responds!(
            "(call_indirect $t (result i32) (i32.const 3))", more: "(table $t 10 funcref)"
        ),
        "",
    ),
    case(
        "calls_a_function_as_another__traps",
        responds!(
            "(call_indirect $t (result i32) (i32.const 0))", more: "(table $t 1 funcref) (elem (i32.const 0) $realloc)"
        ),
        "",
    ),
    case(
        "waits_an_hour_for_a_clock__ends_at_the_wall_limit",
        responds!(
            "(call $block (call $wait (i64.const 3600000000000))) (i32.const 2048)", imports: CLOCK
        ),
        "",
    ),
];

pub(super) const MEMORY: &[Case] = &[
    case(
        "grows_page_by_page__ends_at_the_memory_limit",
        responds!("(loop $a (drop (memory.grow (i32.const 1))) (br $a)) unreachable"),
        "the limit is",
    ),
    case(
        "grows_to_4_gib_at_once__ends_at_the_memory_limit",
        responds!("(drop (memory.grow (i32.const 65534))) (i32.const 2048)"),
        "the limit is",
    ),
    case(
        "grows_beyond_what_it_declared__is_answered",
        responds!(
            "(if (i32.ne (memory.grow (i32.const 9)) (i32.const -1)) (then unreachable)) (i32.const 2048)",
            memory: "(memory (export \"memory\") 2 3)"
        ),
        "",
    ),
    case(
        "grows_a_table__ends_at_the_table_limit",
        responds!(
            "(drop (table.grow $t (ref.null func) (i32.const 1000000))) (i32.const 2048)", more: "(table $t 1 funcref)"
        ),
        "the limit is",
    ),
    case("reads_beyond_its_memory__traps", responds!("(i32.load (i32.const -8))"), "out of bounds"),
    case(
        "writes_beyond_its_memory__traps",
        responds!("(i64.store offset=4294967288 (i32.const -1) (i64.const -1)) (i32.const 2048)"),
        "out of bounds",
    ),
    case("answers_from_beyond_its_memory__traps", responds!("(i32.const 2147483640)"), ""),
    case("answers_from_an_odd_address__traps", responds!("(i32.const 2049)"), ""),
    case("answers_with_an_unknown_case__traps", having!(more: "(data (i32.const 2048) \"\\07\")"), ""),
    case(
        "answers_with_a_text_beyond_its_memory__traps",
        having!(
            more: "(data (i32.const 2048) \"\\01\\00\\00\\00\\00\\00\\00\\7f\\64\\00\\00\\00\")"
        ),
        "",
    ),
    case(
        "answers_with_a_text_of_4_gib__traps",
        having!(
            more: "(data (i32.const 2048) \"\\01\\00\\00\\00\\00\\00\\00\\00\\ff\\ff\\ff\\ff\")"
        ),
        "",
    ),
    case(
        "answers_with_a_list_of_4_billion__traps",
        having!(
            more: "(data (i32.const 2048) \"\\00\\00\\00\\00\\00\\10\\00\\00\\ff\\ff\\ff\\ff\")"
        ),
        "",
    ),
    case(
        "answers_with_what_is_no_utf8__traps",
        having!(
            more: "(data (i32.const 2048) \"\\01\\00\\00\\00\\b8\\0b\\00\\00\\02\\00\\00\\00\") (data (i32.const 3000) \"\\ff\\fe\")"
        ),
        "",
    ),
    case(
        "answers_with_a_lone_surrogate__traps",
        having!(
            more: "(data (i32.const 1056) \"m\\00e\\00s\\00s\\00a\\00g\\00e\\00.\\00r\\00e\\00c\\00e\\00i\\00v\\00e\\00d\\00\")
                   (data (i32.const 2048) \"\\01\\00\\00\\00\\b8\\0b\\00\\00\\01\\00\\00\\00\") (data (i32.const 3000) \"\\00\\d8\")",
            encoding: StringEncoding::UTF16
        ),
        "",
    ),
    case("gives_room_beyond_its_memory__traps", having!(realloc: "(i32.const 2147483640)"), ""),
    case("gives_room_at_an_odd_address__traps", having!(realloc: "(i32.const 4097)"), ""),
    case("gives_the_same_room_for_everything__is_answered", having!(realloc: "(i32.const 4096)"), ""),
];

pub(super) const HOST_CALLS: &[Case] = &[
    case(
        "logs_while_it_is_given_room__traps",
        having!(
            imports: LOG, realloc: "(call $log (i32.const 1) (i32.const 1056) (i32.const 5)) (i32.const 4096)"
        ),
        "cannot leave component",
    ),
    case(
        "logs_after_its_answer__traps",
        having!(
            imports: LOG, after: "(call $log (i32.const 1) (i32.const 1056) (i32.const 5))"
        ),
        "cannot leave component",
    ),
    case(
        "logs_a_line_of_1_gib__traps",
        responds!(
            "(call $log (i32.const 1) (i32.const 0) (i32.const 1073741824)) (i32.const 2048)", imports: LOG
        ),
        "",
    ),
    case(
        "logs_what_is_no_utf8__traps",
        responds!(
            "(call $log (i32.const 1) (i32.const 3000) (i32.const 2)) (i32.const 2048)",
            imports: LOG, more: "(data (i32.const 3000) \"\\ff\\fe\")"
        ),
        "",
    ),
    case(
        "logs_at_a_level_that_is_none__traps",
        responds!(
            "(call $log (i32.const 99) (i32.const 1056) (i32.const 5)) (i32.const 2048)", imports: LOG
        ),
        "",
    ),
    case(
        "opens_handles_for_ever__ends_at_the_handles_limit",
        responds!(
            "(loop $a (drop (call $wait (i64.const 1000000000))) (br $a)) unreachable", imports: CLOCK
        ),
        "",
    ),
    case(
        "opens_and_drops_handles_for_ever__ends_at_the_cpu_limit",
        responds!(
            "(loop $a (call $drop (call $wait (i64.const 1000000000))) (br $a)) unreachable", imports: CLOCK
        ),
        "",
    ),
    case(
        "uses_a_handle_after_it_dropped_it__traps",
        responds!(
            "(local.set 0 (call $wait (i64.const 1))) (call $drop (local.get 0)) (call $block (local.get 0)) (i32.const 2048)",
            imports: CLOCK
        ),
        "unknown handle",
    ),
    case(
        "drops_a_handle_twice__traps",
        responds!(
            "(local.set 0 (call $wait (i64.const 1))) (call $drop (local.get 0)) (call $drop (local.get 0)) (i32.const 2048)",
            imports: CLOCK
        ),
        "unknown handle",
    ),
    case(
        "guesses_a_handle__traps",
        responds!("(call $block (i32.const 1)) (i32.const 2048)", imports: CLOCK),
        "unknown handle",
    ),
    case(
        "guesses_a_handle_far_away__traps",
        responds!(
            "(call $block (i32.const 2147483647)) (i32.const 2048)", imports: CLOCK
        ),
        "unknown handle",
    ),
    case(
        "waits_for_a_billion_handles__traps",
        responds!(
            "(call $poll (i32.const 0) (i32.const 1000000000) (i32.const 4096)) (i32.const 2048)", imports: CLOCK
        ),
        "",
    ),
    case(
        "wants_4_gib_of_random_bytes__traps",
        responds!(
            "(call $bytes (i64.const 4294967296) (i32.const 4096)) (i32.const 2048)", imports: RANDOM
        ),
        "",
    ),
    case(
        "draws_random_numbers_for_ever__ends_at_the_cpu_limit",
        responds!(
            "(loop $a (drop (call $number)) (br $a)) unreachable", imports: RANDOM
        ),
        "",
    ),
];
