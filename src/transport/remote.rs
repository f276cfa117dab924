//! Images in a registry as sources.

use std::sync::Arc;

use super::error::TransportError;
use super::image_name::{REF_NAME, set_annotation};
use super::medium::Medium;
use super::source::{Origin, Source};
use crate::oci::BlobStore;
use crate::registry::{Found, ImageName, Keeping, Registries, RegistrySettings, RegistryStore};

/// Finds an image in a registry.
pub(super) fn open(
    name: &str,
    settings: &RegistrySettings,
    keeping: Keeping,
) -> Result<Source, TransportError> {
    let registries = Registries::new(settings)?;
    let name = registries.name(name)?;
    let Found { store, mut root } = registries.find(&name, keeping)?;
    let tagged = tagged(&name);
    if let Some(tagged) = &tagged {
        // In a layout or an archive the image keeps its name.
        set_annotation(&mut root, REF_NAME, Some(tagged));
    }
    let store = Arc::new(store);
    let shared: Arc<dyn BlobStore> = Arc::<RegistryStore>::clone(&store);
    Ok(Source {
        docker_names: tagged.into_iter().collect(),
        origin: Origin::Registry(store, name.clone()),
        ..Source::in_store(shared, root, Medium::Registry, name.to_string())
    })
}

/// The name with its tag and without a digest. `None` if it has only a digest.
fn tagged(name: &ImageName) -> Option<String> {
    let has_tag = name.tag.is_some() || name.digest.is_none();
    let tag = name.tag_or_latest();
    has_tag.then(|| format!("{}/{}:{tag}", name.host, name.repository))
}
