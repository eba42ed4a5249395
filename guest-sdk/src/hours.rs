//! Times of the day as people write them in configurations, and what a clock on the wall shows.

/// Minutes of a day.
pub const DAY_MINUTES: i64 = 24 * 60;
/// Furthest that a clock is from UTC, minutes: 14 hours.
pub const OFFSET_MINUTES_MAX: i64 = 14 * 60;

/// What a clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// 0 for Monday to 6 for Sunday.
    pub weekday: usize,
    /// Minutes since midnight.
    pub minute: i64,
}

/// Minutes since midnight of `21:30`; `None` for what is no time of the day.
pub fn minutes_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    let (hours, minutes): (i64, i64) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

/// Minutes east of UTC of `+02:00` or `-03:30`; `None` for what is no offset.
pub fn offset_minutes(text: &str) -> Option<i64> {
    let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (_, Some(rest)) => (-1, rest),
        _ => return None,
    };
    let minutes = minutes_of_day(rest)?;
    (minutes <= OFFSET_MINUTES_MAX).then_some(sign * minutes)
}

/// What a clock that is `offset` minutes east of UTC shows at `now_ms`, milliseconds since 1970.
pub fn wall_clock(now_ms: u64, offset: i64) -> WallClock {
    let minutes = i64::try_from(now_ms / 60_000).unwrap_or(i64::MAX).saturating_add(offset);
    // 1970 began on a Thursday.
    let weekday = (minutes.div_euclid(DAY_MINUTES) + 3).rem_euclid(7);
    WallClock { weekday: usize::try_from(weekday).unwrap_or_default(), minute: minutes.rem_euclid(DAY_MINUTES) }
}

/// Whether `minute` lies in the hours from `from` on and before `until`; they may go over midnight. Equal ends are the whole day.
pub fn is_within(minute: i64, from: i64, until: i64) -> bool {
    if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_offsets_are_read_strictly() {
        assert_eq!(minutes_of_day("00:00"), Some(0));
        assert_eq!(minutes_of_day("23:59"), Some(1439));
        for other in ["", "9:00", "24:00", "12:60", "12", "12:0", "1a:00", "+1:00", "12:00:00"] {
            assert_eq!(minutes_of_day(other), None, "{other}");
        }
        assert_eq!(offset_minutes("+02:00"), Some(120));
        assert_eq!(offset_minutes("-03:30"), Some(-210));
        for other in ["", "02:00", "+14:01", "+2", "Z"] {
            assert_eq!(offset_minutes(other), None, "{other}");
        }
    }

    #[test]
    fn a_clock_on_the_wall_shows_the_day_and_the_minute_of_its_zone() {
        // Thursday, 2026-01-15, 23:30 UTC.
        let now = 1_768_519_800_000;
        assert_eq!(wall_clock(now, 0), WallClock { weekday: 3, minute: 23 * 60 + 30 });
        assert_eq!(wall_clock(now, 60), WallClock { weekday: 4, minute: 30 });
        assert_eq!(wall_clock(now, -600), WallClock { weekday: 3, minute: 13 * 60 + 30 });
        assert_eq!(wall_clock(0, -1), WallClock { weekday: 2, minute: 1439 });
    }

    #[test]
    fn hours_may_go_over_midnight() {
        assert!(is_within(540, 540, 1020) && !is_within(1020, 540, 1020));
        assert!(is_within(1320, 1260, 480) && is_within(479, 1260, 480) && !is_within(480, 1260, 480));
        assert!(is_within(0, 600, 600));
    }
}
