//! Profiles describe the bytecode that an image should have. They are TOML, and every key is checked.

mod builtin;
mod error;
mod load;
mod policy;
mod schema;

use std::fmt;

use globset::GlobSet;
use serde::Deserialize;

pub use builtin::{BUILT_IN, BuiltIn};
pub use error::ProfileError;
pub use load::load;
pub(crate) use policy::Policy;

use crate::pyc::{Header, Invalidation, Level, Magic, Runtime};

/// A valid profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The name of a built-in profile, or the path of a file.
    pub name: String,
    /// A description of one line.
    pub description: String,
    /// The levels that the result keeps.
    pub levels: Levels,
    /// What to do with caches that Python ignores because their source changed.
    pub stale: Stale,
    /// What to do with bytecode that Python never uses.
    pub dead: DeadKeys,
    /// Whether identical levels of a module share one copy.
    pub hardlink: bool,
    /// Whether to compile listed levels that are missing.
    pub missing: Missing,
    /// Whether compiled caches have column positions (PEP 657, since Python 3.11).
    pub debug_ranges: bool,
    /// Where to put compiled caches.
    pub placement: Placement,
    /// How Python checks that the result's caches match their sources.
    pub invalidation: InvalidationMode,
    /// Which caches are in scope, by path.
    pub scope: Scope,
    /// The Python versions of trees that the user set.
    pub python: PythonVersions,
}

impl Profile {
    /// A profile without a name that keeps these levels and leaves every other key at its default.
    pub(crate) fn keeping(levels: &[Level]) -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            levels: Levels::Listed(levels.to_vec()),
            stale: Stale::Strip,
            dead: DeadKeys::DEFAULT,
            hardlink: true,
            missing: Missing::Leave,
            debug_ranges: true,
            placement: Placement::Append,
            invalidation: InvalidationMode::Keep,
            scope: Scope::default(),
            python: PythonVersions::default(),
        }
    }

    /// Whether the profile compiles anything.
    pub fn compiles(&self) -> bool {
        self.missing == Missing::Compile || self.stale == Stale::Compile
    }
}

/// The levels that a profile keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// These levels.
    Listed(Vec<Level>),
    /// The level at which the image runs Python.
    Auto,
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Listed(levels) => {
                let texts: Vec<String> = levels.iter().map(Level::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
        }
    }
}

/// What to do with stale caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// Remove them.
    Strip,
    /// Keep them.
    Keep,
    /// Compile them again.
    Compile,
}

/// Whether to compile listed levels that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// Do not compile them.
    Leave,
    /// Compile them.
    Compile,
}

/// Where to put compiled caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// In a new layer on top. The other layers stay as they are.
    Append,
    /// In the layer of their source.
    Source,
}

/// How Python checks that a cache matches its source (PEP 552).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidationMode {
    /// Existing caches keep their mode. Compiled caches use timestamps.
    Keep,
    /// By the modification time and size of the source.
    Timestamp,
    /// By a hash of the source, which Python computes at every import.
    CheckedHash,
    /// By a hash of the source that Python does not check.
    UncheckedHash,
}

impl InvalidationMode {
    /// Whether this mode needs the hashes of sources.
    pub fn is_by_hash(self) -> bool {
        matches!(self, Self::CheckedHash | Self::UncheckedHash)
    }

    /// The header of a cache, given its source's modification time in seconds and nanoseconds, size in bytes, and hash.
    ///
    /// Returns `None` for [`Self::Keep`], if the hash is missing, or if the header has no place for it.
    pub fn header(
        self,
        magic: Magic,
        mtime: (i64, u32),
        size: u64,
        hash: Option<[u8; 8]>,
    ) -> Option<Header> {
        match self {
            Self::Keep => None,
            Self::Timestamp => Some(Header::by_time(magic, mtime, size)),
            Self::CheckedHash => Header::by_hash(magic, Invalidation::CheckedHash(hash?)),
            Self::UncheckedHash => Header::by_hash(magic, Invalidation::UncheckedHash(hash?)),
        }
    }
}

impl fmt::Display for InvalidationMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "keep",
            Self::Timestamp => "timestamp",
            Self::CheckedHash => "checked-hash",
            Self::UncheckedHash => "unchecked-hash",
        })
    }
}

/// What to do with each kind of bytecode that Python never uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadKeys {
    /// Caches without a source.
    pub orphan: Dead,
    /// Caches for a Python that the image does not have.
    pub foreign: Dead,
    /// Files that have the name of a cache but are not bytecode.
    pub malformed: Dead,
    /// Caches that a later layer overwrites or deletes.
    pub hidden: Dead,
    /// Sourceless modules beside a source.
    pub shadowed: Dead,
}

impl DeadKeys {
    /// The default. Bytecode outside `__pycache__` stays, because something may run it by its path.
    pub const DEFAULT: Self = Self {
        shadowed: Dead::Keep,
        ..Self::all(Dead::Strip)
    };

    /// The same for all kinds.
    pub const fn all(dead: Dead) -> Self {
        Self {
            orphan: dead,
            foreign: dead,
            malformed: dead,
            hidden: dead,
            shadowed: dead,
        }
    }
}

/// What to do with one kind of bytecode that Python never uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dead {
    /// Remove it.
    Strip,
    /// Keep it.
    Keep,
}

/// Python versions that the user sets for trees, because the image has no version for them or a wrong one.
#[derive(Debug, Clone, Default)]
pub struct PythonVersions {
    /// The version of trees that have no version otherwise.
    pub otherwise: Option<Runtime>,
    /// Versions by globs over the paths of trees.
    each: Vec<(GlobSet, Runtime)>,
}

impl PythonVersions {
    /// The version of the first glob that matches the tree or a file in it.
    pub fn of_tree(&self, path: &[u8]) -> Option<Runtime> {
        let inside = [path, b"/m.py"].concat();
        let matches = |set: &GlobSet| is_match(set, path) || is_match(set, &inside);
        let found = self.each.iter().find(|(set, _)| matches(set));
        found.map(|(_, version)| *version)
    }
}

fn is_match(set: &GlobSet, path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    set.is_match(std::ffi::OsStr::from_bytes(path))
}

/// The paths in scope: those that match an include glob and no exclude glob.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `None`: every path.
    include: Option<GlobSet>,
    exclude: GlobSet,
    /// Every glob with its original text.
    each: Vec<(String, GlobSet)>,
}

impl Scope {
    /// Whether a path is in scope. The path has no leading slash.
    pub fn contains(&self, path: &[u8]) -> bool {
        let is_included = self.include.as_ref().is_none_or(|set| is_match(set, path));
        is_included && !is_match(&self.exclude, path)
    }

    /// The original text of the globs that match none of these paths.
    pub fn unmatched(&self, mut paths: impl Iterator<Item = Vec<u8>>) -> Vec<&str> {
        let globs = self.each.iter().filter(|(text, _)| text != "**");
        let mut unmatched: Vec<_> = globs.collect();
        while !unmatched.is_empty()
            && let Some(path) = paths.next()
        {
            unmatched.retain(|(_, set)| !is_match(set, &path));
        }
        unmatched.into_iter().map(|(text, _)| &**text).collect()
    }
}
