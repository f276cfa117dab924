//! Tests of every kind of sink, on real files.

use tempfile::TempDir;

use crate::transport::output::check_complete;
use crate::transport::testing::{LAYOUT_PATHS, image, listing, refer, two_platforms};
use std::fs;
use std::io;
use std::sync::Arc;

use super::engine::EngineSink;
use super::form::ArchiveForm;
use super::*;
use crate::oci::Blob;
use crate::oci::BlobFile;
use crate::progress::Unobserved;
use crate::registry::RegistrySettings;
use crate::scratch::Scratch;
use crate::transport::image_name::{CONTAINERD_NAME, set_annotation};
use crate::transport::medium::DockerForm;
use crate::transport::oci_layout_write::STAGING_PREFIX;
use crate::transport::place::create;
use crate::transport::source::Origin;
use crate::transport::transports::Engine;

struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Parses a reference. A `/` at the start of its path means the fixture's directory.
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

    fn prepare(
        &self,
        text: &str,
        medium: Medium,
    ) -> Result<Box<dyn Sink + 'static>, TransportError> {
        prepare(
            &self.refer(text),
            &self.source(medium),
            &RegistrySettings::default(),
            io::sink(),
        )
    }

    /// Writes an image, and reads it back.
    fn write(&self, text: &str, medium: Medium, output: OutputImage) -> Source {
        let sink = self.prepare(text, medium).unwrap();
        sink.commit(output, &Unobserved).unwrap();
        Source::open(&self.refer(text), io::empty()).unwrap()
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
        let sink = fixture.prepare(reference, source).unwrap();
        assert_eq!(sink.medium(), expected, "{reference} from {source:?}");
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
        let sink = fixture.prepare(path, source).unwrap();
        assert_eq!(sink.medium(), expected, "{path} from {source:?}");
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
    let error = Fixture::new()
        .prepare("oci:/gone/new", LAYOUT)
        .err()
        .unwrap();
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
        let source = fixture.write(text, LAYOUT, image("v1", b"1"));
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
    let source = fixture.write("oci:/layout:v2", CARRYING, output);
    assert_eq!(annotation(&source.root, CONTAINERD_NAME), None);
}

#[test]
fn staged_blobs_are_taken_over_and_nothing_else_is_left() {
    let fixture = Fixture::new();
    let sink = fixture.prepare("oci:/layout:v1", LAYOUT).unwrap();
    let mut output = image("", b"1");
    let layer = &mut output.blobs[2].bytes;
    let staged = sink.staging().join("layer");
    let mut file = create(&staged).unwrap();
    io::copy(&mut layer.reader(), &mut file).unwrap();
    let file = BlobFile::opened(Arc::new(file));
    *layer = Blob::of_file(file, Some(staged), layer.size());
    sink.commit(output, &Unobserved).unwrap();
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
    let sink = fixture.prepare("/oci", LAYOUT).unwrap();
    assert!(sink.commit(output, &Unobserved).is_err());
    let sink = fixture.prepare("docker-archive:/new", LAYOUT).unwrap();
    assert!(sink.commit(two_platforms(), &Unobserved).is_err());
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
        let refused = fixture.prepare(output, ARCHIVE).err().unwrap();
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
    let sink = prepare(
        &refer("-"),
        &fixture.source(LAYOUT),
        &RegistrySettings::default(),
        &mut stream,
    )
    .unwrap();
    sink.commit(image("v1", b"1"), &Unobserved).unwrap();
    fixture.write("oci-archive:/oci", LAYOUT, image("v1", b"1"));
    let file = fs::read(fixture.directory.path().join("oci")).unwrap();
    assert_eq!(stream, file);
}

#[test]
fn an_output_below_a_file_is_not_taken_for_a_new_one() {
    let fixture = Fixture::new();
    fs::write(fixture.directory.path().join("file"), "x").unwrap();
    for text in ["/file/new", "oci:/file/new", "/file/"] {
        let error = fixture.prepare(text, LAYOUT).err().unwrap();
        assert!(
            matches!(&error, TransportError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_damaged_blob_that_another_image_of_the_archive_needs_is_not_taken_over() {
    let fixture = Fixture::new();
    fixture.write("oci-archive:/oci:v1", LAYOUT, image("", b"the layer"));
    let path = fixture.directory.path().join("oci");
    let whole = fs::read(&path).unwrap();
    let place = whole.windows(9).position(|it| it == b"the layer").unwrap();
    let mut damaged = whole.clone();
    damaged[place] ^= 1;
    for (archive, is_damaged) in [(whole, false), (damaged, true)] {
        fs::write(&path, &archive).unwrap();
        let source = Source::open(&fixture.refer("oci-archive:/oci:v1"), io::empty()).unwrap();
        let settings = RegistrySettings::default();
        let output = fixture.refer("oci-archive:/oci:v2");
        let sink = prepare(&output, &source, &settings, io::sink()).unwrap();
        let committed = sink.commit(image("", b"the layer"), &Unobserved);
        match committed {
            Ok(_) => assert!(!is_damaged),
            Err(TransportError::Blob(crate::oci::BlobError::Digest { .. })) => assert!(is_damaged),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(fs::read(&path).unwrap() == archive, is_damaged);
    }
}

#[test]
fn an_output_replaces_an_image_only_under_the_name_that_was_read() {
    let fixture = Fixture::new();
    for (read, written, replaces) in [
        ("oci:/layout:v1", "oci:/layout:v1", true),
        ("oci:/layout:v1", "oci:/layout:v2", false),
        ("oci:/layout:v1", "oci:/other:v1", false),
        ("oci:/layout:v1", "-", false),
        ("oci-archive:/oci:v1", "oci-archive:/oci:v1", true),
        ("oci-archive:/oci:v1", "oci-archive:/oci:v2", false),
        ("oci-archive:/oci:v1", "oci-archive:/new:v1", false),
        (
            "docker-archive:/docker:a:v1",
            "docker-archive:/docker:a:v1",
            true,
        ),
        (
            "docker-archive:/docker:a:v1",
            "docker-archive:/docker",
            true,
        ),
        (
            "docker-archive:/docker:a:v1",
            "docker-archive:/docker:a:v2",
            false,
        ),
        (
            "docker-archive:/docker:a:v1",
            "docker-archive:/new:a:v1",
            false,
        ),
    ] {
        let source = fixture.write(read, LAYOUT, image("", b"1"));
        let settings = RegistrySettings::default();
        let sink = prepare(&fixture.refer(written), &source, &settings, io::sink()).unwrap();
        assert_eq!(sink.replaces(&source), replaces, "{written} of {read}");
    }
}

#[test]
fn an_engine_replaces_only_what_was_read_from_it_under_the_same_name() {
    let fixture = Fixture::new();
    let read = fixture.write("docker-archive:/docker:app:v1", LAYOUT, image("", b"1"));
    let replaces = |origin, name: &str| {
        let form = ArchiveForm {
            medium: Medium::DockerArchive(DockerForm::Old),
            name: None,
            docker_names: Vec::new(),
        };
        let sink = EngineSink {
            engine: Engine::Docker,
            name: name.to_owned(),
            form,
            staging: Scratch::new().unwrap(),
        };
        let source = Source {
            origin,
            ..read.clone()
        };
        sink.replaces(&source)
    };
    assert!(replaces(Origin::Engine(Engine::Docker), "app:v1"));
    // Names without a host are those of Docker Hub.
    assert!(replaces(
        Origin::Engine(Engine::Docker),
        "docker.io/library/app:v1"
    ));
    assert!(!replaces(Origin::Engine(Engine::Docker), "app:v2"));
    assert!(!replaces(Origin::Engine(Engine::Podman), "app:v1"));
    assert!(!replaces(Origin::Here, "app:v1"));
}
