//! A responder that misbehaves in every way: how the call ends is exact, and the runtime answers the next call.

use switchboard_core::clock::Timestamp;
use switchboard_core::flow::responder_worker::{Command, RunTry};
use switchboard_core::records::content::Content;
use switchboard_core::records::id::{SessionId, TenantId};
use switchboard_core::records::message::Schedule;
use switchboard_core::records::plugin::SizeClass;
use switchboard_runtime::{CallContext, ClassSettings, Limit, LogLevel, LogLine, Outcome, Owner, SMALL_BYTES_MAX};
use switchboard_tests::components::padded;

use crate::stage::{NOW_MS, Stage, component, context, heard, limits, said, settings};

/// The message `text` breaks `limit`, in words that contain `words`, and nothing else breaks.
async fn assert_breaks(text: &str, limit: Limit, words: &str) {
    let stage = Stage::shared().await;
    match stage.respond(text).await.outcome {
        Outcome::LimitExceeded(broken, why) => {
            assert_eq!(broken, limit, "{text}: {why}");
            assert!(why.contains(words), "{text}: {why}");
        }
        other => panic!("{text}: {other:?}"),
    }
    stage.assert_well().await;
}

/// The message `text` traps, in words that contain `words`, and nothing else breaks.
async fn assert_traps(text: &str, words: &str) {
    let stage = Stage::shared().await;
    match stage.respond(text).await.outcome {
        Outcome::Trap(why) => assert!(why.contains(words), "{text}: {why}"),
        other => panic!("{text}: {other:?}"),
    }
    stage.assert_well().await;
}

/// What the responder answers to `text`.
async fn answer(text: &str) -> String {
    let stage = Stage::shared().await;
    let outcome = stage.respond(text).await.outcome;
    stage.assert_well().await;
    let Outcome::Reply(commands) = &outcome else { panic!("{text}: {outcome:?}") };
    let [Command { content: Content::Text(answer), .. }] = commands.as_slice() else { panic!("{commands:?}") };
    answer.clone()
}

#[tokio::test]
async fn a_guest_that_spins_ends_at_the_cpu_limit() {
    assert_breaks("spin", Limit::Cpu, "200 ms").await;
}

#[tokio::test]
async fn a_guest_that_spins_gives_way_to_its_neighbour() {
    let stage = Stage::shared().await;
    let mut spin = Box::pin(stage.respond("spin"));
    tokio::select! {
        biased;
        called = &mut spin => panic!("held its neighbour up: {:?}", called.outcome),
        () = stage.assert_well() => {}
    }
    assert!(matches!(spin.await.outcome, Outcome::LimitExceeded(Limit::Cpu, _)));
}

#[tokio::test]
async fn a_large_component_takes_no_small_ones_place() {
    let mut settings = settings(1);
    settings.large = ClassSettings { places: 1, limits: limits(), ..ClassSettings::large() };
    let stage = Stage::new(settings).await;
    let bytes = padded(&component(env!("GUEST_HOSTILE")), u32::try_from(SMALL_BYTES_MAX).unwrap());
    let large = stage.runtime.load(&bytes, Owner::Tenant, &context(None, "{}")).await.unwrap();
    assert_eq!((stage.plugin.class, large.class), (SizeClass::Small, SizeClass::Large));
    let ask_large = async |text: &str| {
        let run = RunTry { id: "run-1", attempt: 1 };
        let called = stage.runtime.respond(&large, &context(None, "{}"), &run, &heard(text)).await;
        called.and_then(|answer| Outcome::Reply(answer.commands)).outcome
    };
    let mut spin = Box::pin(ask_large("spin"));
    tokio::select! {
        biased;
        ended = &mut spin => panic!("held small ones up: {ended:?}"),
        () = stage.assert_well() => {}
    }
    assert!(matches!(spin.await, Outcome::LimitExceeded(Limit::Cpu, _)));
    let mut spin = Box::pin(stage.respond("spin"));
    tokio::select! {
        biased;
        ended = &mut spin => panic!("held large ones up: {ended:?}"),
        outcome = ask_large("good day") => assert_eq!(outcome, Outcome::Reply(vec![said("good day")])),
    }
}

#[tokio::test]
async fn a_guest_that_recurses_ends_at_the_stack_limit() {
    assert_breaks("recurse", Limit::Stack, "").await;
}

#[tokio::test]
async fn a_guest_that_grows_ends_at_the_memory_limit() {
    assert_breaks("grow", Limit::Memory, "the limit is 33554432").await;
    let called = Stage::shared().await.respond("grow").await;
    assert!(called.report.memory_bytes > 16 * 1024 * 1024 && called.report.memory_bytes <= limits().memory_bytes_max);
}

#[tokio::test]
async fn a_guest_that_sleeps_ends_at_the_wall_limit() {
    assert_breaks("sleep", Limit::Wall, "1000 ms").await;
}

#[tokio::test]
async fn a_guest_that_calls_the_host_for_ever_ends_at_the_host_call_limit() {
    assert_breaks("host-calls", Limit::HostCalls, "1024").await;
}

#[tokio::test]
async fn an_unreachable_instruction_is_a_trap() {
    assert_traps("trap", "unreachable").await;
}

#[tokio::test]
async fn a_panic_is_a_trap_whose_words_are_in_the_plugins_log() {
    assert_traps("panic", "unreachable").await;
    let log = Stage::shared().await.respond("panic").await.report.log;
    assert!(log.iter().any(|line| line.level == LogLevel::Warn && line.message.contains("panicked at")), "{log:?}");
}

#[tokio::test]
async fn the_exit_of_a_guest_is_not_the_exit_of_the_host() {
    assert_traps("exit", "").await;
}

#[tokio::test]
async fn what_is_said_of_a_trap_is_short_and_one_line() {
    for text in ["exit", "trap", "panic"] {
        let outcome = Stage::shared().await.respond(text).await.outcome;
        let Outcome::Trap(why) = &outcome else { panic!("{text}: {outcome:?}") };
        assert!(why.chars().count() <= 1000 && !why.contains(char::is_control), "{text}: {why}");
    }
}

#[tokio::test]
async fn an_error_of_the_plugin_is_told_in_its_words_and_not_at_any_length() {
    let stage = Stage::shared().await;
    assert_eq!(stage.respond("error").await.outcome, Outcome::PluginError("the plugin said no".to_owned()));
    assert_eq!(stage.respond("error-huge").await.outcome, Outcome::PluginError("x".repeat(1000)));
    stage.assert_well().await;
}

#[tokio::test]
async fn an_answer_over_what_the_host_takes_at_once_ends_at_the_byte_limit() {
    assert_breaks("output-huge", Limit::Bytes, "").await;
    assert_breaks("many-commands", Limit::Bytes, "").await;
}

#[tokio::test]
async fn the_output_of_a_responder_is_limited_like_that_of_a_router() {
    assert_breaks("output-over", Limit::Bytes, "the limit is 262144").await;
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_what_was_dropped_is_counted() {
    let stage = Stage::shared().await;
    let called = stage.respond("log-flood").await;
    assert!(matches!(called.outcome, Outcome::LimitExceeded(Limit::HostCalls, _)), "{:?}", called.outcome);
    assert_eq!(called.report.host_calls, 1025);
    // 4096 bytes hold 819 lines of five; 1024 were written before the limit.
    assert_eq!((called.report.log.len(), called.report.log_dropped), (819, 205));
    assert_eq!(called.report.limits_reached().collect::<Vec<_>>(), ["log bytes"]);
    stage.assert_well().await;
}

#[tokio::test]
async fn a_line_over_the_logs_size_is_dropped_and_counted() {
    let called = Stage::shared().await.respond("log-long").await;
    assert_eq!(called.outcome, Outcome::Reply(vec![said("log-long")]));
    assert_eq!((called.report.log.len(), called.report.log_dropped), (0, 1));
}

#[tokio::test]
async fn a_line_over_what_the_host_takes_at_once_ends_at_the_byte_limit() {
    assert_breaks("log-huge", Limit::Bytes, "").await;
}

#[tokio::test]
async fn a_log_line_cannot_look_like_two_or_paint_the_terminal() {
    let log = Stage::shared().await.respond("log-forge").await.report.log;
    let message = "fine\\nERROR forged \\u{1b}[31mred".to_owned();
    assert_eq!(log, [LogLine { level: LogLevel::Info, message }]);
}

#[tokio::test]
async fn the_log_is_within_its_size_after_escaping_too() {
    let report = Stage::shared().await.respond("log-controls").await.report;
    let kept: usize = report.log.iter().map(|line| line.message.len()).sum();
    assert!(kept <= limits().log_bytes_max, "{kept} bytes");
}

#[tokio::test]
async fn what_a_guest_prints_goes_to_its_log() {
    let line = |level, message: &str| LogLine { level, message: message.to_owned() };
    let printed = [line(LogLevel::Info, "to standard output"), line(LogLevel::Warn, "to standard error")];
    assert_eq!(Stage::shared().await.respond("print").await.report.log, printed);
}

#[tokio::test]
async fn a_line_that_is_printed_piece_by_piece_is_one_line_of_the_log() {
    let line = LogLine { level: LogLevel::Warn, message: "11 and print-parts".to_owned() };
    assert_eq!(Stage::shared().await.respond("print-parts").await.report.log, [line]);
}

#[tokio::test]
async fn a_guest_sees_no_environment() {
    assert_eq!(answer("env").await, "0 variables");
}

#[tokio::test]
async fn a_guest_reaches_no_file() {
    assert_eq!(answer("files").await, "read refused, write refused, list refused");
}

#[tokio::test]
async fn a_guest_reaches_no_network() {
    assert_eq!(answer("sockets").await, "connect refused, listen refused, datagram refused, resolve refused");
}

#[tokio::test]
async fn a_call_finds_nothing_that_another_left_behind() {
    let stage = Stage::shared().await;
    let calls = futures_util::future::join_all((0..20).map(|_| stage.respond("static-counter"))).await;
    for called in calls {
        assert_eq!(called.outcome, Outcome::Reply(vec![said("1")]));
    }
}

#[tokio::test]
async fn a_call_that_finds_no_place_in_time_ends_at_the_queue_limit_and_a_neighbour_finds_one() {
    // Two of three are as many as one tenant may have.
    let stage = Stage::new(settings(3)).await;
    let neighbours = CallContext { tenant: TenantId(8), ..context(None, "{}") };
    let run = RunTry { id: "run-1", attempt: 1 };
    let event = heard("good day");
    let (first, second, third, neighbour) = tokio::join!(
        biased;
        stage.respond("sleep"), stage.respond("sleep"), stage.respond("good day"),
        stage.runtime.respond(&stage.plugin, &neighbours, &run, &event)
    );
    for called in [first, second] {
        assert!(matches!(called.outcome, Outcome::LimitExceeded(Limit::Wall, _)), "{:?}", called.outcome);
    }
    let Outcome::LimitExceeded(limit, why) = &third.outcome else { panic!("{:?}", third.outcome) };
    assert_eq!(*limit, Limit::Queue);
    assert!(why.contains("200 ms"), "{why}");
    assert!(matches!(neighbour.outcome, Outcome::Reply(_)), "{:?}", neighbour.outcome);
    stage.assert_well().await;
}

#[tokio::test]
async fn a_responder_is_told_its_run_and_which_try_it_is() {
    assert_eq!(answer("run").await, "run-1 1");
}

#[tokio::test]
async fn a_responder_may_name_the_session_and_the_time() {
    let Outcome::Reply(commands) = Stage::shared().await.respond("later").await.outcome else { panic!("no reply") };
    let (send_at, expires_at) = (Some(Timestamp(NOW_MS + 1000)), Some(Timestamp(NOW_MS + 2000)));
    let schedule = Schedule { send_at, expires_at, ..Schedule::default() };
    assert_eq!(commands, [Command { session: Some(SessionId(9)), schedule, ..said("later") }]);
}
