//! What stays though the policy would have it go, since more than `import` reads it: one warning for each
//! cause, with an example.

use super::verdict::wish;
use super::{Policy, Warning};
use crate::inventory::{Cache, Inventory, Reader, Status};

pub(super) fn warnings(inventory: &Inventory, policy: &Policy<'_>) -> Vec<Warning> {
    let caches = inventory.caches.iter();
    let wished: Vec<&Cache> = caches.filter(|it| wish(it, policy).is_some()).collect();
    let is_command = |cache: &&&Cache| cache.reader == Some(Reader::Command);
    let by_config = first(wished.iter().filter(is_command)).map(|(cache, files)| {
        let path = cache.path.clone();
        Warning::NamedByConfig { path, files }
    });
    let is_linked = |cache: &&&Cache| matches!(cache.reader, Some(Reader::Symlink(_)));
    let by_symlink = first(wished.iter().filter(is_linked)).and_then(|(cache, files)| {
        let Some(Reader::Symlink(link)) = cache.reader.clone() else {
            return None;
        };
        let path = cache.path.clone();
        Some(Warning::NamedBySymlink { path, link, files })
    });
    let hides_edit = |cache: &&&Cache| {
        let is_kept = policy.is_in_scope(&cache.path) && wish(cache, policy).is_none();
        cache.status == Status::UncheckedMismatch && is_kept
    };
    let caches: Vec<&Cache> = inventory.caches.iter().collect();
    let hiding = first(caches.iter().filter(hides_edit)).map(|(cache, files)| {
        let path = cache.path.clone();
        Warning::HidesEdit { path, files }
    });
    [by_config, by_symlink, hiding]
        .into_iter()
        .flatten()
        .collect()
}

fn first<'a>(mut caches: impl Iterator<Item = &'a &'a Cache>) -> Option<(&'a Cache, usize)> {
    let first = caches.next()?;
    Some((first, 1 + caches.count()))
}
