//! Reads an OCI layout, without pycull's code.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use pycull::oci::digest::sha256_digest;
use serde_json::Value;

/// An OCI layout on disk.
pub struct Layout(pub PathBuf);

/// A member of a layer, as the tar crate reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct TarMember {
    pub path: String,
    pub kind: tar::EntryType,
    pub link: Option<String>,
    pub size_field: u64,
    pub data: Vec<u8>,
    pub xattrs: Vec<(String, Vec<u8>)>,
    pub mode: u32,
    pub mtime: u64,
}

impl Layout {
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }

    pub fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.0.join("index.json")).unwrap()).unwrap()
    }

    /// A blob, checked against its digest.
    pub fn blob(&self, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let bytes = fs::read(self.0.join("blobs").join(digest.replace(':', "/"))).unwrap();
        assert_eq!(sha256_digest(&bytes).to_string(), digest);
        if let Some(size) = descriptor["size"].as_u64() {
            assert_eq!(bytes.len() as u64, size, "{digest}");
        }
        bytes
    }

    pub fn document(&self, descriptor: &Value) -> Value {
        serde_json::from_slice(&self.blob(descriptor)).unwrap()
    }

    /// Descriptors of all images at any depth: manifests with an image config, without attestations.
    pub fn images(&self) -> Vec<Value> {
        let mut pending: Vec<Value> = self.index()["manifests"].as_array().unwrap().clone();
        let mut images = Vec::new();
        while let Some(descriptor) = pending.pop() {
            let document = self.document(&descriptor);
            if let Some(manifests) = document["manifests"].as_array() {
                pending.extend(manifests.iter().cloned());
            } else if descriptor["platform"]["os"] != "unknown"
                && document["artifactType"].is_null()
            {
                images.push(descriptor);
            }
        }
        images
    }

    /// The manifest of a layout's only image.
    pub fn manifest(&self) -> Value {
        let index = self.index();
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "{index}");
        self.document(&index["manifests"][0])
    }

    pub fn manifest_digest(&self) -> String {
        self.index()["manifests"][0]["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn config(&self) -> Value {
        self.document(&self.manifest()["config"])
    }

    /// The tar stream of a layer, counted from 0. Checks its diff_id.
    pub fn layer_tar(&self, index: usize) -> Vec<u8> {
        let descriptor = &self.manifest()["layers"][index];
        let bytes = decompressed(&self.blob(descriptor));
        assert_eq!(
            self.config()["rootfs"]["diff_ids"][index],
            sha256_digest(&bytes).to_string()
        );
        bytes
    }

    pub fn layer_count(&self) -> usize {
        self.manifest()["layers"].as_array().unwrap().len()
    }

    pub fn members(&self, index: usize) -> Vec<TarMember> {
        tar_members(&self.layer_tar(index))
    }

    /// Names of a layer's members, in order.
    pub fn names(&self, index: usize) -> Vec<String> {
        self.members(index)
            .into_iter()
            .map(|member| member.path)
            .collect()
    }
}

pub fn decompressed(blob: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match blob {
        [0x1f, 0x8b, ..] => drop(
            flate2::read::MultiGzDecoder::new(blob)
                .read_to_end(&mut out)
                .unwrap(),
        ),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => out = zstd::decode_all(blob).unwrap(),
        _ => out = blob.to_vec(),
    }
    out
}

pub fn tar_members(bytes: &[u8]) -> Vec<TarMember> {
    let mut archive = tar::Archive::new(bytes);
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let xattrs = entry
                .pax_extensions()
                .unwrap()
                .into_iter()
                .flatten()
                .filter_map(|record| {
                    let record = record.unwrap();
                    Some((
                        record
                            .key()
                            .unwrap()
                            .strip_prefix("SCHILY.xattr.")?
                            .to_owned(),
                        record.value_bytes().to_vec(),
                    ))
                });
            let xattrs = xattrs.collect();
            let mut data = Vec::new();
            entry.read_to_end(&mut data).unwrap();
            TarMember {
                path: String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                kind: entry.header().entry_type(),
                link: entry
                    .link_name_bytes()
                    .map(|link| String::from_utf8(link.into_owned()).unwrap()),
                size_field: entry.header().entry_size().unwrap(),
                data,
                xattrs,
                mode: entry.header().mode().unwrap(),
                mtime: entry.header().mtime().unwrap(),
            }
        })
        .collect()
}
