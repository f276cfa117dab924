//! Paths that must still lead somewhere: symlinks, and paths that the config or a script names.

use std::collections::BTreeSet;

use super::files::lossy;
use super::view::View;
use super::{Difference, Side};
use crate::oci::commands::named_paths;

/// A path in the first image that leads to a file or directory.
pub(super) struct Way {
    /// The path of a symlink, or a path that the config or a script names.
    path: Vec<u8>,
    /// The path that it leads to.
    end: Vec<u8>,
    is_symlink: bool,
}

/// All paths of the first image that lead somewhere.
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
        // Wildcards name only files. A directory that matches one does so by chance.
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

/// The paths that the ways lead to. A cache at such a path may stay, whatever a profile says.
pub(super) fn ends(ways: &[Way]) -> BTreeSet<Vec<u8>> {
    ways.iter().map(|way| way.end.clone()).collect()
}

/// Reports paths that lead nowhere now, but did before. A symlink that is gone is reported elsewhere.
pub(super) fn compare(
    (ways, ends): (&[Way], &BTreeSet<Vec<u8>>),
    before: &View<'_>,
    after: &View<'_>,
    differences: &mut Vec<Difference>,
) {
    let mut reported = BTreeSet::new();
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
            true => (
                path,
                format!("leads nowhere, but led to {} before", lossy(end)),
            ),
            false => (
                end,
                "is gone, but a command of the image names it".to_owned(),
            ),
        };
        if reported.insert((path, what.clone())) {
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
