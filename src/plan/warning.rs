//! What to say of what is left alone.

use std::fmt;

use crate::pyc::CpythonVersion;

/// What was left alone though the profile might have meant it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Hardlinks in upper layers need the files.
    NeededAbove {
        /// The first of the files.
        path: Vec<u8>,
        /// The layer of the link to it, counted from 1.
        layer: usize,
        /// How many files.
        files: usize,
    },
    /// The config names them.
    NamedByConfig {
        /// The first of the files.
        path: Vec<u8>,
        /// How many files.
        files: usize,
    },
    /// Symlinks lead to them.
    NamedBySymlink {
        /// The first of the files.
        path: Vec<u8>,
        /// The symlink that leads to it.
        link: Vec<u8>,
        /// How many files.
        files: usize,
    },
    /// Unchecked caches of other sources than those that are there.
    HidesEdit {
        /// The first of the caches.
        path: Vec<u8>,
        /// How many caches.
        files: usize,
    },
    /// A hardlink whose header sets the attributes of a file that stays.
    Describes {
        /// The cache.
        path: Vec<u8>,
    },
    /// Something else than a file lies below it and would come back.
    WouldUncover {
        /// The cache.
        path: Vec<u8>,
    },
    /// What it is could not be told.
    Unexamined {
        /// The cache.
        path: Vec<u8>,
        /// Why.
        reason: String,
    },
    /// An optimization beyond level 2.
    OtherOptimization {
        /// The cache.
        path: Vec<u8>,
    },
    /// A source that is too large or sparse, or whose caches have no directory to lie in.
    CannotCompile {
        /// The source.
        path: Vec<u8>,
    },
    /// Sources for a Python that pycull cannot compile for, or does not know.
    NoVersion {
        /// Their tree.
        path: Vec<u8>,
        /// The Python, where it is known.
        version: Option<CpythonVersion>,
        /// Their number.
        sources: usize,
    },
    /// A cache whose header cannot be written anew.
    CannotConvert {
        /// The cache.
        path: Vec<u8>,
    },
}

impl Warning {
    /// How many files stay that the profile would have removed.
    pub fn kept_against_profile(&self) -> usize {
        match self {
            Self::NeededAbove { files, .. }
            | Self::NamedByConfig { files, .. }
            | Self::NamedBySymlink { files, .. } => *files,
            Self::WouldUncover { .. } => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        match self {
            Self::NeededAbove { path, layer, files } => match files {
                1 => write!(
                    f,
                    "kept {}: a hardlink in layer {layer} points at it",
                    text(path)
                ),
                files => write!(
                    f,
                    "kept {files} files that hardlinks in upper layers point at; for example, one in layer {layer} points at {}",
                    text(path)
                ),
            },
            Self::NamedByConfig { path, files } => {
                kept(f, path, *files, "the image's config names it")
            }
            Self::NamedBySymlink { path, link, files } => {
                let why = format!("the symlink {} leads to it", text(link));
                kept(f, path, *files, &why)
            }
            Self::HidesEdit { path, files } => kept(
                f,
                path,
                *files,
                "its source has changed, but Python runs the old code, since nothing checks the hash; `--set stale=compile` compiles it anew",
            ),
            Self::Describes { path } => write!(
                f,
                "kept {}: it is a hardlink whose header sets the mode, owner, time or extended attributes of a file that stays",
                text(path)
            ),
            Self::WouldUncover { path } => write!(
                f,
                "kept {}: it covers something in a lower layer that is no cache",
                text(path)
            ),
            Self::Unexamined { path, reason } => write!(f, "kept {}: {reason}", text(path)),
            Self::OtherOptimization { path } => write!(
                f,
                "kept {}: its optimization is none of the levels 0, 1 and 2",
                text(path)
            ),
            Self::CannotCompile { path } => write!(
                f,
                "did not compile {}: it is sparse or larger than 16 MiB, or its __pycache__ is no directory",
                text(path)
            ),
            Self::NoVersion {
                path,
                version,
                sources,
            } => match version {
                Some(version) => write!(
                    f,
                    "did not compile {sources} sources in /{}: they are for Python {version}; 3.6 to 3.15 can be compiled",
                    text(path)
                ),
                None => write!(
                    f,
                    "did not compile {sources} sources in /{}: nothing says for which Python they are (profile key `python`)",
                    text(path)
                ),
            },
            Self::CannotConvert { path } => write!(
                f,
                "kept the invalidation of {}: its header has no place for a hash, or other files share its data",
                text(path)
            ),
        }
    }
}

/// One warning for all files of a kind, with the first for an example.
fn kept(f: &mut fmt::Formatter<'_>, path: &[u8], files: usize, why: &str) -> fmt::Result {
    let path = String::from_utf8_lossy(path);
    match files {
        1 => write!(f, "kept {path}: {why}"),
        _ => write!(f, "kept {path} and {} more like it: {why}", files - 1),
    }
}
