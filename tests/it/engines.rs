//! The output of pycull in the container engines that users have.

use std::collections::BTreeSet;
use std::path::Path;

use pycull::pipeline::{Input, MinimizeOptions, plan_only};
use pycull::profile;
use pycull::report::model::StepAction;
use pycull::transport::Source;
use serde_json::Value;

use super::support::engines::{Docker, Imports, Podman, skopeo_copy};
use super::support::layout::{Layout, tar_members};
use super::support::options::{compile_options, options};
use super::support::scene::{Unpacked, minimize};
use super::support::tools::{pycull, real_image, testdata};

/// Packages that every real image installs with pip (`tests/images/build`).
const PACKAGES: [&str; 6] = ["certifi", "flask", "jinja2", "pygments", "requests", "rich"];

#[test]
fn podman_runs_python_3_9_without_caches_with_all_that_it_could_import() {
    podman_runs_without_caches("py3.9");
}

#[test]
fn podman_runs_python_3_11_without_caches_with_all_that_it_could_import() {
    podman_runs_without_caches("py3.11");
}

#[test]
fn podman_runs_python_3_13_without_caches_with_all_that_it_could_import() {
    podman_runs_without_caches("py3.13");
}

#[test]
fn podman_runs_python_3_14_without_caches_with_all_that_it_could_import() {
    podman_runs_without_caches("py3.14");
}

fn podman_runs_without_caches(image: &str) {
    let (podman, before, after) = through_podman(image, "minimal");
    assert_eq!(
        (after.stdlib_caches, after.package_caches),
        ([0; 3], [0; 3])
    );
    assert!(
        podman.size("localhost/after") < podman.size("localhost/before") * 9 / 10,
        "{before:?}"
    );
}

#[test]
fn podman_runs_python_with_its_fresh_caches_under_the_default_profile() {
    let (_podman, before, after) = through_podman("py3.11", "default");
    // Only a small part, stale or dead, is removed. No caches of levels other than 0 remain.
    assert!(
        after.stdlib_caches[0] > before.stdlib_caches[0] * 9 / 10,
        "{after:?} {before:?}"
    );
    assert!(
        after.package_caches[0] > before.package_caches[0] * 9 / 10,
        "{after:?} {before:?}"
    );
    assert_eq!(
        (&after.stdlib_caches[1..], &after.package_caches[1..]),
        (&[0, 0][..], &[0, 0][..])
    );
}

/// Does what a user would: saves an image from podman, pipes it through pycull, and loads it under the same name.
fn through_podman(image: &str, profile: &str) -> (Podman, Imports, Imports) {
    let podman = Podman::new();
    podman.take(&real_image(image), "localhost/app:latest");
    podman
        .podman(&["tag", "localhost/app", "localhost/before"])
        .success();
    let line = format!(
        "podman save --format oci-archive localhost/app | pycull minimize - --output - --profile {profile} | podman load"
    );
    let loaded = podman.pipeline(&line).success().text();
    assert!(loaded.contains("localhost/app:latest"), "{loaded}");
    podman
        .podman(&["tag", "localhost/app", "localhost/after"])
        .success();
    let (before, after) = (
        podman.imports("localhost/before"),
        podman.imports("localhost/after"),
    );
    assert_is_a_whole_python(&before);
    assert!(
        before.stdlib_caches[0] > 100 && before.package_caches[0] > 100,
        "{before:?}"
    );
    after.assert_same_modules(&before);
    (podman, before, after)
}

#[track_caller]
fn assert_is_a_whole_python(imports: &Imports) {
    assert!(imports.stdlib.len() > 500, "{imports:?}");
    for module in [
        "asyncio.events",
        "json",
        "sqlite3",
        "ssl",
        "unittest",
        "zipfile",
    ] {
        assert!(
            imports.stdlib.iter().any(|name| name == module),
            "no {module}: {imports:?}"
        );
    }
    for package in PACKAGES {
        assert!(
            imports.packages.iter().any(|name| name == package),
            "no {package}: {imports:?}"
        );
    }
}

#[test]
fn skopeo_copies_every_form_of_output() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).display().to_string();
    let input = real_image("py3.11");
    let forms = [
        (
            format!("oci:{}:small", place("layout")),
            format!("oci:{}:small", place("layout")),
        ),
        (
            format!("oci-archive:{}:small", place("oci.tar")),
            format!("oci-archive:{}:small", place("oci.tar")),
        ),
        (
            format!("docker-archive:{}:localhost/small:1", place("docker.tar")),
            format!("docker-archive:{}", place("docker.tar")),
        ),
    ];
    let expected = minimized_diff_ids(&input);
    for (number, (output, from)) in forms.iter().enumerate() {
        pycull([
            "minimize",
            input.to_str().unwrap(),
            "--output",
            output,
            "--profile",
            "minimal",
            "--format",
            "json",
        ])
        .success();
        let copy = place(&format!("copy-{number}"));
        skopeo_copy(from, &format!("oci:{copy}:latest"));
        let copy = Layout::new(copy);
        let config = copy.config();
        assert_eq!(config["rootfs"]["diff_ids"], expected, "{output}");
        assert_eq!(
            config["config"]["Cmd"],
            serde_json::json!(["python3"]),
            "{output}"
        );
        for index in 0..copy.layer_count() {
            copy.layer_tar(index);
        }
    }
}

/// The diff_ids after `minimize --profile minimal`.
fn minimized_diff_ids(input: &Path) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    minimize(input, &layout, &["--profile", "minimal"]);
    let new = Layout::new(layout).config()["rootfs"]["diff_ids"].clone();
    assert_ne!(new, Layout::new(input).config()["rootfs"]["diff_ids"]);
    new
}

#[test]
fn umoci_unpacks_the_same_tree_without_the_caches_that_the_minimal_profile_strips() {
    let gone = unpacks_without_what_the_plan_drops("minimal");
    assert!(gone > 1000, "{gone} paths are gone");
}

#[test]
fn umoci_unpacks_the_same_tree_without_the_caches_that_the_default_profile_strips() {
    unpacks_without_what_the_plan_drops("default");
}

/// Number of paths that are missing from the unpacked tree. Checks that all other paths are unchanged.
fn unpacks_without_what_the_plan_drops(profile: &str) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (real_image("py3.11"), directory.path().join("layout"));
    let report = minimize(&input, &output, &["--profile", profile]);
    assert!(
        report["images"][0]["removed"]["files"].as_u64().unwrap() > 100,
        "{report}"
    );
    let dropped = dropped(&input, profile);
    assert!(
        dropped.iter().all(|path| is_cache_or_its_directory(path)),
        "{dropped:?}"
    );
    let mut expected = Unpacked::by_umoci(&input, "latest").tree();
    let whole = expected.0.len();
    expected.remove(|path| dropped.contains(path));
    expected.assert_same(&Unpacked::by_umoci(&output, "latest").tree());
    whole - expected.0.len()
}

fn is_cache_or_its_directory(path: &str) -> bool {
    path.ends_with("/__pycache__") || (path.ends_with(".pyc") && path.contains("/__pycache__/"))
}

/// Paths that the plan of a profile removes and that no upper layer has again.
fn dropped(input: &Path, profile: &str) -> BTreeSet<String> {
    let reference = input.to_str().unwrap();
    let source = Source::open(&reference.parse().unwrap(), std::io::empty()).unwrap();
    let profile = profile::load(profile, &[]).unwrap();
    let minimize = MinimizeOptions {
        profile: &profile,
        compression: Default::default(),
        steps: true,
        require_unsigned: false,
        compile: &compile_options(),
    };
    let options = options();
    let found = Input {
        source: &source,
        reference,
    };
    let report = plan_only(found, &minimize, &options).unwrap();
    let steps = report
        .images
        .into_iter()
        .flat_map(|image| image.steps.unwrap());
    let layout = Layout::new(input);
    let names: Vec<BTreeSet<String>> = (0..layout.layer_count())
        .map(|index| {
            layout
                .names(index)
                .into_iter()
                .map(|name| {
                    name.trim_end_matches('/')
                        .trim_start_matches("./")
                        .to_owned()
                })
                .collect()
        })
        .collect();
    steps
        .filter(|step| step.action == StepAction::Drop)
        .filter(|step| {
            names[step.layer..]
                .iter()
                .all(|above| !above.contains(&step.path))
        })
        .map(|step| step.path)
        .collect()
}

#[test]
fn docker_runs_a_real_image_without_caches_from_either_form_of_archive() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let (docker, input) = (Docker::start(), real_image("py3.11"));
    let (before, old, new) = (place("before.tar"), place("old.tar"), place("new.tar"));
    let named = format!("docker-archive:{}:localhost/before:1", before.display());
    skopeo_copy(&format!("oci:{}:latest", input.display()), &named);
    let expected = docker_runs(&docker, &before, "before:1");
    assert_is_a_whole_python(&expected);
    assert!(expected.stdlib_caches[0] > 100, "{expected:?}");

    // A docker archive keeps its form. An image from another medium gets the new form.
    let without_index = format!("docker-archive:{}:localhost/old:1", old.display());
    minimize(
        &before,
        Path::new(&without_index),
        &["--profile", "minimal"],
    );
    let with_index = format!("docker-archive:{}:localhost/new:1", new.display());
    minimize(&input, Path::new(&with_index), &["--profile", "minimal"]);
    for (archive, name, has_index) in [(&old, "old:1", false), (&new, "new:1", true)] {
        assert_eq!(
            archive_names(archive)
                .iter()
                .any(|name| name == "index.json"),
            has_index
        );
        let found = docker_runs(&docker, archive, name);
        assert_eq!(
            (found.stdlib_caches, found.package_caches),
            ([0; 3], [0; 3]),
            "{name}"
        );
        found.assert_same_modules(&expected);
    }
}

/// Loads an archive and runs the image.
fn docker_runs(docker: &Docker, archive: &Path, name: &str) -> Imports {
    let loaded = docker.load(archive);
    assert!(
        loaded.contains(&format!("Loaded image: localhost/{name}")),
        "{loaded}"
    );
    docker.imports(&format!("localhost/{name}"))
}

#[test]
fn docker_loads_both_forms_of_its_own_archives_minimized() {
    let docker = Docker::start();
    let directory = tempfile::tempdir().unwrap();
    for (fixture, has_index) in [("docker-old.tar", false), ("docker-new.tar", true)] {
        docker.load(&testdata(fixture));
        let before = exported(&docker, "localhost/shaped:1");
        let small = directory.path().join(fixture);
        minimize(&testdata(fixture), &small, &["--profile", "minimal"]);
        assert_eq!(
            archive_names(&small)
                .iter()
                .any(|name| name == "index.json"),
            has_index
        );
        let loaded = docker.load(&small);
        assert!(
            loaded.contains("Loaded image: localhost/shaped:1"),
            "{loaded}"
        );
        let after = exported(&docker, "localhost/shaped:1");
        let gone: BTreeSet<_> = before
            .difference(&after)
            .map(|(path, _)| path.trim_end_matches('/'))
            .collect();
        assert!(
            gone.len() > 20 && gone.iter().all(|path| is_cache_or_its_directory(path)),
            "{gone:?}"
        );
        assert!(after.is_subset(&before), "{:?}", after.difference(&before));
        assert!(
            after
                .iter()
                .any(|(path, _)| path.ends_with("encodings/cp857.pyc"))
        );
        docker
            .docker(&["rmi", "--force", "localhost/shaped:1"])
            .success();
    }
}

/// Paths and contents of a container that was created but never run.
fn exported(docker: &Docker, image: &str) -> BTreeSet<(String, Vec<u8>)> {
    let container = docker
        .docker(&["create", "--network", "none", image, "nothing"])
        .success()
        .text();
    let tar = docker
        .docker(&["export", container.trim()])
        .success()
        .stdout;
    docker.docker(&["rm", container.trim()]).success();
    tar_members(&tar)
        .into_iter()
        .map(|member| (member.path, member.data))
        .collect()
}

fn archive_names(archive: &Path) -> Vec<String> {
    tar::Archive::new(std::fs::File::open(archive).unwrap())
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect()
}
