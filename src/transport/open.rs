//! Opening an image from any medium.

use std::io::Read;
use std::sync::Arc;

use super::archive::Archive;
use super::error::TransportError;
use super::medium::{Medium, archive_medium};
use super::reference::{Reference, Transport, Wanted};
use super::source::Source;
use super::{dir, docker_archive_read, no_image, oci_archive, oci_layout_read};
use crate::oci::Platform;

impl Source {
    /// Finds the image that `reference` names. Reads `stdin` only if the reference is to standard input.
    ///
    /// # Errors
    /// [`TransportError`] if there is no image, or if there are several and nothing says which to use.
    pub fn open(reference: &Reference, stdin: impl Read) -> Result<Self, TransportError> {
        Self::open_for(reference, None, stdin)
    }

    /// As [`Self::open`], but `platform` may choose among several images.
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
            Some(Transport::Oci) => return oci_layout_read::open(wanted),
            Some(Transport::Dir) => return dir::open(wanted),
            _ => {}
        }
        if matches!(reference, Reference::Path(_)) {
            let metadata = path.metadata().map_err(TransportError::io("open", path))?;
            if metadata.is_dir() {
                return match dir::is_one(path) {
                    true => dir::open(wanted),
                    false => oci_layout_read::open(wanted),
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
                docker_archive_read::open(shared, wanted)
            }
            _ => {
                let names: Vec<&str> = archive.names().collect();
                Err(no_image::in_archive(&archive.path, &names))
            }
        };
        source.map(|source| Self {
            archive: Some(archive),
            ..source
        })
    }
}
