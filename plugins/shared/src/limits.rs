//! How limits stand, in the headers of an answer.

use switchboard_guest_sdk::router::Response;
use switchboard_guest_sdk::types::{Field, QuotaStanding};

/// The limit to watch: the one with the least left, and of several the one that resets last.
pub fn tightest(limits: &[QuotaStanding]) -> Option<&QuotaStanding> {
    let left = |limit: &QuotaStanding| limit.max.saturating_sub(limit.used);
    limits.iter().min_by_key(|limit| (left(limit), std::cmp::Reverse(limit.resets_at_ms)))
}

/// Shows the limit to watch as `X-RateLimit-*`: the most, what is left, and when the count begins anew, seconds since 1970.
pub fn show(response: &mut Response, limits: &[QuotaStanding]) {
    let Some(limit) = tightest(limits) else { return };
    set_header(response, "x-ratelimit-limit", limit.max.to_string());
    set_header(response, "x-ratelimit-remaining", limit.max.saturating_sub(limit.used).to_string());
    if let Some(at) = limit.resets_at_ms {
        set_header(response, "x-ratelimit-reset", at.div_ceil(1000).to_string());
    }
}

/// Sets a header, in the place of one of the same name.
pub fn set_header(response: &mut Response, name: &str, value: String) {
    response.headers.retain(|header| header.name != name);
    response.headers.push(Field { name: name.to_owned(), value });
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_guest_sdk::http;

    fn limit(name: &str, max: u64, used: u64, resets_at_ms: u64) -> QuotaStanding {
        let (limit, resets_at_ms) = (name.to_owned(), Some(resets_at_ms));
        QuotaStanding { limit, of_session: false, max, used, resets_at_ms, retry_after_s: None }
    }

    #[test]
    fn the_limit_with_the_least_left_is_shown_and_of_two_the_one_that_resets_last() {
        let limits = [limit("minute", 10, 7, 1_000), limit("day", 100, 97, 5_001), limit("month", 1_000, 10, 9_000)];
        assert_eq!(tightest(&limits).map(|limit| limit.limit.as_str()), Some("day"));
        let mut response = http::empty(200);
        show(&mut response, &limits);
        show(&mut response, &limits);
        let shown: Vec<(&str, &str)> =
            response.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
        let expected = [("x-ratelimit-limit", "100"), ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "6")];
        assert_eq!(shown, expected);
        let mut without = http::empty(200);
        show(&mut without, &[]);
        assert!(without.headers.is_empty());
    }
}
