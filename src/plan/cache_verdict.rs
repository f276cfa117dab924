//! Decides whether a cache stays, and why not. The size table and the plan both use this module.

use super::warning::Cause;
use super::{Reason, Warning};
use crate::inventory::{Cache, Status};
use crate::profile::{Dead, InvalidationMode, Policy, Stale};

impl Policy<'_> {
    pub(super) fn is_in_scope(&self, path: &[u8]) -> bool {
        self.profile.scope.contains(path)
    }

    /// Whether the policy replaces or drops unchecked caches whose source changed.
    ///
    /// Python runs their old code, so dropping them changes what the image does. pycull does this only if the profile
    /// asks for caches that match their sources.
    pub(super) fn mends_unchecked(&self) -> bool {
        match self.profile.stale {
            Stale::Compile => true,
            Stale::Strip => self.profile.invalidation != InvalidationMode::Keep,
            Stale::Keep => false,
        }
    }

    pub(super) fn drops_hidden(&self, path: &[u8]) -> bool {
        self.profile.dead.hidden == Dead::Strip && self.is_in_scope(path)
    }
}

/// Why a cache goes; `None` if it stays. A cache that something reads by its path stays.
pub(crate) fn verdict(cache: &Cache, policy: &Policy<'_>) -> Option<Reason> {
    wish(cache, policy).filter(|_| cache.reader.is_none())
}

/// Why a policy drops a cache that only `import` reads; `None` if the policy keeps it.
pub(super) fn wish(cache: &Cache, policy: &Policy<'_>) -> Option<Reason> {
    if !policy.is_in_scope(&cache.path) {
        return None;
    }
    let dead = policy.profile.dead;
    match &cache.status {
        Status::Unknown(_) => None,
        Status::Orphan if dead.orphan == Dead::Strip => Some(Reason::Orphan),
        Status::Foreign(reason) if dead.foreign == Dead::Strip => {
            Some(Reason::Foreign(reason.clone()))
        }
        Status::Malformed(reason) if dead.malformed == Dead::Strip => {
            Some(Reason::Malformed(reason.clone()))
        }
        // This includes `Stale::Compile`, because the new cache takes the place of the old one.
        Status::Stale(reason) if policy.profile.stale != Stale::Keep => {
            Some(Reason::Stale(*reason))
        }
        Status::HashMismatch if policy.profile.stale != Stale::Keep => Some(Reason::HashMismatch),
        Status::UncheckedMismatch if policy.mends_unchecked() => Some(Reason::HashMismatch),
        _ => cache
            .level
            .filter(|_| !policy.lists(cache.level))
            .map(Reason::Level),
    }
}

/// A warning if a cache stays only because pycull does not understand it.
pub(super) fn reservation(cache: &Cache, policy: &Policy<'_>) -> Option<Warning> {
    if !policy.is_in_scope(&cache.path) {
        return None;
    }
    match (&cache.status, cache.level) {
        (Status::Unknown(reason), _) => {
            Some(Warning::new(Cause::Unexamined(reason.clone()), &cache.path))
        }
        (status, None) if status.is_useful() => {
            Some(Warning::new(Cause::OtherOptimization, &cache.path))
        }
        _ => None,
    }
}
