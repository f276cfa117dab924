//! What a profile says of caches: which must be there, which must not, and how they are tied.

use crate::inventory::{Cache, Status};
use crate::profile::{Dead, InvalidationMode, Missing, Profile, Stale};
use crate::pyc::{Header, Invalidation, Level};

/// A profile, with its levels resolved for one image.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The levels that it keeps.
    pub levels: &'a [Level],
}

/// What a profile says of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It stays.
    Kept,
    /// It goes.
    Gone(&'static str),
    /// It goes; a fresh one may come in its place.
    Replaced,
}

impl Expected<'_> {
    /// What is wrong with what became of a cache; `is_same`: both sides have it, with the same bytes.
    pub(super) fn fault(
        &self,
        before: Option<&Cache>,
        after: Option<&Cache>,
        is_same: bool,
    ) -> Option<String> {
        let path = &before.or(after)?.path;
        if !self.profile.scope.contains(path) {
            return (!is_same).then(|| "changed, though the profile is not about it".to_owned());
        }
        match (before, after) {
            (None, None) => None,
            (None, Some(new)) => self.fault_of_new(new),
            (Some(old), None) => (self.wanted(old) == Wanted::Kept)
                .then(|| format!("is gone, though the profile keeps {}", level_text(old))),
            (Some(old), Some(new)) => match self.wanted(old) {
                Wanted::Gone(_) if !is_same && new.status == Status::Fresh => Some(
                    "was replaced by a fresh cache, though the profile compiles none".to_owned(),
                ),
                Wanted::Gone(why) => Some(format!("is still there, {why}")),
                Wanted::Replaced if is_same => Some(
                    "is as it was, though the profile keeps none that Python would not use"
                        .to_owned(),
                ),
                Wanted::Replaced => None,
                Wanted::Kept => self.fault_of_header(old, new, is_same),
            },
        }
    }

    fn fault_of_new(&self, new: &Cache) -> Option<String> {
        let is_wanted = self.profile.missing == Missing::Compile && self.lists(new);
        (!is_wanted).then(|| "is new, though the profile asks for no such cache".to_owned())
    }

    fn lists(&self, cache: &Cache) -> bool {
        cache
            .level
            .is_some_and(|level| self.levels.contains(&level))
    }

    fn wanted(&self, cache: &Cache) -> Wanted {
        let Profile {
            stale,
            dead,
            missing,
            ..
        } = self.profile;
        let compiles = *missing == Missing::Compile;
        match cache.status {
            Status::Unknown(_) => Wanted::Kept,
            Status::Stale(_) | Status::HashMismatch if *stale != Stale::Keep => {
                let is_replaced = self.lists(cache) && (compiles || *stale == Stale::Compile);
                match is_replaced {
                    true => Wanted::Replaced,
                    false => Wanted::Gone("though it is stale"),
                }
            }
            Status::Orphan | Status::Foreign(_) | Status::Malformed(_) if *dead == Dead::Strip => {
                match self.lists(cache) && compiles {
                    true => Wanted::Replaced,
                    false => Wanted::Gone("though Python would not use it"),
                }
            }
            _ if cache.level.is_none() || self.lists(cache) => Wanted::Kept,
            _ => Wanted::Gone("though the profile does not keep its level"),
        }
    }

    /// A header may be as it was, where others share it, or as the profile has it.
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
        (!is_right)
            .then(|| format!("has another header, though the profile's invalidation is {mode}"))
    }
}

fn level_text(cache: &Cache) -> String {
    match (&cache.status, cache.level) {
        (Status::Unknown(_), _) => "what cannot be judged".to_owned(),
        (_, Some(level)) => format!("level {level}"),
        (_, None) => "optimizations beyond level 2".to_owned(),
    }
}
