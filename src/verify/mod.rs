//! Whether two images differ in nothing but their caches: the merged views path by path, and the
//! documents field by field.
//!
//! It shares with what writes images only what reads them. What it compares, and what it allows:
//!
//! * Of every path that is no cache: type, mode, owner, mtime to the nanosecond, extended attributes,
//!   link target, device number, size, SHA-256 of the content, and the names that share its inode. The
//!   mode of a symlink means nothing.
//! * A `__pycache__` directory may go, and may come where a cache lies in it. One that stays is as it was.
//! * A cache is a regular file in `__pycache__` with a name of CPython's (PEP 3147, PEP 488). Caches may go.
//!   One that comes must be fresh: for an interpreter that the image has, whole, and tied to its source.
//!   One that was fresh must still be, with the code that it had; its header and its links may change. One
//!   that was not may stay as it was, or give way to a fresh one, also if nothing checked its hash.
//! * Bytecode in the place of a source that is there beside it may go: Python imports the source.
//! * A symlink that led somewhere still does, and what the config's commands name is there, with the code that
//!   it had. Whatever a profile says, a cache that one of them names may stay.
//! * With a profile, just the caches that it keeps must be there.
//! * A media type may give way to the one that means the same among Docker's or OCI's types; no image mixes them that
//!   did not.
//! * Annotations that describe a layer's bytes, and values that are the digest of what is gone, must go or name what
//!   came instead.
//! * Layers may be dropped, changed, and added above all others, with the history's entries to match.
//!
//! Whether the code of a new cache is what its source compiles to, only compiling could tell.

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

use std::fmt;

use crate::inventory::Inventory;
use crate::oci::Image;
use crate::profile::Policy;
use crate::rootfs::MemberId;
use view::View;

/// SHA-256 of members' data, in the order of members.
pub(crate) type ContentHashes = [(MemberId, [u8; 32])];

/// One of the two images, read.
pub(crate) struct Side<'a> {
    /// Its documents.
    pub image: &'a Image,
    view: View<'a>,
    /// Hashes of what [`wanted_contents`] asked for.
    pub contents: Vec<(MemberId, [u8; 32])>,
}

impl<'a> Side<'a> {
    /// An image with its layers and merged view, and no content hashed yet.
    pub(crate) fn new(image: &'a Image, inventory: &'a Inventory) -> Self {
        Self {
            image,
            view: View::new(inventory),
            contents: Vec::new(),
        }
    }

    /// Its layers and merged view.
    pub(crate) fn inventory(&self) -> &'a Inventory {
        self.view.inventory
    }
}

/// What part of an image a difference is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The merged view.
    Rootfs,
    /// The config, its history included.
    Config,
    /// The manifest.
    Manifest,
    /// The index that names the image.
    Index,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rootfs => "rootfs",
            Self::Config => "config",
            Self::Manifest => "manifest",
            Self::Index => "index",
        })
    }
}

/// A difference that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where it is.
    pub part: Part,
    /// In the merged view a path without a leading slash; in a document a JSON pointer (RFC 6901).
    pub path: Vec<u8>,
    /// What differs.
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

/// What came of comparing two images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Paths that either image has, caches included.
    pub paths: u64,
    /// Bytes of the files that are no caches and have the same content in both, an inode counted once.
    pub bytes: u64,
    /// What became of the caches.
    pub caches: CacheCounts,
    /// Every difference that is not allowed: those of files by path, then those of documents.
    pub differences: Vec<Difference>,
}

/// What became of caches, allowed or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheCounts {
    /// Only the image before has them.
    pub removed: u64,
    /// Only the image after has them.
    pub added: u64,
    /// Both have them, with other bytes.
    pub changed: u64,
    /// A profile asks for them, and the image after has them not: their sources need not compile. `None` without a
    /// profile that compiles what is missing.
    pub missing: Option<u64>,
}

/// The members of each image whose content must be hashed for [`verify`]: regular files of equal size
/// that do not come from the same place of the same layer. In the order of members.
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

/// Compares two images. `expected` is what a profile says of caches; without it any may go.
pub(crate) fn verify(
    before: &Side<'_>,
    after: &Side<'_>,
    expected: Option<&Policy<'_>>,
) -> Verification {
    let (old, new) = (&before.view, &after.view);
    let contents = (&before.contents[..], &after.contents[..]);
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
