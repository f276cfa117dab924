//! Warnings about caches that the policy would drop, but that stay because more than `import` reads them.

use super::Warning;
use super::cache_verdict::wish;
use super::warning::Cause;
use crate::inventory::{Cache, Inventory, Reader, Status};
use crate::profile::Policy;

pub(super) fn warnings(inventory: &Inventory, policy: &Policy<'_>) -> Vec<Warning> {
    let caches = inventory.caches.iter();
    let warning = |cache: &Cache| Some(Warning::new(cause(cache, policy)?, &cache.path));
    caches.filter_map(warning).collect()
}

fn cause(cache: &Cache, policy: &Policy<'_>) -> Option<Cause> {
    if wish(cache, policy).is_some() {
        return Some(match cache.reader.as_ref()? {
            Reader::Command => Cause::NamedByConfig,
            Reader::Symlink(link) => Cause::NamedBySymlink(link.clone()),
        });
    }
    let hides = cache.status == Status::UncheckedMismatch && policy.is_in_scope(&cache.path);
    hides.then_some(Cause::HidesEdit)
}
