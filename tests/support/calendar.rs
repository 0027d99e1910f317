//! Dates and the clock of central Europe, worked out by hand: the product has its calendar from a library, and a judge
//! that asked the same library would share its mistakes.
//!
//! Days are counted from 1970-01-01, instants in milliseconds since then. Since 1996 summer time begins on the last
//! Sunday of March and ends on that of October, both at 01:00 UTC.

#![allow(dead_code, reason = "each test uses its part of this")]

/// Days since 1970-01-01.
pub type Day = i64;

pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Where a business unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// So many hours east of Greenwich, all year.
    East(i64),
    /// In a city of the European Union.
    In(City),
}

/// Cities of the European Union, whose clocks all change at the same instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum City {
    Berlin,
    Helsinki,
}

impl City {
    /// As rules name its zone.
    pub const fn zone_name(self) -> &'static str {
        match self {
            Self::Berlin => "Europe/Berlin",
            Self::Helsinki => "Europe/Helsinki",
        }
    }

    /// Hours east of Greenwich in winter.
    pub const fn hours(self) -> i64 {
        match self {
            Self::Berlin => 1,
            Self::Helsinki => 2,
        }
    }
}

impl Zone {
    /// What the clocks there are ahead of UTC at an instant.
    fn ahead_ms(self, at_ms: i64) -> i64 {
        match self {
            Self::East(hours) => hours * HOUR_MS,
            Self::In(city) => {
                let (year, ..) = date(at_ms.div_euclid(DAY_MS));
                let [begin, end] = changes(year);
                HOUR_MS * (city.hours() + i64::from((begin..end).contains(&at_ms)))
            }
        }
    }

    /// The date there.
    pub fn day(self, at_ms: i64) -> Day {
        (at_ms + self.ahead_ms(at_ms)).div_euclid(DAY_MS)
    }

    /// The first instant of a day: no clock there is ever put back or forward over midnight.
    pub fn midnight_ms(self, day: Day) -> i64 {
        let guess = day * DAY_MS - HOUR_MS;
        day * DAY_MS - self.ahead_ms(guess)
    }
}

/// When summer time begins and ends.
pub fn changes(year: i64) -> [i64; 2] {
    [3, 10].map(|month| {
        let last = day(year, month, 31);
        // 1970-01-01 was a Thursday.
        let after_sunday = (last + 4).rem_euclid(7);
        (last - after_sunday) * DAY_MS + HOUR_MS
    })
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The number of a date.
pub fn day(year: i64, month: i64, day: i64) -> Day {
    let years: i64 = (1970..year).map(|y| 365 + i64::from(is_leap(y))).sum();
    let months: i64 = (1..month).map(|m| days_of_month(year, m)).sum();
    years + months + day - 1
}

/// Year, month and day of a number.
pub fn date(day: Day) -> (i64, i64, i64) {
    let (mut year, mut month, mut left) = (1970, 1, day);
    while left >= 365 + i64::from(is_leap(year)) {
        left -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    while left >= days_of_month(year, month) {
        left -= days_of_month(year, month);
        month += 1;
    }
    (year, month, left + 1)
}

/// As exports and events write a date.
pub fn written(of: Day) -> String {
    let (year, month, day) = date(of);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The date in a text.
pub fn read(text: &str) -> Day {
    let mut parts = text.split('-').map(|part| part.parse().expect("a number"));
    let mut next = || parts.next().expect("year, month and day");
    day(next(), next(), next())
}

/// As events write an instant.
pub fn instant(at_ms: i64) -> String {
    let of_day = at_ms.rem_euclid(DAY_MS);
    let (hours, minutes) = (of_day / HOUR_MS, of_day / 60_000 % 60);
    let (seconds, ms) = (of_day / 1_000 % 60, of_day % 1_000);
    let date = written(at_ms.div_euclid(DAY_MS));
    format!("{date}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z")
}

/// The instant in a text of [`instant`]'s form, with milliseconds or without.
pub fn instant_ms(text: &str) -> i64 {
    let (date, time) = text.split_once('T').expect("date and time");
    let time = time.strip_suffix('Z').expect("UTC");
    let (time, ms) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time
        .split(':')
        .map(|part| part.parse::<i64>().expect("a number"));
    let mut next = || parts.next().expect("hours, minutes and seconds");
    let seconds = next() * 3_600 + next() * 60 + next();
    let ms: i64 = format!("{ms:0<3}")[..3].parse().expect("milliseconds");
    read(date) * DAY_MS + seconds * 1_000 + ms
}
