//! Writing docker archives, as `docker save` does.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::archive::{self, Content};
use super::archive_update::{
    Images, InPlace, Remainder, entries_with, index_with, repositories_without,
};
use super::error::TransportError;
use super::file_names::{INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT, REPOSITORIES, blob_name};
use super::image_name::{CONTAINERD_NAME, REF_NAME, normalized, set_annotation, tag};
use super::index_json::roots;
use super::medium::DockerForm;
use super::oci_archive;
use super::output::OutputImage;
use super::place::OutputBlob;
use super::reference::Selector;
use crate::oci::{Digest, Image};

/// Sets the annotations for the name under which `docker load` loads the image.
pub(super) fn set_name(root: &mut Value, name: &str) {
    let name = normalized(name);
    set_annotation(root, REF_NAME, tag(&name));
    set_annotation(root, CONTAINERD_NAME, Some(&name));
}

/// The form of the archive, and the names of the image in it.
#[derive(Clone, Copy)]
pub(super) struct SaveAs<'a> {
    pub(super) form: DockerForm,
    pub(super) names: &'a [String],
}

/// Writes an archive of `output`. If `in_place` is set, copies the other images of that archive.
pub(super) fn write(
    output: &OutputImage,
    SaveAs { form, names }: SaveAs<'_>,
    in_place: Option<&InPlace>,
    to: impl Write,
    path: &Path,
) -> Result<(), TransportError> {
    let node = output.checked()?;
    let image = match node.images()[..] {
        [image] => image,
        ref images => {
            let platforms = images.iter().map(|image| image.platform.to_string());
            return Err(TransportError::SeveralPlatforms {
                platforms: platforms.collect(),
            });
        }
    };
    let files = NewFiles {
        output,
        form,
        image,
        names,
    };
    match in_place {
        Some(old) => files.write_into(old, to, path),
        None => archive::write(to, path, &files.alone()),
    }
}

/// The files of one image in a docker archive.
pub(super) struct NewFiles<'a> {
    pub(super) output: &'a OutputImage,
    pub(super) form: DockerForm,
    pub(super) image: &'a Image,
    pub(super) names: &'a [String],
}

impl<'a> NewFiles<'a> {
    fn alone(&self) -> BTreeMap<String, Content<'a>> {
        let mut files = match self.form {
            DockerForm::Old => self.old_blobs(&HashMap::new()),
            DockerForm::OciCarrying => oci_archive::files(self.output, &self.roots()),
        };
        let entries = Value::Array(vec![self.entry(&HashMap::new())]);
        let manifest_json = entries.to_string().into_bytes();
        files.insert(MANIFEST_JSON.to_owned(), Content::Bytes(manifest_json));
        files
    }

    fn write_into(&self, old: &InPlace, to: impl Write, path: &Path) -> Result<(), TransportError> {
        let InPlace { archive, entry } = old;
        let document = archive.read_json(MANIFEST_JSON)?;
        let entries = document.as_array().map_or(&[][..], Vec::as_slice);
        let new = self.entry(&HashMap::new());
        let (mut kept, gone) = entries_with(entries, new.clone(), self.names, entry);
        let (index, gone_roots) = match self.form {
            DockerForm::Old => (None, Vec::new()),
            DockerForm::OciCarrying => {
                let (index, gone) = index_with(archive, &self.roots(), &self.output.origin)?;
                (Some(index), gone)
            }
        };
        let new_roots = self.roots();
        let stays = Images {
            roots: roots(index.as_ref().unwrap_or(&Value::Null))
                .iter()
                .filter(|root| !new_roots.contains(root))
                .collect(),
            entries: kept.iter().filter(|entry| **entry != new).collect(),
        };
        let goes = Images {
            roots: gone_roots.iter().collect(),
            entries: gone.iter().collect(),
        };
        let remainder = Remainder::new(archive, &stays, &goes);
        if !remainder.has_images {
            return archive::write(to, path, &self.alone());
        }
        let mut files = match self.form {
            DockerForm::OciCarrying => oci_archive::files(self.output, &[]),
            DockerForm::Old => {
                let there = self.blobs_of(&remainder);
                for entry in kept.iter_mut().filter(|entry| **entry == new) {
                    *entry = self.entry(&there);
                }
                self.old_blobs(&there)
            }
        };
        files.remove(OCI_LAYOUT);
        let documents = [
            (INDEX_JSON, index.map(|index| index.to_string())),
            (MANIFEST_JSON, Some(Value::Array(kept).to_string())),
            (REPOSITORIES, repositories_without(archive, self.names)),
        ];
        for (name, document) in documents {
            if let Some(document) = document {
                files.insert(name.to_owned(), Content::Bytes(document.into_bytes()));
            }
        }
        remainder.write(to, path, files)
    }

    /// The image's descriptor, once for each of its names.
    fn roots(&self) -> Vec<Value> {
        let named = |name: &String| {
            let mut root = self.output.root.clone();
            set_name(&mut root, name);
            root
        };
        match self.names.is_empty() {
            true => vec![self.output.root.clone()],
            false => self.names.iter().map(named).collect(),
        }
    }

    /// The layers that the archive has already: digest to the name of the file.
    fn blobs_of(&self, remainder: &Remainder<'_>) -> HashMap<&'a Digest, String> {
        let blobs = self.output.blobs.iter();
        blobs
            .filter(|blob| self.is_layer(blob))
            .filter_map(|blob| {
                let name = remainder.name_of(&blob.bytes)?;
                Some((&blob.digest, name.to_owned()))
            })
            .collect()
    }

    fn is_layer(&self, blob: &OutputBlob) -> bool {
        let mut layers = self.image.layers.iter();
        layers.any(|layer| *layer.descriptor.digest() == blob.digest)
    }

    /// The image's files in the old form, without the layers that are in `there`.
    fn old_blobs(&self, there: &HashMap<&Digest, String>) -> BTreeMap<String, Content<'a>> {
        let mut files = BTreeMap::new();
        for blob in &self.output.blobs {
            if blob.digest == *self.image.config_descriptor.digest() {
                files.insert(old_config_name(&blob.digest), Content::Blob(blob));
            } else if self.is_layer(blob) && !there.contains_key(&blob.digest) {
                files.insert(old_layer_name(&blob.digest), Content::Blob(blob));
            }
        }
        files
    }

    /// The image's entry in `manifest.json`.
    pub(super) fn entry(&self, there: &HashMap<&Digest, String>) -> Value {
        let is_old = self.form == DockerForm::Old;
        let layer_name = if is_old { old_layer_name } else { blob_name };
        let config_name = if is_old { old_config_name } else { blob_name };
        let layers = self.image.layers.iter().map(|layer| {
            let digest = layer.descriptor.digest();
            there
                .get(digest)
                .cloned()
                .unwrap_or_else(|| layer_name(digest))
        });
        let repo_tags = match self.names.is_empty() {
            true => Value::Null,
            false => self.names.into(),
        };
        json!({
            "Config": config_name(self.image.config_descriptor.digest()),
            "RepoTags": repo_tags,
            "Layers": layers.collect::<Vec<String>>(),
        })
    }
}

fn old_config_name(digest: &Digest) -> String {
    format!("{}.json", digest.digest())
}

fn old_layer_name(digest: &Digest) -> String {
    format!("{}.tar", digest.digest())
}

/// The name in RepoTags form for the name that an output reference gives: unchanged, or with `:latest` if it has no
/// tag.
pub(super) fn name_of(selector: &Selector) -> String {
    let name = selector.to_string();
    match tag(&name) {
        Some(_) => name,
        None => format!("{name}:latest"),
    }
}
