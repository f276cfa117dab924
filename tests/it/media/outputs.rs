//! The form of the output.

use std::fs;
use std::path::Path;

use super::{archive_files, archived, write_image};
use crate::support::pycull;

struct Inputs(tempfile::TempDir);

impl Inputs {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        write_image(&path("layout"));
        archived(&path("layout"), &path("oci.tar"));
        let docker = format!("docker-archive:{}:app:1", path("docker.tar").display());
        let input = path("layout");
        pycull(["minimize", input.to_str().unwrap(), "--output", &docker]).success();
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

fn has(path: &str, name: &str) -> bool {
    archive_files(Path::new(path))
        .iter()
        .any(|(file, _)| file == name)
}

#[test]
fn an_archive_has_the_form_of_the_input_whatever_file_was_there() {
    let inputs = Inputs::new();
    for (input, there, is_docker) in [
        ("oci.tar", "docker.tar", false),
        ("docker.tar", "oci.tar", true),
        ("layout", "docker.tar", false),
        ("docker.tar", "docker.tar", true),
    ] {
        let output = inputs.path("out.tar");
        fs::copy(inputs.path(there), &output).unwrap();
        let done = pycull([
            "minimize",
            &inputs.path(input),
            "--output",
            &output,
            "--format",
            "json",
        ]);
        assert_eq!(
            has(&output, "manifest.json"),
            is_docker,
            "{input} over {there}"
        );
        let form = match is_docker {
            true => "docker archive",
            false => "OCI archive",
        };
        assert_eq!(done.success().json()["output_form"], form);
    }
}

#[test]
fn an_archive_is_compressed_as_its_name_says() {
    let inputs = Inputs::new();
    for (name, start) in [
        ("out.tar.gz", &[0x1f, 0x8b][..]),
        ("out.tgz", &[0x1f, 0x8b]),
        ("out.tar.zst", &[0x28, 0xb5, 0x2f, 0xfd]),
        ("out.tar", b"blobs/"),
    ] {
        for input in ["layout", "oci.tar"] {
            let output = inputs.path(name);
            let minimize = ["minimize", &inputs.path(input), "--output", &output];
            pycull(minimize).success();
            let bytes = fs::read(&output).unwrap();
            assert!(bytes.starts_with(start), "{name} of {input}");
            pycull(["verify", &inputs.path(input), &output]).success();
            // In place, the archive stays compressed.
            pycull(["minimize", &output, "--output", &output]).success();
            assert!(fs::read(&output).unwrap() == bytes, "{name} of {input}");
        }
    }
    for name in ["out.tar.xz", "out.tar.bz2"] {
        let output = inputs.path(name);
        let refused = pycull(["minimize", &inputs.path("layout"), "--output", &output]);
        assert!(
            refused
                .refused("gzip or Zstandard only")
                .stderr
                .contains(".tar.gz")
        );
        assert!(!Path::new(&output).exists());
    }
}
