//! Cases of the suite that aim at the compiler: small to upload, and long or never done with.

use super::bytes::{COMPONENT, component, leb, section, with_functions, with_instance_of};
use super::modules::PLAIN;
use super::{Case, Deed};

const fn case(name: &'static str, deed: Deed, words: &'static str) -> Case {
    Case { name, deed, words }
}

/// Functions of this body, so many of them, in a plugin that is well otherwise.
fn bomb(count: usize, body: &[u8]) -> Vec<u8> {
    with_functions(PLAIN.component(), count, body)
}

/// The body of a function with so many locals that does nothing.
fn locals(count: usize) -> Vec<u8> {
    [[1].as_slice(), &leb(count), &[0x7f, 0x0b]].concat()
}

/// A body that begins with 100 locals, does `step` over and over up to a size, and ends.
fn body(bytes: usize, step: &[u8]) -> Vec<u8> {
    let mut body = [[1].as_slice(), &leb(100), &[0x7f]].concat();
    while body.len() + step.len() < bytes {
        body.extend(step);
    }
    body.push(0x0b);
    body
}

/// What this instruction opens, so many times within itself.
fn nested(opens: u8, depth: usize) -> Vec<u8> {
    [vec![0], [opens, 0x40].repeat(depth), vec![0x0b; depth + 1]].concat()
}

/// A core module, instantiated twice by a component, which is instantiated twice by another, and so on.
fn doubled(times: usize) -> Vec<u8> {
    let twice = section(2, &[2, 0, 0, 0, 0, 0, 0]);
    let innermost = component(&[section(1, b"\0asm\x01\0\0\0"), twice]);
    (1..times).fold(innermost, |inner, _| component(&[section(4, &inner), section(5, &[2, 0, 0, 0, 0, 0, 0])]))
}

/// What is soon compiled, or refused before or while it is.
pub(super) const SOON: &[Case] = &[
    case(
        "a_function_of_7600000_locals__is_refused_as_invalid_component",
        Deed::Component(|| bomb(1, &locals(7_600_000))),
        "",
    ),
    case("7600000_locals_of_152_functions__is_answered", Deed::Component(|| bomb(152, &locals(50_000))), ""),
    case("a_function_of_50_mb__is_refused_as_too_large", Deed::Component(|| bomb(1, &body(50_000_000, &[1]))), ""),
    case("a_function_of_30_mb__is_refused_as_invalid_component", Deed::Component(|| bomb(1, &body(30_000_000, &[1]))), ""),
    case("a_function_of_200_kb_that_adds__is_answered", Deed::Component(|| bomb(1, &body(200_000, &adds()))), ""),
    case("600000_functions__is_refused_as_too_many_items", Deed::Component(|| bomb(600_000, &[0, 0x0b])), "functions"),
    case(
        "instances_that_double_20_times__is_refused_as_too_many_items",
        Deed::Component(|| with_instance_of(PLAIN.component(), &doubled(20))),
        "instances of core modules",
    ),
    case(
        "instances_that_double_7_times__is_refused_as_too_many_items",
        Deed::Component(|| with_instance_of(PLAIN.component(), &doubled(7))),
        "129 instances of core modules",
    ),
    case(
        "a_component_that_is_nothing_but_ends__is_refused_as_truncated",
        Deed::Component(|| [COMPONENT.as_slice(), &[0x0b; 1000]].concat()),
        "",
    ),
];

/// What compiles for minutes.
pub(super) const LONG: &[Case] = &[
    case(
        "a_million_blocks_within_each_other__is_refused_as_compile_limit",
        Deed::Component(|| bomb(1, &nested(0x02, 1_000_000))),
        "",
    ),
    case(
        "a_million_loops_within_each_other__is_refused_as_compile_limit",
        Deed::Component(|| bomb(1, &nested(0x03, 1_000_000))),
        "",
    ),
];

/// Steps that each add one variable to another, so that all of them live through all of it.
fn adds() -> Vec<u8> {
    (0..99_u8).flat_map(|n| [0x20, n, 0x20, n + 1, 0x6a, 0x21, n]).collect()
}
