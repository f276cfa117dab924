//! Random images: one to four layers of modules, caches, links, whiteouts and other files.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::LayerBuilder;
use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::random::Random;

/// The abilities of the tool that unpacks the images.
#[derive(Clone, Copy, PartialEq)]
pub enum Form {
    /// It unpacks layers one upon the other, and takes the metadata of a file from its first header.
    OneUponTheOther,
    /// It unpacks each layer alone, and applies the headers of links.
    EachAlone,
}

const DIRECTORIES: [&str; 7] = [
    STDLIB,
    "usr/lib64/python3.9/site-packages/pkg",
    "app",
    "app/sub",
    "opt/only/deep",
    "srv/a-directory-with-a-name-that-is-so-long-that-it-does-not-fit-into-the-field/of-a-header-in-the-ustar-format/x",
    "store",
];

const MODULES: [&str; 4] = ["m", "n", "local.settings", "__init__"];

/// The random layers for a seed.
pub fn layers(seed: usize, form: Form) -> Vec<LayerBuilder> {
    drawn(Random::new(format!("layers {seed}")), form)
}

/// The layers for these random numbers.
pub fn drawn(mut random: Random, form: Form) -> Vec<LayerBuilder> {
    let mut image = Image {
        form,
        paths: BTreeMap::new(),
        metadata: BTreeMap::new(),
    };
    let count = 1 + random.below(4);
    (0..count)
        .map(|number| Layer::new(&mut random, &mut image, number == 0).build())
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Directory,
    File,
    Symlink,
}

/// The merged file system, with implied directories.
struct Image {
    form: Form,
    paths: BTreeMap<String, What>,
    /// Metadata of the files that links can name, from their first header.
    metadata: BTreeMap<String, Metadata>,
}

impl Image {
    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.paths
            .retain(|other, _| other != path && !other.starts_with(&below));
    }

    fn set(&mut self, path: &str, what: What) {
        for (place, _) in path.match_indices('/') {
            let parent = path[..place].to_owned();
            if self.paths.get(&parent) != Some(&What::Directory) {
                self.remove(&parent);
                self.paths.insert(parent, What::Directory);
            }
        }
        if what != What::Directory || self.paths.get(path) != Some(&What::Directory) {
            self.remove(path);
        }
        self.paths.insert(path.to_owned(), what);
    }
}

/// Everything in a header except names.
#[derive(Clone)]
struct Metadata {
    mode: u32,
    mtime: u64,
    records: Vec<(String, Vec<u8>)>,
}

struct Layer<'a> {
    random: &'a mut Random,
    image: &'a mut Image,
    builder: LayerBuilder,
    /// Files of this layer that links can name.
    files: BTreeSet<String>,
    /// Paths that have a member in this layer.
    members: BTreeSet<String>,
    /// Everything in this layer, with implied directories.
    own: BTreeMap<String, What>,
    /// Paths that this layer deletes, and whiteouts that are not written yet.
    deleted: BTreeSet<String>,
    late_whiteouts: Vec<String>,
}

impl<'a> Layer<'a> {
    fn new(random: &'a mut Random, image: &'a mut Image, is_first: bool) -> Self {
        let mut layer = Self {
            random,
            image,
            builder: LayerBuilder::new(),
            files: BTreeSet::new(),
            members: BTreeSet::new(),
            own: BTreeMap::new(),
            deleted: BTreeSet::new(),
            late_whiteouts: Vec::new(),
        };
        if is_first {
            for name in ["os.py", "site.py", "encodings/__init__.py"] {
                layer.file(&format!("{STDLIB}/{name}"), b"# stdlib\n");
            }
        } else {
            layer.delete();
        }
        for _ in 0..2 + layer.random.below(9) {
            layer.member();
        }
        layer
    }

    fn build(mut self) -> LayerBuilder {
        for path in std::mem::take(&mut self.late_whiteouts) {
            self.builder = self.builder.whiteout(&path);
        }
        self.builder
    }

    /// Adds whiteouts and opaque whiteouts, mostly of existing paths.
    fn delete(&mut self) {
        for _ in 0..self.random.below(4) {
            let paths: Vec<String> = self.image.paths.keys().cloned().collect();
            let path = match self.random.below(8) {
                // If no lower layer has the directory, an overlay lists such a whiteout, although nothing can open it.
                0 if self.image.form == Form::OneUponTheOther => "no/such/file".to_owned(),
                _ if paths.is_empty() => continue,
                _ => self.random.pick(&paths).clone(),
            };
            let overlaps =
                |other: &String| is_at_or_below(other, &path) || is_at_or_below(&path, other);
            if self.deleted.iter().any(overlaps)
                || self.own.keys().any(|own| is_at_or_below(own, &path))
            {
                continue;
            }
            let is_directory = self.image.paths.get(&path) == Some(&What::Directory);
            if is_directory && self.random.one_in(2) {
                self.builder = self.builder.clone().opaque(&path);
                let below = format!("{path}/");
                self.image
                    .paths
                    .retain(|other, _| !other.starts_with(&below));
                self.note(&path, What::Directory);
                continue;
            }
            let parent = path
                .rsplit_once('/')
                .map_or("", |(parent, _)| parent)
                .to_owned();
            self.image.remove(&path);
            self.deleted.insert(path.clone());
            if !parent.is_empty() {
                self.note(&parent, What::Directory);
            }
            if self.random.one_in(3) {
                self.late_whiteouts.push(path);
            } else {
                self.builder = self.builder.clone().whiteout(&path);
            }
        }
    }

    fn member(&mut self) {
        let directory = *self.random.pick(&DIRECTORIES);
        match self.random.below(16) {
            0..=4 => self.module(directory),
            5 => self.cache_without_source(directory),
            6 | 7 => self.any_directory(directory),
            8 | 9 => self.any_symlink(directory),
            10..=12 => self.any_hardlink(directory),
            13 => self.twice(directory),
            14 => self.odd_name(directory),
            _ => {
                let names = [
                    "data.txt",
                    "__pycache__/note.txt",
                    "__pycache__",
                    "m.py",
                    "sub",
                ];
                let path = format!("{directory}/{}", self.random.pick(&names));
                let bytes = self.random.below(700);
                let bytes = self.random.bytes(bytes);
                self.file(&path, &bytes);
            }
        }
    }

    /// A source with caches. They are fresh or stale, and separate, equal or linked.
    fn module(&mut self, directory: &str) {
        let module = *self.random.pick(&MODULES);
        let source = format!("# {module} {}\n", self.random.below(100));
        let metadata = self.metadata();
        let path = format!("{directory}/{module}.py");
        if !self.file_with(&path, source.as_bytes(), metadata.clone()) {
            return;
        }
        let mtime = match self.random.one_in(6) {
            true => 1,
            false => metadata.mtime as u32,
        };
        let are_equal = self.random.one_in(2);
        let are_linked = are_equal && self.random.one_in(2);
        let mut first: Option<String> = None;
        let mut levels = vec![0, 1, 2];
        if self.random.one_in(2) {
            levels.reverse();
        }
        for level in levels {
            if self.random.one_in(4) {
                continue;
            }
            let cache = cache_path(directory, module, level);
            if let (true, Some(first)) = (are_linked, &first) {
                let first = first.clone();
                self.hardlink(&cache, &first);
                continue;
            }
            let text = if are_equal {
                "the same".to_owned()
            } else {
                format!("level {level}")
            };
            let bytes = cache_39(mtime, source.len() as u32, text.as_bytes());
            let metadata = self.metadata();
            if self.file_with(&cache, &bytes, metadata) {
                first = Some(cache);
            }
        }
    }

    fn cache_without_source(&mut self, directory: &str) {
        let level = self.random.below(3) as u8;
        let bytes = match self.random.one_in(3) {
            true => self.random.bytes(40),
            false => cache_39(5, 5, b"alone"),
        };
        self.file(&cache_path(directory, "alone", level), &bytes);
    }

    fn any_directory(&mut self, directory: &str) {
        let names = ["", "/__pycache__", "/sub", "/__pycache__/sub"];
        let path = format!("{directory}{}", self.random.pick(&names));
        let mode = match self.image.form {
            Form::OneUponTheOther => *self.random.pick(&[0o755, 0o700, 0o1777]),
            // An implied directory in an upper layer hides the metadata of the directory below.
            Form::EachAlone => 0o755,
        };
        if self.place(&path, What::Directory) {
            let mtime = 1_500_000_000 + self.random.below(1000) as u64;
            self.builder = self
                .builder
                .clone()
                .mode(mode)
                .mtime(mtime)
                .directory(&path);
        }
    }

    fn any_symlink(&mut self, directory: &str) {
        let cache = cache_path(directory, "m", self.random.below(3) as u8);
        let targets = [
            format!("/{cache}"),
            "m.py".to_owned(),
            "/no/where".to_owned(),
            format!("/{directory}/__pycache__"),
            format!("/{directory}"),
        ];
        let target = self.random.pick(&targets).clone();
        let names = ["link", "lib.pyc", "__pycache__/link.txt", "__pycache__"];
        let path = format!("{directory}/{}", self.random.pick(&names));
        if self.place(&path, What::Symlink) {
            self.builder = self
                .builder
                .clone()
                .mtime(1_400_000_000)
                .symlink(&path, &target);
        }
    }

    /// A link to any existing file, most often to a cache.
    fn any_hardlink(&mut self, directory: &str) {
        let mut targets: Vec<String> = self.files.iter().cloned().collect();
        if self.image.form == Form::OneUponTheOther && self.random.one_in(3) {
            let files = self.image.paths.iter();
            let files = files.filter(|(_, what)| **what == What::File);
            targets.extend(files.map(|(path, _)| path.clone()));
        }
        if targets.is_empty() {
            return;
        }
        let target = self.random.pick(&targets).clone();
        let names = [
            "kept.bin",
            "__pycache__/n.cpython-39.pyc",
            "__pycache__/n.cpython-39.opt-1.pyc",
            "stored.pyc",
        ];
        let path = format!("{directory}/{}", self.random.pick(&names));
        self.hardlink(&path, &target);
    }

    fn twice(&mut self, directory: &str) {
        let cache = cache_path(directory, "m", self.random.below(3) as u8);
        let other = format!("{directory}/twice.txt");
        let path = if self.random.one_in(2) { cache } else { other };
        self.file(&path, b"first");
        self.file(&path, b"the second one");
    }

    /// A cache with a GNU long name after a pax header with another path.
    fn odd_name(&mut self, directory: &str) {
        let name = format!("{}/odd", "n".repeat(110));
        let path = cache_path(&format!("{directory}/{name}"), "m", 1);
        if !self.place(&path, What::File) {
            return;
        }
        let mut long = tar::Header::new_gnu();
        long.set_path("././@LongLink").unwrap();
        long.set_entry_type(tar::EntryType::GNULongName);
        long.set_size(path.len() as u64 + 1);
        long.set_mode(0o644);
        long.set_mtime(0);
        long.set_cksum();
        let mut payload = path.into_bytes();
        payload.resize((payload.len() + 1).next_multiple_of(512), 0);
        let long = [long.as_bytes(), &payload[..]].concat();
        let builder = self.builder.clone().pax("path", "not/this/one");
        self.builder = builder.mode(0o644).after_pax(&long).file("short", b"odd");
    }

    fn metadata(&mut self) -> Metadata {
        let mut records = Vec::new();
        if self.random.one_in(4) {
            records.push(("uid".to_owned(), b"7".to_vec()));
        }
        if self.random.one_in(4) {
            records.push(("SCHILY.xattr.user.note".to_owned(), self.random.bytes(5)));
        }
        let mtime = 1_600_000_000 + self.random.below(1000) as u64;
        if self.random.one_in(4) {
            records.push(("mtime".to_owned(), format!("{mtime}.25").into_bytes()));
        }
        Metadata {
            mode: *self.random.pick(&[0o644, 0o644, 0o600, 0o755]),
            mtime,
            records,
        }
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        let metadata = self.metadata();
        self.file_with(path, bytes, metadata);
    }

    fn file_with(&mut self, path: &str, bytes: &[u8], metadata: Metadata) -> bool {
        let is_placed = self.place(path, What::File);
        if is_placed {
            self.builder = self.described(&metadata).file(path, bytes);
            self.files.insert(path.to_owned());
            self.image.metadata.insert(path.to_owned(), metadata);
        }
        is_placed
    }

    fn hardlink(&mut self, path: &str, target: &str) {
        let is_there = self.image.paths.get(target) == Some(&What::File);
        let Some(old) = self.image.metadata.get(target).cloned() else {
            return;
        };
        if path == target || !is_there || !self.place(path, What::File) {
            return;
        }
        // Engines disagree about the meaning of a link's header if it differs from the file's.
        let metadata = match self.image.form {
            Form::EachAlone if self.random.one_in(4) => self.metadata(),
            _ => old,
        };
        self.builder = self.described(&metadata).hardlink(path, target);
        if self.files.contains(target) {
            self.files.insert(path.to_owned());
        }
        self.image.metadata.insert(path.to_owned(), metadata);
    }

    fn described(&self, metadata: &Metadata) -> LayerBuilder {
        let builder = self
            .builder
            .clone()
            .mode(metadata.mode)
            .mtime(metadata.mtime);
        let records = metadata.records.iter();
        records.fold(builder, |builder, (key, value)| builder.pax(key, value))
    }

    /// Whether a member can have this path. Nothing else may be in its way in this layer. If layers are unpacked one
    /// upon the other, that includes the layers below.
    fn place(&mut self, path: &str, what: What) -> bool {
        let is_deleted = |deleted: &String| is_at_or_below(path, deleted);
        if self.deleted.iter().any(is_deleted) {
            return false;
        }
        for (slash, _) in path.match_indices('/') {
            let parent = &path[..slash];
            let here = self.own.get(parent).or_else(|| match self.image.form {
                Form::OneUponTheOther => self.image.paths.get(parent),
                // Engines of this form do not follow a symlink in a lower layer, but pycull would.
                Form::EachAlone => self
                    .image
                    .paths
                    .get(parent)
                    .filter(|what| **what == What::Symlink),
            });
            if here.is_some_and(|what| *what != What::Directory) {
                return false;
            }
        }
        let mine = self.own.get(path).copied();
        // Podman refuses a docker archive with a layer that has a path twice.
        if self.image.form == Form::EachAlone && self.members.contains(path) {
            return false;
        }
        if mine.is_some_and(|mine| (mine == What::Directory) != (what == What::Directory)) {
            return false;
        }
        self.note(path, what);
        self.members.insert(path.to_owned());
        true
    }

    fn note(&mut self, path: &str, what: What) {
        self.files.remove(path);
        self.image.metadata.remove(path);
        for (slash, _) in path.match_indices('/') {
            self.own.insert(path[..slash].to_owned(), What::Directory);
        }
        self.own.insert(path.to_owned(), what);
        self.image.set(path, what);
    }
}

fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
