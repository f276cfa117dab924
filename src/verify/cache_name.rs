//! Parses cache names for `verify`, independently of `inventory`.

/// The module and interpreter that a cache belongs to, at any level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CacheName<'a> {
    /// The `__pycache__` directory.
    directory: &'a [u8],
    module: Vec<u8>,
    tag: &'a [u8],
}

impl<'a> CacheName<'a> {
    /// Parses the path of a cache: `__pycache__/MODULE.cpython-NUMBER.pyc`, optionally with `.opt-LEVEL` before the
    /// suffix (PEP 3147, PEP 488). Returns `None` for every other path.
    ///
    /// This does not use the inventory. If the inventory mistook another file for a cache, that file could go without a
    /// difference.
    pub(super) fn of(path: &'a [u8]) -> Option<Self> {
        let slash = path.iter().rposition(|byte| *byte == b'/')?;
        let (directory, name) = (&path[..slash], &path[slash + 1..]);
        let mut parts: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
        let is_bytecode = parts.pop()? == b"pyc";
        let mut tag = parts.pop()?;
        let mut is_level = true;
        if let Some(level) = tag.strip_prefix(b"opt-") {
            is_level = is_alphanumeric(level);
            tag = parts.pop()?;
        }
        let module = parts.join(&b'.');
        let is_cache = directory.split(|byte| *byte == b'/').next_back()? == b"__pycache__"
            && is_bytecode
            && is_level
            && is_cpython(tag)
            && !module.is_empty();
        is_cache.then_some(Self {
            directory,
            module,
            tag,
        })
    }
}

fn is_alphanumeric(level: &[u8]) -> bool {
    let level = std::str::from_utf8(level).unwrap_or_default();
    !level.is_empty() && level.chars().all(char::is_alphanumeric)
}

/// Whether a cache tag is one of CPython's: `cpython-39`, `cpython-311`.
fn is_cpython(tag: &[u8]) -> bool {
    let number = tag.strip_prefix(b"cpython-").unwrap_or_default();
    number.len() > 1 && number[0] != b'0' && number.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_python_reads_as_caches_are_caches() {
        for (path, directory, module, tag) in [
            ("__pycache__/m.cpython-39.pyc", "", "m", "39"),
            (
                "a/b/__pycache__/m.cpython-314.opt-2.pyc",
                "a/b/",
                "m",
                "314",
            ),
            ("a/__pycache__/m.cpython-39.opt-x3.pyc", "a/", "m", "39"),
            (
                "a/__pycache__/local.conf.cpython-311.pyc",
                "a/",
                "local.conf",
                "311",
            ),
            (
                "a/__pycache__/m.opt-1.cpython-39.pyc",
                "a/",
                "m.opt-1",
                "39",
            ),
            (
                "a/__pycache__/m.cpython-38.cpython-39.pyc",
                "a/",
                "m.cpython-38",
                "39",
            ),
            ("a/__pycache__/.m.cpython-39.pyc", "a/", ".m", "39"),
        ] {
            let name = CacheName {
                directory: &[directory.as_bytes(), b"__pycache__"].concat(),
                module: module.into(),
                tag: &[b"cpython-", tag.as_bytes()].concat(),
            };
            assert_eq!(CacheName::of(path.as_bytes()), Some(name), "{path}");
        }
        assert!(CacheName::of(b"__pycache__/caf\xe9.cpython-39.pyc").is_some());
        for path in [
            "m.cpython-39.pyc",
            "a/m.cpython-39.pyc",
            "a/x__pycache__/m.cpython-39.pyc",
            "a/__pycache__x/m.cpython-39.pyc",
            "a/__pycache__/sub/m.cpython-39.pyc",
            "a/__pycache__",
            "a/__pycache__/m.pyc",
            "a/__pycache__/.cpython-39.pyc",
            "a/__pycache__/cpython-39.pyc",
            "a/__pycache__/m.pypy39.pyc",
            "a/__pycache__/m.cpython-.pyc",
            "a/__pycache__/m.cpython-39t.pyc",
            "a/__pycache__/m.cpython-39-pytest-7.4.3.pyc",
            "a/__pycache__/m.cpython-39.opt-.pyc",
            "a/__pycache__/m.cpython-39.opt-1-2.pyc",
            "a/__pycache__/m.cpython-39.pyc.1234",
            "a/__pycache__/m.cpython-39.py",
            "a/__pycache__/m.cpython-39.pyo",
        ] {
            assert_eq!(CacheName::of(path.as_bytes()), None, "{path}");
        }
    }
}
