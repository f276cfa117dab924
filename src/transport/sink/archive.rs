//! Writes an archive to a file. If the file replaces the archive that was read, keeps the other images of that archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::form::{ArchiveForm, Observed};
use super::{Committed, Sink, names_root};
use crate::progress::Observer;
use crate::scratch::{self, Scratch};
use crate::transport::archive_update::InPlace;
use crate::transport::error::TransportError;
use crate::transport::file_names::INDEX_JSON;
use crate::transport::medium::Medium;
use crate::transport::output::OutputImage;
use crate::transport::packing::{self, Packed};
use crate::transport::place::{create, parent, sync};
use crate::transport::source::Source;

/// Writes an archive to a file that is new or that it replaces.
pub(super) struct ArchiveSink {
    path: PathBuf,
    form: ArchiveForm,
    /// The archive to replace, if the image was read from it.
    in_place: Option<InPlace>,
    staging: Scratch,
}

impl ArchiveSink {
    pub(super) fn new(path: PathBuf, form: ArchiveForm, source: &Source, staging: Scratch) -> Self {
        Self {
            in_place: in_place(&path, source),
            path,
            form,
            staging,
        }
    }

    /// Fails if the archive changed meanwhile. Otherwise an image that another process added would be lost.
    fn check_unchanged(&self) -> Result<(), TransportError> {
        let Some(InPlace { archive, .. }) = &self.in_place else {
            return Ok(());
        };
        let path = &self.path;
        let metadata = path.metadata().map_err(TransportError::io("write", path))?;
        match archive.is_file(&metadata) {
            true => Ok(()),
            false => Err(TransportError::Changed {
                path: path.to_owned(),
            }),
        }
    }
}

impl Sink for ArchiveSink {
    fn medium(&self) -> Medium {
        self.form.medium
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, source: &Source) -> bool {
        let Some(InPlace { archive, .. }) = &self.in_place else {
            return false;
        };
        match self.form.medium {
            Medium::DockerArchive(_) => self.form.keeps_docker_name(source),
            _ => names_root(
                archive.read_json(INDEX_JSON).ok(),
                self.form.name.as_ref(),
                source,
            ),
        }
    }

    fn commit(
        self: Box<Self>,
        mut output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        self.form.set_name(&mut output.root);
        let path = &self.path;
        let temporary = self.staging.path().join("archive");
        let file = create(&temporary)?;
        let mut packed = Packed::new(&file, packing::of_name(path)?)
            .map_err(TransportError::io("write", path))?;
        // The kept part of the old archive is copied, and counts as work.
        let old = self.in_place.as_ref().map_or(0, |it| it.archive.size());
        let observed = Observed::begin(&mut packed, &output, old, observer);
        self.form
            .write(&output, self.in_place.as_ref(), observed, path)?;
        packed.finish().map_err(TransportError::io("write", path))?;
        file.sync_all().map_err(TransportError::io("write", path))?;
        scratch::unbroken(|| {
            self.check_unchanged()?;
            fs::rename(&temporary, path).map_err(TransportError::io("create", path))
        })?;
        sync(parent(path))?;
        Ok(Committed::default())
    }
}

/// The archive that the output replaces, if the image was read from it.
fn in_place(path: &Path, source: &Source) -> Option<InPlace> {
    let archive = source.archive.as_ref()?;
    let metadata = path.metadata().ok()?;
    archive.is_file(&metadata).then(|| InPlace {
        archive: Arc::clone(archive),
        entry: source.entry.clone(),
    })
}
