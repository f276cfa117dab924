//! Warnings about files that a plan leaves alone.

use std::fmt;

use crate::pyc::Runtime;

/// Files that a plan leaves alone for one cause, although the profile may apply to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    pub cause: Cause,
    /// The first of the files. For [`Cause::NoVersion`], their tree.
    pub path: Vec<u8>,
    /// The number of files.
    pub files: usize,
}

/// Why a plan leaves files alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A hardlink in this upper layer, counted from 1, needs the file.
    NeededAbove(usize),
    /// The config, or a script that the image runs, names the file.
    NamedByConfig,
    /// The symlink with this path leads to the file.
    NamedBySymlink(Vec<u8>),
    /// The cache has an unchecked hash, and its source changed.
    HidesEdit,
    /// The file is a hardlink whose header sets the attributes of a file that stays.
    Describes,
    /// A lower layer has something that is not a cache at this path. It would come back.
    WouldUncover,
    /// pycull could not examine the file, for this reason.
    Unexamined(String),
    /// The cache has an optimization other than levels 0, 1 and 2.
    OtherOptimization,
    /// The source is too large or sparse, or its caches have no directory.
    CannotCompile,
    /// The sources are for a Python that is unknown, or that pycull cannot compile for.
    NoVersion(Option<Runtime>),
    /// The header of the cache cannot be replaced.
    CannotConvert,
}

impl Warning {
    /// A warning about one file.
    pub(super) fn new(cause: Cause, path: &[u8]) -> Self {
        Self {
            cause,
            path: path.to_vec(),
            files: 1,
        }
    }

    /// Merges warnings with the same cause into one. It names the first file as an example.
    pub(super) fn merged(warnings: Vec<Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for warning in warnings {
            match merged.iter_mut().find(|it| it.is_like(&warning)) {
                Some(first) => first.files += warning.files,
                None => merged.push(warning),
            }
        }
        merged
    }

    fn is_like(&self, other: &Self) -> bool {
        match (&self.cause, &other.cause) {
            (Cause::Unexamined(one), Cause::Unexamined(other)) => one == other,
            (Cause::NoVersion(_), Cause::NoVersion(_)) => self.path == other.path,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    /// The number of files that stay although the profile drops them.
    pub fn kept_against_profile(&self) -> usize {
        match self.cause {
            Cause::NeededAbove(_)
            | Cause::NamedByConfig
            | Cause::NamedBySymlink(_)
            | Cause::Describes
            | Cause::WouldUncover
            | Cause::Unexamined(_) => self.files,
            _ => 0,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = String::from_utf8_lossy(&self.path);
        match self.cause {
            Cause::NoVersion(_) => {
                write!(f, "did not compile {} sources in /{path}", self.files)?;
            }
            Cause::CannotCompile => write!(f, "did not compile {path}")?,
            Cause::CannotConvert => write!(f, "did not change the invalidation mode of {path}")?,
            _ => write!(f, "kept {path}")?,
        }
        if self.files > 1 && !matches!(self.cause, Cause::NoVersion(_)) {
            write!(f, " and {} more like it", self.files - 1)?;
        }
        write!(f, ": {}", self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeededAbove(layer) => {
                return write!(f, "a hardlink in layer {layer} points at it");
            }
            Self::NamedByConfig => "a command of the image names it",
            Self::NamedBySymlink(link) => {
                let link = String::from_utf8_lossy(link);
                return write!(f, "the symlink {link} leads to it");
            }
            Self::HidesEdit => {
                "its source has changed, but Python still runs the old code, because it does not check the hash; `--set stale=compile` compiles the source again"
            }
            Self::Describes => {
                "it is a hardlink whose header sets the mode, owner, time or extended attributes of a file that stays"
            }
            Self::WouldUncover => "it hides something in a lower layer that is not a cache",
            Self::Unexamined(reason) => reason,
            Self::OtherOptimization => "its level is not 0, 1 or 2",
            Self::CannotCompile => {
                "it is sparse or larger than 16 MiB, or its __pycache__ is not a directory"
            }
            Self::NoVersion(Some(version)) => {
                return write!(
                    f,
                    "they are for Python {version}; pycull compiles for 3.6 to 3.15"
                );
            }
            Self::NoVersion(None) => {
                "their Python version is unknown; set it with the profile key `python`"
            }
            Self::CannotConvert => {
                "its header has no room for a hash, or other files share its data"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_kind_have_one_warning() {
        let unexamined =
            |reason: &str, path| Warning::new(Cause::Unexamined(reason.to_owned()), path);
        let merged = Warning::merged(vec![
            unexamined("it is sparse", b"a"),
            Warning::new(Cause::Describes, b"b"),
            unexamined("it is sparse", b"c"),
            unexamined("it is large", b"d"),
            Warning::new(Cause::NeededAbove(2), b"e"),
            Warning::new(Cause::NeededAbove(3), b"f"),
        ]);
        let texts: Vec<String> = merged.iter().map(Warning::to_string).collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert_eq!(texts[0], "kept a and 1 more like it: it is sparse");
        assert_eq!(
            texts[1],
            "kept b: it is a hardlink whose header sets the mode, owner, time or extended attributes of a file that stays"
        );
        assert_eq!(
            texts[3],
            "kept e and 1 more like it: a hardlink in layer 2 points at it"
        );
        let kept: usize = merged.iter().map(Warning::kept_against_profile).sum();
        assert_eq!(kept, 6);
    }

    #[test]
    fn sources_of_each_tree_without_a_version_have_a_warning_of_their_own() {
        let no_version = |path: &[u8], files| Warning {
            files,
            ..Warning::new(Cause::NoVersion(None), path)
        };
        let texts: Vec<String> = Warning::merged(vec![
            no_version(b"opt/a", 2),
            no_version(b"opt/b", 1),
            Warning::new(Cause::CannotCompile, b"c.py"),
            Warning::new(Cause::CannotConvert, b"d.pyc"),
        ])
        .iter()
        .map(Warning::to_string)
        .collect();
        let starts = [
            "did not compile 2 sources in /opt/a: ",
            "did not compile 1 sources in /opt/b: ",
            "did not compile c.py: ",
            "did not change the invalidation mode of d.pyc: ",
        ];
        assert_eq!(texts.len(), starts.len(), "{texts:?}");
        for (text, start) in texts.iter().zip(starts) {
            assert!(text.starts_with(start), "{text}");
        }
    }
}
