//! Profiles: what the bytecode of an image is to be after pycull. TOML, every key checked.

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

use crate::pyc::{CpythonVersion, Header, Invalidation, Level, Magic};

/// A profile, checked.
#[derive(Debug, Clone)]
pub struct Profile {
    /// A built-in profile's name, or the file's path.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The levels that the result has.
    pub levels: Levels,
    /// What happens to caches that Python would ignore since their source changed.
    pub stale: Stale,
    /// What happens to bytecode that Python never uses.
    pub dead: DeadKeys,
    /// Whether identical levels of one module are to share one copy.
    pub hardlink: bool,
    /// Whether listed levels that are missing are compiled.
    pub missing: Missing,
    /// Whether what is compiled has column positions (PEP 657; from Python 3.11 on).
    pub debug_ranges: bool,
    /// Where compiled caches go.
    pub placement: Placement,
    /// How the result's caches are tied to their sources.
    pub invalidation: InvalidationMode,
    /// Which caches are in scope, by path.
    pub scope: Scope,
    /// The Python that trees are for.
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

    /// Whether it has anything compiled.
    pub fn compiles(&self) -> bool {
        self.missing == Missing::Compile || self.stale == Stale::Compile
    }
}

/// The levels that a profile keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Levels {
    /// These.
    Listed(Vec<Level>),
    /// The one that the image runs Python at.
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

/// What happens to stale caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// They go.
    Strip,
    /// They stay.
    Keep,
    /// They are compiled anew.
    Compile,
}

/// Whether a listed level that is absent is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// It is not.
    Leave,
    /// It is.
    Compile,
}

/// Where compiled caches go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// To a new layer above all others, which stay as they are.
    Append,
    /// To the layer of their source.
    Source,
}

/// How caches are tied to their sources (PEP 552).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InvalidationMode {
    /// As they are; what is compiled by timestamp.
    Keep,
    /// By modification time and size.
    Timestamp,
    /// By a hash that every import computes.
    CheckedHash,
    /// By a hash that no import looks at.
    UncheckedHash,
}

impl InvalidationMode {
    /// Whether it takes the hashes of sources.
    pub fn is_by_hash(self) -> bool {
        matches!(self, Self::CheckedHash | Self::UncheckedHash)
    }

    /// The header of a cache of a source with that modification time, in seconds and nanoseconds, size in
    /// bytes, and hash. `None` for [`Self::Keep`], and where there is no hash or no place for it.
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

/// What happens to each kind of bytecode that Python never uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeadKeys {
    /// Caches without a source.
    pub orphan: Dead,
    /// Caches for a Python that the image does not have.
    pub foreign: Dead,
    /// Caches that are not bytecode.
    pub malformed: Dead,
    /// Caches that a later layer overwrites or deletes.
    pub hidden: Dead,
    /// Bytecode in the place of a source, beside that source.
    pub shadowed: Dead,
}

impl DeadKeys {
    /// Where a profile says nothing: bytecode outside `__pycache__` stays, for it may be run by its path.
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

/// What happens to a kind of bytecode that Python never uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dead {
    /// They go.
    Strip,
    /// They stay.
    Keep,
}

/// The Python that trees are for, where the image does not tell or tells it wrong.
#[derive(Debug, Clone, Default)]
pub struct PythonVersions {
    /// Of trees of which nothing else tells it.
    pub otherwise: Option<CpythonVersion>,
    /// By globs over the trees' paths.
    each: Vec<(GlobSet, CpythonVersion)>,
}

impl PythonVersions {
    /// The version that the first glob gives that matches a tree, or what may lie in it.
    pub fn of_tree(&self, path: &[u8]) -> Option<CpythonVersion> {
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

/// Paths that a profile is about: those that an include glob matches and no exclude glob does.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `None`: every path.
    include: Option<GlobSet>,
    exclude: GlobSet,
    /// Every glob, as it was written.
    each: Vec<(String, GlobSet)>,
}

impl Scope {
    /// Whether a path, without a leading slash, is in scope.
    pub fn contains(&self, path: &[u8]) -> bool {
        let is_included = self.include.as_ref().is_none_or(|set| is_match(set, path));
        is_included && !is_match(&self.exclude, path)
    }

    /// The globs that match none of these paths, as they were written.
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
