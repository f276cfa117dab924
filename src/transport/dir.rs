//! `dir:`, the directory that `skopeo copy IMAGE dir:DIR` writes. The manifest lies beside blobs that are named by
//! their digest. The directory holds one image or index, without a name. pycull only reads this medium.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::oci::digest::sha256_digest;
use crate::oci::image::parse_object;
use crate::oci::json_keys::{self, respell};
use crate::oci::media_type::{DOCKER_CONFIG, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use crate::oci::{Blob, BlobError, BlobStore, Digest};

use super::error::TransportError;
use super::file_names::MANIFEST_JSON;
use super::medium::Medium;
use super::oci_layout_read::{open_blob, read_file};
use super::reference::Wanted;
use super::source::Source;

/// The file that holds one line with the layout's version.
const VERSION: &str = "version";

/// Whether a directory is of this medium.
pub(super) fn is_one(path: &Path) -> bool {
    let is_file = |name: &str| path.join(name).is_file();
    is_file(MANIFEST_JSON) && is_file(VERSION)
}

/// Opens the image or index of the directory.
pub(super) fn open(wanted: Wanted<'_>) -> Result<Source, TransportError> {
    let path = wanted.reference.path();
    path.read_dir()
        .map_err(|error| wanted.reference.cannot_open(error))?;
    let manifest = read_file(path, MANIFEST_JSON)?;
    let manifest = manifest.ok_or_else(|| TransportError::NotAnImage {
        path: path.to_owned(),
        reason: format!("it has no {MANIFEST_JSON}"),
    })?;
    let digest = sha256_digest(&manifest);
    let mut document = parse_object(&manifest, "manifest", MANIFEST_JSON)?;
    respell(&mut document, &json_keys::MANIFEST);
    let root = json!({
        "mediaType": media_type(&document),
        "digest": digest.as_ref(),
        "size": manifest.len(),
    });
    let store = Arc::new(Store {
        directory: path.to_owned(),
        manifest: digest,
    });
    let reference = wanted.reference;
    Ok(Source::new(store, root, Medium::Dir, reference, Vec::new()))
}

/// The document's `mediaType`, else a guess from its content: older manifests do not have the field.
fn media_type(document: &Value) -> &str {
    let stated = document.get("mediaType").and_then(Value::as_str);
    let guess = || match document.pointer("/config/mediaType") {
        _ if document.get("manifests").is_some() => OCI_INDEX,
        Some(config) if config == DOCKER_CONFIG => DOCKER_MANIFEST,
        _ => OCI_MANIFEST,
    };
    stated.unwrap_or_else(guess)
}

struct Store {
    directory: PathBuf,
    manifest: Digest,
}

impl BlobStore for Store {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        let file = |name: &str| open_blob(&self.directory, name, digest);
        if *digest == self.manifest {
            return file(MANIFEST_JSON);
        }
        let name = match digest.algorithm().as_ref() {
            "sha256" => digest.digest().to_owned(),
            algorithm => format!("{algorithm}-{}", digest.digest()),
        };
        match file(&name) {
            // skopeo marks the manifests of an index with a suffix, which blobs do not have.
            Err(BlobError::Missing { .. }) => file(&format!("{name}.{MANIFEST_JSON}")),
            located => located,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_a_media_type_has_that_of_its_content() {
        let of_config = |config: &str| json!({"config": {"mediaType": config}, "layers": []});
        for (document, expected) in [
            (json!({"mediaType": "stated", "manifests": []}), "stated"),
            (json!({"manifests": []}), OCI_INDEX),
            (of_config(DOCKER_CONFIG), DOCKER_MANIFEST),
            (
                of_config("application/vnd.oci.image.config.v1+json"),
                OCI_MANIFEST,
            ),
            (json!({}), OCI_MANIFEST),
        ] {
            assert_eq!(media_type(&document), expected, "{document}");
        }
    }
}
