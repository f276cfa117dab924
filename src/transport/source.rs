//! An image that was found.

use std::sync::Arc;

use serde_json::Value;

use super::archive::Archive;
use super::image_name::{REF_NAME, annotation, full_names, is_full_name, normalized};
use super::medium::Medium;
use super::reference::{Reference, Wanted};
use crate::oci::BlobStore;

/// An image that was found, with access to its blobs.
#[derive(Clone)]
pub struct Source {
    /// Its blobs.
    pub store: Arc<dyn BlobStore>,
    /// The descriptor of its manifest or index, exactly as in the medium's `index.json`. For an
    /// old docker archive it is made up, the same for the same archive.
    pub root: Value,
    /// What holds it.
    pub medium: Medium,
    /// A name for people: the image's own where it has one, else where it is.
    pub name: String,
    /// Its docker references: RepoTags, or what annotations say.
    pub docker_names: Vec<String>,
    /// What is wrong with how it is stored, and does not keep it from being read.
    pub warnings: Vec<String>,
    /// The archive that it is in.
    pub(super) archive: Option<Arc<Archive>>,
    /// Its entry in `manifest.json`, where it has one.
    pub(super) entry: Value,
}

impl Source {
    /// An image in a store of the caller's, of which `root` names the manifest or index.
    pub fn in_store(store: Arc<dyn BlobStore>, root: Value, medium: Medium, name: String) -> Self {
        Self {
            store,
            root,
            medium,
            name,
            docker_names: Vec::new(),
            warnings: Vec::new(),
            archive: None,
            entry: Value::Null,
        }
    }

    /// A source whose names are told from annotations and the reference.
    pub(super) fn new(
        store: Arc<dyn BlobStore>,
        root: Value,
        medium: Medium,
        reference: &Reference,
        docker_names: Vec<String>,
    ) -> Self {
        let name = docker_names.first().cloned();
        let name = name.unwrap_or_else(|| name_from_path(&root, reference));
        Self {
            docker_names,
            ..Self::in_store(store, root, medium, name)
        }
    }
}

fn name_from_path(root: &Value, reference: &Reference) -> String {
    let stem = reference.path().file_stem();
    let stem = stem.map_or_else(
        || reference.path().display().to_string(),
        |stem| stem.display().to_string(),
    );
    match annotation(root, REF_NAME) {
        Some(name) if is_full_name(name) => name.to_owned(),
        Some(tag) => format!("{stem}:{tag}"),
        None => stem,
    }
}

/// The docker references of the chosen root: its own where it was chosen by name, else those of
/// all roots with its digest.
pub(super) fn docker_names(roots: &[Value], chosen: &Value, wanted: Wanted<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let same = roots
        .iter()
        .filter(|root| match wanted.reference.selector() {
            Some(_) => *root == chosen,
            None => root["digest"] == chosen["digest"],
        });
    for root in same {
        // A name by digest is nothing that an archive can be loaded under.
        let Some(name) = full_names(root).find(|name| !name.contains('@')) else {
            continue;
        };
        if !names
            .iter()
            .any(|other| normalized(other) == normalized(name))
        {
            names.push(name.to_owned());
        }
    }
    names
}
