//! The results of `inspect` on images made by hand.

use serde_json::{Value, json};

use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_of, cache_path, hash_cache_39};
use crate::support::scene::inspected_layout;
use crate::support::tools::real_image;
use crate::support::{ImageBuilder, LayerBuilder, findings, inspected, minimized};

const MTIME: u32 = 1_600_000_000;
const SOURCE: &str = "print('hi')\n";
/// The hash of SOURCE for CPython 3.9 (PEP 552), computed by the interpreter.
const HASH: [u8; 8] = [0x49, 0xc3, 0x9b, 0xf2, 0xa3, 0x72, 0x9d, 0x0a];

fn stdlib() -> LayerBuilder {
    LayerBuilder::new().stdlib(STDLIB)
}

/// An image with module `m`, whose level-0 cache has these bytes.
fn with_cache(cache: Vec<u8>) -> ImageBuilder {
    let source = format!("{STDLIB}/m.py");
    let path = cache_path(STDLIB, "m", 0);
    ImageBuilder::of([stdlib().file(&source, SOURCE).file(&path, cache)])
}

fn fresh() -> Vec<u8> {
    cache_39(MTIME, SOURCE.len() as u32, b"m")
}

/// Checks that the only finding is of this kind and about the cache of `m`. Returns its detail.
#[track_caller]
fn only_finding(image: &ImageBuilder, kind: &str) -> String {
    let mut found = inspected(image)["findings"].as_array().unwrap().clone();
    found.retain(|finding| finding["kind"] != "missing");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["kind"], kind, "{found:?}");
    assert_eq!(found[0]["path"], cache_path(STDLIB, "m", 0));
    assert_eq!(found[0]["layer"], 1);
    found[0]["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_fresh_cache_is_no_finding() {
    assert_eq!(findings(&with_cache(fresh())), []);
}

#[test]
fn a_cache_of_a_source_with_another_mtime_is_stale() {
    for mtime in [MTIME - 1, MTIME + 1] {
        let detail = only_finding(
            &with_cache(cache_39(mtime, SOURCE.len() as u32, b"m")),
            "stale",
        );
        assert!(
            detail.contains("mtime") && detail.contains(&mtime.to_string()),
            "{detail}"
        );
    }
}

#[test]
fn a_cache_of_a_source_with_another_size_is_stale() {
    let detail = only_finding(&with_cache(cache_39(MTIME, 99, b"m")), "stale");
    assert!(detail.contains("size") && detail.contains("99"), "{detail}");
}

#[test]
fn a_source_changed_in_an_upper_layer_makes_the_cache_below_stale() {
    let lower = stdlib().module(STDLIB, "m", SOURCE);
    let upper = LayerBuilder::new().file(&format!("{STDLIB}/m.py"), "print('edited')\n");
    only_finding(&ImageBuilder::of([lower, upper]), "stale");
}

#[test]
fn a_cache_without_a_source_is_an_orphan() {
    let image = ImageBuilder::of([stdlib().file(&cache_path(STDLIB, "m", 0), fresh())]);
    assert!(only_finding(&image, "orphan").contains("m.py"));
    let deleted = ImageBuilder::of([
        stdlib().module(STDLIB, "m", SOURCE),
        LayerBuilder::new().whiteout(&format!("{STDLIB}/m.py")),
    ]);
    only_finding(&deleted, "orphan");
}

#[test]
fn a_cache_with_the_tag_of_another_python_is_foreign() {
    let path = format!("{STDLIB}/__pycache__/m.cpython-38.pyc");
    let cache = cache_of(3413, MTIME, SOURCE.len() as u32, b"m");
    let image = with_cache(fresh()).layer(LayerBuilder::new().file(&path, cache));
    assert_eq!(findings(&image), [("foreign".to_owned(), path, 2)]);
}

#[test]
fn a_cache_with_another_magic_number_than_its_tag_is_foreign() {
    let cache = cache_of(3413, MTIME, SOURCE.len() as u32, b"m");
    let detail = only_finding(&with_cache(cache), "foreign");
    assert!(
        detail.contains("3413") && detail.contains("3425"),
        "{detail}"
    );
}

#[test]
fn a_cache_whose_body_is_cut_short_is_malformed() {
    let mut cache = fresh();
    cache.truncate(cache.len() - 5);
    only_finding(&with_cache(cache), "malformed");
    only_finding(&with_cache(fresh()[..16].to_vec()), "malformed");
}

#[test]
fn an_empty_cache_and_one_without_a_whole_header_are_malformed() {
    for length in [0, 3, 15] {
        only_finding(&with_cache(fresh()[..length].to_vec()), "malformed");
    }
    only_finding(&with_cache(b"no bytecode at all".to_vec()), "malformed");
}

#[test]
fn a_sourceless_module_cut_short_is_malformed_too() {
    let mut module = cache_39(0, 0, b"m");
    module.truncate(module.len() - 1);
    let path = format!("{STDLIB}/m.pyc");
    let image = ImageBuilder::of([stdlib().file(&path, module)]);
    assert_eq!(findings(&image), [("malformed".to_owned(), path, 1)]);
}

/// Checks the finding for the cache of `m` if a second layer hides it.
#[track_caller]
fn hides(upper: LayerBuilder, by: &str) {
    let lower = stdlib().module(STDLIB, "m", SOURCE);
    let image = inspected(&ImageBuilder::of([lower, upper]));
    let found: Vec<&Value> = image["findings"].as_array().unwrap().iter().collect();
    let hidden: Vec<_> = found
        .iter()
        .filter(|finding| finding["kind"] == "hidden")
        .collect();
    assert_eq!(hidden.len(), 1, "{found:?}");
    assert_eq!(hidden[0]["path"], cache_path(STDLIB, "m", 0));
    assert_eq!(hidden[0]["layer"], 1);
    let detail = hidden[0]["detail"].as_str().unwrap();
    assert!(
        detail.contains(by) && detail.contains("layer 2"),
        "{detail}"
    );
}

#[test]
fn a_cache_that_an_upper_layer_overwrites_is_hidden() {
    let path = cache_path(STDLIB, "m", 0);
    hides(LayerBuilder::new().file(&path, fresh()), &path);
}

#[test]
fn a_cache_that_an_upper_layer_deletes_is_hidden() {
    let path = cache_path(STDLIB, "m", 0);
    hides(LayerBuilder::new().whiteout(&path), ".wh.m.cpython-39.pyc");
}

#[test]
fn a_cache_below_a_deleted_directory_is_hidden() {
    hides(LayerBuilder::new().whiteout(STDLIB), ".wh.python3.9");
}

#[test]
fn a_cache_below_an_opaque_directory_is_hidden() {
    hides(LayerBuilder::new().opaque(STDLIB), ".wh..wh..opq");
}

#[test]
fn a_cache_below_what_became_a_file_is_hidden() {
    hides(LayerBuilder::new().file(STDLIB, "a file now"), STDLIB);
}

#[test]
fn a_sourceless_module_beside_its_source_is_shadowed() {
    let path = format!("{STDLIB}/m.pyc");
    let layer = stdlib()
        .module(STDLIB, "m", SOURCE)
        .file(&path, cache_39(0, 0, b"m"));
    let image = ImageBuilder::of([layer]);
    assert_eq!(findings(&image), [("shadowed".to_owned(), path, 1)]);
    // A file that Python cannot import does not count as a module.
    assert_eq!(inspected(&image)["trees"][0]["sourceless"]["files"], 0);
}

#[test]
fn hash_based_caches_are_held_to_the_source_itself() {
    for flags in [1, 3] {
        let right = with_cache(hash_cache_39(flags, HASH, b"m"));
        assert_eq!(findings(&right), [], "flags {flags}");
    }
}

#[test]
fn a_checked_hash_of_another_source_costs_a_compilation_and_goes() {
    let image = with_cache(hash_cache_39(3, [7; 8], b"m"));
    assert!(only_finding(&image, "hash-mismatch").contains("compiles the source"));
    let done = minimized(&image, &[]);
    assert!(!done.unpacked().has(&cache_path(STDLIB, "m", 0)));
}

#[test]
fn an_unchecked_hash_of_another_source_is_run_and_stays() {
    let image = with_cache(hash_cache_39(1, [7; 8], b"m"));
    assert!(only_finding(&image, "hash-mismatch").contains("runs this"));
    let done = minimized(&image, &[]);
    assert_eq!(done.actions(), ["kept"]);
}

/// The path, kind and Python version of each tree.
#[track_caller]
fn trees(image: &ImageBuilder) -> Vec<(String, String, String)> {
    let image = inspected(image);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let trees = image["trees"].as_array().unwrap().iter();
    trees
        .map(|tree| {
            (
                text(&tree["path"]),
                text(&tree["kind"]),
                text(&tree["python"]),
            )
        })
        .collect()
}

fn tree(path: &str, kind: &str, python: &str) -> (String, String, String) {
    (path.to_owned(), kind.to_owned(), python.to_owned())
}

#[test]
fn standard_libraries_are_found_wherever_they_are() {
    for directory in [
        "usr/lib64/python3.9",
        "usr/lib/python3.9",
        "usr/local/lib/python3.9",
        "opt/python/lib/python3.9",
        "root/.pyenv/versions/3.9.1/lib/python3.9",
        "nix/store/abc-python3-3.9.1/lib/python3.9",
    ] {
        let image = ImageBuilder::of([LayerBuilder::new().stdlib(directory)]);
        assert_eq!(trees(&image), [tree(directory, "stdlib", "3.9")]);
    }
}

#[test]
fn packages_a_virtual_environment_and_an_application_are_trees_of_their_own() {
    let layer = stdlib()
        .module(&format!("{STDLIB}/site-packages/pkg"), "m", SOURCE)
        .module("usr/lib/python3.9/site-packages/noarch", "m", SOURCE)
        .module("opt/venv/lib/python3.9/site-packages/dep", "m", SOURCE)
        .file("opt/venv/pyvenv.cfg", "home = /usr/bin\n")
        .module("app/src/tool", "m", SOURCE)
        .module("app", "main", SOURCE);
    let expected = [
        tree("app", "packages", "3.9"),
        tree("opt/venv/lib/python3.9/site-packages", "packages", "3.9"),
        tree("usr/lib/python3.9/site-packages", "packages", "3.9"),
        tree(STDLIB, "stdlib", "3.9"),
        tree("usr/lib64/python3.9/site-packages", "packages", "3.9"),
    ];
    assert_eq!(trees(&ImageBuilder::of([layer])), expected);
}

#[test]
fn two_interpreters_each_have_their_own_caches() {
    let other = "usr/local/lib/python3.8";
    let source = format!("{other}/m.py");
    let cache = format!("{other}/__pycache__/m.cpython-38.pyc");
    let foreign = format!("{other}/__pycache__/m.cpython-39.pyc");
    let size = SOURCE.len() as u32;
    // CPython 3.8 marshals code as 3.9 does.
    let layer = stdlib()
        .module(STDLIB, "m", SOURCE)
        .stdlib(other)
        .file(&source, SOURCE)
        .file(&cache, cache_of(3413, MTIME, size, b"m"))
        .file(&foreign, cache_of(MAGIC_39, MTIME, size, b"m"));
    let image = ImageBuilder::of([layer]);
    assert_eq!(
        trees(&image),
        [tree(STDLIB, "stdlib", "3.9"), tree(other, "stdlib", "3.8")]
    );
    // The image has a Python 3.9, but that one does not look in this directory.
    assert_eq!(findings(&image), [("foreign".to_owned(), foreign, 1)]);
    let report = inspected(&image);
    assert_eq!(report["trees"][1]["cache_tag"], "cpython-38");
    assert_eq!(report["trees"][1]["magic"], 3413);
}

#[test]
fn caches_of_other_programs_are_left_alone() {
    let directory = "app/tests/__pycache__";
    let others = [
        format!("{directory}/test_x.cpython-39-pytest-7.1.2.pyc"),
        format!("{directory}/m.pypy39.pyc"),
        format!("{directory}/m.graalpy-312.pyc"),
        format!("{directory}/notes.txt"),
    ];
    let layer = stdlib()
        .module("app/tests", "m", SOURCE)
        .file("app/tests/test_x.py", SOURCE);
    let layer = others
        .iter()
        .fold(layer, |layer, path| layer.file(path, "not CPython's"));
    let image = ImageBuilder::of([layer]);
    assert_eq!(findings(&image), []);
    let done = minimized(&image, &["--profile", "minimal"]);
    let unpacked = done.unpacked();
    assert!(!unpacked.has(&cache_path("app/tests", "m", 0)));
    for path in others {
        assert_eq!(unpacked.read(&path), b"not CPython's");
    }
}

#[test]
fn an_image_without_python_is_a_result() {
    let image = ImageBuilder::of([LayerBuilder::new().file("etc/os-release", "ID=none\n")]);
    let report = inspected(&image);
    assert_eq!(report["trees"], json!([]));
    assert_eq!(report["findings"], json!([]));
    for profile in ["default", "minimal"] {
        let done = minimized(&image, &["--profile", profile]);
        assert_eq!(done.actions(), ["kept"]);
        assert_eq!(done.before.index(), done.after.index());
    }
}

#[test]
fn an_image_without_layers_is_a_result() {
    let report = inspected(&ImageBuilder::new());
    assert_eq!(report["layers"], json!([]));
}

#[test]
fn a_symlinked_source_is_a_source_and_its_targets_mtime_counts() {
    let layer = stdlib()
        .file("usr/share/m/m.py", SOURCE)
        .mtime(42)
        .symlink("app/m.py", "../usr/share/m/m.py")
        .symlink("app/dangling.py", "/nowhere.py")
        .file(&cache_path("app", "m", 0), fresh())
        .file(&cache_path("app", "dangling", 0), fresh());
    let dangling = ("orphan".to_owned(), cache_path("app", "dangling", 0), 1);
    assert_eq!(findings(&ImageBuilder::of([layer])), [dangling]);
}

#[test]
fn a_symlinked_directory_leads_to_the_caches_behind_it() {
    let lower = stdlib()
        .module(STDLIB, "m", SOURCE)
        .symlink("lib64", "usr/lib64");
    let upper = LayerBuilder::new().file(&format!("lib64/python3.9/{}", "m.py"), "edited\n");
    only_finding(&ImageBuilder::of([lower, upper]), "stale");
}

#[test]
fn levels_are_counted_by_layer_and_tree_and_a_link_counts_once() {
    let layer = stdlib()
        .module_of_three(STDLIB, "a")
        .file(&format!("{STDLIB}/b.py"), SOURCE)
        .file(&cache_path(STDLIB, "b", 1), fresh())
        .hardlink(&cache_path(STDLIB, "b", 0), &cache_path(STDLIB, "b", 1));
    let report = inspected(&ImageBuilder::of([layer]));
    let levels = &report["trees"][0]["levels"];
    let own = cache_39(MTIME, 4, b"a 0").len();
    assert_eq!(
        levels["0"],
        json!({"files": 2, "bytes": own + fresh().len()})
    );
    assert_eq!(
        levels["1"],
        json!({"files": 2, "bytes": own + fresh().len()})
    );
    assert_eq!(levels["2"], json!({"files": 1, "bytes": own}));
    // In the layer, the link has no bytes.
    assert_eq!(
        report["layers"][0]["levels"]["0"],
        json!({"files": 2, "bytes": own})
    );
}

#[test]
fn the_size_table_of_a_tree_is_about_its_own_caches() {
    let packages = "opt/app/site-packages";
    let layer = stdlib()
        .module_of_three(STDLIB, "m")
        .module_of_three(packages, "n")
        .module_of_three(packages, "o");
    let report = inspected(&ImageBuilder::of([layer]));
    let trees = report["trees"].as_array().unwrap();
    assert_eq!(trees.len(), 2, "{trees:#?}");
    for tree in trees {
        let rows = tree["situations"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "no-cache").unwrap();
        let levels = tree["levels"].as_object().unwrap().values();
        let caches: i64 = levels.map(|level| level["bytes"].as_i64().unwrap()).sum();
        assert!(caches > 0, "{tree:#}");
        assert_eq!(row["difference_bytes"], -caches, "{tree:#}");
    }
}

#[test]
fn no_cache_of_a_real_image_is_called_malformed_or_foreign() {
    for name in ["py3.9", "py3.11", "py3.13", "py3.14"] {
        let report = inspected_layout(&real_image(name));
        let trees = report["trees"].as_array().unwrap();
        let stdlib = trees.iter().find(|tree| tree["kind"] == "stdlib").unwrap();
        let caches = &stdlib["levels"]["0"]["files"];
        assert!(caches.as_u64().unwrap() > 100, "{name}: {caches}");
        let findings = report["findings"].as_array().unwrap();
        let wrong =
            |finding: &&Value| finding["kind"] == "malformed" || finding["kind"] == "foreign";
        let wrong: Vec<&Value> = findings.iter().filter(wrong).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}
