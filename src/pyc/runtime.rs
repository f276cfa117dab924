//! The interpreters that bytecode is for.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// An implementation of Python (PEP 421, `sys.implementation.name`). Each has bytecode and cache tags of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Implementation {
    /// CPython, whose caches pycull manages.
    CPython,
    /// PyPy, whose caches pycull only counts.
    PyPy,
}

impl Implementation {
    const ALL: [Self; 2] = [Self::CPython, Self::PyPy];

    /// What its cache tags begin with, before the digits of the version.
    const fn tag_prefix(self) -> &'static str {
        match self {
            Self::CPython => "cpython-",
            Self::PyPy => "pypy",
        }
    }
}

/// An implementation of Python in one minor version, such as CPython 3.11.
///
/// All its releases share one cache tag. Pre-releases and free-threaded builds have the same tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Runtime {
    /// The implementation.
    pub implementation: Implementation,
    /// The major version of the language.
    pub major: u8,
    /// The minor version of the language.
    pub minor: u8,
}

impl Runtime {
    /// CPython `major.minor`.
    pub const fn cpython(major: u8, minor: u8) -> Self {
        Self {
            implementation: Implementation::CPython,
            major,
            minor,
        }
    }

    /// Parses a cache tag: `cpython-39`, `cpython-311` or `pypy311`. The digits are one of the major version and the
    /// minor version without leading zeros. `None` for other tags (`graalpy240-311`, `cpython-39-pytest-7`).
    pub fn from_cache_tag(tag: &[u8]) -> Option<Self> {
        Implementation::ALL.into_iter().find_map(|implementation| {
            let digits = tag.strip_prefix(implementation.tag_prefix().as_bytes())?;
            let (&major, minor) = digits.split_first()?;
            if !(b'1'..=b'9').contains(&major) || !minor.iter().all(u8::is_ascii_digit) {
                return None;
            }
            if minor.is_empty() || (minor[0] == b'0' && minor.len() > 1) {
                return None;
            }
            Some(Self {
                implementation,
                major: major - b'0',
                minor: std::str::from_utf8(minor).ok()?.parse().ok()?,
            })
        })
    }

    /// The cache tag (`sys.implementation.cache_tag`), for example `cpython-311`.
    pub fn cache_tag(self) -> String {
        let prefix = self.implementation.tag_prefix();
        format!("{prefix}{}{}", self.major, self.minor)
    }
}

/// The version of the language, for example `3.11`.
impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Runtime {
    type Err = ParseIntError;

    /// Parses `3.11` as CPython 3.11.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self::cpython(major.parse()?, minor.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_tags_name_an_implementation_and_its_version() {
        for (tag, implementation, version) in [
            ("cpython-32", Implementation::CPython, "3.2"),
            ("cpython-39", Implementation::CPython, "3.9"),
            ("cpython-310", Implementation::CPython, "3.10"),
            ("cpython-315", Implementation::CPython, "3.15"),
            ("cpython-30", Implementation::CPython, "3.0"),
            ("pypy39", Implementation::PyPy, "3.9"),
            ("pypy311", Implementation::PyPy, "3.11"),
        ] {
            let parsed = Runtime::from_cache_tag(tag.as_bytes()).unwrap();
            assert_eq!(parsed.implementation, implementation);
            assert_eq!(parsed.to_string(), version);
            assert_eq!(parsed.cache_tag(), tag);
        }
        for tag in [
            "",
            "cpython-",
            "cpython-3",
            "cpython-311t",
            "cpython-039",
            "cpython-301",
            "cpython-3 9",
            "cpython-39-pytest-7",
            "cpython-39-PYTEST",
            "pypy3-71",
            "pypy-41",
            "graalpy240-311",
            "CPYTHON-39",
            "cpython-3999",
            "cpython-3+9",
            "jython-27",
        ] {
            assert_eq!(Runtime::from_cache_tag(tag.as_bytes()), None, "{tag}");
        }
    }
}
