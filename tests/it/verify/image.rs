//! An image as a list of its contents, so that a test can damage one part.

use std::path::Path;

use serde_json::{Value, json};
use tar::EntryType;

use crate::support::builder::{write_index, write_nested_index};
use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::tools::Output;
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// All sources have the same size, so that the header of one cache fits every source.
pub const SOURCE: &str = "# source\n";
const MTIME: u64 = crate::support::builder::SOURCE_MTIME;

/// An annotation with the digest of a zstd:chunked layer's table of contents.
pub const CHUNKED: &str = "io.github.containers.zstd-chunked.manifest-checksum";

/// A member of a layer.
#[derive(Clone)]
pub struct Entry {
    pub path: String,
    pub kind: EntryType,
    pub mode: u32,
    pub link: String,
    pub data: Vec<u8>,
    pub device: (u32, u32),
    /// Pax records: `mtime`, `uid`, extended attributes.
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    pub fn new(path: &str, kind: EntryType, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            mode,
            link: String::new(),
            data: Vec::new(),
            device: (1, 3),
            pax: Vec::new(),
        }
    }

    pub fn file(path: &str, data: impl AsRef<[u8]>) -> Self {
        Self {
            data: data.as_ref().to_vec(),
            ..Self::new(path, EntryType::Regular, 0o644)
        }
    }

    pub fn directory(path: &str) -> Self {
        Self::new(path, EntryType::Directory, 0o755)
    }

    pub fn link(path: &str, kind: EntryType, target: &str) -> Self {
        Self {
            link: target.to_owned(),
            ..Self::new(path, kind, 0o644)
        }
    }

    pub fn pax(mut self, key: &str, value: &str) -> Self {
        self.pax.retain(|(other, _)| other != key);
        self.pax.push((key.to_owned(), value.as_bytes().to_vec()));
        self
    }
}

/// A cache for [`SOURCE`] with `payload` in its code.
pub fn cache(payload: &str) -> Vec<u8> {
    cache_39(MTIME as u32, SOURCE.len() as u32, payload.as_bytes())
}

/// The path of a module's cache in the standard library.
pub fn library_cache(module: &str, level: u8) -> String {
    cache_path(STDLIB, module, level)
}

/// An image for two platforms. These fields describe the first.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Vec<Entry>>,
    /// The config's object `config`.
    pub config: Value,
    pub history: Value,
    /// Annotations of the manifest.
    pub annotations: Value,
    /// Annotations of the first layer's descriptor.
    pub layer_annotations: Value,
    /// Whether the config has a wrong diff_id for the first layer.
    pub wrong_diff_id: bool,
    pub platforms: Vec<&'static str>,
}

impl Image {
    /// An image with caches of levels 0 and 1.
    pub fn sound() -> Self {
        let config = json!({
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "Entrypoint": ["/usr/bin/python3"],
            "Labels": {"org.example.a/b": "1"},
            "User": "1000",
        });
        let history = json!([
            {"created_by": "the base"},
            {"created_by": "ENV LANG=C.UTF-8", "empty_layer": true},
            {"created_by": "the application"},
        ]);
        Self {
            layers: vec![base(), application()],
            config,
            history,
            annotations: json!({"org.example.note": "kept"}),
            layer_annotations: json!({
                CHUNKED: format!("sha256:{}", "0".repeat(64)),
                "org.example.layer": "kept",
            }),
            wrong_diff_id: false,
            platforms: vec!["amd64", "arm64"],
        }
    }

    /// The same image without level 1, made without pycull.
    pub fn without_level_1() -> Self {
        let mut image = Self::sound();
        for layer in &mut image.layers {
            layer.retain(|entry| !entry.path.ends_with(".opt-1.pyc"));
        }
        image.layer_annotations = json!({"org.example.layer": "kept"});
        image
    }

    pub fn entry(&mut self, path: &str) -> &mut Entry {
        let mut entries = self.layers.iter_mut().flatten();
        let entry = entries.find(|entry| entry.path == path);
        entry.unwrap_or_else(|| panic!("no {path}"))
    }

    pub fn remove(&mut self, path: &str) {
        self.entry(path);
        for layer in &mut self.layers {
            layer.retain(|entry| entry.path != path);
        }
    }

    pub fn add(&mut self, entry: Entry) {
        self.layers[1].push(entry);
    }

    pub fn write(&self, layout: &Path) {
        let manifests = self.platforms.iter().map(|platform| match *platform {
            "amd64" => self.builder().write_blobs(layout),
            platform => {
                let layer = LayerBuilder::new().file("etc/hostname", "other");
                let image = ImageBuilder::of([layer]).platform("linux", platform);
                image.write_blobs(layout)
            }
        });
        let manifests: Vec<Value> = manifests.collect();
        let index = write_nested_index(layout, manifests);
        write_index(layout, vec![index]);
    }

    fn builder(&self) -> ImageBuilder {
        let mut image = ImageBuilder::of(self.layers.iter().map(|layer| built(layer)));
        image.manifest["annotations"] = self.annotations.clone();
        let annotations = self.layer_annotations.clone();
        let image = image.edit_layer(0, |layer| layer["annotations"] = annotations);
        image.edit_config(|config| {
            config["config"] = self.config.clone();
            config["history"] = self.history.clone();
            if self.wrong_diff_id {
                config["rootfs"]["diff_ids"][0] = config["rootfs"]["diff_ids"][1].clone();
            }
        })
    }
}

fn built(layer: &[Entry]) -> LayerBuilder {
    layer.iter().fold(LayerBuilder::new(), |layer, entry| {
        let layer = layer.device(entry.device.0, entry.device.1);
        let layer = entry
            .pax
            .iter()
            .fold(layer, |layer, (key, value)| layer.pax(key, value));
        layer.member(
            &entry.path,
            entry.kind,
            entry.mode,
            &entry.link,
            &entry.data,
        )
    })
}

fn base() -> Vec<Entry> {
    let library = |name: &str| format!("{STDLIB}/{name}");
    let mut entries = vec![
        Entry::directory("usr/lib64/python3.9"),
        Entry::file(&library("os.py"), SOURCE),
        Entry::file(&library("site.py"), SOURCE),
        Entry::file(&library("encodings/__init__.py"), SOURCE),
        Entry::directory(&library("__pycache__")),
    ];
    for module in ["one", "two"] {
        entries.push(Entry::file(&library(&format!("{module}.py")), SOURCE));
        for level in [1, 0] {
            let path = library_cache(module, level);
            entries.push(Entry::file(&path, cache(&format!("{module} {level}"))));
        }
    }
    let ping = Entry::new("usr/bin/ping", EntryType::Regular, 0o755);
    entries.extend([
        ping.pax("SCHILY.xattr.security.capability", "net_raw")
            .pax("SCHILY.xattr.user.note", "a"),
        Entry::file("usr/lib/libx.so", vec![7; 100_000]),
        Entry::link("usr/lib/libx.so.1", EntryType::Link, "usr/lib/libx.so"),
        Entry::link("usr/lib/libz.so", EntryType::Symlink, "../lib/libx.so"),
        Entry::file("usr/share/a.txt", "the same"),
        Entry::file("usr/share/b.txt", "the same"),
        Entry::file("etc/gone", "gone"),
        Entry::file("opt/dir/old", "old"),
        Entry::file("etc/empty", ""),
        Entry::file("etc/passwd", "root:x:0:0::/root:/bin/sh\n").pax("mtime", "1600000000.5"),
        Entry::new("run/pipe", EntryType::Fifo, 0o600),
        Entry::new("dev/null", EntryType::Char, 0o666),
        Entry::directory("var/lib/dir"),
        Entry::directory("opt/x__pycache__"),
        Entry::file("opt/x__pycache__/one.cpython-39.pyc", cache("no cache")),
    ]);
    entries
}

fn application() -> Vec<Entry> {
    vec![
        Entry::file("etc/.wh.gone", ""),
        Entry::file("opt/dir/.wh..wh..opq", ""),
        Entry::file("opt/dir/new", "new"),
        Entry::file("app/main.py", "print()\n"),
    ]
}

/// Writes two images and verifies them.
pub fn verified(before: &Image, after: &Image, arguments: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    before.write(&old);
    after.write(&new);
    let fixed = ["verify", old.to_str().unwrap(), new.to_str().unwrap()];
    pycull(fixed.iter().chain(arguments))
}
