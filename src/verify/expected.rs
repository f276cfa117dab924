//! What a profile requires of caches: which must exist, which must not, and their invalidation mode.

use crate::inventory::{Cache, Status};
use crate::profile::{Dead, InvalidationMode, Missing, Policy, Profile, Stale};
use crate::pyc::{Header, Invalidation};

/// What a profile requires of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The cache stays.
    Kept,
    /// The cache goes, for this reason.
    Gone(&'static str),
    /// The cache goes, and a fresh one may take its place.
    Replaced,
}

impl Policy<'_> {
    /// How the change of a cache contradicts the profile, if it does. `is_same` says that both images have the cache,
    /// with the same bytes.
    pub(super) fn fault(
        &self,
        before: Option<&Cache>,
        after: Option<&Cache>,
        is_same: bool,
    ) -> Option<String> {
        let path = &before.or(after)?.path;
        if !self.profile.scope.contains(path) {
            return (!is_same)
                .then(|| "changed, although it is outside the scope of the profile".to_owned());
        }
        match (before, after) {
            (None, None) => None,
            (None, Some(new)) => self.fault_of_new(new),
            (Some(old), None) => (self.wanted(old) == Wanted::Kept)
                .then(|| format!("is gone, although the profile keeps {}", level_text(old))),
            (Some(old), Some(new)) => match self.wanted(old) {
                Wanted::Gone(_) if !is_same && new.status == Status::Fresh => Some(
                    "was replaced by a fresh cache, although the profile does not compile"
                        .to_owned(),
                ),
                Wanted::Gone(why) => Some(format!("is still there, {why}")),
                Wanted::Replaced if is_same => Some(
                    "is unchanged, although the profile removes caches that Python would not use"
                        .to_owned(),
                ),
                Wanted::Replaced => None,
                Wanted::Kept => self.fault_of_header(old, new, is_same),
            },
        }
    }

    fn fault_of_new(&self, new: &Cache) -> Option<String> {
        let is_wanted = self.profile.missing == Missing::Compile && self.lists(new.level);
        (!is_wanted).then(|| "is new, although the profile does not ask for it".to_owned())
    }

    fn wanted(&self, cache: &Cache) -> Wanted {
        let profile = self.profile;
        let compiles = profile.missing == Missing::Compile;
        // A new cache may replace one that goes, if the profile compiles and lists the level.
        let gone = |is_replaced: bool, why| match self.lists(cache.level) && is_replaced {
            true => Wanted::Replaced,
            false => Wanted::Gone(why),
        };
        let is_dead = |key: Dead| key == Dead::Strip;
        let recompiles = compiles || profile.stale == Stale::Compile;
        match cache.status {
            Status::Unknown(_) => Wanted::Kept,
            Status::Stale(_) | Status::HashMismatch if profile.stale != Stale::Keep => {
                gone(recompiles, "although it is stale")
            }
            Status::UncheckedMismatch if self.is_about_truth() => gone(
                recompiles,
                "although Python would run old code instead of its source",
            ),
            Status::Orphan if is_dead(profile.dead.orphan) => {
                gone(compiles, "although it has no source")
            }
            Status::Foreign(_) if is_dead(profile.dead.foreign) => {
                gone(compiles, "although no Python of the image uses it")
            }
            Status::Malformed(_) if is_dead(profile.dead.malformed) => {
                gone(compiles, "although it is malformed")
            }
            _ if cache.level.is_none() || self.lists(cache.level) => Wanted::Kept,
            _ => Wanted::Gone("although the profile does not keep its level"),
        }
    }

    /// Whether the profile keeps no unchecked cache whose source changed, because Python would run its old code.
    fn is_about_truth(&self) -> bool {
        let Profile {
            stale,
            invalidation,
            ..
        } = self.profile;
        let ties_anew = *invalidation != InvalidationMode::Keep && *stale == Stale::Strip;
        *stale == Stale::Compile || ties_anew
    }

    /// Checks the header of a cache that stays. It must be unchanged, which sharing with other files may require, or
    /// have the invalidation mode of the profile.
    fn fault_of_header(&self, before: &Cache, after: &Cache, is_same: bool) -> Option<String> {
        let mode = self.profile.invalidation;
        let header = || Header::parse(&after.contents.as_ref()?.header).ok();
        let is_tied = match header().map(|header| header.invalidation) {
            Some(Invalidation::Timestamp { .. }) => mode == InvalidationMode::Timestamp,
            Some(Invalidation::CheckedHash(_)) => mode == InvalidationMode::CheckedHash,
            Some(Invalidation::UncheckedHash(_)) => mode == InvalidationMode::UncheckedHash,
            None => false,
        };
        let is_right = is_same || (is_tied && before.status == Status::Fresh);
        (!is_right).then(|| {
            format!("has another header, although the profile sets the invalidation mode {mode}")
        })
    }
}

fn level_text(cache: &Cache) -> String {
    match (&cache.status, cache.level) {
        (Status::Unknown(_), _) => "caches that could not be examined".to_owned(),
        (_, Some(level)) => format!("level {level}"),
        (_, None) => "levels above 2".to_owned(),
    }
}
