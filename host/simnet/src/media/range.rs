//! Which part of a file a download asks for.

/// The bytes to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of them: there is no range, or one that nobody has to understand (RFC 9110, 14.2).
    Whole,
    /// From the first to before the last.
    Part { from: u64, to: u64 },
    /// None of them is there.
    Nothing,
}

/// Reads a `Range` header for a file of `bytes` bytes. Of several ranges none is served alone, so all is.
pub(super) fn asked(header: Option<&str>, bytes: u64) -> Asked {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")?.split_once('-')) else {
        return Asked::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let (from, to) = match (number(first), number(last)) {
        (Some(from), None) if last.is_empty() => (from, bytes),
        (Some(from), Some(last)) if from <= last => (from, last.saturating_add(1).min(bytes)),
        (None, Some(count)) if first.is_empty() => (bytes.saturating_sub(count), bytes),
        _ => return Asked::Whole,
    };
    if from < to { Asked::Part { from, to } } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::{Asked, asked};

    #[test]
    fn ranges_are_cut_to_the_file() {
        for (header, from, to) in
            [("bytes=0-3", 0, 4), ("bytes=5-", 5, 10), ("bytes=8-99", 8, 10), ("bytes=-3", 7, 10), ("bytes=-99", 0, 10)]
        {
            assert_eq!(asked(Some(header), 10), Asked::Part { from, to }, "{header}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_means_the_whole_file() {
        for header in ["bytes=3-1", "bytes=", "bytes=-", "bytes=0-1,4-5", "lines=0-3", "bytes=+1-3"] {
            assert_eq!(asked(Some(header), 10), Asked::Whole, "{header}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
    }

    #[test]
    fn ranges_beyond_the_file_have_nothing() {
        for (header, bytes) in [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)] {
            assert_eq!(asked(Some(header), bytes), Asked::Nothing, "{header}");
        }
    }
}
