//! The recipes of docs/ci. Their scripts run as the services run them, on real images and with a real registry.

mod gate;
mod github;
mod gitlab;
mod lint;
mod podman;
mod tekton;
mod workplace;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::tools::{run, tool_command};

/// A file of docs/ci.
fn recipe(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/ci")
        .join(name);
    assert!(path.is_file(), "{}", path.display());
    path
}

/// A recipe in YAML, as JSON.
fn document(name: &str) -> Value {
    // YAML 1.1 reads `on` as a boolean.
    let convert = "import json, sys, yaml
document = yaml.safe_load(open(sys.argv[1]))
if True in document: document['on'] = document.pop(True)
json.dump(document, sys.stdout)";
    // Debian's Python, which has Debian's yaml.
    let mut python = tool_command("/usr/bin/python3");
    run(python.args(["-c", convert]).arg(recipe(name)))
        .success()
        .json()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[test]
fn containers_and_recipes_name_the_version_of_this_crate() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, form) in [
        ("Containerfile", format!("image.version=\"{version}\"")),
        ("github-actions.yml", format!("pycull-ci:{version}\n")),
        ("gitlab-ci.yml", format!("pycull-ci:{version}\n")),
        ("tekton-task.yaml", format!("pycull-ci:{version}\n")),
        (
            "tekton-task.yaml",
            format!("app.kubernetes.io/version: \"{version}\""),
        ),
    ] {
        let recipe = fs::read_to_string(recipe(name)).unwrap();
        let (wanted, all) = (
            recipe.matches(&form).count(),
            recipe
                .matches(&form[..form.len() - version.len() - 1])
                .count(),
        );
        assert!(
            wanted > 0 && wanted == all,
            "{name} does not have {form:?} everywhere"
        );
    }
}

/// The container itself cannot be built here, because that needs a static C library: see docs/ci/README.md.
#[test]
fn the_container_is_built_from_all_that_cargo_and_the_sources_ask_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let containerfile = fs::read_to_string(recipe("Containerfile")).unwrap();
    let mut sources = Vec::new();
    for line in containerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
    {
        if line.starts_with("--from") {
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let (_, from) = words.split_last().unwrap();
        sources.extend(from.iter().map(|name| (*name).to_owned()));
        for name in from {
            let copy = ["--recursive", "--parents", name];
            run(tool_command("cp")
                .args(copy)
                .arg(directory.path())
                .current_dir(root))
            .success();
        }
    }
    assert!(
        sources.contains(&"docs/ci/pycull-gate".to_owned()),
        "{sources:?}"
    );
    let manifest = directory.path().join("Cargo.toml");
    // This does not build anything. cargo stops after it has read the manifest and found all files that the manifest
    // names.
    let mut build = std::process::Command::new(env!("CARGO"));
    build.args([
        "build",
        "--offline",
        "--locked",
        "--bin",
        "none",
        "--manifest-path",
    ]);
    let output = run(build.arg(manifest));
    assert!(
        output.stderr.contains("no bin target named `none`"),
        "{}",
        output.stderr
    );
}
