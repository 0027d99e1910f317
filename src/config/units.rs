//! Sizes and durations as people write them: `"64MiB"`, `"30s"`. A number without a unit is refused, since the
//! reader of a file cannot know which one was meant.

use std::{fmt, str::FromStr, time::Duration};

/// An amount of memory or storage. Unit: bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const KIB: u64 = 1024;
const MIB: u64 = KIB * 1024;
const GIB: u64 = MIB * 1024;
const TIB: u64 = GIB * 1024;

/// Largest first, so that writing picks the shortest exact form.
const SIZES: [(&str, u64); 5] = [
    ("TiB", TIB),
    ("GiB", GIB),
    ("MiB", MIB),
    ("KiB", KIB),
    ("B", 1),
];

impl ByteSize {
    /// What a size looks like, for messages.
    pub const FORM: &str = "a size such as \"64KiB\", \"512MiB\" or \"2GiB\"";

    /// That many MiB.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Self(n * MIB)
    }

    /// That many KiB.
    #[must_use]
    pub const fn kib(n: u64) -> Self {
        Self(n * KIB)
    }

    /// As an amount of memory on this machine; more than it can address is all of it.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, &SIZES)
            .map(Self)
            .ok_or_else(|| Self::FORM.to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(self.0, &SIZES, f)
    }
}

/// A length of time. Unit: milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const SPANS: [(&str, u64); 5] = [
    ("d", DAY),
    ("h", HOUR),
    ("m", MINUTE),
    ("s", SECOND),
    ("ms", 1),
];

impl Span {
    /// What a duration looks like, for messages.
    pub const FORM: &str = "a duration such as \"500ms\", \"30s\", \"15m\", \"12h\" or \"30d\"";

    /// That many days.
    #[must_use]
    pub const fn days(n: u64) -> Self {
        Self(n * DAY)
    }

    /// That many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(n * SECOND)
    }

    /// As the standard library holds it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        with_unit(text, &SPANS)
            .map(Self)
            .ok_or_else(|| Self::FORM.to_owned())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_with_unit(self.0, &SPANS, f)
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn write_with_unit(amount: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let exact = |(_, factor): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*factor);
    match units.iter().find(exact) {
        Some((unit, factor)) => write!(f, "{}{unit}", amount / factor),
        None => write!(f, "0{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same() {
        for bytes in [0, 1, 1023, KIB, MIB + 1, 3 * GIB, TIB, u64::MAX] {
            let size = ByteSize(bytes);
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        for ms in [0, 1, 999, SECOND, 90 * SECOND, DAY, 36 * HOUR] {
            let span = Span(ms);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!(ByteSize::mib(1536).to_string(), "1536MiB");
        assert_eq!(Span(90 * SECOND).to_string(), "90s");
    }

    #[test]
    fn a_number_without_a_unit_a_fraction_and_too_much_are_refused() {
        for text in [
            "",
            "5",
            "1.5GiB",
            "-1s",
            "GiB",
            "1gb",
            "99999999999TiB",
            "1 GiB x",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for text in ["", "5", "5sec", "s", "1h30m"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(" 64 MiB".parse(), Ok(ByteSize::mib(64)));
    }
}
