//! Sources without a cache, on images made by hand.

use serde_json::{Value, json};

use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_of, cache_path};
use crate::support::{ImageBuilder, LayerBuilder, findings, inspected, minimized, pycull};

const MTIME: u32 = 1_600_000_000;
const SOURCE: &str = "print('hi')\n";
const SIZE: u32 = SOURCE.len() as u32;

/// The landmark files of a standard library, each with caches of all levels.
fn stdlib() -> LayerBuilder {
    let encodings = format!("{STDLIB}/encodings");
    LayerBuilder::new()
        .module_of_three(STDLIB, "os")
        .module_of_three(STDLIB, "site")
        .module_of_three(&encodings, "__init__")
}

fn missing_findings(image: &ImageBuilder) -> Vec<Value> {
    let mut findings = inspected(image)["findings"].as_array().unwrap().clone();
    findings.retain(|finding| finding["kind"] == "missing");
    findings
}

/// The paths of sources without a cache.
#[track_caller]
fn missing(image: &ImageBuilder) -> Vec<String> {
    let findings = missing_findings(image);
    let paths = findings.iter().map(|finding| &finding["path"]);
    paths
        .map(|path| path.as_str().unwrap().to_owned())
        .collect()
}

fn with_environment(image: ImageBuilder, variable: &str) -> ImageBuilder {
    image.edit_config(|config| config["config"] = json!({ "Env": [variable] }))
}

#[test]
fn a_source_without_a_cache_is_told_with_its_layer_and_what_is_not_there() {
    let path = format!("{STDLIB}/m.py");
    let upper = LayerBuilder::new().file(&path, SOURCE);
    let expected = json!({
        "kind": "missing",
        "path": path,
        "layer": 2,
        "bytes": SIZE,
        "detail": format!("there is no {}", cache_path(STDLIB, "m", 0)),
    });
    assert_eq!(
        missing_findings(&ImageBuilder::of([stdlib(), upper])),
        [expected]
    );
}

#[test]
fn an_empty_init_file_has_a_cache_too() {
    let path = format!("{STDLIB}/pkg/__init__.py");
    assert_eq!(
        missing(&ImageBuilder::of([stdlib().file(&path, "")])),
        [path]
    );
}

#[test]
fn caches_are_looked_for_at_the_level_that_the_image_runs_at() {
    let image = || {
        let layer = stdlib().module(STDLIB, "m", SOURCE);
        ImageBuilder::of([layer
            .file(&format!("{STDLIB}/n.py"), SOURCE)
            .cache(STDLIB, "n", 1, SOURCE, "n")])
    };
    let [m, n] = ["m", "n"].map(|name| format!("{STDLIB}/{name}.py"));
    assert_eq!(missing(&image()), [&*n]);
    let optimized = with_environment(image(), "PYTHONOPTIMIZE=1");
    assert_eq!(missing(&optimized), [&*m]);
    let without_docstrings = with_environment(image(), "PYTHONOPTIMIZE=2");
    assert_eq!(missing(&without_docstrings), [&*m, &n]);
    // Caches of this level would be named `opt-3`.
    let beyond = with_environment(image(), "PYTHONOPTIMIZE=3");
    assert_eq!(missing(&beyond), <[String; 0]>::default());
}

#[test]
fn a_source_with_a_cache_of_no_use_is_told_once() {
    let path = cache_path(STDLIB, "m", 0);
    let of_38 = format!("{STDLIB}/__pycache__/m.cpython-38.pyc");
    for (kind, path, cache) in [
        ("stale", &path, cache_39(MTIME + 1, SIZE, b"m")),
        ("malformed", &path, b"nothing".to_vec()),
        ("foreign", &path, cache_of(3413, MTIME, SIZE, b"m")),
        ("foreign", &of_38, cache_of(3413, MTIME, SIZE, b"m")),
    ] {
        let layer = stdlib().file(&format!("{STDLIB}/m.py"), SOURCE);
        let image = ImageBuilder::of([layer.file(path, cache)]);
        let found = inspected(&image)["findings"].clone();
        assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
        assert_eq!(found[0]["kind"], kind);
    }
}

#[test]
fn a_cache_of_no_use_at_another_level_tells_nothing() {
    let path = format!("{STDLIB}/m.py");
    let stale = cache_39(MTIME + 1, SIZE, b"m");
    let layer = stdlib().file(&path, SOURCE);
    let layer = layer.file(&cache_path(STDLIB, "m", 1), stale);
    assert_eq!(missing(&ImageBuilder::of([layer])), [path]);
}

#[test]
fn a_cache_that_was_deleted_is_missing() {
    let lower = stdlib().module(STDLIB, "m", SOURCE);
    let upper = LayerBuilder::new().whiteout(&cache_path(STDLIB, "m", 0));
    assert_eq!(
        missing(&ImageBuilder::of([lower, upper])),
        [format!("{STDLIB}/m.py")]
    );
}

#[test]
fn only_modules_on_the_search_path_are_missing_a_cache() {
    let sources = [
        "usr/lib/python3.9/site-packages/pkg/m.py",
        "usr/lib/python3/dist-packages/m.py",
        "opt/venv/lib/python3.9/site-packages/m.py",
        "opt/venv/lib/python3.9/site-packages/pkg-1.0.dist-info/m.py",
        "usr/lib64/python3.9/config-3.9/m.py",
        "usr/lib64/python3.9/not-a-module.py",
        "usr/share/gcc/python/m.py",
        "usr/bin/m.py",
        "app/m.py",
    ];
    let add = |layer: LayerBuilder, path: &&str| layer.file(path, SOURCE);
    let layer = sources.iter().fold(stdlib(), add);
    let mut expected = sources[..3].to_vec();
    expected.sort_unstable();
    assert_eq!(missing(&ImageBuilder::of([layer])), expected);
}

#[test]
fn packages_of_a_python_that_the_image_has_not_are_missing_nothing() {
    let packages = |layer: LayerBuilder, version: &str| {
        let path = format!("usr/lib/python{version}/site-packages/m.py");
        ImageBuilder::of([layer.file(&path, SOURCE)])
    };
    assert_eq!(missing(&packages(stdlib(), "3.9")).len(), 1);
    assert_eq!(missing(&packages(stdlib(), "3.8")).len(), 0);
    assert_eq!(missing(&packages(LayerBuilder::new(), "3.9")).len(), 0);
}

#[test]
fn python_2_keeps_its_caches_elsewhere() {
    let layer = LayerBuilder::new().stdlib("usr/lib/python2.7");
    assert_eq!(missing(&ImageBuilder::of([layer])).len(), 0);
}

#[test]
fn the_cache_of_another_interpreter_is_foreign_and_tells_of_its_source() {
    let other = "usr/local/lib/python3.8";
    let cache = format!("{other}/__pycache__/os.cpython-39.pyc");
    let layer = stdlib().stdlib(other).file(
        &cache,
        cache_of(MAGIC_39, MTIME, "# os\n".len() as u32, b"os"),
    );
    let image = ImageBuilder::of([layer]);
    assert_eq!(findings(&image), [("foreign".to_owned(), cache, 1)]);
    let missing = missing(&image);
    assert!(!missing.contains(&format!("{other}/os.py")), "{missing:?}");
    assert!(missing.contains(&format!("{other}/site.py")), "{missing:?}");
}

#[test]
fn an_image_without_caches_has_a_few_lines_and_a_hint_that_mends_it() {
    let names: Vec<String> = (0..700).map(|n| format!("{STDLIB}/m{n}.py")).collect();
    let add = |layer: LayerBuilder, path: &String| layer.file(path, SOURCE);
    let image = ImageBuilder::of([names.iter().fold(stdlib(), add)]);
    // Minimize first, so that no saving is suggested.
    let done = minimized(&image, &[]);
    let layout = done.after.0.to_str().unwrap();
    let text = pycull(["inspect", layout]).success().text();
    let row = text.lines().find(|line| line.starts_with("missing"));
    assert!(row.is_some_and(|row| row.contains("700")), "{text}");
    assert!(text.lines().count() < 40, "{text}");
    assert!(
        text.contains("--profile auto --set missing=compile"),
        "{text}"
    );
    let denied = pycull(["inspect", layout, "--deny", "missing"]);
    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert!(denied.stderr.contains("700 missing"), "{}", denied.stderr);
}
