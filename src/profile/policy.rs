//! A profile as it applies to one image.

use super::Profile;
use crate::pyc::Level;

/// A profile with its levels resolved for one image: `auto` has become the level that the image runs Python at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// The levels that it keeps.
    pub levels: &'a [Level],
}

impl Policy<'_> {
    /// Whether the image keeps caches of this level. `None` stands for optimizations that are not a level.
    pub(crate) fn lists(&self, level: Option<Level>) -> bool {
        level.is_some_and(|level| self.levels.contains(&level))
    }
}
