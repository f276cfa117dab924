//! The two forms of image archives, and the names of images in them.

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

/// How an archive is written, and what the image is called in it.
pub(super) struct ArchiveForm {
    pub(super) medium: Medium,
    /// What the reference says.
    pub(super) name: Option<Selector>,
    /// What a docker archive calls the image without that.
    pub(super) docker_names: Vec<String>,
}

impl ArchiveForm {
    /// Gives the image the name that the reference asks for.
    pub(super) fn set_name(&self, root: &mut Value) {
        match (&self.name, self.medium) {
            (Some(name), Medium::DockerArchive(_)) => {
                docker_archive_write::set_name(root, &name.to_string());
            }
            (name, _) => set_oci_name(root, name.as_ref()),
        }
    }

    /// Whether an image keeps a name that docker knows it by.
    pub(super) fn keeps_docker_name(&self, source: &Source) -> bool {
        let Some(name) = &self.name else {
            return true;
        };
        let wanted = normalized(&docker_archive_write::name_of(name));
        let mut names = source.docker_names.iter();
        names.any(|name| normalized(name) == wanted)
    }

    /// Writes an archive of the image, with what else is in the one that it replaces. `path` is for messages.
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

/// Gives an image the name that a reference asks for, as OCI's indexes have it.
pub(super) fn set_oci_name(root: &mut Value, name: Option<&Selector>) {
    let Some(name) = name.map(Selector::to_string) else {
        return;
    };
    set_annotation(root, REF_NAME, Some(&name));
    // The source's name for docker is not that of this image, unless it is the same.
    if annotation(root, CONTAINERD_NAME).is_some_and(|old| normalized(old) != normalized(&name)) {
        set_annotation(root, CONTAINERD_NAME, None);
    }
}

/// Tells an observer of the bytes of an archive while they are written.
pub(super) struct Observed<'a, W> {
    to: W,
    observer: &'a dyn Observer,
}

impl<'a, W> Observed<'a, W> {
    /// Begins to write an archive of this image, with so many bytes besides.
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
