//! The two kinds of image archives, and the names of images in them.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::Value;

use crate::progress::{Observer, Phase};
use crate::transport::archive_update::InPlace;
use crate::transport::docker_archive_write::{self, SaveAs};
use crate::transport::error::TransportError;
use crate::transport::image_name::{
    CONTAINERD_NAME, REF_NAME, annotation, normalized, set_annotation,
};
use crate::transport::medium::Medium;
use crate::transport::oci_archive;
use crate::transport::output::OutputImage;
use crate::transport::reference::Selector;
use crate::transport::source::Source;

/// The kind of archive to write, and the image's name in it.
pub(super) struct ArchiveForm {
    pub(super) medium: Medium,
    /// The name from the reference.
    pub(super) name: Option<Selector>,
    /// The names for a docker archive if the reference gives none.
    pub(super) docker_names: Vec<String>,
}

impl ArchiveForm {
    /// Gives the image the name from the reference.
    pub(super) fn set_name(&self, root: &mut Value) {
        match (&self.name, self.medium) {
            (Some(name), Medium::DockerArchive(_)) => {
                docker_archive_write::set_name(root, &name.to_string());
            }
            (name, _) => set_oci_name(root, name.as_ref()),
        }
    }

    /// Whether the output replaces a docker name that the image had.
    pub(super) fn keeps_docker_name(&self, source: &Source) -> bool {
        let Some(name) = &self.name else {
            return true;
        };
        let wanted = normalized(&docker_archive_write::name_of(name));
        let mut names = source.docker_names.iter();
        names.any(|name| normalized(name) == wanted)
    }

    /// Writes an archive of the image, with the other images of the archive that it replaces. `path` is for messages.
    pub(super) fn write(
        &self,
        output: &OutputImage,
        in_place: Option<&InPlace>,
        to: impl Write,
        path: &Path,
    ) -> Result<(), TransportError> {
        let mut to = BufWriter::with_capacity(128 << 10, to);
        match self.medium {
            Medium::DockerArchive(form) => {
                let names = match &self.name {
                    Some(name) => vec![docker_archive_write::name_of(name)],
                    None => self.docker_names.clone(),
                };
                let names = &names;
                docker_archive_write::write(output, SaveAs { form, names }, in_place, &mut to, path)
            }
            _ => oci_archive::write(output, in_place, &mut to, path),
        }
    }
}

/// Gives an image the name from a reference, in the form of an OCI index.
pub(super) fn set_oci_name(root: &mut Value, name: Option<&Selector>) {
    let Some(name) = name.map(Selector::to_string) else {
        return;
    };
    set_annotation(root, REF_NAME, Some(&name));
    // Remove the source's docker name unless it equals the new name.
    if annotation(root, CONTAINERD_NAME).is_some_and(|old| normalized(old) != normalized(&name)) {
        set_annotation(root, CONTAINERD_NAME, None);
    }
}

/// Reports the bytes of an archive to an observer while they are written.
pub(super) struct Observed<'a, W> {
    to: W,
    observer: &'a dyn Observer,
}

impl<'a, W> Observed<'a, W> {
    /// Begins an archive of this image. `besides` is the number of bytes that are written in addition to the image's
    /// blobs.
    pub(super) fn begin(
        to: W,
        output: &OutputImage,
        besides: u64,
        observer: &'a dyn Observer,
    ) -> Self {
        let blobs = output.blobs.iter().map(|blob| blob.bytes.size());
        observer.begin(Phase::Saving, 1, blobs.sum::<u64>() + besides);
        Self { to, observer }
    }
}

impl<W: Write> Write for Observed<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.to.write(buffer)?;
        self.observer.advance(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> Drop for Observed<'_, W> {
    fn drop(&mut self) {
        self.observer.item_done();
        self.observer.end();
    }
}
