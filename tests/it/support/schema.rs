//! The published schemas, and checks of documents against them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

pub const COMMANDS: [&str; 5] = ["bench", "compare", "inspect", "minimize", "verify"];

static VALIDATORS: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
    let validator = |command: &str| jsonschema::validator_for(&read(command)).unwrap();
    let named = |command: &str| (format!("pycull.{command}/1"), validator(command));
    COMMANDS.into_iter().map(named).collect()
});

/// Path of a schema file.
pub fn path(command: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{command}.json"))
}

pub fn read(command: &str) -> Value {
    serde_json::from_slice(&fs::read(path(command)).unwrap()).unwrap()
}

/// If the document is a report of pycull, checks it against the schema that it names.
#[track_caller]
pub fn assert_valid(document: &Value) {
    let Some(name) = document["schema"].as_str() else {
        return;
    };
    if !name.starts_with("pycull.") {
        return;
    }
    let validator = VALIDATORS
        .get(name)
        .unwrap_or_else(|| panic!("no schema {name}"));
    let errors = validator.iter_errors(document);
    let errors: Vec<String> = errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
