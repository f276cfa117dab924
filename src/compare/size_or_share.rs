//! Sizes and percentages, as users write them for gates.

use std::fmt;
use std::str::FromStr;

use crate::size;

/// A limit: a number of bytes, or a percentage of a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// A number of bytes.
    Bytes(u64),
    /// A percentage.
    Percent(f64),
}

impl Limit {
    /// The limit in bytes, relative to a whole of `whole` bytes. Rounds down.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (whole as f64 * percent / 100.0) as u64,
        }
    }

    /// The limit in bytes, relative to a whole of `whole` bytes. Rounds up, for a minimum.
    pub fn at_least(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (whole as f64 * percent / 100.0).ceil() as u64,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&size::bytes(*bytes)),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

/// Units of size in lower case, with their bytes.
const UNITS: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || {
            format!(
                "`{text}` is not a size or a percentage; write it as 0, 500kB, 1.5MB, 10MiB or 2.5%"
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let number: f64 = number.parse().map_err(|_| error())?;
        let unit = unit.trim().to_ascii_lowercase();
        if unit == "%" {
            return Ok(Self::Percent(number));
        }
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, bytes) = known.ok_or_else(error)?;
        Ok(Self::Bytes((number * *bytes as f64).round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_sizes_or_shares() {
        for (text, limit) in [
            ("0", Limit::Bytes(0)),
            ("500kB", Limit::Bytes(500_000)),
            ("1.5MB", Limit::Bytes(1_500_000)),
            ("10MiB", Limit::Bytes(10 << 20)),
            ("1 GiB", Limit::Bytes(1 << 30)),
            ("0%", Limit::Percent(0.0)),
            ("2.5%", Limit::Percent(2.5)),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
        }
        for wrong in ["", "kB", "-1", "1.2.3", "5 apples", "1e3", "nan%", "inf"] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_share_is_of_a_whole() {
        assert_eq!(Limit::Bytes(5).of(100), 5);
        assert_eq!(Limit::Percent(2.5).of(1000), 25);
        // A maximum is rounded down, a minimum up.
        for percent in [0.01, 0.05, 0.09] {
            assert_eq!(Limit::Percent(percent).of(1000), 0, "{percent}");
            assert_eq!(Limit::Percent(percent).at_least(1000), 1, "{percent}");
        }
        assert_eq!(Limit::Percent(0.0).at_least(1000), 0);
        assert_eq!(Limit::Percent(1e30).of(1000), u64::MAX);
    }
}
