//! A plugin's own log: bounded per call, and unable to forge lines.

use std::sync::{Arc, Mutex};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// For whoever develops the plugin.
    Debug,
    /// For whoever runs it.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// What it says, control characters escaped.
    pub message: String,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<LogLine>,
    bytes: usize,
    dropped: u64,
}

/// The log of one call.
#[derive(Clone, Debug)]
pub(crate) struct LogBuffer {
    lines: Arc<Mutex<Lines>>,
    bytes_max: usize,
}

impl LogBuffer {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { lines: Arc::default(), bytes_max }
    }

    /// Keeps a line if there is room for it, and counts it as dropped if there is not.
    pub(crate) fn write(&self, level: LogLevel, message: &str) {
        let Ok(mut kept) = self.lines.lock() else { return };
        let room = self.bytes_max.saturating_sub(kept.bytes);
        // Escaping only makes it longer: what does not fit as it is need not be escaped to see that.
        let message = if message.len() > room { None } else { Some(escaped(message)) };
        match message.filter(|message| message.len().max(1) <= room) {
            Some(message) => {
                kept.bytes += message.len().max(1);
                kept.lines.push(LogLine { level, message });
            }
            None => kept.dropped += 1,
        }
    }

    /// Begins the log of another call.
    pub(crate) fn renew(&self) {
        if let Ok(mut kept) = self.lines.lock() {
            *kept = Lines::default();
        }
    }

    /// What was kept, and how many lines were dropped.
    pub(crate) fn take(&self) -> (Vec<LogLine>, u64) {
        self.lines.lock().map(|mut kept| (std::mem::take(&mut kept.lines), kept.dropped)).unwrap_or_default()
    }
}

/// `message` with control characters written out: a line break or an ANSI sequence must not look like a line of the host.
pub(crate) fn escaped(message: &str) -> String {
    let mut safe = String::with_capacity(message.len());
    for symbol in message.chars() {
        // Line and paragraph separators, and marks that turn the direction of writing, mislead readers as well.
        let misleads = matches!(symbol, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if misleads || (symbol.is_control() && symbol != '\t') {
            safe.extend(symbol.escape_default())
        } else {
            safe.push(symbol)
        }
    }
    safe
}

/// Most characters of words that came from a guest or a compiler.
const WORDS_CHARS_MAX: usize = 1000;

/// The first line of `words`, escaped and cut to a length that fits an answer.
pub(crate) fn short_words(words: &str) -> String {
    // Escaping makes them no shorter, and they may be long.
    let first = words.trim_start().lines().next().unwrap_or_default().trim_end();
    let first = first.char_indices().nth(WORDS_CHARS_MAX).and_then(|(end, _)| first.get(..end)).unwrap_or(first);
    escaped(first).chars().take(WORDS_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another_and_the_rest_is_counted() {
        let log = LogBuffer::new(40);
        log.write(LogLevel::Info, "one\nERROR two \u{1b}[31m");
        log.write(LogLevel::Info, &"x".repeat(41));
        let (lines, dropped) = log.take();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].message, "one\\nERROR two \\u{1b}[31m");
        assert_eq!(dropped, 1);
    }

    #[test]
    fn empty_lines_use_room_too() {
        let log = LogBuffer::new(10);
        (0..100).for_each(|_| log.write(LogLevel::Debug, ""));
        assert!(log.take().0.len() <= 11);
    }
}
