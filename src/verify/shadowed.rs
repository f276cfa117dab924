//! Bytecode beside its source. Python imports the source, whether the bytecode exists or not.

use std::collections::BTreeSet;

use super::Difference;
use super::view::View;
use crate::path;
use crate::profile::Dead;
use crate::profile::Policy;

/// Whether bytecode in place of a source may go. Its source must be beside it in both images, with a name that an
/// import can have. The Python of the bytecode must import that source.
pub(super) fn may_go(before: &View<'_>, after: &View<'_>, file: &[u8]) -> bool {
    let Some(source) = file.strip_suffix(b"c") else {
        return false;
    };
    let has_source = |view: &View<'_>| view.inventory.rootfs.file_at(source).is_some();
    let modules = &before.inventory.sourceless;
    // The modules are sorted by path.
    let place = modules.binary_search_by(|module| module.path[..].cmp(file));
    place.is_ok_and(|place| modules[place].shadowed)
        && path::file_name(path::parent(file)) != b"__pycache__"
        && has_source(before)
        && has_source(after)
}

/// Compares shadowed bytecode with what a profile requires.
pub(super) fn compare(
    before: &View<'_>,
    after: &View<'_>,
    (expected, named): (Option<&Policy<'_>>, &BTreeSet<Vec<u8>>),
    differences: &mut Vec<Difference>,
) {
    let Some(profile) = expected.map(|expected| expected.profile) else {
        return;
    };
    for module in before.inventory.sourceless.iter().filter(|it| it.shadowed) {
        let path = &module.path;
        let strips = profile.dead.shadowed == Dead::Strip && profile.scope.contains(path);
        let what = match after.node(path).is_some() {
            true if strips && !named.contains(path) => "is still there, although it is shadowed",
            false if !strips => "is gone, although the profile keeps shadowed bytecode",
            _ => continue,
        };
        differences.push(Difference::file(path, what));
    }
}
