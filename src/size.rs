//! Sizes for people: decimal units with one decimal place.

const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];

/// Formats a size, for example `512 B` or `1.9 MB`.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    // Round in tenths of the unit, so that 999 950 bytes are 1.0 MB and not 1000.0 kB.
    let mut unit_bytes: u128 = 1000;
    for unit in UNITS {
        let tenths = (u128::from(count) * 10 + unit_bytes / 2) / unit_bytes;
        if tenths < 10_000 || unit == "PB" {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        unit_bytes *= 1000;
    }
    format!("{count} B")
}

/// Formats a difference in bytes with its sign, for example `-69.3 MB`, `+512 B`, `0 B`.
pub(crate) fn difference(count: i64) -> String {
    format!("{}{}", sign(count as f64), bytes(count.unsigned_abs()))
}

/// Formats a percentage with its sign, for example `-20.3 %`, `0 %`.
pub(crate) fn percent(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    match value == 0.0 {
        true => "0 %".to_owned(),
        false => format!("{}{:.1} %", sign(rounded), rounded.abs()),
    }
}

/// From one size to another, for example `130.9 MB → 98.1 MB`.
pub(crate) fn change(before: u64, after: u64) -> String {
    format!("{} → {}", bytes(before), bytes(after))
}

/// From one size to another with the difference, for example `130.9 MB → 98.1 MB compressed (-25.1 %)`.
pub(crate) fn change_of(before: u64, after: u64, what: &str) -> String {
    let percent = percent(percent_more(before, after));
    format!("{} {what} ({percent})", change(before, after))
}

/// How much more `after` is than `before`, in percent; 0 if `before` is 0.
pub(crate) fn percent_more(before: u64, after: u64) -> f64 {
    match before {
        0 => 0.0,
        _ => (after as f64 - before as f64) / before as f64 * 100.0,
    }
}

/// How many bytes more `after` is than `before`.
pub(crate) fn bytes_more(before: u64, after: u64) -> i64 {
    after.wrapping_sub(before).cast_signed()
}

fn sign(value: f64) -> &'static str {
    match value {
        _ if value < 0.0 => "-",
        _ if value > 0.0 => "+",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_people_would_choose() {
        let shown = [
            0,
            999,
            1000,
            1949,
            999_949,
            999_950,
            90_312_345,
            1_000_000_000,
        ]
        .map(bytes);
        assert_eq!(
            shown,
            [
                "0 B", "999 B", "1.0 kB", "1.9 kB", "999.9 kB", "1.0 MB", "90.3 MB", "1.0 GB"
            ]
        );
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
    }

    #[test]
    fn differences_have_a_sign_unless_they_are_none() {
        assert_eq!(difference(-69_300_000), "-69.3 MB");
        assert_eq!(difference(1), "+1 B");
        assert_eq!(difference(0), "0 B");
        assert_eq!(difference(i64::MIN), "-9223.4 PB");
        assert_eq!(bytes_more(5, 3), -2);
    }

    #[test]
    fn percents_have_one_place_and_no_minus_before_zero() {
        assert_eq!(percent(-20.26), "-20.3 %");
        assert_eq!(percent(4.5), "+4.5 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(-0.01), "0.0 %");
        assert_eq!(percent(percent_more(0, 9)), "0 %");
    }
}
