//! Compiling: real images get their missing bytecode from their own interpreters.

mod compileall;
mod crafted;
mod foreign;
mod hostile;
mod hostile_images;
mod isolation;
mod linked;
mod order;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::Layout;
use crate::support::engines::Podman;
use crate::support::real::bare;
use crate::support::scene::{assert_levels_are_as_inspected, minimize};
use crate::support::tools::{pycull_command, real_image, run};

/// Runs in an image's own interpreter. Checks every source that compiles: its cache at the current level must exist, be
/// valid, and equal what the interpreter compiles itself.
const CHECK: &str = include_str!("check.py");

/// The output of check.py.
#[derive(Debug)]
struct Checked {
    good: u64,
    failing: u64,
}

fn check(podman: &Podman, image: &str, options: &[&str]) -> Checked {
    let command = [&["python3", "-B"][..], options, &["-c", CHECK]].concat();
    let output = podman.run_with(&["--read-only"], image, &command);
    let answer: Value = serde_json::from_str(output.success().text().trim()).unwrap();
    assert_eq!(answer["bad"], json!([]), "{image}");
    let number = |key: &str| answer[key].as_u64().unwrap();
    Checked {
        good: number("good"),
        failing: number("failing"),
    }
}

/// Checks with `python -v`, which prints where code comes from, that imports use caches.
fn assert_imports_use_caches(podman: &Podman, image: &str, options: &[&str]) {
    let modules = "import argparse, decimal, email.message, http.client, json, logging, unittest, xml.dom.minidom";
    let command = [&["python3", "-v"][..], options, &["-c", modules]].concat();
    let output = podman.run_with(&["--read-only"], image, &command).success();
    let lines = output.stderr.lines();
    let compiled: Vec<&str> = lines
        .filter(|line| line.starts_with("# code object from") && !line.contains("__pycache__"))
        .filter(|line| line.contains(".py'") || line.ends_with(".py"))
        .collect();
    assert!(compiled.is_empty(), "{compiled:?}");
    assert!(output.stderr.contains("matches"), "{}", output.stderr);
}

fn a_bare_image_gets_its_caches(name: &str) {
    let directory = tempdir().unwrap();
    let (bare, full) = (bare(name), directory.path().join("full"));
    let report = minimize(&bare, &full, &["--set", "missing=compile", "--no-cache"]);
    let compiled = &report["images"][0]["compiled"];
    assert_eq!(
        compiled["interpreters"][0]["from_image"], true,
        "{compiled}"
    );

    assert_levels_are_as_inspected(&report, &full);

    let podman = Podman::new();
    podman.take(&bare, "localhost/bare");
    podman.take(&full, "localhost/full");
    let checked = check(&podman, "localhost/full", &[]);
    assert!(checked.good > 150, "{checked:?}");
    // compileall leaves out sources that do not compile, too.
    assert!(checked.failing <= compiled["failed"].as_u64().unwrap());
    assert_imports_use_caches(&podman, "localhost/full", &[]);
    let before = podman.imports("localhost/bare");
    before.assert_same_modules(&podman.imports("localhost/full"));

    // The lower layers are shared, and a second run has nothing to do.
    let layers = |path: &Path| Layout::new(path).manifest()["layers"].clone();
    let (before, after) = (layers(&bare), layers(&full));
    let shared = before.as_array().unwrap();
    assert_eq!(shared[..], after.as_array().unwrap()[..shared.len()]);
    let again = directory.path().join("again");
    minimize(&full, &again, &["--set", "missing=compile", "--no-cache"]);
    let digest = |path: &Path| Layout::new(path).manifest_digest();
    assert_eq!(digest(&full), digest(&again));
}

#[test]
fn an_image_of_python_3_9_without_caches_gets_them() {
    a_bare_image_gets_its_caches("py3.9");
}

#[test]
fn an_image_of_python_3_11_without_caches_gets_them() {
    a_bare_image_gets_its_caches("py3.11");
}

#[test]
fn an_image_of_python_3_13_without_caches_gets_them() {
    a_bare_image_gets_its_caches("py3.13");
}

#[test]
fn an_image_of_python_3_14_without_caches_gets_them() {
    a_bare_image_gets_its_caches("py3.14");
}

#[test]
fn all_levels_are_used_and_tied_by_hash_in_the_layers_of_their_sources() {
    let directory = tempdir().unwrap();
    let (bare, full) = (bare("py3.11"), directory.path().join("full"));
    let arguments = [
        "--profile=all",
        "--set=placement=source",
        "--set=invalidation=checked-hash",
        "--no-cache",
    ];
    let report = minimize(&bare, &full, &arguments);
    let layers = report["images"][0]["layers"].as_array().unwrap();
    assert!(
        layers.iter().all(|layer| layer["action"] != "appended"),
        "{layers:?}"
    );
    let podman = Podman::new();
    podman.take(&full, "localhost/full");
    for options in [&[][..], &["-O"], &["-OO"]] {
        check(&podman, "localhost/full", options);
        assert_imports_use_caches(&podman, "localhost/full", options);
    }
}

/// Promise 7: the digest does not depend on the order, the number of workers, or previous compilations.
#[test]
fn the_digest_depends_on_neither_workers_nor_the_compile_cache() {
    let directory = tempdir().unwrap();
    let bare = bare("py3.9");
    let digest = |run_number: usize, jobs: &str, cache: &str| {
        let output = directory.path().join(format!("out{run_number}"));
        let mut command = pycull_command();
        command
            .env("PYCULL_CACHE_DIR", directory.path().join(cache))
            .args(["minimize", bare.to_str().unwrap(), "--profile", "all"])
            .args(["--jobs", jobs, "--output", output.to_str().unwrap()]);
        run(&mut command).success();
        Layout::new(&output).manifest_digest()
    };
    let runs = [("1", "a"), ("2", "b"), ("8", "c"), ("2", "a"), ("8", "b")];
    let digests: Vec<String> = runs
        .iter()
        .enumerate()
        .map(|(number, (jobs, cache))| digest(number, jobs, cache))
        .collect();
    assert!(digests.iter().all(|it| *it == digests[0]), "{digests:?}");
}

/// As root and as an ordinary user, with the engine's default settings.
#[test]
fn it_compiles_inside_a_container_with_the_same_result() {
    let directory = tempdir().unwrap();
    let (bare, outside) = (bare("py3.11"), directory.path().join("outside"));
    minimize(&bare, &outside, &["--profile", "level-1", "--no-cache"]);
    let podman = Podman::new();
    podman.take(&real_image("py3.11"), "localhost/python");
    let volume = |path: &str, inside: &str| format!("{path}:{inside}:ro");
    let volumes = [
        volume(env!("CARGO_BIN_EXE_pycull"), "/usr/local/bin/pycull"),
        volume(bare.to_str().unwrap(), "/bare"),
    ];
    for user in ["0:0", "1000:1000"] {
        let options = [
            "--user",
            user,
            "--volume",
            &volumes[0],
            "--volume",
            &volumes[1],
        ];
        let command = "pycull minimize oci:/bare --output oci:/tmp/out --profile level-1 --no-cache --format json";
        let command: Vec<&str> = command.split(' ').collect();
        let output = podman.run_with(&options, "localhost/python", &command);
        let report = output.success().json();
        let image = &report["images"][0];
        let digest = Layout::new(&outside).manifest_digest();
        assert_eq!(image["after"]["manifest_digest"], digest, "{user}");
        let sandbox = image["compiled"]["interpreters"][0]["sandbox"].as_str();
        assert!(sandbox.unwrap().contains("seccomp"), "{sandbox:?}");
    }
}
