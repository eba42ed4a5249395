//! Secrets that a call has read: they are masked in what it logs and in what it says of its failure.

use crate::log::{LogLine, escaped};

/// What stands in place of a secret.
const MASK: &str = "***";
/// Fewest characters of a line of a longer secret that is masked by itself.
const LINE_CHARS_MIN: usize = 8;

/// The words that a call must not say.
#[derive(Default)]
pub(crate) struct Masks {
    /// The longest first: one may be a part of another.
    words: Vec<String>,
}

impl Masks {
    /// Masks a secret from now on, as it is and as a log has it; of one with several lines each of some length, since a log may
    /// have them one by one.
    pub(crate) fn learn(&mut self, secret: &str) {
        let lines = secret.lines().map(str::trim).filter(|line| line.chars().count() >= LINE_CHARS_MIN);
        for word in std::iter::once(secret).chain(lines) {
            for word in [word.to_owned(), escaped(word)] {
                if !word.is_empty() && !self.words.contains(&word) {
                    self.words.push(word);
                }
            }
        }
        self.words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    }

    /// `text` without the secrets.
    pub(crate) fn masked(&self, text: String) -> String {
        self.words.iter().fold(text, |text, word| if text.contains(word) { text.replace(word, MASK) } else { text })
    }

    /// The same of what was logged.
    pub(crate) fn mask(&self, lines: &mut [LogLine]) {
        if !self.words.is_empty() {
            lines.iter_mut().for_each(|line| line.message = self.masked(std::mem::take(&mut line.message)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand_and_whole_before_their_parts() {
        let mut masks = Masks::default();
        assert_eq!(masks.masked("sk_1".to_owned()), "sk_1");
        masks.learn("sk_1");
        masks.learn("sk_1234");
        masks.learn("sk_1");
        assert_eq!(masks.masked("a sk_1234, a sk_1 and sk_2".to_owned()), "a ***, a *** and sk_2");
    }

    #[test]
    fn a_secret_of_several_lines_is_masked_as_a_log_escapes_it_and_line_by_line() {
        let mut masks = Masks::default();
        masks.learn("-----BEGIN KEY-----\nabcdefgh\nab\n");
        assert_eq!(masks.masked(escaped("x -----BEGIN KEY-----\nabcdefgh\nab\n y")), "x *** y");
        assert_eq!(masks.masked("line abcdefgh and ab".to_owned()), "line *** and ab");
    }
}
