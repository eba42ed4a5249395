//! Minutes, days and months of UTC as numbered windows.
//!
//! Windows of one kind lie end to end and are numbered from 0 at 1970-01-01T00:00:00Z. Years are those of the Gregorian
//! calendar; leap seconds do not exist here, as in every count of seconds since 1970.

use crate::clock::Timestamp;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
const MONTHS_OF_YEAR: u64 = 12;
/// Any 400 years in a row have 97 leap days between them.
const CYCLE_YEARS: u64 = 400;
const CYCLE_DAYS: u64 = 400 * 365 + 97;
const FIRST_YEAR: u64 = 1970;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowKind {
    /// A minute.
    Minute,
    /// A day.
    Day,
    /// A calendar month.
    Month,
}

impl WindowKind {
    /// Every kind, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Day, Self::Month];

    /// The window of this kind that holds `moment`.
    pub fn at(self, moment: Timestamp) -> Window {
        let index = match self {
            Self::Minute => moment.0 / MINUTE_MS,
            Self::Day => moment.0 / DAY_MS,
            Self::Month => month_of_day(moment.0 / DAY_MS),
        };
        Window { kind: self, index }
    }
}

/// One minute, day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// How long it is.
    pub kind: WindowKind,
    /// Its number, from 0.
    pub index: u64,
}

impl Window {
    /// Its first millisecond.
    pub fn starts_at(self) -> Timestamp {
        Timestamp(match self.kind {
            WindowKind::Minute => self.index.saturating_mul(MINUTE_MS),
            WindowKind::Day => self.index.saturating_mul(DAY_MS),
            WindowKind::Month => first_day_of_month(self.index).saturating_mul(DAY_MS),
        })
    }

    /// The first millisecond after it.
    pub fn ends_at(self) -> Timestamp {
        Self { index: self.index.saturating_add(1), ..self }.starts_at()
    }
}

/// Year, month and day of a moment; the first month and the first day are 1.
pub fn date(moment: Timestamp) -> (u64, u64, u64) {
    let day = moment.0 / DAY_MS;
    let month = month_of_day(day);
    let (year, month_of_year) = (FIRST_YEAR + month / MONTHS_OF_YEAR, month % MONTHS_OF_YEAR + 1);
    (year, month_of_year, day - first_day_of_month(month) + 1)
}

/// The moment that RFC 3339 writes so, such as `2025-06-15T17:06:40.5+02:00`, to the millisecond; `None` for what is no such
/// text, or lies before 1970.
pub fn moment(text: &str) -> Option<Timestamp> {
    let (day, rest) = text.split_at_checked(10)?;
    let (year, month, day) = match day.split('-').collect::<Vec<_>>().as_slice() {
        [year, month, day] => (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?),
        _ => return None,
    };
    let (time, zone) = rest.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let (hour, minute, second) = match time.split(':').collect::<Vec<_>>().as_slice() {
        [hour, minute, second] => (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?),
        _ => return None,
    };
    let month = month.checked_sub(1).filter(|month| *month < MONTHS_OF_YEAR)?;
    let years = year.checked_sub(FIRST_YEAR)?;
    if !(1..=days_of_month(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_ms, zone) = fraction(zone)?;
    let days = first_day_of_month(years * MONTHS_OF_YEAR + month) + day - 1;
    let local = days * DAY_MS + hour * 60 * MINUTE_MS + minute * MINUTE_MS + second * 1000 + fraction_ms;
    let east_ms = i64::try_from(MINUTE_MS).ok()?.checked_mul(minutes_east(zone)?)?;
    local.checked_add_signed(-east_ms).map(Timestamp)
}

/// A number of exactly `length` digits.
fn digits(text: &str, length: usize) -> Option<u64> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Milliseconds of what may follow the seconds, and what is behind that.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|symbol: char| !symbol.is_ascii_digit())?;
    let (fraction, zone) = rest.split_at_checked(end).filter(|(fraction, _)| !fraction.is_empty())?;
    let ms = fraction.bytes().chain(*b"00").take(3).fold(0, |ms, digit| ms * 10 + u64::from(digit - b'0'));
    Some((ms, zone))
}

fn minutes_east(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (west, offset) = match zone.strip_prefix('-') {
        Some(offset) => (true, offset),
        None => (false, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    let minutes = i64::try_from(hours * 60 + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
    Some(if west { -minutes } else { minutes })
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

/// `month` from 0.
fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// The number of the month that holds the day number `day`.
fn month_of_day(day: u64) -> u64 {
    let (mut years, mut left) = (day / CYCLE_DAYS * CYCLE_YEARS, day % CYCLE_DAYS);
    while left >= days_of_year(FIRST_YEAR + years) {
        left -= days_of_year(FIRST_YEAR + years);
        years += 1;
    }
    let mut month = 0;
    while left >= days_of_month(FIRST_YEAR + years, month) {
        left -= days_of_month(FIRST_YEAR + years, month);
        month += 1;
    }
    years * MONTHS_OF_YEAR + month
}

/// The number of the first day of month number `month`.
fn first_day_of_month(month: u64) -> u64 {
    let (years, month) = (month / MONTHS_OF_YEAR, month % MONTHS_OF_YEAR);
    let whole = years / CYCLE_YEARS * CYCLE_YEARS;
    // What whole cycles hold is the same wherever they begin.
    let year = FIRST_YEAR.saturating_add(years);
    let rest: u64 = (0..years - whole).map(|back| days_of_year(year - 1 - back)).sum();
    let months: u64 = (0..month).map(|month| days_of_month(year, month)).sum();
    (whole / CYCLE_YEARS).saturating_mul(CYCLE_DAYS).saturating_add(rest + months)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    /// Milliseconds of a few moments, as `date -u` gives them.
    const NEW_YEAR_2024: u64 = 1_704_067_200_000;
    const MARCH_2024: u64 = 1_709_251_200_000;
    const MARCH_2100: u64 = 4_107_542_400_000;
    const MARCH_2000: u64 = 951_868_800_000;

    fn month(moment: u64) -> Window {
        WindowKind::Month.at(Timestamp(moment))
    }

    #[test]
    fn months_end_where_the_calendar_says_also_in_leap_years() {
        for (ends, what) in [
            (NEW_YEAR_2024, "the end of 2023"),
            (MARCH_2024, "29 February 2024"),
            (MARCH_2100, "28 February 2100, which is no leap year"),
            (MARCH_2000, "29 February 2000, which is one"),
        ] {
            assert_eq!(month(ends - 1).ends_at(), Timestamp(ends), "{what}");
            assert_eq!(month(ends).starts_at(), Timestamp(ends), "{what}");
            assert_eq!(month(ends).index, month(ends - 1).index + 1, "{what}");
        }
        assert_eq!(month(MARCH_2024 - 1).starts_at(), Timestamp(MARCH_2024 - 29 * DAY_MS));
        assert_eq!(month(MARCH_2100 - 1).starts_at(), Timestamp(MARCH_2100 - 28 * DAY_MS));
    }

    #[test]
    fn a_moment_is_read_as_rfc_3339_writes_it() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59.999Z", MARCH_2000 - 1),
            ("2024-03-01t00:00:00z", MARCH_2024),
            ("2024-03-01 01:30:00+01:30", MARCH_2024),
            ("2024-02-29T19:00:00.0-05:00", MARCH_2024),
            ("2024-03-01T00:00:00.5Z", MARCH_2024 + 500),
            ("2024-03-01T00:00:00.123987Z", MARCH_2024 + 123),
        ] {
            assert_eq!(moment(text), Some(Timestamp(ms)), "{text}");
        }
        for wrong in [
            "",
            "2024-03-01",
            "2024-03-01T00:00:00",
            "2024-03-01T00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-03-00T00:00:00Z",
            "2024-03-01T24:00:00Z",
            "2024-03-01T00:00:60Z",
            "2024-03-01T00:00:00.Z",
            "2024-03-01T00:00:00+1:00",
            "2024-03-01T00:00:00+24:00",
            "+024-03-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "äöü4-03-01T00:00:00Z",
        ] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_first_window_of_each_kind_begins_with_the_count_of_time() {
        for kind in WindowKind::ALL {
            assert_eq!(kind.at(Timestamp(0)), Window { kind, index: 0 });
            assert_eq!(Window { kind, index: 0 }.starts_at(), Timestamp(0));
        }
        assert_eq!(Window { kind: WindowKind::Month, index: 0 }.ends_at(), Timestamp(31 * DAY_MS));
    }

    #[test]
    fn every_moment_is_in_its_window_and_windows_lie_end_to_end() {
        let entropy = SeededEntropy::new(4);
        for _ in 0..20_000 {
            // Up to the year 12,000 or so.
            let moment = Timestamp(entropy.next_u64() % (10_000 * 366 * DAY_MS));
            for kind in WindowKind::ALL {
                let window = kind.at(moment);
                assert!(window.starts_at() <= moment && moment < window.ends_at(), "{kind:?} {moment:?}");
                assert_eq!(kind.at(window.starts_at()), window);
                assert_eq!(kind.at(window.ends_at()).index, window.index + 1);
            }
        }
    }

    #[test]
    fn the_end_of_time_is_in_a_window_too() {
        for kind in WindowKind::ALL {
            let window = kind.at(Timestamp(u64::MAX));
            assert!(window.starts_at() <= window.ends_at());
            assert_eq!(Window { kind, index: u64::MAX }.starts_at(), Timestamp(u64::MAX), "too far away for a number");
        }
    }
}
