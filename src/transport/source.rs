//! Opening an image, whatever holds it.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use serde_json::Value;

use crate::oci::{BlobStore, Platform};

use super::archive::Archive;
use super::error::TransportError;
use super::image_name::{REF_NAME, annotation, full_names, is_full_name, normalized};
use super::index_json::{INDEX_JSON, OCI_LAYOUT};
use super::reference::{Reference, Transport};
use super::{dir, docker_archive, no_image, oci_archive, oci_layout};

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

/// What is asked for: by whom it is called, and for which platform it is.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a Reference,
    pub(super) platform: Option<&'a Platform>,
}

/// An image that was found, with access to its blobs.
#[derive(Clone)]
pub struct Source {
    /// Its blobs.
    pub store: Arc<dyn BlobStore>,
    /// The descriptor of its manifest or index, exactly as in the medium's `index.json`. For an
    /// old docker archive it is made up, the same for the same archive.
    pub root: Value,
    /// What holds it.
    pub medium: Medium,
    /// A name for people: the image's own where it has one, else where it is.
    pub name: String,
    /// Its docker references: RepoTags, or what annotations say.
    pub docker_names: Vec<String>,
    /// What is wrong with how it is stored, and does not keep it from being read.
    pub warnings: Vec<String>,
    /// The archive that it is in.
    pub(super) archive: Option<Arc<Archive>>,
    /// Its entry in `manifest.json`, where it has one.
    pub(super) entry: Value,
}

impl Source {
    /// Finds the image that `reference` names. `stdin` is read only where that is `-`.
    ///
    /// # Errors
    /// [`TransportError`] where there is no image, or more than one and no way to choose.
    pub fn open(reference: &Reference, stdin: impl Read) -> Result<Self, TransportError> {
        Self::open_for(reference, None, stdin)
    }

    /// The same where a platform may choose among several images.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for(
        reference: &Reference,
        platform: Option<&Platform>,
        stdin: impl Read,
    ) -> Result<Self, TransportError> {
        let path = reference.path();
        let wanted = Wanted {
            reference,
            platform,
        };
        match reference.transport() {
            Some(Transport::Oci) => return oci_layout::open(wanted),
            Some(Transport::Dir) => return dir::open(wanted),
            _ => {}
        }
        if matches!(reference, Reference::Path(_)) {
            let metadata = path.metadata().map_err(TransportError::io("open", path))?;
            if metadata.is_dir() {
                return match dir::is_one(path) {
                    true => dir::open(wanted),
                    false => oci_layout::open(wanted),
                };
            }
        }
        let archive = Arc::new(Archive::open(reference, stdin)?);
        let shared = Arc::clone(&archive);
        let source = match (reference.transport(), archive_medium(&archive)) {
            (Some(Transport::OciArchive), _) | (None, Some(Medium::OciArchive)) => {
                oci_archive::open(shared, wanted, Medium::OciArchive)
            }
            (Some(Transport::DockerArchive), _) | (None, Some(Medium::DockerArchive(_))) => {
                docker_archive::open(shared, wanted)
            }
            _ => Err(no_image::in_archive(&archive)),
        };
        source.map(|source| Self {
            archive: Some(archive),
            ..source
        })
    }

    /// A source whose names are told from annotations and the reference.
    pub(super) fn new(
        store: Arc<dyn BlobStore>,
        root: Value,
        medium: Medium,
        reference: &Reference,
        docker_names: Vec<String>,
    ) -> Self {
        let name = docker_names.first().cloned();
        let name = name.unwrap_or_else(|| name_from_path(&root, reference));
        Self {
            store,
            root,
            medium,
            name,
            docker_names,
            warnings: Vec::new(),
            archive: None,
            entry: Value::Null,
        }
    }
}

/// What kind of image archive it is, by the names in it.
pub(super) fn archive_medium(archive: &Archive) -> Option<Medium> {
    let layout = archive.has(INDEX_JSON) && archive.has(OCI_LAYOUT);
    match (archive.has(docker_archive::MANIFEST_JSON), layout) {
        (true, true) => Some(Medium::DockerArchive(DockerForm::OciCarrying)),
        (true, false) => Some(Medium::DockerArchive(DockerForm::Old)),
        (false, true) => Some(Medium::OciArchive),
        (false, false) => None,
    }
}

fn name_from_path(root: &Value, reference: &Reference) -> String {
    let stem = reference.path().file_stem();
    let stem = stem.map_or_else(
        || reference.path().display().to_string(),
        |stem| stem.display().to_string(),
    );
    match annotation(root, REF_NAME) {
        Some(name) if is_full_name(name) => name.to_owned(),
        Some(tag) => format!("{stem}:{tag}"),
        None => stem,
    }
}

/// The docker references of the chosen root: its own where it was chosen by name, else those of
/// all roots with its digest.
pub(super) fn docker_names(roots: &[Value], chosen: &Value, wanted: Wanted<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let same = roots
        .iter()
        .filter(|root| match wanted.reference.selector() {
            Some(_) => *root == chosen,
            None => root["digest"] == chosen["digest"],
        });
    for root in same {
        // A name by digest is nothing that an archive can be loaded under.
        let Some(name) = full_names(root).find(|name| !name.contains('@')) else {
            continue;
        };
        if !names
            .iter()
            .any(|other| normalized(other) == normalized(name))
        {
            names.push(name.to_owned());
        }
    }
    names
}
