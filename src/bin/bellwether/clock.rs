//! Time: a clock that all processes of the machine share, and points in time as text.
//!
//! The text is made here because it is one short function; a calendar that knows zones and languages would be a
//! dependency larger than the command.

use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds on the clock that all processes of this machine share and nobody sets.
#[cfg(unix)]
pub(crate) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // It counts from the start of the machine: neither negative nor beyond five centuries.
    Duration::try_from(time).map_or(0, nanoseconds)
}

/// Nanoseconds on the clock that all processes of this machine share. Without the calls of Unix that is the wall clock,
/// so whoever sets it during a demonstration gets strange figures.
#[cfg(not(unix))]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanoseconds)
}

/// A moment that lies back, on the clock of [`now`].
pub(crate) fn at(moment: Instant) -> u64 {
    now().saturating_sub(nanoseconds(moment.elapsed()))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A point in time as RFC 3339 writes it, in UTC with milliseconds: `2026-11-23T15:11:08.042Z`. Points before 1970 are
/// shown as 1970.
pub(crate) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

const DAY: u64 = 24 * 60 * 60;

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years are counted from the first of March of the year 0, so that the leap day is a year's last day, and the
    // lengths of the months follow one rule: five months have 153 days.
    let days = days + DAYS_FROM_0000_03_01;
    let era = days / DAYS_OF_400_YEARS;
    let day_of_era = days % DAYS_OF_400_YEARS;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + next, month, day)
}

const DAYS_FROM_0000_03_01: u64 = 719_468;
const DAYS_OF_400_YEARS: u64 = 146_097;

/// How long ago something was, for people: the largest unit that fits. A point in the future is shown as now; clocks are
/// set back sometimes.
pub(crate) fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then).unwrap_or_default().as_secs() {
        0 => "now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..DAY => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    #[test]
    fn points_in_time_are_written_as_rfc_3339() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_000_000_000_000, "2001-09-09T01:46:40.000Z"),
            (1_234_567_890_123, "2009-02-13T23:31:30.123Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(utc(at(milliseconds)), text);
        }
        assert_eq!(utc(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn dates_follow_each_other_like_those_of_a_simple_calendar() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..200_000 {
            assert_eq!(date(days), (year, month, day), "{days} days");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn what_was_a_while_ago_is_said_in_the_largest_unit() {
        let now = at(1_000_000_000_000);
        for (seconds, text) in [
            (0, "now"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (7_200, "2 h ago"),
            (86_399, "23 h ago"),
            (864_000, "10 d ago"),
        ] {
            assert_eq!(ago(now - Duration::from_secs(seconds), now), text);
        }
        assert_eq!(ago(now + Duration::from_secs(5), now), "now");
    }

    #[test]
    fn the_shared_clock_does_not_go_back() {
        let first = now();
        assert!(first > 0 && now() >= first);
    }
}
