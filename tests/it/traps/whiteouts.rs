//! Trap 12: whiteouts, and directories that layers share.

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::stream::assert_untouched;
use crate::support::{ImageBuilder, LayerBuilder, minimized, pycull};

const SOURCE: &str = "# m\n";

fn cache() -> String {
    cache_path(STDLIB, "m", 1)
}

fn base_without_directory() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 1, SOURCE, "below")
}

fn base() -> LayerBuilder {
    base_without_directory().directory(&format!("{STDLIB}/__pycache__"))
}

/// Trap 12: removing a file from a lower layer leaves a useless `.wh.` in the layer above.
#[test]
fn a_whiteout_of_a_stripped_cache_goes_with_it() {
    let upper = LayerBuilder::new()
        .whiteout(&cache())
        .file("etc/upper", "u");
    let done = minimized(&ImageBuilder::of([base(), upper]), &[]);
    assert_eq!(done.after.names(1), ["etc/upper"]);
    assert!(!done.unpacked().has(&cache()));
}

/// Trap 12: a whiteout may have the name of a cache but is not a cache.
#[test]
fn a_useless_whiteout_does_not_count_as_a_removed_cache() {
    let upper = LayerBuilder::new()
        .whiteout(&cache())
        .file("etc/upper", "u");
    let lower = base().cache(STDLIB, "m", 2, SOURCE, "visible");
    let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
    let image = done.image();
    assert_eq!(image["reasons"]["useless whiteout"], 1);
    assert_eq!(image["removed"]["files"], 2, "{}", image["removed"]);
}

/// Trap 12: a whiteout that still deletes something stays.
#[test]
fn a_whiteout_of_a_directory_with_more_than_caches_stays() {
    let lower = base().file(&format!("{STDLIB}/__pycache__/notes.txt"), "n");
    let upper = LayerBuilder::new()
        .whiteout(&format!("{STDLIB}/__pycache__"))
        .file("etc/upper", "u");
    let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
    assert_eq!(done.actions(), ["rewritten", "kept"]);
    assert!(!done.unpacked().has(&format!("{STDLIB}/__pycache__")));
}

/// Trap 12: pycull keeps a whiteout of a path that never existed.
#[test]
fn a_whiteout_of_nothing_stays() {
    let upper = LayerBuilder::new()
        .whiteout("etc/never")
        .cache(STDLIB, "m", 2, SOURCE, "above");
    let done = minimized(&ImageBuilder::of([base(), upper]), &[]);
    assert_eq!(done.after.names(1), ["etc/.wh.never"]);
}

/// Trap 12: an opaque marker is never removed.
#[test]
fn an_opaque_marker_stays_though_nothing_is_left_below() {
    let directory = format!("{STDLIB}/__pycache__");
    let marker = format!("{directory}/.wh..wh..opq");
    // The lower layer has a member for the directory, or only implies it.
    for lower in [base(), base_without_directory()] {
        let upper = LayerBuilder::new()
            .directory(&directory)
            .opaque(&directory)
            .cache(STDLIB, "m", 2, SOURCE, "above");
        let image = ImageBuilder::of([lower, upper]);
        let done = minimized(&image, &["--profile", "minimal"]);
        assert_eq!(done.after.names(1), [&*directory, &*marker]);
        assert!(done.unpacked().has(&directory));
    }
}

/// Trap 12: a directory that an upper layer uses stays.
#[test]
fn a_directory_that_holds_something_in_an_upper_layer_stays() {
    let directory = format!("{STDLIB}/__pycache__");
    let foreign = format!("{directory}/m.pypy39.pyc");
    let lower = base().mode(0o700).directory(&directory);
    let upper = LayerBuilder::new().file(&foreign, "PyPy's");
    let done = minimized(&ImageBuilder::of([lower, upper]), &["--profile", "minimal"]);
    let names = done.after.names(0);
    assert_eq!(names.iter().filter(|name| **name == directory).count(), 2);
    let unpacked = done.unpacked();
    assert_eq!(unpacked.read(&foreign), b"PyPy's");
    use std::os::unix::fs::PermissionsExt;
    let mode = unpacked
        .path(&directory)
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
}

/// Trap 12, the other side: a `__pycache__` that becomes empty is removed.
#[test]
fn an_emptied_cache_directory_goes_and_its_parent_stays() {
    let done = minimized(&ImageBuilder::of([base()]), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    let directory = format!("{STDLIB}/__pycache__");
    assert_untouched(&before, &after, &[&directory, &cache()], &[]);
}

/// Trap 12: a file named exactly `.wh.` is invalid.
#[test]
fn a_whiteout_without_a_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in");
    ImageBuilder::of([base(), LayerBuilder::new().file("etc/.wh.", "")]).write(&input);
    let output = directory.path().join("out");
    let refused = pycull([
        "minimize",
        input.to_str().unwrap(),
        "--output",
        output.to_str().unwrap(),
    ])
    .refused("etc/.wh.");
    assert!(refused.stderr.contains("layer 2"), "{}", refused.stderr);
    assert!(!output.exists());
}

/// Trap 12, and promise 4: a whiteout acts only on lower layers, whatever its place.
#[test]
fn a_whiteout_leaves_its_own_layer_alone_whatever_the_order() {
    for whiteout_first in [true, false] {
        let upper = LayerBuilder::new();
        let upper = if whiteout_first {
            upper
                .whiteout(&cache_path(STDLIB, "m", 0))
                .cache(STDLIB, "m", 0, SOURCE, "above")
        } else {
            upper
                .cache(STDLIB, "m", 0, SOURCE, "above")
                .whiteout(&cache_path(STDLIB, "m", 0))
        };
        let lower = base().cache(STDLIB, "m", 0, SOURCE, "below");
        let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
        let names = done.after.names(1);
        assert!(
            names.contains(&cache_path(STDLIB, "m", 0)),
            "whiteout first: {whiteout_first}: {names:?}"
        );
        // Level 0 below was hidden and is removed, and with it the whiteout.
        assert_eq!(
            names.len(),
            1,
            "whiteout first: {whiteout_first}: {names:?}"
        );
    }
}

/// Trap 12: removing a cache that covers another one does not bring that one back.
#[test]
fn a_stripped_cache_does_not_uncover_the_one_below() {
    let upper = LayerBuilder::new()
        .cache(STDLIB, "m", 1, SOURCE, "above")
        .file("etc/upper", "u");
    let done = minimized(
        &ImageBuilder::of([base(), upper]),
        &["--set", "dead=\"keep\""],
    );
    assert!(!done.unpacked().has(&cache()));
}
