//! The kinds of media that hold an image.

use std::fmt;

use super::archive::Archive;
use super::file_names::{INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT};

/// The kind of medium that holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A directory in the OCI image layout (image-spec image-layout.md).
    OciLayout,
    /// A tar file of an OCI image layout.
    OciArchive,
    /// A tar file in the format of `docker save`.
    DockerArchive(DockerForm),
    /// A directory with one image, in the format of `skopeo copy … dir:DIR`. pycull only reads it.
    Dir,
    /// A registry.
    Registry,
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OciLayout => "OCI image layout",
            Self::OciArchive => "OCI archive",
            Self::DockerArchive(_) => "docker archive",
            Self::Dir => "directory",
            Self::Registry => "registry",
        })
    }
}

/// The two forms of a docker archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerForm {
    /// `manifest.json` with configs and layers beside it. docker before 25, podman and skopeo write it.
    Old,
    /// `manifest.json` inside an OCI layout. docker 25 and later write it.
    OciCarrying,
}

/// The kind of an image archive, by the names of its files.
pub(super) fn archive_medium(archive: &Archive) -> Option<Medium> {
    let layout = archive.has(INDEX_JSON) && archive.has(OCI_LAYOUT);
    match (archive.has(MANIFEST_JSON), layout) {
        (true, true) => Some(Medium::DockerArchive(DockerForm::OciCarrying)),
        (true, false) => Some(Medium::DockerArchive(DockerForm::Old)),
        (false, true) => Some(Medium::OciArchive),
        (false, false) => None,
    }
}
