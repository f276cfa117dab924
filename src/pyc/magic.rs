//! The magic number: the first four bytes of a cache, which identify the version of the bytecode.

use std::fmt;

use super::runtime::Runtime;

/// A magic number: the little-endian number before its final `\r\n`.
///
/// CPython lists its numbers in comments of Lib/importlib/_bootstrap_external.py, and from 3.14 on in
/// Include/internal/pycore_magic_number.h. PyPy uses the same field: 112 to 432 for its 3.5 to 3.11, 62218 for its
/// 2.7, 3187 for its 3.2. Those numbers have no version here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Magic(pub u16);

/// The magic numbers of a minor version, including alphas, and those of its releases.
struct Row {
    minor: u8,
    first: u16,
    last: u16,
    /// Newest last. 3.5 has two, because 3.5.2 repaired an opcode and had to change the number.
    released: &'static [u16],
}

const fn row(minor: u8, first: u16, last: u16, released: &'static [u16]) -> Row {
    Row {
        minor,
        first,
        last,
        released,
    }
}

/// CPython 3. Up to 3.5 a row ends with the last number in use, because PyPy took numbers in between. From 3.6 on
/// CPython reserves blocks. From 3.11 on, 3.n owns 2900 + 50n and the 49 numbers after it.
const TABLE: [Row; 16] = [
    row(0, 3000, 3131, &[3131]),
    row(1, 3141, 3151, &[3151]),
    row(2, 3160, 3180, &[3180]),
    row(3, 3190, 3230, &[3230]),
    row(4, 3250, 3310, &[3310]),
    row(5, 3320, 3351, &[3350, 3351]),
    row(6, 3360, 3379, &[3379]),
    row(7, 3390, 3399, &[3394]),
    row(8, 3400, 3419, &[3413]),
    row(9, 3420, 3429, &[3425]),
    row(10, 3430, 3449, &[3439]),
    row(11, 3450, 3499, &[3495]),
    row(12, 3500, 3549, &[3531]),
    row(13, 3550, 3599, &[3571]),
    row(14, 3600, 3649, &[3627]),
    row(15, 3650, 3699, &[3666]),
];

impl Magic {
    /// The magic number at the start of a cache. `None` if there are fewer than four bytes, or if the last two of
    /// them are not `\r\n`.
    pub fn parse(bytes: &[u8]) -> Option<Magic> {
        match bytes {
            [low, high, b'\r', b'\n', ..] => Some(Magic(u16::from_le_bytes([*low, *high]))),
            _ => None,
        }
    }

    /// The four bytes as they are in the file.
    pub fn raw(self) -> [u8; 4] {
        let [low, high] = self.0.to_le_bytes();
        [low, high, b'\r', b'\n']
    }

    /// The minor version of CPython 3 with this number, including pre-releases. `None` for Python 2, for other
    /// interpreters, and for versions after 3.15.
    pub fn version(self) -> Option<Runtime> {
        self.row().map(|row| Runtime::cpython(3, row.minor))
    }

    /// Whether a final release has this number. No release reads caches of alphas and betas.
    pub fn is_final(self) -> bool {
        self.row().is_some_and(|row| row.released.contains(&self.0))
    }

    /// The number of the newest release of a minor version, from 3.0 to 3.15.
    pub fn final_for(runtime: Runtime) -> Option<Magic> {
        let is_its = |row: &&Row| Runtime::cpython(3, row.minor) == runtime;
        let row = TABLE.iter().find(is_its)?;
        row.released.last().copied().map(Magic)
    }

    /// Whether CPython 2.0 to 2.7 uses this number. With `-U`, those versions wrote their own number plus one.
    pub fn is_python2(self) -> bool {
        matches!(self.0, 50823..=50824 | 60202..=60203 | 60717..=60718 | 62011..=62212)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE
            .iter()
            .find(|row| (row.first..=row.last).contains(&self.0))
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether pycull knows the compiler and the bytecode: those of CPython's releases from 3.6 on.
pub fn can_be_compiled(runtime: Runtime) -> bool {
    runtime >= Runtime::cpython(3, 6) && Magic::final_for(runtime).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_final_number_belongs_to_its_version() {
        // 3.6 to 3.14 from importlib.util.MAGIC_NUMBER, the others from the comments there.
        let table = [
            (2, 3180),
            (3, 3230),
            (4, 3310),
            (5, 3351),
            (6, 3379),
            (7, 3394),
            (8, 3413),
            (9, 3425),
            (10, 3439),
            (11, 3495),
            (12, 3531),
            (13, 3571),
            (14, 3627),
            (15, 3666),
        ];
        for (minor, number) in table {
            assert_eq!(
                Magic::final_for(Runtime::cpython(3, minor)),
                Some(Magic(number))
            );
            assert_eq!(Magic(number).version(), Some(Runtime::cpython(3, minor)));
            assert!(Magic(number).is_final() && !Magic(number).is_python2());
        }
        assert_eq!(Magic::final_for(Runtime::cpython(3, 16)), None);
        assert_eq!(Magic::final_for(Runtime::cpython(2, 7)), None);
        assert_eq!(Magic(3351).version().unwrap().to_string(), "3.5");
    }

    #[test]
    fn both_numbers_of_3_5_were_released() {
        assert!(Magic(3350).is_final() && Magic(3351).is_final());
        assert!(!Magic(3340).is_final());
    }

    #[test]
    fn a_development_number_has_a_version_but_is_not_final() {
        for (number, minor) in [
            (3190, 3),
            (3360, 6),
            (3390, 7),
            (3401, 8),
            (3424, 9),
            (3430, 10),
            (3450, 11),
            (3494, 11),
            (3500, 12),
            (3550, 13),
            (3600, 14),
            (3649, 14),
            (3650, 15),
            (3665, 15),
        ] {
            assert_eq!(
                Magic(number).version(),
                Some(Runtime::cpython(3, minor)),
                "{number}"
            );
            assert!(!Magic(number).is_final(), "{number}");
        }
    }

    #[test]
    fn the_numbers_of_others_belong_to_no_version() {
        // Numbers of PyPy, of Python 2, and numbers that nobody uses yet.
        for number in [
            48, 112, 160, 240, 256, 336, 384, 416, 432, 3187, 62218, 62211, 20121, 0, 3700, 65535,
        ] {
            assert_eq!(Magic(number).version(), None, "{number}");
            assert!(!Magic(number).is_final(), "{number}");
        }
        for number in [50823, 60202, 60717, 62011, 62131, 62161, 62211, 62212] {
            assert!(Magic(number).is_python2(), "{number}");
        }
        for number in [62218, 62213, 20121, 3495, 432] {
            assert!(!Magic(number).is_python2(), "{number}");
        }
    }

    #[test]
    fn four_bytes_make_a_number() {
        assert_eq!(Magic::parse(b"\xa7\x0d\r\n"), Some(Magic(3495)));
        assert_eq!(Magic(3495).raw(), *b"\xa7\x0d\r\n");
        for bytes in [&b""[..], b"\xa7\x0d\r", b"\xa7\x0d\n\r", b"\xa7\x0d\n\n"] {
            assert_eq!(Magic::parse(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn a_number_survives_its_bytes(number: u16) {
            prop_assert_eq!(Magic::parse(&Magic(number).raw()), Some(Magic(number)));
        }
    }

    #[test]
    fn only_known_versions_of_cpython_can_be_compiled() {
        assert!(can_be_compiled(Runtime::cpython(3, 6)));
        assert!(!can_be_compiled(Runtime::cpython(3, 5)));
        assert!(!can_be_compiled(Runtime::cpython(3, 99)));
        let pypy = Runtime::from_cache_tag(b"pypy311").unwrap();
        assert!(!can_be_compiled(pypy));
    }
}
