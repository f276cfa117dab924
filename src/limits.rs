//! Limits on the memory and time that one image may take, so that a small file cannot fill the machine.
//!
//! The limits grow with the size of the image. A member of an honest layer takes more than twenty bytes of its blob,
//! however well it compresses.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Members that any image may have, and the compressed layer bytes that each further member needs.
const MEMBERS: u64 = 50_000;
const BYTES_FOR_A_MEMBER: u64 = 20;

/// Bytes of names and headers that any image may have, and how many more each compressed layer byte allows.
const NAMES: u64 = 32 << 20;
const NAMES_FOR_A_BYTE: u64 = 2;

/// Bytes of documents that any image may have. The documents of an index with twenty platforms take half a million.
const DOCUMENTS: u64 = 8 << 20;

/// Seconds that the interpreters of an image may run.
const SECONDS: u64 = 3600;

/// Members and name bytes are counted in 32 bits. The highest values are reserved as markers for "none".
const MOST: u64 = u32::MAX as u64 - 16;

/// What a limit bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Members of all layers, and directories that exist only in the names of members.
    Members,
    /// Bytes that pycull keeps of headers (names, link targets, extended attributes) and of all paths in the merged
    /// view.
    Names,
    /// Bytes of indexes, manifests and configs.
    Documents,
    /// Seconds that the interpreters of the image may run, to compile or to measure.
    Seconds,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 4] = [Self::Members, Self::Names, Self::Documents, Self::Seconds];

    /// The name of the limit in `--limit`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::Names => "names",
            Self::Documents => "documents",
            Self::Seconds => "seconds",
        }
    }
}

/// An image exceeds a limit.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("the image {} than {most} {}, which is the limit", verb(*limit), described(*limit))]
pub struct LimitError {
    /// The limit that the image exceeds.
    pub limit: Limit,
    /// The value of that limit.
    pub most: u64,
}

impl LimitError {
    /// A hint with a `--limit` argument that allows more; `None` if the limit is at its maximum.
    pub fn hint(&self) -> Option<String> {
        let Self { limit, most } = *self;
        let usual = match limit {
            Limit::Members => MEMBERS,
            Limit::Names => NAMES,
            Limit::Documents => DOCUMENTS,
            Limit::Seconds => SECONDS,
        };
        let more = Setting {
            limit,
            most: most.saturating_mul(4).max(usual),
        };
        (most < MOST).then(|| format!("if you trust the image, raise the limit: `--limit {more}`"))
    }
}

fn verb(limit: Limit) -> &'static str {
    match limit {
        Limit::Seconds => "keeps its interpreter running for more",
        _ => "has more",
    }
}

fn described(limit: Limit) -> &'static str {
    match limit {
        Limit::Members => "files",
        Limit::Names => "bytes of names and headers",
        Limit::Documents => "bytes of indexes, manifests and configs",
        Limit::Seconds => "seconds",
    }
}

/// The limits for an image. A limit that is not set has its default; members and names then grow with the layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    members: Option<u64>,
    names: Option<u64>,
    documents: Option<u64>,
    seconds: Option<u64>,
}

impl Limits {
    /// No limits beyond the 32-bit counts of members and names. For data that was read within limits before.
    pub const NONE: Self = Self {
        members: Some(u64::MAX),
        names: Some(u64::MAX),
        documents: Some(u64::MAX),
        seconds: Some(u64::MAX),
    };

    /// Sets one limit.
    pub fn set(&mut self, Setting { limit, most }: Setting) {
        let field = match limit {
            Limit::Members => &mut self.members,
            Limit::Names => &mut self.names,
            Limit::Documents => &mut self.documents,
            Limit::Seconds => &mut self.seconds,
        };
        *field = Some(most);
    }

    /// The allowance for the indexes, manifests and configs of an image.
    pub fn of_documents(&self) -> Allowance {
        Allowance::new(Limit::Documents, self.documents.unwrap_or(DOCUMENTS))
    }

    /// The time that the interpreters of an image may run.
    pub fn time(&self) -> TimeLimit {
        TimeLimit {
            seconds: self.seconds.unwrap_or(SECONDS),
        }
    }

    /// The allowances for an image with `bytes` of compressed layers, each layer counted once.
    pub fn of_layers(&self, bytes: u64) -> LayerAllowances {
        let members = MEMBERS.saturating_add(bytes / BYTES_FOR_A_MEMBER);
        let names = NAMES.saturating_add(bytes.saturating_mul(NAMES_FOR_A_BYTE));
        LayerAllowances {
            members: Allowance::new(Limit::Members, self.members.unwrap_or(members).min(MOST)),
            names: Allowance::new(Limit::Names, self.names.unwrap_or(names).min(MOST)),
        }
    }
}

/// A limit and its value, parsed from and shown as `members=2000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The limit.
    pub limit: Limit,
    /// The highest value that the limit allows.
    pub most: u64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Limit::ALL.map(Limit::name).join(", ");
        let (name, most) = text
            .split_once('=')
            .ok_or_else(|| format!("write it as NAME=NUMBER; NAME is one of {known}"))?;
        let limit = Limit::ALL.into_iter().find(|limit| limit.name() == name);
        let limit =
            limit.ok_or_else(|| format!("there is no limit `{name}`; limits are {known}"))?;
        let most = most
            .parse()
            .map_err(|_| format!("`{most}` is not a whole number"))?;
        Ok(Self { limit, most })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.limit.name(), self.most)
    }
}

/// How long a task may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    seconds: u64,
}

impl TimeLimit {
    /// Checks that a task that began at `start` has time left.
    ///
    /// # Errors
    /// [`LimitError`] if the task has taken longer than the limit.
    pub fn check(self, start: Instant) -> Result<(), LimitError> {
        match start.elapsed() > Duration::from_secs(self.seconds) {
            true => Err(LimitError {
                limit: Limit::Seconds,
                most: self.seconds,
            }),
            false => Ok(()),
        }
    }
}

/// What all layers of one image together may use.
#[derive(Debug)]
pub struct LayerAllowances {
    /// [`Limit::Members`].
    pub members: Allowance,
    /// [`Limit::Names`].
    pub names: Allowance,
}

/// What remains of a limit. Threads share it.
#[derive(Debug)]
pub struct Allowance {
    limit: Limit,
    most: u64,
    spent: AtomicU64,
}

impl Allowance {
    fn new(limit: Limit, most: u64) -> Self {
        Self {
            limit,
            most,
            spent: AtomicU64::new(0),
        }
    }

    /// Takes `amount` from the allowance.
    ///
    /// # Errors
    /// [`LimitError`] if less than `amount` is left.
    pub fn spend(&self, amount: u64) -> Result<(), LimitError> {
        let before = self.spent.fetch_add(amount, Ordering::Relaxed);
        match before.checked_add(amount) {
            Some(spent) if spent <= self.most => Ok(()),
            _ => Err(LimitError {
                limit: self.limit,
                most: self.most,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_can_be_spent_and_no_more() {
        let mut limits = Limits::default();
        limits.set("documents=10".parse().unwrap());
        let allowance = limits.of_documents();
        assert_eq!(allowance.spend(4), Ok(()));
        assert_eq!(allowance.spend(6), Ok(()));
        let error = allowance.spend(1).unwrap_err();
        assert_eq!((error.limit, error.most), (Limit::Documents, 10));
        assert!(
            error
                .hint()
                .unwrap()
                .contains("`--limit documents=8388608`")
        );
        assert!(Limits::NONE.of_documents().spend(u64::MAX - 1).is_ok());
    }

    #[test]
    fn limits_are_named_numbers() {
        let setting: Setting = "members=2000000".parse().unwrap();
        assert_eq!((setting.limit, setting.most), (Limit::Members, 2_000_000));
        assert_eq!(setting.to_string(), "members=2000000");
        for wrong in [
            "members",
            "files=1",
            "members=",
            "members=-1",
            "members=1.5",
            "members=many",
        ] {
            assert!(wrong.parse::<Setting>().is_err(), "{wrong}");
        }
    }
}
