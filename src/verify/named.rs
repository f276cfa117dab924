//! What paths lead to: where a symlink leads somewhere, or the config names something, that must stay.

use std::collections::BTreeSet;

use super::files::lossy;
use super::view::View;
use super::{Difference, Side};
use crate::oci::commands::named_paths;

/// A way to a file or directory of the image before.
pub(super) struct Way {
    /// The symlink, or what the config or a script names.
    path: Vec<u8>,
    /// Where it leads.
    end: Vec<u8>,
    is_symlink: bool,
}

/// Every way of the image before that leads somewhere.
pub(super) fn ways(side: &Side<'_>) -> Vec<Way> {
    let rootfs = &side.inventory().rootfs;
    let end = |path: &[u8]| Some(rootfs.path(*rootfs.trail(path)?.last()?));
    let symlinks = rootfs
        .walk()
        .filter(|(_, node)| rootfs.symlink(*node).is_some());
    let symlinks = symlinks.map(|(path, _)| (path, true));
    let mut named = named_paths(&side.image.config);
    named.extend(side.inventory().launch.named.iter().cloned());
    let named = named.iter().flat_map(|pattern| {
        let paths = rootfs.matching(pattern.as_bytes()).into_iter();
        // Wildcards name files: what directories they fit is chance.
        paths.filter(|path| path == pattern.as_bytes() || rootfs.file_at(path).is_some())
    });
    symlinks
        .chain(named.map(|path| (path, false)))
        .filter_map(|(path, is_symlink)| {
            Some(Way {
                end: end(&path)?,
                path,
                is_symlink,
            })
        })
        .collect()
}

/// The paths that ways lead to. Whatever a profile says of a cache there, it may stay.
pub(super) fn ends(ways: &[Way]) -> BTreeSet<Vec<u8>> {
    ways.iter().map(|way| way.end.clone()).collect()
}

/// Finds what leads nowhere any more. What led nowhere before may go on doing so; a symlink that is gone
/// itself is a difference of its own.
pub(super) fn compare(
    (ways, ends): (&[Way], &BTreeSet<Vec<u8>>),
    before: &View<'_>,
    after: &View<'_>,
    differences: &mut Vec<Difference>,
) {
    let mut told = BTreeSet::new();
    for Way {
        path,
        end,
        is_symlink,
    } in ways
    {
        let leads = after.inventory.rootfs.trail(path).is_some();
        if leads || (*is_symlink && after.node(path).is_none()) {
            continue;
        }
        let (path, what) = match is_symlink {
            true => (path, format!("leads nowhere, but led to {}", lossy(end))),
            false => (
                end,
                "is gone, but a command of the image names it".to_owned(),
            ),
        };
        if told.insert((path, what.clone())) {
            differences.push(Difference::file(path, what));
        }
    }
    for end in ends {
        let caches = (before.caches.get(&**end), after.caches.get(&**end));
        if let (Some(old), Some(new)) = caches
            && let (Some(old), Some(new)) = (&old.contents, &new.contents)
            && old.body_sha256 != new.body_sha256
        {
            let what = "has other code, but a symlink or a command of the image names it";
            differences.push(Difference::file(end, what));
        }
    }
}
