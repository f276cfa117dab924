//! An image for another architecture, compiled by an interpreter of this machine or by its own in an emulator.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::support::Layout;
use crate::support::scene::minimize;
use crate::support::tools::{pycull, real_image, tool};

const IMAGE: &str = "py3.11-arm64";
const LIBRARY: &str = "usr/lib/python3.11/";
/// Debian 12's own interpreter, of the same version as the image's.
const PYTHON: [&str; 2] = ["--python", "/usr/bin/python3.11"];
const EMULATOR: [&str; 2] = ["--emulator", "qemu-aarch64-static"];

/// Checks that the image is for arm64 and has no caches.
fn assert_is_bare_and_foreign(layout: &Layout) {
    assert_eq!(layout.config()["architecture"], "arm64");
    let names = layout.names(0);
    assert!(!names.iter().any(|name| name.ends_with(".pyc")));
}

#[test]
fn without_an_interpreter_that_runs_here_it_says_so_and_what_to_do() {
    let directory = tempdir().unwrap();
    let output = directory.path().join("out");
    let image = real_image(IMAGE);
    let fixed = ["minimize", image.to_str().unwrap(), "--profile", "all"];
    let rest = ["--no-cache", "--output", output.to_str().unwrap()];
    let failed = pycull(fixed.iter().chain(&rest))
        .refused("`usr/bin/python3.11` is a program for aarch64, but this machine is x86_64")
        .refused("hint: ");
    let hint = failed.stderr.split("hint: ").nth(1).unwrap();
    assert!(hint.contains("`--python PATH`"), "{hint}");
    assert!(hint.contains("`--emulator qemu-aarch64-static`"), "{hint}");
    assert!(!output.exists());
}

/// The paths in the appended layer.
fn appended(layout: &Layout) -> BTreeSet<String> {
    layout.names(layout.layer_count() - 1).into_iter().collect()
}

/// The caches for all sources of a library that compile.
fn expected(layout: &Layout, compiled: &Value) -> BTreeSet<String> {
    let failures = compiled["failures"].as_array().unwrap();
    let failing: BTreeSet<&str> = failures
        .iter()
        .map(|failure| failure["path"].as_str().unwrap())
        .collect();
    let sources = layout.names(0).into_iter();
    sources
        .filter(|path| path.starts_with(LIBRARY) && !failing.contains(&**path))
        .filter_map(|path| {
            let (directory, name) = path.rsplit_once('/')?;
            let module = name.strip_suffix(".py")?;
            Some(format!("{directory}/__pycache__/{module}.cpython-311.pyc"))
        })
        .collect()
}

#[test]
fn an_interpreter_of_this_machine_compiles_all_of_it() {
    let directory = tempdir().unwrap();
    let output = directory.path().join("out");
    let before = Layout::new(real_image(IMAGE));
    assert_is_bare_and_foreign(&before);
    let settings = ["--set", "missing=compile", "--no-cache"];
    let report = minimize(&before.0, &output, &[&PYTHON[..], &settings].concat());
    let compiled = &report["images"][0]["compiled"];
    assert_eq!(compiled["interpreters"][0]["from_image"], false);

    let after = Layout::new(&output);
    assert_eq!(after.config()["architecture"], "arm64");
    let expected = expected(&before, compiled);
    assert!(expected.len() > 500, "{}", expected.len());
    let found = appended(&after);
    let lacking: Vec<&String> = expected.difference(&found).collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}

/// Compiles one package at all levels. One is enough, because the emulator is slow.
fn compiled_package(output: &Path, with: &[&str]) -> (Value, Value) {
    let settings = [
        "--profile=all",
        "--set=include=[\"usr/lib/python3.11/asyncio/**\"]",
        "--no-cache",
    ];
    let arguments = [with, &settings].concat();
    let report = minimize(&real_image(IMAGE), output, &arguments);
    let compiled = report["images"][0]["compiled"].clone();
    assert!(compiled["files"].as_u64().unwrap() > 60, "{compiled}");
    let layer = Layout::new(output).manifest()["layers"][1].clone();
    (layer, compiled["interpreters"][0].clone())
}

#[test]
fn its_own_interpreter_in_an_emulator_makes_the_same_layer_as_one_of_this_machine() {
    tool(EMULATOR[1], ["--version"]).success();
    let directory = tempdir().unwrap();
    let [here, emulated] = ["here", "emulated"].map(|name| directory.path().join(name));
    let (expected, interpreter) = compiled_package(&here, &PYTHON);
    assert_eq!(interpreter["path"], PYTHON[1]);
    let (layer, interpreter) = compiled_package(&emulated, &EMULATOR);
    assert_eq!(layer, expected);
    assert_eq!(interpreter["path"], "usr/bin/python3.11");
    assert_eq!(interpreter["from_image"], true);
    let sandbox = interpreter["sandbox"].as_str().unwrap();
    assert!(sandbox.contains("seccomp"), "{sandbox}");
}
