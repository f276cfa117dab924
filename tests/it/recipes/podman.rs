//! podman-build-small with a real podman.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::recipe;
use crate::support::engines::Podman;
use crate::support::tools::{Output, real_image, testdata};

const CONTAINERFILE: &str = "FROM localhost/base:1\nRUN echo 'x = 1' >/opt/new.py && python3 -m compileall -q /opt\nHEALTHCHECK CMD true\nCMD [\"python3\", \"/opt/new.py\"]\n";

struct Builder {
    podman: Podman,
    directory: tempfile::TempDir,
}

impl Builder {
    /// A builder with a base image and a Containerfile.
    fn new(base: &Path, containerfile: &str) -> Self {
        let (podman, directory) = (Podman::new(), tempfile::tempdir().unwrap());
        podman.take(base, "localhost/base:1");
        fs::create_dir(directory.path().join("temporary")).unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        fs::write(
            directory.path().join("context/Containerfile"),
            containerfile,
        )
        .unwrap();
        Self { podman, directory }
    }

    fn build(&self, arguments: &str) -> Output {
        self.build_with("", arguments)
    }

    /// Builds after running the bash lines `before`.
    fn build_with(&self, before: &str, arguments: &str) -> Output {
        let directory = self.directory.path().display();
        let line = format!(
            "cd {directory}\nexport TMPDIR={directory}/temporary BUILDAH_ISOLATION=chroot\n{before}\n{} {arguments} context",
            recipe("podman-build-small").display()
        );
        let output = self.podman.pipeline(&line);
        // In every case no temporary file and no temporary name remains.
        let left: Vec<PathBuf> = fs::read_dir(self.directory.path().join("temporary"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let names = self
            .podman
            .podman(&["images", "--format", "{{.Repository}}"])
            .success()
            .text();
        assert!(!names.contains("pycull-build"), "{names}");
        output
    }

    /// A bash line for [`Self::build_with`]: makes pycull run this command before it minimizes.
    fn with_pycull_that(&self, does: &str) -> String {
        let directory = self.directory.path().join("bin");
        fs::create_dir(&directory).unwrap();
        let (file, pycull) = (directory.join("pycull"), env!("CARGO_BIN_EXE_pycull"));
        let script =
            format!("#!/bin/sh\nif [ $1 = minimize ]; then {does}; fi\nexec {pycull} \"$@\"\n");
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        format!("export PATH={}:$PATH", directory.display())
    }

    #[track_caller]
    fn lacks(&self, name: &str) {
        let exists = self.podman.podman(&["image", "exists", name]);
        assert_eq!(exists.code, Some(1));
    }

    fn id(&self, name: &str) -> String {
        self.inspect(name, "{{.Id}}")
    }

    fn inspect(&self, name: &str, format: &str) -> String {
        self.podman
            .podman(&["image", "inspect", "--format", format, name])
            .success()
            .text()
            .trim()
            .to_owned()
    }
}

#[test]
fn an_image_is_built_under_all_its_names_and_runs_without_the_caches() {
    let builder = Builder::new(&real_image("py3.11"), CONTAINERFILE);
    let output = builder
        .build_with(
            "export PYCULL_PROFILE=minimal",
            "--tag app -t=localhost/odd:1 -tthird:3 --iidfile id",
        )
        .success();
    let id = builder.id("app");
    for name in ["localhost/odd:1", "third:3"] {
        assert_eq!(builder.id(name), id);
    }
    assert_eq!(output.text().lines().last(), Some(id.as_str()));
    assert_eq!(
        fs::read_to_string(builder.directory.path().join("id")).unwrap(),
        format!("sha256:{id}")
    );
    assert!(builder.podman.size("app") < builder.podman.size("localhost/base:1") * 9 / 10);
    assert!(output.stderr.contains("unpacked"), "{}", output.stderr);
    builder.podman.run("app", &[]).success();
    let imports = builder.podman.imports("app");
    assert_eq!(
        (imports.stdlib_caches, imports.package_caches),
        ([0; 3], [0; 3])
    );
    imports.assert_same_modules(&builder.podman.imports("localhost/base:1"));

    // The previous build is the cache of the next one, which gives the same image.
    let again = builder
        .build_with("export PYCULL_PROFILE=minimal", "-qt again")
        .success();
    assert_eq!(
        (again.text().trim(), builder.id("again")),
        (id.as_str(), id.clone())
    );
}

#[test]
fn an_image_of_the_docker_form_keeps_its_health_check() {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nHEALTHCHECK CMD true\n",
    );
    let output = builder.build("--format docker --quiet --tag=app").success();
    assert_eq!(output.text().trim(), builder.id("app"));
    assert!(builder.podman.size("app") < builder.podman.size("localhost/base:1"));
    let form = builder.inspect("app", "{{.ManifestType}} {{.HealthCheck.Test}}");
    assert_eq!(
        form,
        "application/vnd.docker.distribution.manifest.v2+json [CMD-SHELL true]"
    );
    // With `--quiet` there is no output from pycull.
    assert!(
        !output.stderr.contains("pycull") && !output.stderr.contains("layer"),
        "{}",
        output.stderr
    );
}

#[test]
fn an_image_without_a_name_is_told_by_its_id() {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nENV A=1\n",
    );
    let output = builder.build("--squash").success();
    let id = output.text().lines().last().unwrap().to_owned();
    assert!(builder.podman.size(&id) < builder.podman.size("localhost/base:1"));
    assert_eq!(builder.inspect(&id, "{{.RepoTags}}"), "[]");
}

#[test]
fn a_build_that_fails_has_the_exit_code_of_podman() {
    let builder = Builder::new(&real_image("py3.11"), "FROM localhost/base:1\nRUN exit 7\n");
    let output = builder.build("--tag app");
    assert_eq!(output.code, Some(7), "{}", output.stderr);
    builder.lacks("app");
}

#[test]
fn an_image_that_pycull_cannot_make_smaller_stays_as_it_was_built() {
    // The disk is full, or the image exceeds a limit.
    for (before, cause) in [
        ("trap '' XFSZ; ulimit -f 1", "file too large"),
        ("set -- \"$@\" --limit members=1", "--limit members="),
    ] {
        assert_stays_as_built(before, cause);
    }
}

/// Builds with a pycull that runs the command `before`, and then fails because of `cause`.
fn assert_stays_as_built(before: &str, cause: &str) {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nENV A=1\n",
    );
    let before = builder.with_pycull_that(before);
    let output = builder.build_with(&before, "--tag app --iidfile id");
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    let said = [
        "error: ",
        cause,
        "podman-build-small: app is built, but could not be made smaller",
    ];
    let places = said.map(|said| output.stderr.find(said));
    assert!(
        places[0].is_some() && places.is_sorted(),
        "{}",
        output.stderr
    );
    let built = fs::read_to_string(builder.directory.path().join("id")).unwrap();
    assert_eq!(built, format!("sha256:{}", builder.id("app")));
    assert!(builder.podman.size("app") >= builder.podman.size("localhost/base:1"));
}

#[test]
fn without_its_profile_nothing_is_built() {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nENV A=1\n",
    );
    let output = builder.build_with("export PYCULL_PROFILE=nope", "--tag app");
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    assert!(
        output
            .stderr
            .starts_with("error: there is no profile `nope`"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.ends_with("built nothing\n"));
    builder.lacks("app");
}

#[test]
fn what_makes_no_image_is_refused_before_it_is_built() {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nENV A=1\n",
    );
    for arguments in [
        "--manifest list --tag app",
        "--platform linux/amd64,linux/arm64 --tag app",
        "--output=there --tag app",
    ] {
        let output = builder.build(arguments);
        assert_eq!(output.code, Some(2), "{arguments}: {}", output.stderr);
        assert!(
            output.stderr.contains("podman-build-small: ")
                && output.stderr.contains("one platform"),
            "{}",
            output.stderr
        );
        builder.lacks("app");
    }
}

#[test]
fn a_signal_leaves_nothing_but_the_image_as_it_was_built() {
    let builder = Builder::new(
        &testdata("fedora-shaped.tar"),
        "FROM localhost/base:1\nENV A=1\n",
    );
    // pycull sends a signal to the script that runs it, then does its work.
    let pid = builder.directory.path().join("pid");
    let pid = pid.display();
    let path = builder.with_pycull_that(&format!("kill -TERM $(cat {pid})"));
    let before = format!("{path}\necho $$ >{pid}; exec \\");
    let output = builder.build_with(&before, "--tag app");
    assert_eq!(output.code, Some(143), "{}", output.stderr);
    assert!(builder.podman.size("app") >= builder.podman.size("localhost/base:1"));
}
