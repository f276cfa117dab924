//! Trap 1: names that only look like `__pycache__`.

use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::scene::verdict;
use crate::support::stream::assert_untouched;
use crate::support::{ImageBuilder, LayerBuilder, minimized};

const LIKE: [&str; 4] = [
    "x__pycache__",
    "__pycache__x",
    "__PYCACHE__",
    "__pycache__.old",
];

fn bytecode(directory: &str) -> String {
    format!("{STDLIB}/{directory}/m.cpython-39.pyc")
}

#[test]
fn only_pycache_itself_is_a_cache_directory() {
    let source = "# m\n";
    let lower = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    let cache = cache_39(1, source.len() as u32, b"stale, if it were a cache");
    let lower = LIKE.iter().fold(lower, |layer, name| {
        let layer = layer.directory(&format!("{STDLIB}/{name}"));
        layer.file(&bytecode(name), &cache)
    });
    // Hidden, like a cache that another one covers.
    let upper = LIKE.iter().fold(LayerBuilder::new(), |layer, name| {
        layer.file(&bytecode(name), b"another")
    });
    let done = minimized(&ImageBuilder::of([lower, upper]), &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["rewritten", "kept"]);
    let gone = [0, 1, 2].map(|level| cache_path(STDLIB, "m", level));
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&gone[0], &gone[1], &gone[2]], &[]);
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}

#[test]
fn what_looks_like_a_cache_directory_stays_when_the_cache_in_it_goes() {
    let orphan = |directory: &str| cache_path(directory, "gone", 0);
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .directory("app/x__pycache__")
        .cache("app/x__pycache__", "gone", 0, "", "gone")
        .cache("srv/y__pycache__", "gone", 0, "", "gone");
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let unpacked = done.unpacked();
    for directory in ["app/x__pycache__", "srv/y__pycache__"] {
        assert!(unpacked.has(directory), "{directory}");
        assert!(!unpacked.has(&orphan(directory)), "{directory}");
    }
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}
