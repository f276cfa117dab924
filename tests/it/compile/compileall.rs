//! pycull compiles the same caches as the interpreter's own `compileall`: the same header and the same code, for every
//! module and level.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pycull::pyc::{Runtime, canonical_body};
use tempfile::tempdir;

use crate::support::Layout;
use crate::support::engines::Podman;
use crate::support::layout::TarMember;
use crate::support::real::bare;
use crate::support::scene::minimize;

/// Size of the header in bytes, since CPython 3.7.
const HEADER: usize = 16;

/// Cache files. The key is the path of the source, with `.cpython-….pyc` instead of `.py` and without a leading slash.
type Caches = BTreeMap<String, Vec<u8>>;

/// Compiles an image's sources with compileall at these levels, each at the path that it has in the image.
fn compileall(layout: &Path, levels: &[u8]) -> Caches {
    let podman = Podman::new();
    podman.take(layout, "localhost/bare");
    let caches = tempdir().unwrap();
    let volume = format!("{}:/caches", caches.path().display());
    let options = [
        "--read-only",
        "--volume",
        &volume,
        "--env",
        "PYTHONPYCACHEPREFIX=/caches",
    ];
    let levels: String = levels.iter().map(|level| format!(" -o {level}")).collect();
    let command = format!("python3 -m compileall -q -f{levels} /usr /etc");
    let command: Vec<&str> = command.split(' ').collect();
    podman
        .run_with(&options, "localhost/bare", &command)
        .success();
    let mut found = Caches::new();
    collect(caches.path(), "", &mut found);
    found
}

fn collect(root: &Path, directory: &str, found: &mut Caches) {
    for entry in fs::read_dir(root.join(directory)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match directory {
            "" => name,
            _ => format!("{directory}/{name}"),
        };
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, found);
        } else {
            found.insert(path, fs::read(entry.path()).unwrap());
        }
    }
}

/// The caches in the layer that pycull appended to an image without caches.
fn compiled(layout: &Path) -> Caches {
    let layout = Layout::new(layout);
    let members = layout.members(layout.layer_count() - 1);
    let files = |it: &&TarMember| it.kind == tar::EntryType::Regular;
    let data: BTreeMap<&str, &[u8]> = members
        .iter()
        .filter(files)
        .map(|member| (&*member.path, &*member.data))
        .collect();
    members
        .iter()
        .filter(|member| member.kind != tar::EntryType::Directory)
        .map(|member| {
            let file = member.link.as_ref().unwrap_or(&member.path);
            let path = member.path.replace("/__pycache__/", "/");
            (path, data[&**file].to_vec())
        })
        .collect()
}

/// Compiles these levels, and compares every cache with that of compileall.
fn equals_compileall(name: &str, minor: u8, levels: &[u8]) {
    let directory = tempdir().unwrap();
    let (bare, full) = (bare(name), directory.path().join("full"));
    let setting = format!("--set=levels={levels:?}");
    minimize(&bare, &full, &["--profile=all", &setting, "--no-cache"]);
    let (ours, theirs) = (compiled(&full), compileall(&bare, levels));

    let version = Runtime::cpython(3, minor);
    let mut counts = [0; 3];
    for (path, cache) in &ours {
        let (header, body) = cache.split_at(HEADER);
        let other = theirs
            .get(path)
            .unwrap_or_else(|| panic!("compileall does not make {path}"));
        assert_eq!(header, &other[..HEADER], "{path}");
        let canonical = |body: &[u8]| canonical_body(version, body).unwrap();
        assert!(canonical(body) == body, "{path} is not canonical");
        assert!(canonical(&other[HEADER..]) == body, "{path} is other code");
        let level = (1..3).find(|level| path.ends_with(&format!(".opt-{level}.pyc")));
        counts[level.unwrap_or(0)] += 1;
    }
    for (level, count) in counts.iter().enumerate() {
        let least = if levels.contains(&(level as u8)) {
            500
        } else {
            0
        };
        assert!(*count >= least, "{counts:?}");
    }
    let missing: Vec<&String> = theirs
        .keys()
        .filter(|path| path.contains("/lib/python3"))
        .filter(|path| !ours.contains_key(*path))
        .collect();
    assert!(missing.is_empty(), "only compileall makes {missing:?}");
}

#[test]
fn all_levels_of_python_3_9_are_those_of_compileall() {
    equals_compileall("py3.9", 9, &[0, 1, 2]);
}

#[test]
fn level_0_of_python_3_11_is_that_of_compileall() {
    equals_compileall("py3.11", 11, &[0]);
}

#[test]
fn level_0_of_python_3_13_is_that_of_compileall() {
    equals_compileall("py3.13", 13, &[0]);
}

#[test]
fn all_levels_of_python_3_14_are_those_of_compileall() {
    equals_compileall("py3.14", 14, &[0, 1, 2]);
}
