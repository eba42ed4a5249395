//! How late it is where a telephone number is from.
//!
//! Pure: a JID and the time in, minutes east of UTC out. Only for countries that keep one time in all of their land; of those
//! that set their clocks, only where the rule is the European Union's.

use super::calendar::date;
use crate::clock::Timestamp;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;
/// The hour, UTC, at which the European Union sets its clocks.
const CHANGE_HOUR: u64 = 1;
/// Days of March, and of October.
const MARCH_DAYS: u64 = 31;
/// How far the clocks are set.
const SUMMER_MINUTES: i32 = 60;

/// Whether a country sets its clocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clocks {
    /// The same all year.
    Still,
    /// An hour ahead from the last Sunday of March to the last Sunday of October.
    European,
}

use Clocks::{European, Still};

/// Calling code, minutes east of UTC in winter, and whether the clocks are set.
const ZONES: &[(&str, i32, Clocks)] = &[
    ("27", 120, Still),
    ("30", 120, European),
    ("31", 60, European),
    ("32", 60, European),
    ("33", 60, European),
    ("36", 60, European),
    ("39", 60, European),
    ("40", 120, European),
    ("41", 60, European),
    ("43", 60, European),
    ("44", 0, European),
    ("45", 60, European),
    ("46", 60, European),
    ("47", 60, European),
    ("48", 60, European),
    ("49", 60, European),
    ("51", -300, Still),
    ("54", -180, Still),
    ("57", -300, Still),
    ("58", -240, Still),
    ("60", 480, Still),
    ("63", 480, Still),
    ("65", 480, Still),
    ("66", 420, Still),
    ("81", 540, Still),
    ("82", 540, Still),
    ("84", 420, Still),
    ("86", 480, Still),
    ("90", 180, Still),
    ("91", 330, Still),
    ("92", 300, Still),
    ("93", 270, Still),
    ("94", 330, Still),
    ("95", 390, Still),
    ("98", 210, Still),
    ("213", 60, Still),
    ("216", 60, Still),
    ("218", 120, Still),
    ("220", 0, Still),
    ("221", 0, Still),
    ("225", 0, Still),
    ("233", 0, Still),
    ("234", 60, Still),
    ("237", 60, Still),
    ("244", 60, Still),
    ("249", 120, Still),
    ("250", 120, Still),
    ("251", 180, Still),
    ("254", 180, Still),
    ("255", 180, Still),
    ("256", 180, Still),
    ("258", 120, Still),
    ("260", 120, Still),
    ("263", 120, Still),
    ("267", 120, Still),
    ("353", 0, European),
    ("354", 0, Still),
    ("355", 60, European),
    ("356", 60, European),
    ("357", 120, European),
    ("358", 120, European),
    ("359", 120, European),
    ("370", 120, European),
    ("371", 120, European),
    ("372", 120, European),
    ("375", 180, Still),
    ("381", 60, European),
    ("385", 60, European),
    ("386", 60, European),
    ("387", 60, European),
    ("389", 60, European),
    ("420", 60, European),
    ("421", 60, European),
    ("502", -360, Still),
    ("503", -360, Still),
    ("504", -360, Still),
    ("505", -360, Still),
    ("506", -360, Still),
    ("507", -300, Still),
    ("591", -240, Still),
    ("595", -180, Still),
    ("598", -180, Still),
    ("852", 480, Still),
    ("853", 480, Still),
    ("855", 420, Still),
    ("856", 420, Still),
    ("880", 360, Still),
    ("886", 480, Still),
    ("962", 180, Still),
    ("963", 180, Still),
    ("964", 180, Still),
    ("965", 180, Still),
    ("966", 180, Still),
    ("967", 180, Still),
    ("968", 240, Still),
    ("971", 240, Still),
    ("973", 180, Still),
    ("974", 180, Still),
    ("977", 345, Still),
    ("992", 300, Still),
    ("993", 300, Still),
    ("994", 240, Still),
    ("995", 240, Still),
    ("996", 360, Still),
    ("998", 300, Still),
];

/// Minutes east of UTC where the person of this JID is, by the country of their number; `None` for groups, LIDs, and where a
/// country keeps several times or sets its clocks by a rule of its own.
pub fn minutes_east(jid: &str, now: Timestamp) -> Option<i32> {
    let digits = jid.strip_suffix("@s.whatsapp.net")?;
    // No calling code begins with another.
    let (_, winter, clocks) = ZONES.iter().find(|(code, _, _)| digits.starts_with(code))?;
    Some(winter + if *clocks == European && is_european_summer(now) { SUMMER_MINUTES } else { 0 })
}

fn is_european_summer(now: Timestamp) -> bool {
    let (_, month, day) = date(now);
    // 1970 began on a Thursday; Sunday is 0.
    let weekday_of_31st = (now.0 / DAY_MS + 4 + MARCH_DAYS.saturating_sub(day)) % 7;
    let change = MARCH_DAYS - weekday_of_31st;
    let changed = day > change || (day == change && now.0 % DAY_MS / HOUR_MS >= CHANGE_HOUR);
    match month {
        3 => changed,
        10 => !changed,
        4..=9 => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-15T12:00:00Z.
    const WINTER: Timestamp = Timestamp(1_768_478_400_000);

    fn east(number: &str, now: Timestamp) -> Option<i32> {
        minutes_east(&format!("{number}@s.whatsapp.net"), now)
    }

    #[test]
    fn a_number_tells_the_time_where_its_country_has_one() {
        for (number, minutes) in [
            ("4915100000001", 60),
            ("919800000001", 330),
            ("9779800000001", 345),
            ("51900000001", -300),
            ("447700900001", 0),
        ] {
            assert_eq!(east(number, WINTER), Some(minutes), "{number}");
        }
    }

    #[test]
    fn where_there_are_several_times_none_is_known() {
        for number in ["15550100001", "79000000001", "5511900000001", "61400000001", "34600000001"] {
            assert_eq!(east(number, WINTER), None, "{number}");
        }
        assert_eq!(minutes_east("4915100000001@lid", WINTER), None);
        assert_eq!(minutes_east("120363041234567890@g.us", WINTER), None);
    }

    #[test]
    fn the_clocks_of_the_european_union_are_set_on_the_last_sundays_of_march_and_october() {
        // 2026-03-29T01:00:00Z and 2026-10-25T01:00:00Z.
        for (moment, before, after) in [(1_774_746_000_000, 60, 120), (1_792_890_000_000, 120, 60)] {
            assert_eq!(east("4915100000001", Timestamp(moment - 1)), Some(before));
            assert_eq!(east("4915100000001", Timestamp(moment)), Some(after));
        }
        assert_eq!(east("8190000000001", Timestamp(1_782_000_000_000)), Some(540), "Japan sets none");
    }

    #[test]
    fn no_calling_code_begins_with_another() {
        for (at, (code, _, _)) in ZONES.iter().enumerate() {
            let clash = ZONES.iter().enumerate().find(|(other, (longer, _, _))| *other != at && longer.starts_with(code));
            assert!(clash.is_none(), "{code}");
        }
    }
}
