//! Names of files in layouts and archives.

use crate::oci::Digest;
use crate::oci::json_keys::{self, Shape};

/// The table of images in a layout.
pub(super) const INDEX_JSON: &str = "index.json";
/// The file that marks a directory as a layout and states the layout's version.
pub(super) const OCI_LAYOUT: &str = "oci-layout";
/// The content of that file. There is only this version.
pub(super) const OCI_LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The known keys of a file in a layout or archive.
pub(super) fn shape(name: &str) -> &'static Shape {
    match name {
        INDEX_JSON => &json_keys::INDEX,
        OCI_LAYOUT => &json_keys::OCI_LAYOUT,
        MANIFEST_JSON => &json_keys::MANIFEST_JSON,
        _ => &Shape::Data,
    }
}

/// The table of images in a docker archive.
pub(super) const MANIFEST_JSON: &str = "manifest.json";
/// docker's table of images before `manifest.json`: `{repository: {tag: layer}}`.
pub(super) const REPOSITORIES: &str = "repositories";

/// A blob's path in a layout (image-layout.md, "Blobs"). The path cannot leave the layout: [`Digest`] rejects slashes,
/// and rejects an algorithm or hash that is empty or made of dots.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}
