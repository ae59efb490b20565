//! A moment in UTC and its parts by the codes of `strftime`.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(i64);

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

impl Moment {
    /// The clock's.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// Midnight of a date `YYYY-MM-DD`.
    pub(crate) fn of_date(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let moment = Self(days_from_civil(year, month, day) * 86_400);
        (moment.civil() == (year, month, day)).then_some(moment)
    }

    /// Year, month, day, by Howard Hinnant's algorithm.
    fn civil(self) -> (i64, i64, i64) {
        let days = self.0.div_euclid(86_400) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// The text that `strftime` makes; codes that are not known stay as they are.
    pub(crate) fn format(self, format: &str) -> String {
        let (year, month, day) = self.civil();
        let seconds = self.0.rem_euclid(86_400);
        let month_name = MONTHS[usize::try_from(month - 1).unwrap_or_default()];
        let day_name = DAYS[usize::try_from(self.0.div_euclid(86_400).rem_euclid(7)).unwrap_or_default()];
        let mut text = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some('Y') => text += &format!("{year:04}"),
                Some('y') => text += &format!("{:02}", year.rem_euclid(100)),
                Some('m') => text += &format!("{month:02}"),
                Some('d') => text += &format!("{day:02}"),
                Some('B') => text += month_name,
                Some('b' | 'h') => text += &month_name[..3],
                Some('A') => text += day_name,
                Some('a') => text += &day_name[..3],
                Some('H') => text += &format!("{:02}", seconds / 3600),
                Some('M') => text += &format!("{:02}", seconds / 60 % 60),
                Some('S') => text += &format!("{:02}", seconds % 60),
                Some('F') => text += &format!("{year:04}-{month:02}-{day:02}"),
                Some('%') => text.push('%'),
                Some(other) => text.extend(['%', other]),
                None => text.push('%'),
            }
        }
        text
    }
}

/// Days since 1970, by Howard Hinnant's algorithm.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let format = "%Y-%m-%d %A %d %B %b %y %H:%M:%S %% %Q";
        let texts = [
            (0, "1970-01-01 Thursday 01 January Jan 70 00:00:00 % %Q"),
            (951_782_399, "2000-02-28 Monday 28 February Feb 00 23:59:59 % %Q"),
            (951_782_400, "2000-02-29 Tuesday 29 February Feb 00 00:00:00 % %Q"),
            (1_751_122_215, "2025-06-28 Saturday 28 June Jun 25 14:50:15 % %Q"),
        ];
        for (seconds, text) in texts {
            assert_eq!(Moment(seconds).format(format), text);
        }
    }

    #[test]
    fn a_date_is_read_back() {
        for date in ["1970-01-01", "2024-02-29", "2025-12-31"] {
            assert_eq!(Moment::of_date(date).map(|moment| moment.format("%F")).as_deref(), Some(date));
        }
        for wrong in ["", "2025-02-29", "2025-13-01", "2025-06", "x-y-z", "99999999999999-01-01"] {
            assert_eq!(Moment::of_date(wrong), None, "{wrong}");
        }
    }
}
