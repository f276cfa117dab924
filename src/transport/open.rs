//! Opening an image from any medium.

use std::io::{self, Read};
use std::process::Stdio;
use std::sync::Arc;

use super::archive::Archive;
use super::engine::Running;
use super::error::TransportError;
use super::medium::{Medium, archive_medium};
use super::reference::{Reference, Wanted};
use super::source::{Origin, Source};
use super::transports::{Engine, Transport};
use super::{dir, docker_archive_read, no_image, oci_archive, oci_layout_read, remote};
use crate::oci::Platform;
use crate::registry::{Keeping, RegistrySettings};

/// What opening an image needs to know besides its reference.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// Chooses among several images.
    pub platform: Option<&'a Platform>,
    /// How to reach registries.
    pub registries: &'a RegistrySettings,
    /// What the image is read for.
    pub reading: Reading,
}

/// What an image is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which layers of a registry are read more than once, so that they are worth keeping.
    pub keeping: Keeping,
    /// Whether the compressed sizes count. Otherwise an engine need not compress what it saves.
    pub compressed: bool,
}

impl Source {
    /// Finds the image that `reference` names. Reads `stdin` only if the reference is to standard input.
    ///
    /// # Errors
    /// [`TransportError`] if there is no image, or if there are several and nothing says which to use.
    pub fn open(reference: &Reference, stdin: impl Read) -> Result<Self, TransportError> {
        let opening = Opening {
            platform: None,
            registries: &RegistrySettings::default(),
            reading: Reading {
                keeping: Keeping::All,
                compressed: true,
            },
        };
        Self::open_for(reference, opening, stdin)
    }

    /// As [`Self::open`], with all that may matter.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for(
        reference: &Reference,
        opening: Opening<'_>,
        stdin: impl Read,
    ) -> Result<Self, TransportError> {
        let path = reference.path();
        let wanted = Wanted {
            reference,
            platform: opening.platform,
        };
        match reference {
            Reference::Registry(name) => {
                return remote::open(name, opening.registries, opening.reading.keeping);
            }
            Reference::Engine { engine, name } => return open_saved(*engine, name, opening),
            Reference::Path(_) => {
                let metadata = path.metadata().map_err(TransportError::io("open", path))?;
                if metadata.is_dir() {
                    return match dir::is_one(path) {
                        true => dir::open(wanted),
                        false => oci_layout_read::open(wanted),
                    };
                }
            }
            Reference::Transport { .. } | Reference::Stream => {}
        }
        match reference.transport() {
            Some(Transport::Oci) => oci_layout_read::open(wanted),
            Some(Transport::Dir) => dir::open(wanted),
            _ => open_archive(wanted, stdin),
        }
    }
}

fn open_archive(wanted: Wanted<'_>, stdin: impl Read) -> Result<Source, TransportError> {
    let reference = wanted.reference;
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
    source.map(|source| Source {
        archive: Some(archive),
        ..source
    })
}

/// Opens an image of an engine, from the archive that the engine's save command prints.
fn open_saved(engine: Engine, name: &str, opening: Opening<'_>) -> Result<Source, TransportError> {
    let transport = engine.saves_as(name)?;
    let arguments = engine.save(name, transport, opening.reading.compressed);
    let mut saving = Running::start(engine, &arguments, (Stdio::null(), Stdio::piped()))?;
    let reference = Reference::Transport {
        transport,
        path: "-".into(),
        selector: None,
    };
    let wanted = Wanted {
        reference: &reference,
        platform: opening.platform,
    };
    let opened = match saving.stdout() {
        Some(stdout) => open_archive(wanted, stdout),
        None => open_archive(wanted, io::empty()),
    };
    // If the command failed, its own words say more than the archive that it did not finish. If pycull could not keep
    // the archive, the command failed because of that.
    let saved = saving.finish();
    let is_own = matches!(
        opened,
        Err(TransportError::Io { .. } | TransportError::Bomb { .. })
    );
    if !is_own {
        saved?;
    }
    opened.map(|source| Source {
        origin: Origin::Engine(engine),
        archive: None,
        ..source
    })
}
