//! Decides on the output's medium and place, from its reference, from what exists there, and from what was read.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::scratch::{self, Scratch};
use crate::transport::archive::Archive;
use crate::transport::archive_update::count_images;
use crate::transport::error::TransportError;
use crate::transport::hints::is_name_and_no_path;
use crate::transport::medium::{DockerForm, Medium, archive_medium};
use crate::transport::oci_layout_write::{self, STAGING_PREFIX};
use crate::transport::place::parent;
use crate::transport::reference::Reference;
use crate::transport::source::Source;
use crate::transport::transports::Transport;
use crate::transport::{oci_layout_read, packing};

/// The place where the image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A layout that does not exist yet.
    NewLayout(PathBuf),
    /// An existing layout, or an empty directory.
    Layout(PathBuf),
    /// An archive that is new or replaces a file.
    File(PathBuf),
    /// A pipe or device.
    Special(PathBuf),
    /// Standard output.
    Stream,
}

/// Decides on the medium and the place of an output.
pub(super) fn decide(
    reference: &Reference,
    source: &Source,
) -> Result<(Medium, Place), TransportError> {
    let path = reference.path();
    let asked = reference.transport().map(|transport| match transport {
        Transport::Oci => Medium::OciLayout,
        Transport::OciArchive => Medium::OciArchive,
        Transport::DockerArchive => Medium::DockerArchive(docker_form(source.medium)),
        Transport::Dir => Medium::Dir,
    });
    if reference.is_stream() {
        return Ok((asked.unwrap_or(as_archive(source.medium)), Place::Stream));
    }
    match path.metadata() {
        Ok(metadata) => decide_existing(path, &metadata, asked, source),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Renaming the output into place would replace the symlink, not the file that it names.
            if path.is_symlink() {
                return Err(exists(path, "an image", "a symlink that leads nowhere"));
            }
            if asked.is_none() && is_name_and_no_path(path) {
                return Err(TransportError::NameAsOutput {
                    path: path.to_owned(),
                });
            }
            let medium = asked.unwrap_or(new_medium(path, source.medium));
            let place = match medium {
                Medium::OciLayout => Place::NewLayout(path.to_owned()),
                _ => Place::File(path.to_owned()),
            };
            Ok((medium, place))
        }
        Err(error) => Err(TransportError::io("write", path)(error)),
    }
}

fn decide_existing(
    path: &Path,
    metadata: &Metadata,
    asked: Option<Medium>,
    source: &Source,
) -> Result<(Medium, Place), TransportError> {
    // Resolve symlinks: replacing one would leave the file that it names unchanged.
    let real = path
        .canonicalize()
        .map_err(TransportError::io("write", path))?;
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
            asked.unwrap_or(as_archive(source.medium)),
            Place::Special(path.to_owned()),
        ));
    }
    if metadata.len() == 0 {
        return Ok((
            asked.unwrap_or(as_archive(source.medium)),
            Place::File(real),
        ));
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

/// The medium for a bare path at which nothing exists.
fn new_medium(path: &Path, source: Medium) -> Medium {
    let names_directory = path.as_os_str().as_bytes().ends_with(b"/");
    match source {
        _ if names_directory => Medium::OciLayout,
        Medium::OciLayout | Medium::Dir | Medium::Registry if !packing::names_archive(path) => {
            Medium::OciLayout
        }
        _ => as_archive(source),
    }
}

/// The kind of archive for an image that was read from `source`.
fn as_archive(source: Medium) -> Medium {
    match source {
        Medium::OciLayout | Medium::Dir | Medium::Registry => Medium::OciArchive,
        archive => archive,
    }
}

/// The form of a new docker archive. It keeps the form of a source that is a docker archive, else it is the newer form.
fn docker_form(source: Medium) -> DockerForm {
    match source {
        Medium::DockerArchive(form) => form,
        _ => DockerForm::OciCarrying,
    }
}

/// Checks that an existing directory is a layout or is empty. Removes what killed processes left in it.
fn check_directory(path: &Path, asked: Option<Medium>) -> Result<(), TransportError> {
    if !matches!(asked, None | Some(Medium::OciLayout)) {
        return Err(exists(path, "an archive", "a directory"));
    }
    oci_layout_write::sweep(path);
    if oci_layout_read::check_version(path)?.is_some() {
        return oci_layout_read::read_index(path).map(drop);
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

/// Checks that an existing file is an archive of the requested kind. It may hold several images only if the image was
/// read from it. The existing file does not decide the kind of the output unless the image was read from it.
fn check_archive(
    path: &Path,
    asked: Option<Medium>,
    source: &Source,
) -> Result<Medium, TransportError> {
    let metadata = path.metadata().map_err(TransportError::io("write", path))?;
    let own = source.archive.as_ref();
    if let Some(archive) = own.filter(|archive| archive.is_file(&metadata)) {
        let found = archive_medium(archive).unwrap_or(source.medium);
        return of_kind(path, asked, found).map(|asked| asked.unwrap_or(found));
    }
    let archive = match Archive::open(&Reference::Path(path.to_owned()), io::empty()) {
        Err(error @ TransportError::Io { .. }) => return Err(error),
        opened => opened.ok(),
    };
    let found = archive
        .as_ref()
        .and_then(|it| Some((it, archive_medium(it)?)));
    let Some((archive, found)) = found else {
        let expected = asked.map_or("an image archive", archive_kind);
        return Err(exists(path, expected, "another file"));
    };
    let asked = of_kind(path, asked, found)?;
    let images = count_images(archive, found);
    if images > 1 {
        return Err(TransportError::HoldsOthers {
            path: path.to_owned(),
            images,
        });
    }
    Ok(asked.unwrap_or(as_archive(source.medium)))
}

/// Returns `asked`. Fails if it is another kind of archive than `found`. The two forms of a docker archive are one
/// kind.
fn of_kind(
    path: &Path,
    asked: Option<Medium>,
    found: Medium,
) -> Result<Option<Medium>, TransportError> {
    match asked {
        Some(medium) if archive_kind(medium) != archive_kind(found) => {
            Err(exists(path, archive_kind(medium), archive_kind(found)))
        }
        asked => Ok(asked),
    }
}

fn archive_kind(medium: Medium) -> &'static str {
    match medium {
        Medium::DockerArchive(_) => "a docker archive",
        _ => "an OCI archive",
    }
}

/// Makes a private directory on the output's file system, or in the temporary directory if the output is not a file.
pub(super) fn stage(place: &Place) -> Result<Scratch, TransportError> {
    let directory = match place {
        Place::NewLayout(path) | Place::File(path) => parent(path).to_owned(),
        Place::Layout(path) => path.clone(),
        Place::Special(_) | Place::Stream => return Ok(Scratch::new()?),
    };
    // `check_directory` swept the layout itself. A process that was killed just after it created the layout left its
    // staging directory beside the layout.
    let beside = match place {
        Place::Layout(path) => parent(path),
        _ => &directory,
    };
    scratch::sweep(STAGING_PREFIX, beside, |_| {});
    Scratch::within(STAGING_PREFIX, &directory).map_err(|error| {
        // tempfile's own message names a directory that never existed.
        let cause = io::Error::from(error.kind());
        TransportError::io("write to directory", &directory)(cause)
    })
}
