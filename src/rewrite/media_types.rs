//! Converts media types for the output medium. Engines look for OCI types in an OCI layout, and for Docker types in a
//! docker archive.

use serde_json::{Value, json};

use crate::oci::Image;
use crate::oci::load::is_set;
use crate::oci::media_type::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, Family, in_family};

/// Fields that Docker manifests do not have. An image with one of them keeps OCI types.
const OCI_ONLY: [&str; 2] = ["subject", "artifactType"];

/// Whether an image already has the media types of `family`, as far as they exist.
pub(crate) fn is_of_family(image: &Image, family: Family) -> bool {
    let (mut descriptor, mut manifest) = (image.descriptor.clone(), image.manifest.clone());
    convert_manifest(&mut descriptor, &mut manifest, family);
    descriptor == image.descriptor && manifest == image.manifest
}

/// Converts a manifest, and the descriptor that names it, to the media types of `family`. Both stay as they are if
/// Docker has no type for a part of the image, because no reader expects mixed types.
pub(crate) fn convert_manifest(descriptor: &mut Value, manifest: &mut Value, family: Family) {
    let parts = manifest.get("config").into_iter().chain(
        manifest
            .get("layers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten(),
    );
    if family == Family::Docker
        && (has_oci_only(manifest) || !parts.into_iter().all(has_docker_type))
    {
        return;
    }
    set_document_type(descriptor, manifest, family, DOCKER_MANIFEST);
    if let Some(config) = manifest.get_mut("config") {
        convert(config, family);
    }
    let layers = manifest.get_mut("layers").and_then(Value::as_array_mut);
    layers
        .into_iter()
        .flatten()
        .for_each(|layer| convert(layer, family));
}

/// Converts an index in the same way. Its children must be converted already. Artifacts in it keep their types.
pub(crate) fn convert_index(descriptor: &mut Value, index: &mut Value, family: Family) {
    let mut children = index
        .get("manifests")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let is_docker = |child: &Value| {
        let media_type = child.get("mediaType").and_then(Value::as_str);
        media_type.is_some_and(|it| in_family(it, Family::Docker) == Some(it))
    };
    if family == Family::Docker && (has_oci_only(index) || !children.all(is_docker)) {
        return;
    }
    set_document_type(descriptor, index, family, DOCKER_MANIFEST_LIST);
}

fn has_oci_only(document: &Value) -> bool {
    OCI_ONLY.iter().any(|field| is_set(document, field))
}

fn has_docker_type(descriptor: &Value) -> bool {
    let media_type = descriptor.get("mediaType").and_then(Value::as_str);
    media_type.is_some_and(|it| in_family(it, Family::Docker).is_some())
}

/// Sets the media type of a document. Docker documents must have one, and OCI documents may omit it.
fn set_document_type(descriptor: &mut Value, document: &mut Value, family: Family, docker: &str) {
    convert(descriptor, family);
    convert(document, family);
    if family == Family::Docker {
        document["mediaType"] = json!(docker);
    }
}

fn convert(value: &mut Value, family: Family) {
    let Some(media_type) = value.get("mediaType").and_then(Value::as_str) else {
        return;
    };
    if let Some(new) = in_family(media_type, family).filter(|new| *new != media_type) {
        value["mediaType"] = json!(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::{
        DOCKER_CONFIG, DOCKER_LAYER, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST,
    };

    fn manifest(of: &str, config: &str, layers: &[&str]) -> Value {
        let layers = layers.iter().map(|it| json!({"mediaType": it, "x": 1}));
        let layers: Vec<Value> = layers.collect();
        json!({"schemaVersion": 2, "mediaType": of, "config": {"mediaType": config}, "layers": layers})
    }

    #[test]
    fn types_become_those_of_the_family_or_all_stay() {
        let docker = manifest(DOCKER_MANIFEST, DOCKER_CONFIG, &[DOCKER_LAYER]);
        let oci = manifest(OCI_MANIFEST, OCI_CONFIG, &[OCI_LAYER]);
        let mixed = manifest(OCI_MANIFEST, DOCKER_CONFIG, &[OCI_LAYER]);
        let zstd = format!("{OCI_LAYER}+zstd");
        let with_zstd = manifest(OCI_MANIFEST, OCI_CONFIG, &[&zstd, OCI_LAYER]);
        let mut referrer = oci.clone();
        referrer["subject"] = json!({});
        for (before, family, after) in [
            (&docker, Family::Oci, &oci),
            (&mixed, Family::Oci, &oci),
            (&oci, Family::Oci, &oci),
            (&oci, Family::Docker, &docker),
            (&mixed, Family::Docker, &docker),
            (&with_zstd, Family::Docker, &with_zstd),
            (&referrer, Family::Docker, &referrer),
        ] {
            let mut manifest = before.clone();
            let mut descriptor = json!({"mediaType": before["mediaType"]});
            convert_manifest(&mut descriptor, &mut manifest, family);
            assert_eq!(&manifest, after);
            assert_eq!(descriptor["mediaType"], after["mediaType"]);
        }
    }
}
