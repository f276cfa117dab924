//! Names of files in layouts and archives.

use crate::oci::Digest;
use crate::oci::json_keys::{self, Shape};

/// The table of images in a layout.
pub(super) const INDEX_JSON: &str = "index.json";
/// The file that marks a layout and says its version.
pub(super) const OCI_LAYOUT: &str = "oci-layout";
/// What that file holds. This is the only version there is.
pub(super) const OCI_LAYOUT_CONTENT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Which keys a file of a layout or archive has.
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
/// docker's table of images before it had `manifest.json`: `{repository: {tag: layer}}`.
pub(super) const REPOSITORIES: &str = "repositories";

/// A blob's name in a layout (image-layout.md, "Blobs"). No traversal can be in it: [`Digest`]
/// takes no slashes, and no algorithm or hash that is empty or made of dots.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}
