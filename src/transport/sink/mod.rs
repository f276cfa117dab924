//! Outputs. A sink is chosen and checked before any long work, and commits the image whole at the end.
//!
//! | sink | output |
//! |---|---|
//! | [`layout`] | an OCI layout, new or existing |
//! | [`archive`] | an archive in a file, alone or with the other images of the archive that it replaces |
//! | [`stream`] | an archive to a pipe, a device or standard output |
//! | [`registry`] | an image in a registry |
//! | [`engine`] | an image in the store of podman or docker |
//!
//! [`form`] writes the two kinds of archives: OCI archives and docker archives.

mod archive;
mod decide;
mod engine;
mod form;
mod layout;
mod registry;
mod stream;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use super::error::TransportError;
use super::image_name::{REF_NAME, annotation};
use super::index_json::roots;
use super::medium::{DockerForm, Medium};
use super::output::OutputImage;
use super::place::OutputBlob;
use super::reference::{Reference, Selector};
use super::source::{Origin, Source};
use super::transports::{Engine, Transport};
use crate::progress::Observer;
use crate::registry::{Push, Registries, RegistrySettings};
use archive::ArchiveSink;
use decide::{Place, decide, stage};
use engine::EngineSink;
use form::{ArchiveForm, set_oci_name};
use layout::LayoutSink;
use registry::RegistrySink;
use stream::StreamSink;

/// Writes one image, whole or not at all. A sink that is dropped without a commit leaves nothing behind, except for blobs
/// in a registry that no manifest names.
pub trait Sink {
    /// The medium of the output.
    fn medium(&self) -> Medium;

    /// A private directory for new blobs, on the output's file system if possible. Dropping the sink removes it.
    fn staging(&self) -> &Path;

    /// Whether the output replaces the image that was read, under its own name. What the new image lacks is then lost.
    fn replaces(&self, source: &Source) -> bool;

    /// Takes blobs before the commit, if the sink can. Most sinks cannot.
    fn early(&self) -> Option<&dyn EarlyBlobs> {
        None
    }

    /// Writes the image. If this fails, the output stays as it was, except for bytes already written to a pipe.
    ///
    /// # Errors
    /// [`TransportError`], for example if the image is incomplete or the file system is full. A docker archive cannot
    /// hold an image of several platforms.
    fn commit(
        self: Box<Self>,
        output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<Committed, TransportError>;
}

/// What a commit changed besides adding an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The image that had the output's name before.
    pub replaced: Option<Replaced>,
}

/// An image that lost its name to the output, and still exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// What the image is called now: a digest in a registry, or an engine's ID.
    pub id: String,
    /// The command that gives it its name back.
    pub restore: String,
}

/// Stores blobs while others are still written, so that the commit has less to do.
pub trait EarlyBlobs: Sync {
    /// Takes a blob that is complete, and releases its bytes once they are stored. An error shows at the commit.
    fn take(&self, blob: OutputBlob);

    /// Begins to store a blob that is still written. `None` if the sink wants to know its digest first.
    fn follow(&self, bytes: Box<dyn Read + Send>) -> Option<Follower<'_>>;
}

/// Takes the complete blob that is stored while it is written. Dropping it gives the blob up. An error shows at the commit.
pub type Follower<'a> = Box<dyn FnOnce(OutputBlob) + 'a>;

/// Decides on the output that `reference` asks for, given the source, and checks that it can be written.
///
/// If the reference does not name a medium:
///
/// * An existing directory becomes a layout.
/// * Otherwise the output has the source's medium. It is an archive if the name ends like one, the source is an
///   archive, a file exists there, or the output is standard output. `stdout` then receives the archive.
///
/// # Errors
/// * [`TransportError::ExistsAsOther`] if something else exists there.
/// * [`TransportError::Io`] if the output's directory does not exist or cannot be written to.
pub fn prepare<'a>(
    reference: &Reference,
    source: &Source,
    registries: &RegistrySettings,
    stdout: impl Write + 'a,
) -> Result<Box<dyn Sink + 'a>, TransportError> {
    match reference {
        Reference::Registry(name) => return to_registry(reference, name, source, registries),
        Reference::Engine { engine, name } => return to_engine(*engine, name, source),
        _ => {}
    }
    let name = reference.selector().cloned();
    let bad = |reason| TransportError::BadReference {
        reference: reference.to_string(),
        reason,
    };
    if let Some(Selector::Index(_) | Selector::Digest { .. }) = name {
        return Err(bad("an output has a name, not a place (`@N`) or a digest"));
    }
    if reference.transport() == Some(Transport::Dir) {
        return Err(bad(
            "pycull reads `dir:` but does not write it; use `oci:DIR:TAG`",
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

fn to_registry<'a>(
    reference: &Reference,
    name: &str,
    source: &Source,
    settings: &RegistrySettings,
) -> Result<Box<dyn Sink + 'a>, TransportError> {
    let registries = Registries::new(settings)?;
    let name = registries.name(name)?;
    if name.digest.is_some() {
        return Err(TransportError::BadReference {
            reference: reference.to_string(),
            reason: "an output has a tag, not a digest",
        });
    }
    let origin = match &source.origin {
        Origin::Registry(store, _) => Some(&**store.repository()),
        _ => None,
    };
    let repository = registries.target(&name, origin)?;
    let push = Push::new(repository, origin, settings.jobs);
    Ok(Box::new(RegistrySink {
        old: push.tagged(name.tag_or_latest())?,
        push,
        name,
        staging: stage(&Place::Stream)?,
    }))
}

fn to_engine<'a>(
    engine: Engine,
    name: &str,
    source: &Source,
) -> Result<Box<dyn Sink + 'a>, TransportError> {
    let medium = match (engine, source.medium) {
        (_, archive @ Medium::DockerArchive(_)) => archive,
        (Engine::Podman, _) => Medium::OciArchive,
        (Engine::Docker, _) => Medium::DockerArchive(DockerForm::OciCarrying),
    };
    let form = ArchiveForm {
        medium,
        name: Some(Selector::Name(name.to_owned())),
        docker_names: Vec::new(),
    };
    Ok(Box::new(EngineSink {
        engine,
        name: name.to_owned(),
        form,
        staging: stage(&Place::Stream)?,
    }))
}

/// Whether `index.json` lists the image that was read under the name that the output will have.
fn names_root(index: Option<Value>, name: Option<&Selector>, source: &Source) -> bool {
    let mut root = source.root.clone();
    set_oci_name(&mut root, name);
    let is_root = |entry: &Value| {
        entry["digest"] == root["digest"]
            && annotation(entry, REF_NAME) == annotation(&root, REF_NAME)
    };
    index.is_some_and(|index| roots(&index).iter().any(is_root))
}
