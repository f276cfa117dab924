//! Images made by hand, member by member, so that a test states exactly what it needs.

use std::fs;
use std::io::Write;
use std::path::Path;

use pycull::oci::digest::sha256_digest;
use serde_json::{Value, json};

/// Compression of a layer that a test makes.
#[derive(Clone, Copy, PartialEq)]
pub enum Layered {
    Plain,
    Gzip,
    Zstd,
}

/// A layer's tar stream, written member by member.
#[derive(Default, Clone)]
pub struct LayerBuilder {
    bytes: Vec<u8>,
    pax: Vec<(String, Vec<u8>)>,
    mtime: u64,
    mode: Option<u32>,
    device: (u32, u32),
    trailing: Vec<u8>,
}

pub const SOURCE_MTIME: u64 = 1_600_000_000;

impl LayerBuilder {
    pub fn new() -> Self {
        Self {
            mtime: SOURCE_MTIME,
            ..Self::default()
        }
    }

    /// Adds a pax record to the next member, for example an extended attribute.
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Sets the mtime of the following members.
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// Sets the mode of the following members.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets the major and minor number of the following devices.
    pub fn device(mut self, major: u32, minor: u32) -> Self {
        self.device = (major, minor);
        self
    }

    /// Sets the bytes after the end marker.
    pub fn trailing(mut self, bytes: &[u8]) -> Self {
        self.trailing = bytes.to_vec();
        self
    }

    pub fn directory(self, path: &str) -> Self {
        self.member(path, tar::EntryType::Directory, 0o755, "", &[])
    }

    pub fn file(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.member(path, tar::EntryType::Regular, 0o644, "", data.as_ref())
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Link, 0o644, target, &[])
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.member(path, tar::EntryType::Symlink, 0o777, target, &[])
    }

    /// Adds `.wh.NAME` in the directory of NAME.
    pub fn whiteout(self, path: &str) -> Self {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let separator = if directory.is_empty() { "" } else { "/" };
        self.file(&format!("{directory}{separator}.wh.{name}"), b"")
    }

    pub fn opaque(self, directory: &str) -> Self {
        self.file(&format!("{directory}/.wh..wh..opq"), b"")
    }

    /// A module: its source and a fresh level-0 cache.
    pub fn module(self, directory: &str, name: &str, source: &str) -> Self {
        let cache = super::pyc::cache_39(self.mtime as u32, source.len() as u32, source.as_bytes());
        self.file(&format!("{directory}/{name}.py"), source).file(
            &format!("{directory}/__pycache__/{name}.cpython-39.pyc"),
            cache,
        )
    }

    /// A cache of a module. It is fresh for a `source` with the current mtime. `payload` is its content.
    pub fn cache(
        self,
        directory: &str,
        name: &str,
        level: u8,
        source: &str,
        payload: &str,
    ) -> Self {
        let cache =
            super::pyc::cache_39(self.mtime as u32, source.len() as u32, payload.as_bytes());
        self.file(&super::pyc::cache_path(directory, name, level), cache)
    }

    /// A module: its source and fresh, distinct caches of all three levels.
    pub fn module_of_three(self, directory: &str, name: &str) -> Self {
        let source = format!("# {name}\n");
        let with_source = self.file(&format!("{directory}/{name}.py"), &source);
        [1, 2, 0].into_iter().fold(with_source, |layer, level| {
            layer.cache(directory, name, level, &source, &format!("{name} {level}"))
        })
    }

    /// The files that make a directory a standard library of CPython 3.9, without caches.
    pub fn stdlib(self, directory: &str) -> Self {
        self.file(&format!("{directory}/os.py"), "# os\n")
            .file(&format!("{directory}/site.py"), "# site\n")
            .file(
                &format!("{directory}/encodings/__init__.py"),
                "# encodings\n",
            )
    }

    /// Adds any kind of member. Names and targets that do not fit the header go to pax records.
    pub fn member(
        mut self,
        path: &str,
        kind: tar::EntryType,
        mode: u32,
        link: &str,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(self.mode.unwrap_or(mode));
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_size(data.len() as u64);
        if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
            header.set_device_major(self.device.0).unwrap();
            header.set_device_minor(self.device.1).unwrap();
        }
        if path.len() > 100 {
            self.pax.push(("path".to_owned(), path.as_bytes().to_vec()));
        }
        let name = &path.as_bytes()[..path.len().min(100)];
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        if link.len() > 100 {
            let target = ("linkpath".to_owned(), link.as_bytes().to_vec());
            self.pax.push(target);
        } else if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        self.push_pax();
        header.set_cksum();
        self.raw(header.as_bytes());
        self.raw(data);
        self.pad();
        self
    }

    fn push_pax(&mut self) {
        if self.pax.is_empty() {
            return;
        }
        let mut payload = Vec::new();
        for (key, value) in self.pax.drain(..) {
            let rest = key.len() + value.len() + 3;
            let length = (1..)
                .map(|digits| rest + digits)
                .find(|length| rest + length.to_string().len() == *length)
                .unwrap();
            payload.extend([format!("{length} {key}=").as_bytes(), &value, b"\n"].concat());
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_path("PaxHeaders/x").unwrap();
        header.set_size(payload.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        self.raw(header.as_bytes());
        self.raw(&payload);
        self.pad();
    }

    /// Adds these bytes unchanged, for members that a builder does not make.
    pub fn raw_member(mut self, bytes: &[u8]) -> Self {
        self.raw(bytes);
        self.pad();
        self
    }

    /// Adds these bytes unchanged after the pending pax records, for extension headers.
    pub fn after_pax(mut self, bytes: &[u8]) -> Self {
        self.push_pax();
        self.raw_member(bytes)
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// The whole archive.
    pub fn build(&self) -> Vec<u8> {
        [&self.bytes[..], &[0; 1024], &self.trailing].concat()
    }
}

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// One layer of an [`ImageBuilder`].
pub struct BuiltLayer {
    pub blob: Vec<u8>,
    pub descriptor: Value,
}

/// An image in an OCI layout.
pub struct ImageBuilder {
    layers: Vec<BuiltLayer>,
    pub config: Value,
    pub manifest: Value,
    tag: String,
}

impl ImageBuilder {
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}, "history": []}),
            manifest: json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST}),
            tag: "latest".to_owned(),
        }
    }

    /// An image of these layers, gzip-compressed.
    pub fn of(layers: impl IntoIterator<Item = LayerBuilder>) -> Self {
        layers
            .into_iter()
            .fold(Self::new(), |image, layer| image.layer(layer))
    }

    pub fn layer(self, layer: LayerBuilder) -> Self {
        self.layer_as(layer, Layered::Gzip)
    }

    pub fn layer_as(self, layer: LayerBuilder, compression: Layered) -> Self {
        self.layer_tar(layer.build(), compression)
    }

    /// Adds a layer with the bytes of an archive that another program made.
    pub fn layer_tar(self, tar: Vec<u8>, compression: Layered) -> Self {
        let (blob, suffix) = compress(&tar, compression);
        self.layer_blob(&tar, blob, suffix)
    }

    /// Adds a layer with this blob, whatever it is. `suffix` ends its media type.
    pub fn layer_blob(mut self, tar: &[u8], blob: Vec<u8>, suffix: &str) -> Self {
        let descriptor = json!({
            "mediaType": format!("application/vnd.oci.image.layer.v1.tar{suffix}"),
            "digest": sha256_digest(&blob).to_string(),
            "size": blob.len(),
        });
        let number = self.layers.len() + 1;
        let push = |list: &mut Value, value| list.as_array_mut().unwrap().push(value);
        let diff_id = sha256_digest(tar).to_string();
        push(&mut self.config["rootfs"]["diff_ids"], json!(diff_id));
        let history = json!({"created_by": format!("layer {number}")});
        push(&mut self.config["history"], history);
        self.layers.push(BuiltLayer { blob, descriptor });
        self
    }

    /// A layer's blob, counted from 0.
    pub fn blob(&self, index: usize) -> &[u8] {
        &self.layers[index].blob
    }

    pub fn platform(mut self, os: &str, architecture: &str) -> Self {
        self.config["os"] = json!(os);
        self.config["architecture"] = json!(architecture);
        self
    }

    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = tag.to_owned();
        self
    }

    /// Changes the descriptor of a layer, counted from 0.
    pub fn edit_layer(mut self, index: usize, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.layers[index].descriptor);
        self
    }

    /// Uses Docker's schema 2 media types for the manifest and everything that it names.
    pub fn docker_media_types(mut self) -> Self {
        self.manifest["mediaType"] = json!(DOCKER_MANIFEST);
        for layer in &mut self.layers {
            let oci = layer.descriptor["mediaType"].as_str().unwrap();
            let docker = match oci.rsplit_once('+') {
                Some((_, suffix)) => format!("{DOCKER_LAYER}.{suffix}"),
                None => DOCKER_LAYER.to_owned(),
            };
            layer.descriptor["mediaType"] = json!(docker);
        }
        self
    }

    pub fn edit_config(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.config);
        self
    }

    /// Writes blobs into a layout directory and returns the manifest's descriptor.
    pub fn write_blobs(&self, layout: &Path) -> Value {
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        fs::write(
            layout.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        for layer in &self.layers {
            write_blob(layout, &layer.blob);
        }
        let manifest_type = self.manifest["mediaType"].as_str().unwrap();
        let config_type = match manifest_type {
            DOCKER_MANIFEST => DOCKER_CONFIG,
            _ => OCI_CONFIG,
        };
        let mut manifest = self.manifest.clone();
        manifest["config"] = write_document(layout, config_type, &self.config);
        let layers = self.layers.iter().map(|layer| layer.descriptor.clone());
        manifest["layers"] = layers.collect();
        let mut root = write_document(layout, manifest_type, &manifest);
        root["platform"] =
            json!({"os": self.config["os"], "architecture": self.config["architecture"]});
        root
    }

    /// Writes a whole layout with this one image.
    pub fn write(&self, layout: &Path) {
        let mut root = self.write_blobs(layout);
        root["annotations"] = json!({"org.opencontainers.image.ref.name": self.tag});
        write_index(layout, vec![root]);
    }
}

pub fn write_index(layout: &Path, manifests: Vec<Value>) {
    fs::write(layout.join("index.json"), index(manifests).to_string()).unwrap();
}

/// Writes a nested index of these manifests as a blob and returns its descriptor.
pub fn write_nested_index(layout: &Path, manifests: Vec<Value>) -> Value {
    write_document(layout, OCI_INDEX, &index(manifests))
}

fn index(manifests: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
}

/// Writes a document as a blob and returns its descriptor.
pub fn write_document(layout: &Path, media_type: &str, document: &Value) -> Value {
    write_text(layout, media_type, &document.to_string())
}

/// The same for any text.
pub fn write_text(layout: &Path, media_type: &str, text: &str) -> Value {
    let digest = write_blob(layout, text.as_bytes());
    json!({"mediaType": media_type, "digest": digest, "size": text.len()})
}

pub fn write_blob(layout: &Path, bytes: &[u8]) -> String {
    let digest = sha256_digest(bytes);
    fs::write(layout.join("blobs/sha256").join(digest.digest()), bytes).unwrap();
    digest.to_string()
}

fn compress(tar: &[u8], compression: Layered) -> (Vec<u8>, &'static str) {
    match compression {
        Layered::Plain => (tar.to_vec(), ""),
        Layered::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(tar).unwrap();
            (encoder.finish().unwrap(), "+gzip")
        }
        Layered::Zstd => (zstd::encode_all(tar, 3).unwrap(), "+zstd"),
    }
}

/// An attestation about an image, in BuildKit's form.
pub struct Attestation {
    subject: Value,
}

impl Attestation {
    /// An attestation about the image with this descriptor.
    pub fn of(subject: &Value) -> Self {
        let subject = subject["digest"].clone();
        Self { subject }
    }

    /// Writes its blobs and returns its manifest's descriptor.
    pub fn write(&self, layout: &Path) -> Value {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"digest": self.subject}],
        });
        let layer = write_document(layout, "application/vnd.in-toto+json", &statement);
        let config = json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        let config = write_document(layout, OCI_CONFIG, &config);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        });
        let mut root = write_document(layout, OCI_MANIFEST, &manifest);
        root["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        root["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": self.subject,
        });
        root
    }
}
