//! Whether a cache stays, and why not. The size table and the plan ask the same question here.

use super::{Reason, Warning};
use crate::inventory::{Cache, Status};
use crate::profile::{Dead, InvalidationMode, Missing, Placement, Scope, Stale};
use crate::pyc::Level;

/// What of a profile decides about caches, with its levels resolved.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The levels that stay.
    pub levels: &'a [Level],
    /// What happens to stale caches.
    pub stale: Stale,
    /// What happens to dead caches.
    pub dead: Dead,
    /// Whether identical levels share one copy.
    pub hardlink: bool,
    /// Whether what is missing is compiled.
    pub missing: Missing,
    /// Where compiled caches go.
    pub placement: Placement,
    /// How caches are tied to their sources.
    pub invalidation: InvalidationMode,
    /// The paths that it is about; `None`: all.
    pub scope: Option<&'a Scope>,
}

impl<'a> Policy<'a> {
    /// Keeps these levels, strips whatever Python would not use, and links identical levels, as
    /// the built-in profiles do.
    pub fn keeping(levels: &'a [Level]) -> Self {
        Self {
            levels,
            stale: Stale::Strip,
            dead: Dead::Strip,
            hardlink: true,
            missing: Missing::Leave,
            placement: Placement::Append,
            invalidation: InvalidationMode::Keep,
            scope: None,
        }
    }

    pub(super) fn is_in_scope(&self, path: &[u8]) -> bool {
        self.scope.is_none_or(|scope| scope.contains(path))
    }

    pub(super) fn drops_hidden(&self, path: &[u8]) -> bool {
        self.dead == Dead::Strip && self.is_in_scope(path)
    }
}

/// Why a cache goes; `None` where it stays.
pub fn verdict(cache: &Cache, policy: &Policy<'_>) -> Option<Reason> {
    if !policy.is_in_scope(&cache.path) {
        return None;
    }
    let dead = policy.dead == Dead::Strip;
    match &cache.status {
        Status::Unknown(_) => None,
        Status::Orphan if dead => Some(Reason::Orphan),
        Status::Foreign(reason) if dead => Some(Reason::Foreign(reason.clone())),
        Status::Malformed(reason) if dead => Some(Reason::Malformed(reason.clone())),
        // Where it is to be compiled, the new one comes in its place.
        Status::Stale(reason) if policy.stale != Stale::Keep => Some(Reason::Stale(*reason)),
        Status::HashMismatch if policy.stale != Stale::Keep => Some(Reason::HashMismatch),
        _ => cache
            .level
            .filter(|level| !policy.levels.contains(level))
            .map(Reason::Level),
    }
}

/// What to say of a cache that stays only since it was not understood.
pub(super) fn reservation(cache: &Cache, policy: &Policy<'_>) -> Option<Warning> {
    if !policy.is_in_scope(&cache.path) {
        return None;
    }
    match (&cache.status, cache.level) {
        (Status::Unknown(reason), _) => Some(Warning::Unexamined {
            path: cache.path.clone(),
            reason: reason.clone(),
        }),
        (status, None) if status.is_useful() => Some(Warning::OtherOptimization {
            path: cache.path.clone(),
        }),
        _ => None,
    }
}
