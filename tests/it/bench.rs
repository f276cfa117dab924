//! `bench`: real interpreters in their sandbox, and modules that try to escape it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::support::real::python_alone;
use crate::support::tools::{Output, pycull_command, real_image, run, tool_command};
use crate::support::{ImageBuilder, LayerBuilder};

/// Runs `bench` on an image, and checks that it leaves no files.
fn bench(image: &Path, arguments: &[&str]) -> Output {
    let temporary = tempdir().unwrap();
    let mut command = pycull_command();
    command.arg("bench").arg(image).args(arguments);
    let output = run(command.env("TMPDIR", temporary.path()));
    let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    output
}

fn cpu_seconds(row: &Value) -> f64 {
    let number = |key: &str| row[key].as_f64().unwrap();
    number("user_seconds") + number("sys_seconds")
}

/// Checks that caches make imports faster. Compiling costs many times as much as reading a cache, and the load of a
/// machine does not change that much. benches/run measures the exact ratio.
#[track_caller]
fn assert_caches_count(rows: &Value, times: f64) {
    let rows = rows.as_array().unwrap();
    let kinds: Vec<(u64, bool)> = rows
        .iter()
        .map(|row| (row["level"].as_u64().unwrap(), row["cached"] == true))
        .collect();
    let expected = [true, false].map(|cached| [0, 1, 2].map(|level| (level, cached)));
    assert_eq!(kinds, expected.concat());
    for (with, without) in rows[..3].iter().zip(&rows[3..]) {
        assert!(
            cpu_seconds(without) > times * cpu_seconds(with),
            "{with}\n{without}"
        );
        let number = |key: &str| with[key].as_f64().unwrap();
        assert!(number("lowest_real_seconds") <= number("real_seconds"));
        assert!(number("real_seconds") <= number("highest_real_seconds"));
    }
}

#[test]
fn a_real_image_imports_many_times_faster_with_caches() {
    for (name, python) in [("py3.9", "3.9"), ("py3.14", "3.14")] {
        let directory = tempdir().unwrap();
        let figure = directory.path().join("figure.svg");
        let arguments = [
            "--repeats=10",
            "--rounds=2",
            "--import=json,decimal,email.message",
            "--format=json",
            "--figure",
        ];
        let arguments = [&arguments[..], &[figure.to_str().unwrap()]].concat();
        let report = bench(&real_image(name), &arguments).success().json();
        assert_eq!(report["schema"], "pycull.bench/1");
        let image = &report["images"][0];
        let tree = &image["trees"][0];
        assert_eq!(tree["python"], python);
        assert_eq!(tree["module"], "_pydecimal");
        assert_caches_count(&tree["rows"], 5.0);
        let imports = &image["imports"][0];
        assert_eq!(imports["modules"][2], "email.message");
        // This includes the start of the interpreter itself.
        assert_caches_count(&imports["rows"], 1.5);
        assert_eq!(
            fs::read_to_string(&figure)
                .unwrap()
                .matches("<rect")
                .count(),
            12
        );
    }
}

/// An image of Python with additional modules among its packages: `guest0`, `guest1` and so on.
fn image_with(sources: &[&str]) -> (TempDir, PathBuf) {
    let directory = tempdir().unwrap();
    let layout = directory.path().join("image");
    let mut copy = tool_command("cp");
    run(copy.arg("-a").args([&python_alone(), &layout])).success();
    let mut layer = LayerBuilder::new();
    for (index, source) in sources.iter().enumerate() {
        let module = format!("usr/lib/python3/dist-packages/guest{index}.py");
        layer = layer.file(&module, source);
    }
    let file = directory.path().join("layer.tar");
    fs::write(&file, layer.build()).unwrap();
    let mut umoci = tool_command("umoci");
    umoci.args(["raw", "add-layer", "--image"]);
    run(umoci.arg(&layout).arg(&file)).success();
    (directory, layout)
}

fn bench_guest(layout: &Path, index: usize) -> Output {
    let guest = format!("--import=guest{index}");
    bench(
        layout,
        &[&guest, "--repeats=1", "--rounds=1", "--format=json"],
    )
}

#[test]
fn packages_are_found_and_their_output_is_not_an_answer() {
    // A module may print, may try to open a socket as urllib3 does, and may claim to be at another path.
    let source = "import requests\nprint('1.0 2.0 3.0')\n__spec__.origin = '/etc/passwd.py'\n";
    let (_directory, layout) = image_with(&[source]);
    let report = bench_guest(&layout, 0).success().json();
    let rows = &report["images"][0]["imports"][0]["rows"];
    assert_ne!(rows[0]["real_seconds"], 1.0, "{rows}");
}

#[test]
fn a_module_that_does_something_else_is_told_apart() {
    let guests = [
        ("import os\nos._exit(0)", "its output has no times"),
        ("import socket\nsocket.socket()", "PermissionError"),
        ("import os\nos.fork()", "PermissionError"),
        ("open('/etc/shadow')", "FileNotFoundError"),
        ("open('x', 'w')", "Error: [Errno"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("raise KeyError('lost')", "KeyError: 'lost'"),
        ("import ctypes\nctypes.string_at(0)", "signal 11 killed it"),
    ];
    let (_directory, layout) = image_with(&guests.map(|(source, _)| source));
    for (index, (source, expected)) in guests.into_iter().enumerate() {
        let output = bench_guest(&layout, index);
        assert_eq!(output.code, Some(2), "{source}\n{}", output.stderr);
        assert!(
            output.stderr.contains(expected),
            "{source}\n{}",
            output.stderr
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_cannot_be_measured_is_an_error_that_says_why() {
    let image = python_alone();
    for (argument, expected) in [
        ("--import=nosuch", "No module named 'nosuch'"),
        ("--module=nosuch.at_all", "No module named 'nosuch'"),
        ("--module=sys", "module `sys` has no source file"),
        // A frozen module: Python never opens its caches.
        ("--module=abc", "module `abc` has no source file"),
        ("--module=a b", "not a module name"),
        ("--rounds=0", "invalid value '0'"),
    ] {
        let output = bench(&image, &[argument]);
        assert_eq!(output.code, Some(2), "{}", output.stderr);
        assert!(output.stderr.contains(expected), "{}", output.stderr);
    }
    let directory = tempdir().unwrap();
    let layout = directory.path().join("image");
    ImageBuilder::of([LayerBuilder::new().file("etc/motd", "")]).write(&layout);
    let output = bench(&layout, &[]);
    assert_eq!(output.code, Some(2));
    assert!(
        output.stderr.contains("no Python standard library"),
        "{}",
        output.stderr
    );
}
