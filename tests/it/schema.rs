//! JSON output follows the published schemas. All other tests that read a report as JSON also check it against its
//! schema (`Output::json`).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::tools::{pycull_command, real_image, run, testdata};
use crate::support::{pycull, schema};

#[test]
fn reports_of_every_image_follow_their_schemas() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out").display().to_string();
    let target = format!("oci:{output}:x");
    let shipped = ["fedora-shaped.tar", "docker-old.tar", "docker-new.tar"].map(testdata);
    let real = ["py3.9", "py3.11", "py3.11-arm64", "py3.13", "py3.14"].map(real_image);
    for image in shipped.iter().chain(&real) {
        let image = image.to_str().unwrap();
        let _ = fs::remove_dir_all(&output);
        for arguments in [
            vec!["inspect", image, "--advise"],
            vec!["minimize", image, "--dry-run"],
            vec!["minimize", image, "--output", &target, "-v"],
            vec!["compare", image, &target],
            vec!["verify", image, &target],
        ] {
            let report = pycull(arguments.iter().chain(&["--format", "json"]));
            // The document is valid, or this call panics.
            let report = report.success().json();
            assert_eq!(report["schema"], format!("pycull.{}/1", arguments[0]));
        }
    }
}

/// The commands whose reports are examples. They run where `app.tar` is an image of testdata and `debian` is a real
/// one.
const EXAMPLES: [(&str, &[&[&str]]); 5] = [
    ("inspect", &[&["app.tar", "--advise"]]),
    (
        "minimize",
        &[
            &["app.tar", "--dry-run", "-v"],
            &["app.tar", "--output", "app-small.tar"],
        ],
    ),
    ("compare", &[&["app.tar", "app-small.tar"]]),
    (
        "verify",
        &[
            &["app.tar", "app-small.tar", "--profile", "default"],
            &["app-small.tar", "app.tar"],
        ],
    ),
    ("bench", &[&["debian", "--rounds", "1"]]),
];

fn report(directory: &Path, command: &str, arguments: &[&str]) -> Value {
    let mut pycull = pycull_command();
    let pycull = pycull
        .arg(command)
        .args(arguments)
        .args(["--format", "json"]);
    let report = run(pycull.current_dir(directory));
    assert!(matches!(report.code, Some(0 | 1)), "{}", report.stderr);
    report.json()
}

/// Masks the parts of a report that differ between runs and machines: times, and the sandbox layers.
fn without_measurements(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => json!("measured"),
        Value::Array(values) => values.iter().map(without_measurements).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match name.as_str() {
                "sandbox" => (name.clone(), json!("machine")),
                _ => (name.clone(), without_measurements(value)),
            })
            .collect(),
        other => other.clone(),
    }
}

/// If UPDATE_EXAMPLES is set, writes the examples instead.
#[test]
fn examples_in_schemas_are_real_outputs() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    fs::copy(testdata("docker-new.tar"), directory.join("app.tar")).unwrap();
    symlink(real_image("py3.11"), directory.join("debian")).unwrap();
    for (command, examples) in EXAMPLES {
        let examples = examples
            .iter()
            .map(|arguments| report(directory, command, arguments));
        let examples: Value = examples.collect();
        let mut schema = schema::read(command);
        if std::env::var_os("UPDATE_EXAMPLES").is_some() {
            schema["examples"] = examples;
            let schema_text = serde_json::to_string_pretty(&schema).unwrap();
            fs::write(schema::path(command), schema_text + "\n").unwrap();
            continue;
        }
        let (kept, printed) = match command {
            "bench" => (
                without_measurements(&schema["examples"]),
                without_measurements(&examples),
            ),
            _ => (schema["examples"].take(), examples),
        };
        assert_eq!(
            kept, printed,
            "{command}: update with UPDATE_EXAMPLES=1 cargo test --test it schema"
        );
    }
}
