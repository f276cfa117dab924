//! Where an image is written to: decided and checked before any long work, and committed whole at its end.
//!
//! | sink | what it writes |
//! |---|---|
//! | [`layout`] | an OCI layout, new or there before |
//! | [`archive`] | an archive in a file, alone or beside the other images of the one that it replaces |
//! | [`stream`] | an archive to a pipe, a device or standard output |
//!
//! An archive is in one of two forms ([`form`]), that of OCI or that of docker.

mod archive;
mod decide;
mod form;
mod layout;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::error::TransportError;
use super::image_name::{REF_NAME, annotation};
use super::index_json::roots;
use super::medium::Medium;
use super::output::OutputImage;
use super::reference::{Reference, Selector, Transport};
use super::source::Source;
use crate::progress::Observer;
use archive::ArchiveSink;
use decide::{Place, decide, stage};
use form::{ArchiveForm, set_oci_name};
use layout::LayoutSink;
use stream::StreamSink;

/// Takes one image, whole or not at all. Dropped without a commit it leaves nothing behind.
pub trait Sink {
    /// What will hold the image.
    fn medium(&self) -> Medium;

    /// A private directory for new blobs, on the output's file system where that can be. It goes with the sink.
    fn staging(&self) -> &Path;

    /// Whether the image that was read goes where it was, under its own name: what is not in the new image is lost then.
    fn replaces(&self, source: &Source) -> bool;

    /// Writes the image: all of it or, where this fails, nothing. What went to a pipe cannot be taken back.
    ///
    /// # Errors
    /// [`TransportError`]: an image that is not whole, several platforms for a docker archive,
    /// a file system that is full, or the like.
    fn commit(
        self: Box<Self>,
        output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<(), TransportError>;
}

/// Decides what `reference` will be, given what was read, and makes sure that it can be
/// written. A medium that the reference does not say is a layout where a directory exists, else the
/// source's, in an archive where the name ends as one's does, the source is one, a file exists there, or
/// the output is standard output. `stdout` takes the image then.
///
/// # Errors
/// [`TransportError::ExistsAsOther`] where something else is there, [`TransportError::Io`]
/// where its directory does not exist or cannot be written to.
pub fn prepare<'a>(
    reference: &Reference,
    source: &Source,
    stdout: impl Write + 'a,
) -> Result<Box<dyn Sink + 'a>, TransportError> {
    let name = reference.selector().cloned();
    let bad = |reason| TransportError::BadReference {
        reference: reference.to_string(),
        reason,
    };
    if let Some(Selector::Index(_) | Selector::Digest { .. }) = name {
        return Err(bad(
            "an image is written under a name, not at a place or by digest",
        ));
    }
    if reference.transport() == Some(Transport::Dir) {
        return Err(bad(
            "pycull reads `dir:` and does not write it; write `oci:DIR:TAG`",
        ));
    }
    let (medium, place) = decide(reference, source)?;
    let form = ArchiveForm {
        medium,
        docker_names: source.docker_names.clone(),
        name,
    };
    if let Place::File(path) = &place {
        super::packing::of_name(path)?;
    }
    let staging = stage(&place)?;
    Ok(match place {
        Place::NewLayout(path) | Place::Layout(path) => Box::new(LayoutSink {
            path,
            name: form.name,
            staging,
        }),
        Place::File(path) => Box::new(ArchiveSink::new(path, form, source, staging)),
        Place::Special(path) => Box::new(StreamSink::special(path, form, staging)),
        Place::Stream => Box::new(StreamSink::stdout(stdout, form, staging)),
    })
}

/// Whether an `index.json` names the image that was read as the output will be named.
fn names_root(index: Option<Value>, name: Option<&Selector>, source: &Source) -> bool {
    let mut root = source.root.clone();
    set_oci_name(&mut root, name);
    let is_root = |entry: &Value| {
        entry["digest"] == root["digest"]
            && annotation(entry, REF_NAME) == annotation(&root, REF_NAME)
    };
    index.is_some_and(|index| roots(&index).iter().any(is_root))
}
