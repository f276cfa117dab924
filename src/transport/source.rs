//! An image that was found, with its blobs and names.

use std::sync::Arc;

use serde_json::Value;

use super::archive::Archive;
use super::error::TransportError;
use super::image_name::{REF_NAME, annotation, full_names, is_full_name, normalized};
use super::medium::Medium;
use super::reference::{Reference, Wanted};
use super::transports::Engine;
use crate::oci::BlobStore;
use crate::registry::{ImageName, Referrer, RegistryStore};

/// An image that was found, with access to its blobs.
#[derive(Clone)]
pub struct Source {
    /// The store of the image's blobs.
    pub store: Arc<dyn BlobStore>,
    /// The descriptor of the image's manifest or index, exactly as in the medium's `index.json`. For an old docker
    /// archive it is synthesized: the same archive always gives the same descriptor.
    pub root: Value,
    /// The medium that holds the image.
    pub medium: Medium,
    /// A name for people: the image's own name, else one made from the path.
    pub name: String,
    /// The image's docker references, from RepoTags or annotations.
    pub docker_names: Vec<String>,
    /// Flaws in how the image is stored that do not prevent reading it.
    pub warnings: Vec<String>,
    /// Where the image is, if it is not in a file.
    pub(super) origin: Origin,
    /// The archive that holds the image, if it is in one.
    pub(super) archive: Option<Arc<Archive>>,
    /// The image's entry in `manifest.json`; null if there is none.
    pub(super) entry: Value,
}

/// Where an image comes from.
#[derive(Clone)]
pub(super) enum Origin {
    /// A file, a directory, or the caller's own store.
    Here,
    /// A registry.
    Registry(Arc<RegistryStore>, ImageName),
    /// The store of an engine.
    Engine(Engine),
}

impl Source {
    /// An image in the caller's own store. `root` is the descriptor of its manifest or index.
    pub fn in_store(store: Arc<dyn BlobStore>, root: Value, medium: Medium, name: String) -> Self {
        Self {
            store,
            root,
            medium,
            name,
            docker_names: Vec::new(),
            warnings: Vec::new(),
            origin: Origin::Here,
            archive: None,
            entry: Value::Null,
        }
    }

    /// Whether the image is in a registry.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.origin, Origin::Registry(..))
    }

    /// Whether both images are in one repository of one registry. Then they share the blobs that both have.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        let (Origin::Registry(one, _), Origin::Registry(other, _)) = (&self.origin, &other.origin)
        else {
            return false;
        };
        let (one, other) = (one.repository(), other.repository());
        one.is_beside(other) && one.name() == other.name()
    }

    /// The name of the image in its registry. `None` if it is elsewhere, or has no name but its digest.
    pub(crate) fn registry_name(&self) -> Option<&str> {
        match self.origin {
            Origin::Registry(..) => self.docker_names.first().map(String::as_str),
            _ => None,
        }
    }

    /// What refers to a manifest of the image in its registry. Empty for images elsewhere.
    ///
    /// # Errors
    /// [`TransportError::Registry`] if the registry cannot be asked.
    pub(crate) fn referrers(&self, manifest: &str) -> Result<Vec<Referrer>, TransportError> {
        match (&self.origin, manifest.parse()) {
            (Origin::Registry(store, _), Ok(digest)) => {
                Ok(store.repository().referrers(&digest)?)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// A source that takes its name from `docker_names`, else from annotations and the reference.
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

/// The docker references of the chosen root. If the reference has a selector, these are the root's own names. Otherwise
/// they are the names of all roots with its digest.
pub(super) fn docker_names(roots: &[Value], chosen: &Value, wanted: Wanted<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let same = roots
        .iter()
        .filter(|root| match wanted.reference.selector() {
            Some(_) => *root == chosen,
            None => root["digest"] == chosen["digest"],
        });
    for root in same {
        // An archive cannot be loaded under a name with a digest.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::transport::testing::refer;

    #[test]
    fn an_image_without_a_docker_name_is_called_by_its_own_name_or_that_of_the_file() {
        let name = |root: Value| name_from_path(&root, &refer("oci-archive:some/app.tar"));
        let named = |name: &str| json!({"annotations": {REF_NAME: name}});
        assert_eq!(name(json!({})), "app");
        assert_eq!(name(named("v1")), "app:v1");
        assert_eq!(name(named("ghcr.io/me/other:v1")), "ghcr.io/me/other:v1");
    }
}
