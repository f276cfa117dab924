//! The names of caches: `module.cpython-311.opt-1.pyc` (PEP 3147, PEP 488).

use std::fmt;

/// An optimization level, as `-O` counts them. It determines what the compiler leaves out.
///
/// Source: PEP 488.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Keeps everything.
    Zero,
    /// `-O`: drops assertions, and `__debug__` is false.
    One,
    /// `-OO`: drops docstrings too.
    Two,
}

impl Level {
    /// The three levels, lowest first.
    pub const ALL: [Level; 3] = [Level::Zero, Level::One, Level::Two];

    /// The level's number, which is also its index in [`Level::ALL`].
    pub fn index(self) -> usize {
        match self {
            Level::Zero => 0,
            Level::One => 1,
            Level::Two => 2,
        }
    }

    /// The text between the cache tag and `.pyc` in a cache's name: nothing, `.opt-1` or `.opt-2`.
    pub fn suffix(self) -> &'static str {
        match self {
            Level::Zero => "",
            Level::One => ".opt-1",
            Level::Two => ".opt-2",
        }
    }

    /// The level with this number; `None` above 2.
    pub fn from_number(number: u8) -> Option<Level> {
        Level::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index().fmt(f)
    }
}

/// The parts of a cache's file name, which are `module.cache_tag.opt-optimization.pyc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheName<'a> {
    /// The module's name without its package. It may contain dots if the file is not imported by name.
    pub module: &'a [u8],
    /// The cache tag, for example `cpython-311`; see [`Runtime::from_cache_tag`](super::Runtime::from_cache_tag).
    pub cache_tag: &'a [u8],
    /// The text after `opt-`; empty if the name has no such part.
    pub optimization: &'a [u8],
}

impl CacheName<'_> {
    /// The level that the name states. `None` for `opt-3`, `opt-0`, `opt-x` and the like. Only an interpreter with
    /// exactly that `PYTHONOPTIMIZE` reads those.
    pub fn level(&self) -> Option<Level> {
        match self.optimization {
            b"" => Some(Level::Zero),
            b"1" => Some(Level::One),
            b"2" => Some(Level::Two),
            _ => None,
        }
    }

    /// The file name of the source, in the directory above `__pycache__`.
    pub fn source_name(&self) -> Vec<u8> {
        [self.module, b".py"].concat()
    }
}

/// Parses the name of a file in `__pycache__`. `None` if no cache has such a name.
///
/// The parser reads from the right, as `importlib.util.cache_from_source` writes the name
/// (Lib/importlib/_bootstrap_external.py, the same from 3.5 to 3.14). The parts are `.pyc`, an optional `opt-` with
/// at least one alphanumeric character, the cache tag, and the module. A module's name may contain dots: compileall
/// writes `gunicorn.conf.cpython-311.pyc` for `gunicorn.conf.py`, and the loader reads it. `source_from_cache`, which
/// only tools call, refuses such names.
///
/// `a.cpython-311.pyc.139872` is not a cache but the temporary file of a killed write. A name without a module is not
/// a cache.
///
/// Python applies `str.isalnum` to the optimization part. [`char::is_alphanumeric`] is the nearest function here and
/// differs for a few characters outside ASCII. A part that is not UTF-8 is never alphanumeric.
pub fn parse_cache_name(file_name: &[u8]) -> Option<CacheName<'_>> {
    let stem = file_name.strip_suffix(b".pyc")?;
    let (mut module, mut cache_tag) = split_last_dot(stem)?;
    let mut optimization = &b""[..];
    if let (Some(option), Some((head, tag))) =
        (cache_tag.strip_prefix(b"opt-"), split_last_dot(module))
    {
        if !is_alphanumeric(option) {
            return None;
        }
        (module, cache_tag, optimization) = (head, tag, option);
    }
    (!module.is_empty()).then_some(CacheName {
        module,
        cache_tag,
        optimization,
    })
}

fn split_last_dot(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = name.iter().rposition(|byte| *byte == b'.')?;
    Some((&name[..dot], &name[dot + 1..]))
}

fn is_alphanumeric(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    !text.is_empty() && text.chars().all(char::is_alphanumeric)
}

/// The file name of a module's cache in `__pycache__`, as `importlib.util.cache_from_source` writes it.
pub fn cache_file_name(module: &[u8], tag: &[u8], level: Level) -> Vec<u8> {
    [module, b".", tag, level.suffix().as_bytes(), b".pyc"].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(name: &str) -> Option<(String, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse_cache_name(name.as_bytes()).map(|name| {
            (
                text(name.module),
                text(name.cache_tag),
                text(name.optimization),
            )
        })
    }

    #[test]
    fn a_name_is_accepted_where_cache_from_source_makes_it() {
        // importlib.util.cache_from_source of 3.6.15, 3.9.18 and 3.13.0 makes these names.
        let accepted = [
            ("a.cpython-39.pyc", ("a", "cpython-39", "")),
            ("a.cpython-39.opt-1.pyc", ("a", "cpython-39", "1")),
            ("a.cpython-39.opt-a1.pyc", ("a", "cpython-39", "a1")),
            ("a.cpython-39.opt-²é.pyc", ("a", "cpython-39", "²é")),
            (
                "a.cpython-39-pytest-7.pyc",
                ("a", "cpython-39-pytest-7", ""),
            ),
            (".a.cpython-39.pyc", (".a", "cpython-39", "")),
            ("..cpython-39.pyc", (".", "cpython-39", "")),
            ("x..cpython-39.pyc", ("x.", "cpython-39", "")),
            (
                "gunicorn.conf.cpython-39.pyc",
                ("gunicorn.conf", "cpython-39", ""),
            ),
            ("a.b.c.cpython-39.opt-1.pyc", ("a.b.c", "cpython-39", "1")),
            (
                "foo.cpython-311.cpython-39.pyc",
                ("foo.cpython-311", "cpython-39", ""),
            ),
            (
                "foo.opt-1.cpython-39.opt-2.pyc",
                ("foo.opt-1", "cpython-39", "2"),
            ),
            // No CPython has these tags, so `Runtime::from_cache_tag` refuses them.
            (
                "a.cpython-39-pytest-7.1.pyc",
                ("a.cpython-39-pytest-7", "1", ""),
            ),
            ("a.cpython-39.OPT-1.pyc", ("a.cpython-39", "OPT-1", "")),
            ("a..pyc", ("a", "", "")),
            ("a.opt-1.pyc", ("a", "opt-1", "")),
        ];
        for (name, (module, tag, optimization)) in accepted {
            let expected = (module.to_owned(), tag.to_owned(), optimization.to_owned());
            assert_eq!(parts(name), Some(expected), "{name}");
        }
        let refused = [
            "",
            ".",
            "..",
            "...",
            "a.pyc",
            "a",
            ".cpython-39.pyc",
            ".cpython-39.opt-1.pyc",
            "a.cpython-39.opt-.pyc",
            "a.cpython-39.opt-1_.pyc",
            "a.cpython-39.opt-1.pyc.140",
            "a.cpython-39.pyc.140",
            // Python would name a source for these too, although they are not caches.
            "a.cpython-39.txt",
            "a.cpython-39.opt-1.pyo",
            "a.cpython-39.nbi",
        ];
        for name in refused {
            assert_eq!(parts(name), None, "{name}");
        }
        assert_eq!(parse_cache_name(b"a.cpython-39.opt-\xe9.pyc"), None);
    }

    #[test]
    fn the_level_comes_from_the_optimization_part() {
        let level = |name: &[u8]| parse_cache_name(name).unwrap().level();
        assert_eq!(level(b"a.t.pyc"), Some(Level::Zero));
        assert_eq!(level(b"a.t.opt-1.pyc"), Some(Level::One));
        assert_eq!(level(b"a.t.opt-2.pyc"), Some(Level::Two));
        for odd in [
            "a.t.opt-0.pyc",
            "a.t.opt-3.pyc",
            "a.t.opt-01.pyc",
            "a.t.opt-x.pyc",
        ] {
            assert_eq!(level(odd.as_bytes()), None, "{odd}");
        }
    }

    #[test]
    fn a_level_knows_its_number_suffix_and_text() {
        for (number, suffix) in [(0u8, ""), (1, ".opt-1"), (2, ".opt-2")] {
            let level = Level::from_number(number).unwrap();
            assert_eq!(level.index(), usize::from(number));
            assert_eq!(level.suffix(), suffix);
            assert_eq!(level.to_string(), number.to_string());
            assert_eq!(Level::ALL[level.index()], level);
        }
        assert_eq!(Level::from_number(3), None);
        assert!(Level::Zero < Level::One && Level::One < Level::Two);
    }

    #[test]
    fn a_module_and_its_cache_name_each_other() {
        for level in Level::ALL {
            let name = cache_file_name(b"json", b"cpython-311", level);
            let parsed = parse_cache_name(&name).unwrap();
            assert_eq!((parsed.module, parsed.level()), (&b"json"[..], Some(level)));
            assert_eq!(parsed.source_name(), b"json.py");
        }
        assert_eq!(
            cache_file_name(b"a", b"cpython-39", Level::Two),
            b"a.cpython-39.opt-2.pyc"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_as_a_name_without_a_panic(name: Vec<u8>) {
            if let Some(parsed) = parse_cache_name(&name) {
                parsed.source_name();
                crate::pyc::Runtime::from_cache_tag(parsed.cache_tag);
            }
        }

        #[test]
        fn a_name_taken_apart_is_put_together_the_same(name in "[a.]{0,3}[.](x|cpython-39|opt-1)([.]opt-[012])?[.]pyc") {
            if let Some(parsed) = parse_cache_name(name.as_bytes())
                && let Some(level) = parsed.level()
            {
                let again = cache_file_name(parsed.module, parsed.cache_tag, level);
                prop_assert_eq!(again, name.into_bytes());
            }
        }
    }
}
