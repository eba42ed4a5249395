//! The responder: does what the text of the message says.

use std::time::Duration;

use switchboard_guest_sdk::responder::{Command, Event, Fact, Guest, Run, SendWish};
use switchboard_guest_sdk::types::Content;
use switchboard_guest_sdk::{config, log, text_to};

use crate::misdeeds::MIB;
use crate::{Hostile, attempts, floods, misdeeds, outside};

impl Guest for Hostile {
    fn event_kinds() -> Vec<String> {
        match config::<String>().as_deref() {
            Ok("many-event-kinds") => (0..65).map(|n| format!("kind.{n}")).collect(),
            Ok("long-event-kind") => vec!["k".repeat(MIB / 2)],
            _ => vec!["message.received".to_owned()],
        }
    }

    fn respond(run: Run, event: Event) -> Result<Vec<Command>, String> {
        let Fact::MessageReceived(message) = event.fact else { return Ok(vec![]) };
        let Content::Text(text) = &message.content else { return Ok(vec![]) };
        if text == "run" {
            let said = format!("{} {}", run.run_id, run.attempt);
            return Ok(vec![Command::Send(text_to(&message.chat, said))]);
        }
        if text == "later" {
            let (session, send_at_ms, expires_at_ms) = (Some(9), Some(run.now_ms + 1000), Some(run.now_ms + 2000));
            let message = text_to(&message.chat, "later".to_owned());
            return Ok(vec![Command::SendWith(SendWish { message, session, send_at_ms, expires_at_ms })]);
        }
        if let Some(url) = text.strip_prefix("fetch ") {
            let said = [outside::told(url), outside::told(url)].join(" ");
            return Ok(vec![Command::Send(text_to(&message.chat, said))]);
        }
        let answers = answers(text)?;
        Ok(answers.into_iter().map(|answer| Command::Send(text_to(&message.chat, answer))).collect())
    }
}

/// What to answer to `text`, if that is ever reached.
fn answers(text: &str) -> Result<Vec<String>, String> {
    match text {
        "error" => return Err("the plugin said no".to_owned()),
        "error-controls" => return Err("no\u{1b}[2J\r\u{202e}on".to_owned()),
        "error-huge" => return Err("x".repeat(MIB / 2)),
        "output-over" => return Ok(vec!["x".repeat(MIB / 2)]),
        "output-huge" => return Ok(vec!["x".repeat(MIB); 16]),
        "many-commands" => return Ok(vec!["again".to_owned(); 10_000]),
        "commands-flood" => return Ok(vec!["again".to_owned(); 40_000]),
        "helpers" => return Ok(vec![attempts::helpers()]),
        "env" => return Ok(vec![attempts::environment()]),
        "files" => return Ok(vec![attempts::files()]),
        "sockets" => return Ok(vec![attempts::sockets()]),
        "static-counter" => return Ok(vec![misdeeds::count().to_string()]),
        _ => {
            if let Some(said) = floods::answer(text) {
                return Ok(vec![said]);
            }
            misbehave(text);
        }
    }
    Ok(vec![text.to_owned()])
}

fn misbehave(text: &str) {
    match text {
        "spin" => misdeeds::spin(),
        "recurse" => {
            std::hint::black_box(misdeeds::recurse(0));
        }
        "match-badly" => {
            std::hint::black_box(misdeeds::match_badly());
        }
        "grow" => misdeeds::grow(),
        "double" => misdeeds::double(),
        "fragment" => misdeeds::fragment(),
        "clock-forever" => floods::clock(),
        "naps-forever" => floods::naps(),
        "print-forever" => floods::prints(),
        "trap" => std::process::abort(),
        "panic" => misdeeds::panic(),
        "exit" => std::process::exit(0),
        "sleep" => std::thread::sleep(Duration::from_secs(3600)),
        "host-calls" => misdeeds::call_the_host(),
        "log-flood" => (0..1_000_000).for_each(|_| log::info("flood")),
        "log-huge" => log::info(&"x".repeat(8 * MIB)),
        "log-long" => log::info(&"x".repeat(100_000)),
        "log-forge" => log::info("fine\nERROR forged \u{1b}[31mred"),
        "log-controls" => log::info(&"\u{1b}".repeat(4096)),
        "print" => {
            println!("to standard output");
            eprintln!("to standard error");
        }
        "print-parts" => eprintln!("{} and {}", text.len(), text),
        _ => {}
    }
}
