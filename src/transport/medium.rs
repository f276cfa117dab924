//! What holds an image.

use std::fmt;

use super::archive::Archive;
use super::file_names::{INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT};

/// What holds an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A directory (image-spec image-layout.md).
    OciLayout,
    /// A tar file of such a directory.
    OciArchive,
    /// A tar file as `docker save` writes it.
    DockerArchive(DockerForm),
    /// A directory of one image, as `skopeo copy … dir:DIR` writes it. It is only read.
    Dir,
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OciLayout => "OCI image layout",
            Self::OciArchive => "OCI archive",
            Self::DockerArchive(_) => "docker archive",
            Self::Dir => "directory",
        })
    }
}

/// The two forms of docker archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DockerForm {
    /// `manifest.json` with configs and layers beside it: docker before 25, podman, skopeo.
    Old,
    /// `manifest.json` within an OCI layout: docker from 25 on.
    OciCarrying,
}

/// What kind of image archive it is, by the names in it.
pub(super) fn archive_medium(archive: &Archive) -> Option<Medium> {
    let layout = archive.has(INDEX_JSON) && archive.has(OCI_LAYOUT);
    match (archive.has(MANIFEST_JSON), layout) {
        (true, true) => Some(Medium::DockerArchive(DockerForm::OciCarrying)),
        (true, false) => Some(Medium::DockerArchive(DockerForm::Old)),
        (false, true) => Some(Medium::OciArchive),
        (false, false) => None,
    }
}
