//! Which events an endpoint wants: exact type names, a family such as `message.*`, or everything.

/// Filters of one endpoint.
pub const FILTERS_MAX: usize = 64;
/// Characters of one filter.
pub const FILTER_CHARS_MAX: usize = 64;

/// Whether one of `filters` takes events of this type.
pub fn takes(filters: &[String], event_type: &str) -> bool {
    filters.iter().any(|filter| match filter.strip_suffix('*') {
        Some(family) => event_type.starts_with(family),
        None => filter == event_type,
    })
}

/// Whether a filter can be kept: lower-case words with dots between them, the last of which may be `*`.
pub fn is_filter(text: &str) -> bool {
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
    };
    let (family, last) = text.rsplit_once('.').map_or((None, text), |(family, last)| (Some(family), last));
    text.len() <= FILTER_CHARS_MAX
        && family.is_none_or(|family| family.split('.').all(plain))
        && (last == "*" || (family.is_some() && plain(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(filters: &[&str], event_type: &str) -> bool {
        takes(&filters.iter().map(ToString::to_string).collect::<Vec<_>>(), event_type)
    }

    #[test]
    fn a_filter_takes_its_type_its_family_or_everything() {
        assert!(taken(&["message.sent"], "message.sent") && !taken(&["message.sent"], "message.sent.late"));
        assert!(taken(&["message.*"], "message.received") && !taken(&["message.*"], "messages.received"));
        assert!(!taken(&["message.*"], "session.state") && taken(&["message.*", "session.state"], "session.state"));
        assert!(taken(&["*"], "session.state"));
        assert!(!taken(&[], "session.state"));
    }

    #[test]
    fn only_names_families_and_the_star_are_filters() {
        for text in ["*", "message.*", "message.received", "group.member.*", "a-b.c_d"] {
            assert!(is_filter(text), "{text}");
        }
        for text in ["", "message", "message.", ".*", "mess*", "message.re*", "*.received", "Message.*", "a..b", "a b.c"] {
            assert!(!is_filter(text), "{text}");
        }
        assert!(!is_filter(&format!("a.{}", "b".repeat(FILTER_CHARS_MAX))));
    }
}
