//! Writing an image: decided and checked early, committed whole at the end.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::archive::Archive;
use super::archive_update::{InPlace, count_images};
use super::docker_save::{self, SaveAs};
use super::error::TransportError;
use super::image_name::{CONTAINERD_NAME, REF_NAME, annotation, normalized, set_annotation};
use super::index_json::roots;
use super::layout_commit::STAGING_PREFIX;
use super::medium::{DockerForm, Medium, archive_medium};
use super::output::OutputImage;
use super::packing::{self, Packed};
use super::place::{create, parent, sync};
use super::reference::{Reference, Selector, Transport};
use super::source::Source;
use super::{layout_commit, oci_archive, oci_layout};
use crate::scratch::{self, Scratch};

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
    /// The archive that is replaced, where the image came from it.
    in_place: Option<InPlace>,
    staging: Scratch,
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
    /// written. A medium that the reference does not say is a layout where a directory exists, else the
    /// source's, in an archive where the name ends as one's does, the source is one, a file exists there, or
    /// the output is standard output.
    ///
    /// # Errors
    /// [`TransportError::ExistsAsOther`] where something else is there, [`TransportError::Io`]
    /// where its directory does not exist or cannot be written to.
    pub fn prepare(reference: &Reference, source: &Source) -> Result<Self, TransportError> {
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
        if let Place::File(path) = &place {
            packing::of_name(path)?;
        }
        let staging = stage(&place)?;
        Ok(Self {
            medium,
            in_place: in_place(&place, source),
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

    /// Whether the image that was read goes where it was, under its own name: what is not in the new image is lost then.
    pub fn replaces(&self, source: &Source) -> bool {
        let mut root = source.root.clone();
        self.rename(&mut root);
        match &self.place {
            Place::Layout(path) => {
                let index = oci_layout::read_index(path).ok().flatten();
                let has_root = |index: Value| roots(&index).iter().any(|it| is_same(it, &root));
                index.is_some_and(has_root)
            }
            Place::File(_) if self.in_place.is_some() => match (&self.name, self.medium) {
                (None, _) => true,
                (Some(name), Medium::DockerArchive(_)) => {
                    let wanted = normalized(&docker_save::name_of(name));
                    let mut names = source.docker_names.iter();
                    names.any(|name| normalized(name) == wanted)
                }
                _ => is_same(&source.root, &root),
            },
            _ => false,
        }
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
                layout_commit::create_new(path, self.staging.path(), &output)?;
            }
            Place::Layout(path) => layout_commit::add(path, self.staging.path(), &output)?,
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
            docker_save::set_name(root, &name);
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
        let mut packed = Packed::new(&file, packing::of_name(path)?)
            .map_err(TransportError::io("write", path))?;
        self.write_archive(output, &mut packed, path)?;
        packed.finish().map_err(TransportError::io("write", path))?;
        file.sync_all().map_err(TransportError::io("write", path))?;
        scratch::unbroken(|| {
            self.check_unchanged(path)?;
            fs::rename(&temporary, path).map_err(TransportError::io("create", path))
        })?;
        sync(parent(path))
    }

    /// Another image that was put into the archive meanwhile is not to be lost.
    fn check_unchanged(&self, path: &Path) -> Result<(), TransportError> {
        let Some(InPlace { archive, .. }) = &self.in_place else {
            return Ok(());
        };
        let metadata = path.metadata().map_err(TransportError::io("open", path))?;
        match archive.is_file(&metadata) {
            true => Ok(()),
            false => Err(TransportError::Changed {
                path: path.to_owned(),
            }),
        }
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
                    Some(name) => vec![docker_save::name_of(name)],
                    None => self.docker_names.clone(),
                };
                let in_place = self.in_place.as_ref();
                docker_save::write(
                    output,
                    SaveAs {
                        form,
                        names: &names,
                    },
                    in_place,
                    &mut to,
                    path,
                )
            }
            _ => oci_archive::write(output, self.in_place.as_ref(), &mut to, path),
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

/// Whether two entries of an `index.json` are one image under one name.
fn is_same(one: &Value, other: &Value) -> bool {
    one["digest"] == other["digest"] && annotation(one, REF_NAME) == annotation(other, REF_NAME)
}

/// The archive that an output replaces, if that is where the image came from.
fn in_place(place: &Place, source: &Source) -> Option<InPlace> {
    let (Place::File(path), Some(archive)) = (place, &source.archive) else {
        return None;
    };
    let metadata = path.metadata().ok()?;
    archive.is_file(&metadata).then(|| InPlace {
        archive: Arc::clone(archive),
        entry: source.entry.clone(),
    })
}

fn decide(reference: &Reference, source: &Source) -> Result<(Medium, Place), TransportError> {
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
            // What it leads to, or is to lead to, would not be what is written.
            if path.is_symlink() {
                return Err(exists(path, "an image", "a symlink that leads nowhere"));
            }
            let medium = asked.unwrap_or(new_medium(path, source.medium));
            let place = match medium {
                Medium::OciLayout => Place::NewLayout(path.to_owned()),
                _ => Place::File(path.to_owned()),
            };
            Ok((medium, place))
        }
        Err(error) => Err(TransportError::io("open", path)(error)),
    }
}

fn decide_existing(
    path: &Path,
    metadata: &Metadata,
    asked: Option<Medium>,
    source: &Source,
) -> Result<(Medium, Place), TransportError> {
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

/// The medium of a bare path where nothing is.
fn new_medium(path: &Path, source: Medium) -> Medium {
    let names_directory = path.as_os_str().as_bytes().ends_with(b"/");
    match source {
        _ if names_directory => Medium::OciLayout,
        Medium::OciLayout | Medium::Dir if !packing::names_archive(path) => Medium::OciLayout,
        _ => as_archive(source),
    }
}

/// The medium of an archive of what was read from `source`.
fn as_archive(source: Medium) -> Medium {
    match source {
        Medium::OciLayout | Medium::Dir => Medium::OciArchive,
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
    layout_commit::sweep(path);
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

/// A file that exists must be an archive: of the kind that is asked for, and of one image, unless
/// the image came from it. What it is does not decide what it becomes.
fn check_archive(
    path: &Path,
    asked: Option<Medium>,
    source: &Source,
) -> Result<Medium, TransportError> {
    let metadata = path.metadata().map_err(TransportError::io("open", path))?;
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

/// What is asked for, which must be what is there in another form at most.
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

fn stage(place: &Place) -> Result<Scratch, TransportError> {
    let directory = match place {
        Place::NewLayout(path) | Place::File(path) => parent(path).to_owned(),
        Place::Layout(path) => path.clone(),
        Place::Special(_) | Place::Stream => std::env::temp_dir(),
    };
    // `check_directory` swept the layout itself. A process that was killed just after it made the layout left its
    // staging directory beside it.
    let beside = match place {
        Place::Layout(path) => parent(path),
        _ => &directory,
    };
    scratch::sweep(STAGING_PREFIX, beside, |_| {});
    Scratch::within(STAGING_PREFIX, &directory).map_err(|error| {
        // tempfile's own message names a directory that never was.
        let cause = io::Error::from(error.kind());
        TransportError::io("write to directory", &directory)(cause)
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::output::check_complete;
    use super::super::testing::{LAYOUT_PATHS, image, listing, refer, two_platforms};
    use super::*;
    use crate::oci::Blob;
    use crate::oci::BlobFile;

    struct Fixture {
        directory: TempDir,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                directory: tempfile::tempdir().unwrap(),
            }
        }

        /// A reference in which `/` at a path's start is the fixture's directory.
        fn refer(&self, text: &str) -> Reference {
            let root = format!("{}/", self.directory.path().display());
            refer(&text.replacen('/', &root, 1))
        }

        fn source(&self, medium: Medium) -> Source {
            struct Empty;
            impl crate::oci::BlobStore for Empty {
                fn open(&self, digest: &crate::oci::Digest) -> Result<Blob, crate::oci::BlobError> {
                    Err(crate::oci::BlobError::Missing {
                        digest: digest.clone(),
                    })
                }
            }
            let reference = refer("x");
            Source::new(Arc::new(Empty), Value::Null, medium, &reference, Vec::new())
        }

        fn prepare(&self, text: &str, medium: Medium) -> Result<Target, TransportError> {
            Target::prepare(&self.refer(text), &self.source(medium))
        }

        fn write(&self, text: &str, medium: Medium, output: OutputImage) -> Committed {
            let target = self.prepare(text, medium).unwrap();
            target.commit(output, io::sink()).unwrap()
        }
    }

    const OLD: Medium = Medium::DockerArchive(DockerForm::Old);
    const CARRYING: Medium = Medium::DockerArchive(DockerForm::OciCarrying);
    const LAYOUT: Medium = Medium::OciLayout;
    const ARCHIVE: Medium = Medium::OciArchive;

    #[test]
    fn a_medium_is_what_is_asked_for_or_that_of_the_source() {
        let fixture = Fixture::new();
        for (reference, source, expected) in [
            ("/new", LAYOUT, LAYOUT),
            ("/new.tar", LAYOUT, ARCHIVE),
            ("/new", ARCHIVE, ARCHIVE),
            ("/new", OLD, OLD),
            ("/new/", OLD, LAYOUT),
            ("/new", CARRYING, CARRYING),
            ("oci:/new", OLD, LAYOUT),
            ("oci-archive:/new", OLD, ARCHIVE),
            ("docker-archive:/new", OLD, OLD),
            ("docker-archive:/new", LAYOUT, CARRYING),
            ("-", LAYOUT, ARCHIVE),
            ("-", OLD, OLD),
            ("docker-archive:-", LAYOUT, CARRYING),
        ] {
            let target = fixture.prepare(reference, source).unwrap();
            assert_eq!(target.medium(), expected, "{reference} from {source:?}");
        }
        assert!(listing(fixture.directory.path()).is_empty());
    }

    #[test]
    fn a_layout_stays_one_and_an_archive_takes_the_form_of_what_was_read() {
        let fixture = Fixture::new();
        fixture.write("oci:/layout:v1", LAYOUT, image("", b"1"));
        fixture.write("oci-archive:/oci:v1", LAYOUT, image("", b"1"));
        fixture.write("docker-archive:/docker:v1", LAYOUT, image("", b"1"));
        for (path, source, expected) in [
            ("/layout", CARRYING, LAYOUT),
            ("/oci", CARRYING, CARRYING),
            ("/oci", OLD, OLD),
            ("/oci", LAYOUT, ARCHIVE),
            ("/docker", ARCHIVE, ARCHIVE),
            ("/docker", OLD, OLD),
            ("docker-archive:/docker", OLD, OLD),
            ("docker-archive:/docker", LAYOUT, CARRYING),
        ] {
            let target = fixture.prepare(path, source).unwrap();
            assert_eq!(target.medium(), expected, "{path} from {source:?}");
        }
    }

    #[test]
    fn something_else_in_the_place_is_refused_and_left() {
        let fixture = Fixture::new();
        let path = |name: &str| fixture.directory.path().join(name);
        fs::create_dir(path("directory")).unwrap();
        fs::write(path("directory/file"), "text").unwrap();
        fs::write(path("file"), "text").unwrap();
        fixture.write("oci-archive:/oci", LAYOUT, image("v1", b"1"));
        let before = listing(fixture.directory.path());
        for reference in [
            "/directory",
            "oci:/directory",
            "oci-archive:/directory",
            "/file",
            "oci:/file",
            "oci-archive:/file",
            "docker-archive:/oci",
        ] {
            let found = fixture.prepare(reference, LAYOUT).map(|_| ());
            let refused = matches!(found, Err(TransportError::ExistsAsOther { .. }));
            assert!(refused, "{reference}: {found:?}");
        }
        assert_eq!(listing(fixture.directory.path()), before);
    }

    #[test]
    fn a_parent_that_is_missing_is_an_error_before_any_work() {
        let error = Fixture::new().prepare("oci:/gone/new", LAYOUT).unwrap_err();
        assert!(matches!(error, TransportError::Io { .. }));
        assert!(error.to_string().contains("gone"), "{error}");
    }

    #[test]
    fn a_place_is_no_name_to_write_under() {
        assert!(matches!(
            Fixture::new().prepare("oci:/new:@1", LAYOUT),
            Err(TransportError::BadReference { .. })
        ));
    }

    #[test]
    fn what_is_committed_reads_back_under_its_name() {
        let fixture = Fixture::new();
        for text in [
            "oci:/layout:v2",
            "oci-archive:/oci:v2",
            "docker-archive:/docker:a:v2",
        ] {
            let committed = fixture.write(text, LAYOUT, image("v1", b"1"));
            let source = Source::open(&committed.reference, io::empty()).unwrap();
            assert_eq!(source.medium, committed.medium);
            check_complete(&*source.store, &source.root).unwrap();
            assert_eq!(annotation(&source.root, REF_NAME), Some("v2"));
        }
    }

    #[test]
    fn a_new_name_takes_the_old_docker_name_away() {
        let fixture = Fixture::new();
        let mut output = image("1", b"1");
        set_annotation(
            &mut output.root,
            CONTAINERD_NAME,
            Some("docker.io/library/a:1"),
        );
        let committed = fixture.write("oci:/layout:v2", CARRYING, output);
        let source = Source::open(&committed.reference, io::empty()).unwrap();
        assert_eq!(annotation(&source.root, CONTAINERD_NAME), None);
    }

    #[test]
    fn staged_blobs_are_taken_over_and_nothing_else_is_left() {
        let fixture = Fixture::new();
        let target = fixture.prepare("oci:/layout:v1", LAYOUT).unwrap();
        let mut output = image("", b"1");
        let layer = &mut output.blobs[2].bytes;
        let staged = target.staging().join("layer");
        let mut file = create(&staged).unwrap();
        io::copy(&mut layer.reader(), &mut file).unwrap();
        let file = BlobFile::opened(Arc::new(file));
        *layer = Blob::of_file(file, Some(staged), layer.size());
        target.commit(output, io::sink()).unwrap();
        assert_eq!(listing(fixture.directory.path()).len(), LAYOUT_PATHS);
    }

    #[test]
    fn a_failing_commit_leaves_an_archive_as_it_was() {
        let fixture = Fixture::new();
        fixture.write("oci-archive:/oci", LAYOUT, image("v1", b"1"));
        let path = fixture.directory.path().join("oci");
        let before = fs::read(&path).unwrap();
        let mut output = image("v1", b"2");
        output.blobs.remove(1);
        let target = fixture.prepare("/oci", LAYOUT).unwrap();
        assert!(target.commit(output, io::sink()).is_err());
        let target = fixture.prepare("docker-archive:/new", LAYOUT).unwrap();
        assert!(target.commit(two_platforms(), io::sink()).is_err());
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(listing(fixture.directory.path()), [path]);
    }

    #[test]
    fn what_a_killed_process_left_beside_an_output_is_swept() {
        let fixture = Fixture::new();
        fixture.write("oci:/layout:v1", LAYOUT, image("v1", b"1"));
        fixture.write("oci-archive:/oci:v1", LAYOUT, image("v1", b"1"));
        let before = listing(fixture.directory.path());
        for text in ["oci:/layout:v2", "oci-archive:/oci", "oci:/new", "/new.tar"] {
            let left = format!("{STAGING_PREFIX}left");
            fs::create_dir(fixture.directory.path().join(left)).unwrap();
            drop(fixture.prepare(text, LAYOUT).unwrap());
            assert_eq!(listing(fixture.directory.path()), before, "{text}");
        }
    }

    #[test]
    fn a_symlink_to_an_archive_stays_one() {
        let fixture = Fixture::new();
        fixture.write("oci-archive:/oci", LAYOUT, image("v1", b"1"));
        let link = fixture.directory.path().join("link");
        std::os::unix::fs::symlink("oci", &link).unwrap();
        fixture.write("/link", LAYOUT, image("v1", b"2"));
        assert!(link.is_symlink());
        let source = Source::open(&fixture.refer("/oci"), io::empty()).unwrap();
        assert_eq!(source.root, image("v1", b"2").root);
    }

    #[test]
    fn a_symlink_to_nothing_is_not_replaced() {
        let fixture = Fixture::new();
        let link = fixture.directory.path().join("link");
        std::os::unix::fs::symlink("nothing", &link).unwrap();
        for output in ["/link", "oci:/link", "oci-archive:/link"] {
            let refused = fixture.prepare(output, ARCHIVE).unwrap_err();
            assert!(
                matches!(refused, TransportError::ExistsAsOther { .. }),
                "{refused}"
            );
        }
        assert!(link.is_symlink());
    }

    #[test]
    fn a_stream_has_the_bytes_of_the_file() {
        let fixture = Fixture::new();
        let mut stream = Vec::new();
        let target = fixture.prepare("-", LAYOUT).unwrap();
        assert!(target.is_stream());
        target.commit(image("v1", b"1"), &mut stream).unwrap();
        fixture.write("oci-archive:/oci", LAYOUT, image("v1", b"1"));
        let file = fs::read(fixture.directory.path().join("oci")).unwrap();
        assert_eq!(stream, file);
    }
}
