//! Compares which names share a file.

use super::Difference;
use super::cache_name::CacheName;
use super::files::lossy;
use super::view::View;

/// Compares which names are hardlinks of each other. Caches of one module may become hardlinks of each other, and any
/// cache may stop being a hardlink.
pub(super) fn compare(before: &View<'_>, after: &View<'_>, differences: &mut Vec<Difference>) {
    for names in before.linked().values() {
        let stay = |name: &&Vec<u8>| !before.is_cache(name) && after.node(name).is_some();
        let mut staying = names.iter().filter(stay);
        let Some(first) = staying.next() else {
            continue;
        };
        for name in staying {
            if after.inode(first) != after.inode(name) {
                let what = format!("is no longer a hardlink of {}", lossy(first));
                differences.push(Difference::file(name, what));
            }
        }
    }
    for names in after.linked().values() {
        let [first, rest @ ..] = &names[..] else {
            continue;
        };
        for name in rest {
            let inodes = (before.inode(first), before.inode(name));
            let were_linked = inodes.0.is_some() && inodes.0 == inodes.1;
            if !were_linked && !are_of_one_module(after, first, name) {
                let what = format!("has become a hardlink of {}", lossy(first));
                differences.push(Difference::file(name, what));
            }
        }
    }
}

fn are_of_one_module(view: &View<'_>, one: &[u8], other: &[u8]) -> bool {
    view.is_cache(one) && view.is_cache(other) && CacheName::of(one) == CacheName::of(other)
}
