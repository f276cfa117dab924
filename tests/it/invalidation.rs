//! `invalidation`: changes how Python checks caches, without compiling.

use pycull::pyc::{Magic, source_hash};
use serde_json::json;
use tempfile::tempdir;

use crate::support::engines::Podman;
use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_path, hash_cache_39};
use crate::support::scene::{Minimized, minimize};
use crate::support::tools::real_image;
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized};

const CHECKED: [&str; 2] = ["--set", "invalidation=checked-hash"];
const SOURCE: &str = "# m\n";

fn hash(source: &str) -> [u8; 8] {
    source_hash(Magic(MAGIC_39), source.as_bytes())
}

fn member(done: &Minimized, path: &str) -> (tar::EntryType, Vec<u8>) {
    let members = done.after.members(0);
    let found = members.iter().find(|member| member.path == path);
    let found = found.unwrap_or_else(|| panic!("no {path}"));
    (found.kind, found.data.clone())
}

/// Runs in an image's own interpreter. Checks that every cache has the hash of its source and that Python uses it.
const CHECK: &str = r#"
import glob, importlib.util, os, sys, sysconfig
flags, found = int(sys.argv[1]), 0
for cache in glob.glob(sysconfig.get_path("stdlib") + "/**/__pycache__/*.pyc", recursive=True):
    # source_from_cache refuses names with dots.
    module = os.path.basename(cache).rpartition(".cpython-")[0]
    data, source = open(cache, "rb").read(), os.path.join(os.path.dirname(os.path.dirname(cache)), module + ".py")
    with open(source, "rb") as file:
        expected = importlib.util.source_hash(file.read())
    assert data[4:8] == flags.to_bytes(4, "little"), cache
    assert data[8:16] == expected, cache
    found += 1
import argparse, json
for module in (argparse, json):
    assert module.__cached__.endswith(".pyc"), module
print(found)
"#;

fn real_caches_are_tied_by_hash(image: &str, mode: &str, flags: u32) {
    let directory = tempdir().unwrap();
    let [plain, tied, back] = ["plain", "tied", "back"].map(|name| directory.path().join(name));
    minimize(&real_image(image), &plain, &[]);
    let setting = format!("invalidation={mode}");
    minimize(&plain, &tied, &["--set", &setting]);
    minimize(&tied, &back, &["--set", "invalidation=timestamp"]);

    let podman = Podman::new();
    podman.take(&tied, "localhost/tied");
    let command = ["python3", "-c", CHECK, &flags.to_string()];
    let found: u64 = podman
        .run("localhost/tied", &command)
        .success()
        .text()
        .trim()
        .parse()
        .unwrap();
    assert!(found > 150, "{found}");

    // Only headers changed. Changed back, every layer has its original bytes.
    let diff_ids = |path| Layout::new(path).config()["rootfs"]["diff_ids"].clone();
    assert_ne!(diff_ids(&plain), diff_ids(&tied));
    assert_eq!(diff_ids(&plain), diff_ids(&back));
    let again = directory.path().join("again");
    let report = minimize(&tied, &again, &["--set", &setting]);
    assert_eq!(report["images"][0]["reasons"], json!({}));
}

#[test]
fn caches_of_python_3_9_are_tied_by_a_checked_hash_and_back() {
    real_caches_are_tied_by_hash("py3.9", "checked-hash", 3);
}

#[test]
fn caches_of_python_3_14_are_tied_by_an_unchecked_hash_and_back() {
    real_caches_are_tied_by_hash("py3.14", "unchecked-hash", 1);
}

fn linked_as_rpm_does() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 1, SOURCE, "the same")
        .hardlink(&cache_path(STDLIB, "m", 2), &cache_path(STDLIB, "m", 1))
        .hardlink(&cache_path(STDLIB, "m", 0), &cache_path(STDLIB, "m", 1))
        .file("etc/after", "after")
}

/// Trap 5: writing to a link changes the file under all its names.
#[test]
fn a_link_that_takes_the_data_over_takes_it_with_the_new_header() {
    let image = ImageBuilder::of([linked_as_rpm_does()]);
    let tied = hash_cache_39(3, hash(SOURCE), b"the same");
    let done = minimized(&image, &CHECKED);
    let found = member(&done, &cache_path(STDLIB, "m", 0));
    assert_eq!(found, (tar::EntryType::Regular, tied.clone()));
    // The change counts for both reasons, and the report names both and the mode.
    let reasons = &done.image()["reasons"];
    assert_eq!(
        (&reasons["invalidation"], &reasons["link target dropped"]),
        (&json!(1), &json!(1))
    );
    let verbose = [&CHECKED[..], &["--verbose"]].concat();
    let steps = minimized(&image, &verbose).image()["steps"].clone();
    let steps = steps.as_array().unwrap();
    let promoted = steps
        .iter()
        .find(|step| step["action"] == "promote")
        .unwrap();
    let reason = promoted["reason"].as_str().unwrap();
    assert!(
        reason.contains("is removed; ") && reason.contains("checked-hash"),
        "{reason}"
    );
    // With all levels, the data stays in its place.
    let done = minimized(
        &image,
        &[&CHECKED[..], &["--set", "levels=[0,1,2]"]].concat(),
    );
    let found = member(&done, &cache_path(STDLIB, "m", 1));
    assert_eq!(found, (tar::EntryType::Regular, tied));
    let (kind, _) = member(&done, &cache_path(STDLIB, "m", 0));
    assert_eq!(kind, tar::EntryType::Link);
    assert_eq!(done.image()["reasons"]["invalidation"], 1);
}

#[test]
fn data_gets_its_header_at_once_where_the_cache_of_another_module_that_shares_it_goes() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", SOURCE)
        // This cache is stale for its own source.
        .hardlink(&cache_path(STDLIB, "n", 0), &cache_path(STDLIB, "m", 0))
        .file(&format!("{STDLIB}/n.py"), "# another source\n");
    let done = minimized(&ImageBuilder::of([layer]), &CHECKED);
    let tied = hash_cache_39(3, hash(SOURCE), SOURCE.as_bytes());
    let found = member(&done, &cache_path(STDLIB, "m", 0));
    assert_eq!(found, (tar::EntryType::Regular, tied));
    assert_eq!(done.warnings(), [""; 0]);
}

/// Trap 5: a file that is a cache of more than one module keeps its header.
#[test]
fn data_that_another_file_shares_is_left_alone_and_said_so() {
    let layer = linked_as_rpm_does().hardlink("etc/other", &cache_path(STDLIB, "m", 1));
    let done = minimized(&ImageBuilder::of([layer]), &CHECKED);
    let timestamp = cache_39(1_600_000_000, SOURCE.len() as u32, b"the same");
    assert_eq!(done.unpacked().read(&cache_path(STDLIB, "m", 0)), timestamp);
    assert_eq!(done.unpacked().read("etc/other"), timestamp);
    let warnings = done.warnings();
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("other files share")),
        "{warnings:?}"
    );
}

#[test]
fn a_stale_cache_gets_no_header_that_vouches_for_it() {
    let stale = cache_39(1, SOURCE.len() as u32, b"of another source");
    let unchecked = hash_cache_39(1, hash("# another\n"), b"of another source");
    let checked = hash_cache_39(3, hash("# another\n"), b"of another source");
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .file(&cache_path(STDLIB, "m", 0), &stale)
        .file(&format!("{STDLIB}/n.py"), SOURCE)
        .file(&cache_path(STDLIB, "n", 0), &unchecked)
        .file(&format!("{STDLIB}/o.py"), SOURCE)
        .file(&cache_path(STDLIB, "o", 0), &checked);
    let arguments = [&CHECKED[..], &["--set", "stale=keep"]].concat();
    let done = minimized(&ImageBuilder::of([layer]), &arguments);
    assert_eq!(done.unpacked().read(&cache_path(STDLIB, "m", 0)), stale);
    assert_eq!(done.unpacked().read(&cache_path(STDLIB, "n", 0)), unchecked);
    assert_eq!(done.unpacked().read(&cache_path(STDLIB, "o", 0)), checked);
    done.is_verified(&[&["--profile", "default"], &arguments[..]].concat());
}

/// `verify` accepts a named cache that the profile does not list only with the bytes that it had.
#[test]
fn a_cache_that_stays_because_a_symlink_names_it_keeps_its_header() {
    let (kept, named) = (cache_path(STDLIB, "m", 0), cache_path(STDLIB, "m", 2));
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .symlink("usr/bin/tool", &format!("/{named}"));
    let profile = ["--set", "levels=[0]", "--set", "invalidation=checked-hash"];
    let done = minimized(&ImageBuilder::of([layer]), &profile);
    let mode = |path: &str| done.unpacked().read(path)[4];
    assert_eq!((mode(&kept), mode(&named)), (3, 0));
    done.is_verified(&[&["--profile", "default"], &profile[..]].concat());
}

/// Caches that become identical through new headers are linked at once. Otherwise a second run would link them.
#[test]
fn levels_that_differ_in_their_headers_alone_are_linked() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 0, SOURCE, "the same")
        .file(
            &cache_path(STDLIB, "m", 1),
            hash_cache_39(1, hash(SOURCE), b"the same"),
        );
    let arguments = [&CHECKED[..], &["--set", "levels=[0,1]"]].concat();
    let done = minimized(&ImageBuilder::of([layer]), &arguments);
    let kinds = [0, 1].map(|level| member(&done, &cache_path(STDLIB, "m", level)).0);
    assert_eq!(kinds, [tar::EntryType::Regular, tar::EntryType::Link]);
    let tied = hash_cache_39(3, hash(SOURCE), b"the same");
    assert_eq!(done.unpacked().read(&cache_path(STDLIB, "m", 1)), tied);
    let directory = tempdir().unwrap();
    let report = minimize(&done.after.0, &directory.path().join("again"), &arguments);
    assert_eq!(report["images"][0]["reasons"], json!({}));
}
