//! Checks that two images differ in nothing but their caches. Compares merged views path by path, and documents field
//! by field.
//!
//! This room shares code with the rooms that read images, but not with those that write them. Its rules:
//!
//! * Every path that is not a cache must keep its type, mode, owner, mtime (in nanoseconds), extended attributes, link
//!   target, and device number. It must also keep its size, the SHA-256 of its content, and the names that share its
//!   inode. The mode of a symlink does not count.
//! * A `__pycache__` directory may go. It may be new if it has a cache in it. A directory in both images must be the
//!   same.
//! * A cache is a regular file in `__pycache__` with a CPython cache name (PEP 3147, PEP 488). Any cache may go.
//! * A new cache must be fresh: for an interpreter of the image, complete, and valid for its source.
//! * A cache that was fresh must stay fresh and keep its code. Its header and links may change.
//! * A cache that was not fresh, or has an unchecked hash of another source, may stay as it is. A fresh one may replace
//!   it. A cache that pycull cannot judge must not change.
//! * Bytecode in place of a source may go if the source is beside it, because Python imports the source.
//! * A symlink that led somewhere must still do so. A file that the config or a script names must exist. A cache at
//!   such a path must keep its code, and may stay whatever a profile says.
//! * With a profile, exactly the caches that it keeps must exist.
//! * A media type may become the equivalent one of Docker or OCI. An image must not mix them if it did not before.
//! * Annotations that describe changed bytes of a layer must go or change. Values that are a changed digest must go or
//!   become the new digest.
//! * Layers may be dropped, changed, and added above all others. The history must match.
//!
//! Only compiling could show whether a new cache contains what its source compiles to.

mod annotations;
mod cache_name;
mod caches;
mod documents;
mod expected;
mod files;
mod history;
mod links;
mod media_types;
mod named;
mod shadowed;
mod view;

use crate::inventory::Inventory;
use crate::oci::Image;
use crate::profile::Policy;
use crate::rootfs::MemberId;
use view::View;

/// SHA-256 of the data of members, sorted by member.
pub(crate) type ContentHashes = [(MemberId, [u8; 32])];

/// One of the two images.
pub(crate) struct Side<'a> {
    /// The documents of the image.
    pub image: &'a Image,
    view: View<'a>,
}

impl<'a> Side<'a> {
    pub(crate) fn new(image: &'a Image, inventory: &'a Inventory) -> Self {
        Self {
            image,
            view: View::new(inventory),
        }
    }

    /// The layers and merged view of the image.
    pub(crate) fn inventory(&self) -> &'a Inventory {
        self.view.inventory
    }
}

/// The part of an image that has a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The merged view.
    Rootfs,
    /// The config, including its history.
    Config,
    Manifest,
    /// The index that names the image.
    Index,
}

/// A difference that `verify` does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub part: Part,
    /// In the merged view, a path without a leading slash. In a document, a JSON pointer (RFC 6901).
    pub path: Vec<u8>,
    /// The difference, in words.
    pub what: String,
}

impl Difference {
    fn file(path: &[u8], what: impl Into<String>) -> Self {
        Self {
            part: Part::Rootfs,
            path: path.to_vec(),
            what: what.into(),
        }
    }
}

/// The result of comparing two images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Number of paths in either image, including caches.
    pub paths: u64,
    /// Bytes of files that are not caches and are equal in both images. Counts an inode once.
    pub bytes: u64,
    /// The changes to caches.
    pub caches: CacheCounts,
    /// All differences that are not allowed: those of files, sorted by path, and then those of documents.
    pub differences: Vec<Difference>,
}

/// Numbers of changed caches, allowed or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheCounts {
    /// Caches that only the first image has.
    pub removed: u64,
    /// Caches that only the second image has.
    pub added: u64,
    /// Caches with different bytes in the two images.
    pub changed: u64,
    /// Caches that the profile asks for but the second image lacks. Their sources may not compile. `None` without a
    /// profile that compiles missing caches.
    pub missing: Option<u64>,
}

/// The members of each image that the caller must hash for [`verify`], sorted.
///
/// These are the regular files at the same path with equal size, if they do not come from the same place of the same
/// layer. Caches with known content are left out.
pub(crate) fn wanted_contents(before: &Side<'_>, after: &Side<'_>) -> [Vec<MemberId>; 2] {
    let views = (&before.view, &after.view);
    let (before, after) = (before.inventory(), after.inventory());
    let mut wanted = [Vec::new(), Vec::new()];
    for (path, node) in before.rootfs.walk() {
        let other = views.1.node(&path).and_then(|it| views.1.file(it));
        let (Some(old), Some(new)) = (views.0.file(node), other) else {
            continue;
        };
        let is_known = caches::has_contents(views.0, &path) && caches::has_contents(views.1, &path);
        let sizes = (before.member(old).size, after.member(new).size);
        if !is_known && sizes.0 == sizes.1 && !files::is_same_place((before, old), (after, new)) {
            wanted[0].push(old);
            wanted[1].push(new);
        }
    }
    for members in &mut wanted {
        members.sort_unstable();
        members.dedup();
    }
    wanted
}

/// Compares two images. `contents` are the hashes of each image that [`wanted_contents`] asks for. `expected` says which
/// caches must exist; without it, any cache may go.
pub(crate) fn verify(
    before: &Side<'_>,
    after: &Side<'_>,
    contents: (&ContentHashes, &ContentHashes),
    expected: Option<&Policy<'_>>,
) -> Verification {
    let (old, new) = (&before.view, &after.view);
    let mut differences = Vec::new();
    let ways = named::ways(before);
    let named = named::ends(&ways);
    let files = files::compare(old, new, contents, &mut differences);
    let caches = CacheCounts {
        missing: expected.and_then(|expected| caches::missing(new, expected)),
        ..caches::compare(old, new, contents, (expected, &named), &mut differences)
    };
    shadowed::compare(old, new, (expected, &named), &mut differences);
    named::compare((&ways, &named), old, new, &mut differences);
    links::compare(old, new, &mut differences);
    differences.sort_by(|a, b| a.path.cmp(&b.path));
    documents::compare(before.image, after.image, &mut differences);
    history::compare(before.image, after.image, &mut differences);
    media_types::compare(before, after, &mut differences);
    Verification {
        paths: files.paths,
        bytes: files.bytes,
        caches,
        differences,
    }
}
