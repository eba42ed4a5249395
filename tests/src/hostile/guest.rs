//! Cases of the suite that the misbehaving guest in Rust plays.

use super::Deed::{Asked, Hears};
use super::{Case, Deed};

const fn case(name: &'static str, deed: Deed, words: &'static str) -> Case {
    Case { name, deed, words }
}

pub(super) const TIME: &[Case] = &[
    case("spins__ends_at_the_cpu_limit", Hears("spin"), "computed longer than"),
    case("spins_in_a_route__ends_at_the_cpu_limit", Asked("/spin"), "computed longer than"),
    case("matches_a_pattern_in_exponential_time__ends_at_the_cpu_limit", Hears("match-badly"), ""),
    case("recurses__ends_at_the_stack_limit", Hears("recurse"), ""),
    case("reads_the_clock_for_ever__ends_at_the_cpu_limit", Hears("clock-forever"), ""),
    case("naps_for_ever__ends_at_the_cpu_limit", Hears("naps-forever"), ""),
    case("sleeps_an_hour__ends_at_the_wall_limit", Hears("sleep"), "took longer than"),
    case("panics__traps", Hears("panic"), "unreachable"),
    case("aborts__traps", Hears("trap"), "unreachable"),
    case("aborts_in_a_route__traps", Asked("/trap"), "unreachable"),
    case("exits__traps", Hears("exit"), ""),
    case("starts_threads_and_programs__is_answered", Hears("helpers"), "thread refused, program refused"),
];

pub(super) const MEMORY: &[Case] = &[
    case("grows_and_touches_memory__ends_at_the_memory_limit", Hears("grow"), "the limit is"),
    case("doubles_a_document__ends_at_the_memory_limit", Hears("double"), "the limit is"),
    case("leaves_memory_in_fragments_and_breaks__traps", Hears("fragment"), ""),
    case("looks_for_what_an_earlier_call_left__is_answered", Hears("static-counter"), "1"),
    case("answers_with_16_mib__ends_at_the_bytes_limit", Hears("output-huge"), ""),
    case("answers_with_40000_commands__ends_at_the_bytes_limit", Hears("commands-flood"), ""),
    case("answers_a_request_with_8_mib__ends_at_the_bytes_limit", Asked("/enormous"), ""),
    case("fails_at_length__fails_in_its_own_words", Hears("error-huge"), "xxx"),
    case("fails_with_control_characters__fails_in_its_own_words", Hears("error-controls"), "no\\u{1b}[2J\\r\\u{202e}on"),
];

pub(super) const HOST_CALLS: &[Case] = &[
    case("logs_a_million_lines__ends_at_the_host_calls_limit", Hears("log-flood"), ""),
    case("logs_a_line_of_8_mib__ends_at_the_bytes_limit", Hears("log-huge"), ""),
    case("logs_what_looks_like_two_lines__is_answered", Hears("log-forge"), "log-forge"),
    case("logs_nothing_but_control_characters__is_answered", Hears("log-controls"), "log-controls"),
    case("prints_for_ever__ends_at_the_cpu_limit", Hears("print-forever"), ""),
    case("reads_its_configuration_for_ever__ends_at_the_host_calls_limit", Hears("host-calls"), ""),
    case("reads_what_it_keeps_for_ever__ends_at_the_host_calls_limit", Hears("kv-forever"), ""),
    case("keeps_under_a_huge_key__is_answered", Hears("kv-huge-key"), "invalid: key has 100000 bytes"),
    case("keeps_a_huge_value__is_answered", Hears("kv-huge-value"), "invalid: value has 100000 bytes"),
    case("keeps_a_value_of_16_mib__ends_at_the_bytes_limit", Hears("kv-enormous-value"), ""),
    case("keeps_until_its_room_is_full__is_answered", Hears("kv-fill"), "limit: kv_bytes"),
    case("keeps_something_and_breaks__traps", Hears("kv-then-trap"), ""),
    case("reads_a_secret_that_was_not_granted__is_answered", Hears("secrets"), "denied: secrets"),
    case("asks_others_for_ever__ends_at_the_host_calls_limit", Hears("fetch-forever"), ""),
    case("asks_with_200000_headers__ends_at_the_bytes_limit", Hears("fetch-many-headers"), ""),
    case("asks_with_a_body_of_16_mib__ends_at_the_bytes_limit", Hears("fetch-huge-body"), ""),
    case("asks_for_a_url_of_200000_characters__is_answered", Hears("fetch-long-url"), "invalid: url"),
    case("asks_one_host_in_the_name_of_another__is_answered", Hears("fetch-other-host"), "header host is the host's"),
    case("splits_a_header_in_two__is_answered", Hears("fetch-split"), "invalid: header"),
    case("splits_the_name_of_a_header__is_answered", Hears("fetch-split-name"), "invalid: header"),
    case("splits_the_request_line__is_answered", Hears("fetch-method"), "invalid: method"),
    case("asks_for_a_tunnel__is_answered", Hears("fetch-connect"), "invalid: method"),
    case("hides_a_host_behind_a_user_name__is_answered", Hears("fetch-userinfo"), ": "),
    case("hides_a_host_behind_a_backslash__is_answered", Hears("fetch-backslash"), ": "),
    case("asks_for_a_file_of_the_host__is_answered", Hears("fetch-file"), "denied: "),
    case("asks_for_the_clouds_metadata__is_answered", Hears("fetch-metadata"), "denied: "),
    case("waits_no_time_for_an_answer__is_answered", Hears("fetch-hang"), "timed-out: 1"),
    case("reads_the_hosts_environment__is_answered", Hears("env"), "0 variables"),
    case("reaches_for_the_hosts_files__is_answered", Hears("files"), "read refused, write refused, list refused"),
    case("reaches_for_the_network__is_answered", Hears("sockets"), "connect refused, listen refused"),
];
