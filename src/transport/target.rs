//! Writing an image: decided and checked early, committed whole at the end.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::archive::Archive;
use super::error::TransportError;
use super::image_name::{CONTAINERD_NAME, REF_NAME, annotation, normalized, set_annotation};
use super::output::OutputImage;
use super::place::{create, sync};
use super::reference::{Reference, Selector, Transport};
use super::source::{DockerForm, Medium, Source, archive_medium};
use super::{docker_archive, oci_archive, oci_layout};

/// How the names of private directories begin.
const STAGING_PREFIX: &str = ".pycull-";

/// Where the image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A layout that is not there yet.
    NewLayout(PathBuf),
    /// A layout that is, or an empty directory.
    Layout(PathBuf),
    /// An archive, new or to be replaced.
    File(PathBuf),
    /// A pipe or device.
    Special(PathBuf),
    /// Standard output.
    Stream,
}

/// An output that was checked and can be committed to.
///
/// Dropped without a commit it leaves nothing behind.
#[derive(Debug)]
pub struct Target {
    medium: Medium,
    place: Place,
    name: Option<Selector>,
    docker_names: Vec<String>,
    staging: TempDir,
}

/// An image that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// What leads to it.
    pub reference: Reference,
    /// What holds it.
    pub medium: Medium,
}

impl Target {
    /// Decides what `reference` will be, given what was read, and makes sure that it can be
    /// written. A medium that the reference does not say is that of what exists there, else the
    /// source's, in an archive where the name ends in `.tar`, the source is one, or the output is
    /// standard output.
    ///
    /// # Errors
    /// [`TransportError::ExistsAsOther`] where something else is there, [`TransportError::Io`]
    /// where its directory does not exist or cannot be written to.
    pub fn prepare(reference: &Reference, source: &Source) -> Result<Self, TransportError> {
        let name = reference.selector().cloned();
        if let Some(Selector::Index(_)) = name {
            return Err(TransportError::BadReference {
                reference: reference.to_string(),
                reason: "an image is written under a name, not at a place",
            });
        }
        let (medium, place) = decide(reference, source.medium)?;
        let staging = stage(&place)?;
        Ok(Self {
            medium,
            place,
            name,
            docker_names: source.docker_names.clone(),
            staging,
        })
    }

    /// What will hold the image.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// Whether the image goes to standard output. The caller refuses where that is a terminal.
    pub fn is_stream(&self) -> bool {
        self.place == Place::Stream
    }

    /// A private directory, on the output's file system, for blobs to be written to. It goes with
    /// the target.
    pub fn staging(&self) -> &Path {
        self.staging.path()
    }

    /// Writes the image: all of it or, where this fails, nothing. `stdout` is used only where
    /// [`Self::is_stream`]; what went to a pipe cannot be taken back.
    ///
    /// # Errors
    /// [`TransportError`]: an image that is not whole, several platforms for a docker archive,
    /// a file system that is full, or the like.
    pub fn commit(
        self,
        mut output: OutputImage,
        stdout: impl Write,
    ) -> Result<Committed, TransportError> {
        self.rename(&mut output.root);
        match &self.place {
            Place::NewLayout(path) => {
                oci_layout::create_new(path, self.staging.path(), &output)?;
            }
            Place::Layout(path) => oci_layout::add(path, self.staging.path(), &output)?,
            Place::File(path) => self.replace_file(path, &output)?,
            Place::Special(path) => {
                let file = File::options().write(true).open(path);
                let file = file.map_err(TransportError::io("open", path))?;
                self.write_archive(&output, file, path)?;
            }
            Place::Stream => self.write_archive(&output, stdout, Path::new("-"))?,
        }
        Ok(Committed {
            reference: self.committed_reference(&output.root),
            medium: self.medium,
        })
    }

    /// Gives the image the name that the reference asks for.
    fn rename(&self, root: &mut Value) {
        let Some(name) = self.name.as_ref().map(Selector::to_string) else {
            return;
        };
        if let Medium::DockerArchive(_) = self.medium {
            docker_archive::set_name(root, &name);
            return;
        }
        set_annotation(root, REF_NAME, Some(&name));
        // The source's name for docker is not that of this image, unless it is the same.
        if annotation(root, CONTAINERD_NAME).is_some_and(|old| normalized(old) != normalized(&name))
        {
            set_annotation(root, CONTAINERD_NAME, None);
        }
    }

    fn replace_file(&self, path: &Path, output: &OutputImage) -> Result<(), TransportError> {
        let temporary = self.staging.path().join("archive");
        let file = create(&temporary)?;
        self.write_archive(output, &file, path)?;
        file.sync_all().map_err(TransportError::io("write", path))?;
        fs::rename(&temporary, path).map_err(TransportError::io("create", path))?;
        sync(oci_layout::parent(path))
    }

    fn write_archive(
        &self,
        output: &OutputImage,
        to: impl Write,
        path: &Path,
    ) -> Result<(), TransportError> {
        let mut to = BufWriter::with_capacity(128 << 10, to);
        match self.medium {
            Medium::DockerArchive(form) => {
                let names = match &self.name {
                    Some(name) => vec![docker_archive::name_of(name)],
                    None => self.docker_names.clone(),
                };
                docker_archive::write(output, form, &names, &mut to, path)
            }
            _ => oci_archive::write(output, &mut to, path),
        }
    }

    fn committed_reference(&self, root: &Value) -> Reference {
        let (path, transport) = match (&self.place, self.medium) {
            (Place::Stream, _) => return Reference::Stream,
            (Place::NewLayout(path) | Place::Layout(path), _) => (path, Transport::Oci),
            (Place::File(path) | Place::Special(path), Medium::DockerArchive(_)) => {
                (path, Transport::DockerArchive)
            }
            (Place::File(path) | Place::Special(path), _) => (path, Transport::OciArchive),
        };
        let in_layout = transport == Transport::Oci;
        let tag = annotation(root, REF_NAME).filter(|_| in_layout);
        Reference::Transport {
            transport,
            path: path.clone(),
            selector: tag.map(|tag| Selector::Name(tag.to_owned())),
        }
    }
}

fn decide(reference: &Reference, source: Medium) -> Result<(Medium, Place), TransportError> {
    let path = reference.path();
    let asked = reference.transport().map(|transport| match transport {
        Transport::Oci => Medium::OciLayout,
        Transport::OciArchive => Medium::OciArchive,
        Transport::DockerArchive => Medium::DockerArchive(docker_form(source)),
    });
    if reference.is_stream() {
        return Ok((asked.unwrap_or(as_archive(source)), Place::Stream));
    }
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let medium = asked.unwrap_or(new_medium(path, source));
            let place = match medium {
                Medium::OciLayout => Place::NewLayout(path.to_owned()),
                _ => Place::File(path.to_owned()),
            };
            return Ok((medium, place));
        }
        Err(error) => return Err(TransportError::io("open", path)(error)),
    };
    // Replacing a symlink would leave what it leads to as it was.
    let real = path
        .canonicalize()
        .map_err(TransportError::io("open", path))?;
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        check_directory(path, asked)?;
        return Ok((Medium::OciLayout, Place::Layout(real)));
    }
    if asked == Some(Medium::OciLayout) {
        return Err(exists(path, "an image layout", "a file"));
    }
    if file_type.is_fifo() || file_type.is_char_device() {
        return Ok((
            asked.unwrap_or(as_archive(source)),
            Place::Special(path.to_owned()),
        ));
    }
    if metadata.len() == 0 {
        return Ok((asked.unwrap_or(as_archive(source)), Place::File(real)));
    }
    let medium = check_archive(path, asked, source)?;
    Ok((medium, Place::File(real)))
}

fn exists(path: &Path, expected: &'static str, found: &'static str) -> TransportError {
    TransportError::ExistsAsOther {
        path: path.to_owned(),
        expected,
        found,
    }
}

/// The medium of a bare path where nothing is.
fn new_medium(path: &Path, source: Medium) -> Medium {
    let names_directory = path.as_os_str().as_bytes().ends_with(b"/");
    let names_archive = path.extension().is_some_and(|extension| extension == "tar");
    match source {
        _ if names_directory => Medium::OciLayout,
        Medium::OciLayout if !names_archive => Medium::OciLayout,
        _ => as_archive(source),
    }
}

/// The medium of an archive of what was read from `source`.
fn as_archive(source: Medium) -> Medium {
    match source {
        Medium::OciLayout => Medium::OciArchive,
        archive => archive,
    }
}

/// A docker archive stays in its form; what becomes one has the newer one.
fn docker_form(source: Medium) -> DockerForm {
    match source {
        Medium::DockerArchive(form) => form,
        _ => DockerForm::OciCarrying,
    }
}

/// A directory that exists must be a layout, or empty.
fn check_directory(path: &Path, asked: Option<Medium>) -> Result<(), TransportError> {
    if !matches!(asked, None | Some(Medium::OciLayout)) {
        return Err(exists(path, "an archive", "a directory"));
    }
    if oci_layout::check_version(path)?.is_some() {
        return oci_layout::read_index(path).map(drop);
    }
    let listing = path.read_dir().map_err(TransportError::io("read", path))?;
    for entry in listing {
        let entry = entry.map_err(TransportError::io("read", path))?;
        let name = entry.file_name();
        if !name.as_bytes().starts_with(STAGING_PREFIX.as_bytes()) {
            let found = "a directory with other files in it";
            return Err(exists(path, "an image layout", found));
        }
    }
    Ok(())
}

/// A file that exists must be an archive of the kind that is asked for.
fn check_archive(
    path: &Path,
    asked: Option<Medium>,
    source: Medium,
) -> Result<Medium, TransportError> {
    let found = match Archive::open(&Reference::Path(path.to_owned()), io::empty()) {
        Ok(archive) => archive_medium(&archive),
        Err(error @ TransportError::Io { .. }) => return Err(error),
        Err(_) => None,
    };
    match (asked, found) {
        (None, None) => Err(exists(path, "an image archive", "another file")),
        (None, Some(Medium::DockerArchive(_))) => Ok(Medium::DockerArchive(docker_form(source))),
        (None, Some(medium)) => Ok(medium),
        (Some(medium @ Medium::OciArchive), Some(Medium::OciArchive))
        | (Some(medium @ Medium::DockerArchive(_)), Some(Medium::DockerArchive(_))) => Ok(medium),
        (Some(Medium::DockerArchive(_)), _) => {
            Err(exists(path, "a docker archive", "another file"))
        }
        (Some(_), _) => Err(exists(path, "an OCI archive", "another file")),
    }
}

fn stage(place: &Place) -> Result<TempDir, TransportError> {
    let directory = match place {
        Place::NewLayout(path) | Place::File(path) => oci_layout::parent(path).to_owned(),
        Place::Layout(path) => path.clone(),
        Place::Special(_) | Place::Stream => std::env::temp_dir(),
    };
    tempfile::Builder::new()
        .prefix(STAGING_PREFIX)
        .tempdir_in(&directory)
        .map_err(|error| {
            // tempfile's own message names a directory that never was.
            let cause = io::Error::from(error.kind());
            TransportError::io("write to directory", &directory)(cause)
        })
}
