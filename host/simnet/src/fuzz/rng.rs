//! Where hostile input comes from: a small generator, and how long to go on.

use std::time::Duration;

use tokio::time::Instant;

/// How long a property test runs when nobody says so.
const SECONDS: u64 = 2;

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// From 0 up to but not including `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(super) fn bytes(&mut self, end: usize) -> Vec<u8> {
        (0..self.below(end)).map(|_| self.next() as u8).collect()
    }

    /// Text that nobody expects.
    pub(super) fn text(&mut self) -> String {
        const TEXTS: [&str; 18] = [
            "",
            "0",
            "-1",
            "1",
            "65536",
            "18446744073709551616",
            "NaN",
            "true",
            "@",
            "@s.whatsapp.net",
            ":",
            "1:2:3@lid",
            "status@broadcast",
            "../../x",
            "\0",
            "\u{202e}",
            "🙂",
            "%00",
        ];
        match self.below(4) {
            0 => String::from_utf8_lossy(&self.bytes(40)).into_owned(),
            1 => "x".repeat(self.below(3_000)),
            2 => self.next().to_string(),
            _ => self.pick(&TEXTS).to_owned(),
        }
    }

    /// Flips, cuts, repeats or inserts.
    pub(super) fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(5) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.next() as u8,
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..].iter().take(64).copied().collect::<Vec<_>>();
                bytes.extend(piece);
            }
            _ => {
                let junk = self.bytes(16);
                bytes.splice(at..at, junk);
            }
        }
    }
}

/// Runs `round` until the time is over; tells the seed, and how many rounds there were.
pub(super) fn fuzz(what: &str, mut round: impl FnMut(&mut Rng, u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("SIM_FUZZ_SEED").unwrap_or_else(|| u64::from_le_bytes(crate::random::bytes()));
    let seconds = number("SIM_FUZZ_SECONDS").unwrap_or(SECONDS);
    println!("{what}: SIM_FUZZ_SEED={seed}");
    let mut rng = Rng::new(seed);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut rounds = 0;
    while Instant::now() < until {
        round(&mut rng, rounds);
        rounds += 1;
    }
    println!("{what}: {rounds} rounds");
}
