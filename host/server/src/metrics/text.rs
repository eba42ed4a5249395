//! Prometheus' text format, version 0.0.4: families of samples, each with its type and help.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

/// Upper bounds of the buckets of every histogram, in seconds.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A page that is being written.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// A sample. Names and labels are constants of the program: nothing in them has to be escaped.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&'static str, &'static str)], value: impl Display) {
        let mut all = String::new();
        for (label, value) in labels {
            let comma = if all.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(all, "{comma}{label}=\"{value}\"");
        }
        if all.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{all}}} {value}"));
        }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family of counters with one label.
    pub(super) fn counts(&mut self, name: &str, help: &str, label: &'static str, counts: &BTreeMap<&'static str, u64>) {
        self.family(name, "counter", help);
        for (value, count) in counts {
            self.sample(name, &[(label, value)], count);
        }
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// How often something took how long.
#[derive(Default)]
pub(super) struct Histogram {
    /// How many fell into each bucket; what took longer than the last bound is only in `count`.
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    pub(super) fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let fits = BOUNDS.iter().zip(&mut self.buckets).find(|(bound, _)| seconds <= **bound);
        if let Some((_, bucket)) = fits {
            *bucket += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }

    pub(super) fn write(&self, text: &mut Text, name: &str, (label, value): (&'static str, &'static str)) {
        let mut below = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            below += bucket;
            text.line(format_args!("{name}_bucket{{{label}=\"{value}\",le=\"{bound}\"}} {below}"));
        }
        text.line(format_args!("{name}_bucket{{{label}=\"{value}\",le=\"+Inf\"}} {}", self.count));
        text.line(format_args!("{name}_sum{{{label}=\"{value}\"}} {}", self.sum.as_secs_f64()));
        text.line(format_args!("{name}_count{{{label}=\"{value}\"}} {}", self.count));
    }
}
