//! The recipes pass their linters.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{document, recipe, text};
use crate::support::tools::{run, tool_command};

/// A file of the packages that `.ci/setup-tests` installs from PyPI.
fn package_file(path: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/python")
        .join(path);
    assert!(
        file.is_file(),
        "the test needs {}; run `.ci/setup-tests`",
        file.display()
    );
    file
}

/// All scripts of a recipe.
fn scripts(of: &Value) -> Vec<String> {
    match of {
        Value::Array(parts) => parts.iter().flat_map(scripts).collect(),
        Value::Object(parts) => parts
            .iter()
            .flat_map(|(name, part)| match (name.as_str(), part) {
                ("run" | "script", Value::String(script)) => vec![script.clone()],
                ("script", Value::Array(lines)) => {
                    vec![lines.iter().map(text).collect::<Vec<_>>().join("\n")]
                }
                (_, part) => scripts(part),
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts_of_the_recipes() {
    let directory = tempfile::tempdir().unwrap();
    for (name, count) in [
        ("github-actions.yml", 3),
        ("gitlab-ci.yml", 1),
        ("tekton-task.yaml", 1),
    ] {
        let scripts = scripts(&document(name));
        assert_eq!(scripts.len(), count, "{name}: {scripts:?}");
        for script in scripts {
            // Tekton replaces its variables by paths before bash sees them.
            let script = script
                .replace("$(results.", "/results.")
                .replace(".path)", ".path");
            let file = directory.path().join(name);
            fs::write(&file, script).unwrap();
            let output = run(tool_command("shellcheck")
                .args(["--shell", "bash"])
                .arg(&file));
            assert_eq!(output.code, Some(0), "{}", output.text());
        }
    }
}

/// The schemas are those of SchemaStore, which the package check-jsonschema contains.
#[test]
fn recipes_are_as_their_schemas_say() {
    for (name, schema) in [
        ("github-actions.yml", "github-workflows"),
        ("gitlab-ci.yml", "gitlab-ci"),
    ] {
        let schema = package_file(&format!(
            "check_jsonschema/builtin_schemas/vendor/{schema}.json"
        ));
        let schema: Value = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let recipe = document(name);
        let errors: Vec<String> = validator
            .iter_errors(&recipe)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
        // The schema does detect an error.
        let mut wrong = recipe.clone();
        match name {
            "gitlab-ci.yml" => wrong["small"]["artifacts"]["when"] = "seldom".into(),
            _ => wrong["jobs"]["small"]["steps"][0]["runs"] = "x".into(),
        }
        assert!(!validator.is_valid(&wrong), "{name}");
    }
}

#[test]
fn zizmor_finds_nothing_in_the_workflow() {
    let workflow = recipe("github-actions.yml");
    let zizmor = |file: &Path| {
        run(tool_command(package_file("bin/zizmor").to_str().unwrap())
            .args(["--offline", "--no-config", "--quiet"])
            .arg(file))
    };
    let output = zizmor(&workflow);
    assert_eq!(output.code, Some(0), "{}{}", output.text(), output.stderr);
    // The linter does detect an error: an expression in a script.
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.yml");
    let text = fs::read_to_string(workflow).unwrap();
    fs::write(
        &wrong,
        text.replace(
            "podman build --tag app .",
            "podman build --tag ${{ github.head_ref }} .",
        ),
    )
    .unwrap();
    let output = zizmor(&wrong);
    assert!(
        output.text().contains("template-injection"),
        "{}{}",
        output.text(),
        output.stderr
    );
}
