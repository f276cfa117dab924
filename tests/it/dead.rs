//! Bytecode that Python never uses: the profile key for each kind, and what counts as that kind.

use serde_json::json;
use tempfile::tempdir;

use crate::support::pyc::{STDLIB, cache_39, cache_of, cache_path, hash_cache_39};
use crate::support::scene::{Minimized, minimize};
use crate::support::{ImageBuilder, LayerBuilder, findings, inspected, minimized, pycull};

const SOURCE: &str = "# m\n";
const KINDS: [&str; 5] = ["orphan", "foreign", "malformed", "hidden", "shadowed"];

/// Paths of the dead bytecode in the image, in the order of [`KINDS`].
fn places() -> [String; 5] {
    [
        cache_path("app", "orphan", 0),
        "app/__pycache__/foreign.cpython-38.pyc".to_owned(),
        cache_path("app", "malformed", 0),
        cache_path("app", "hidden", 0),
        "app/shadowed.pyc".to_owned(),
    ]
}

fn image() -> ImageBuilder {
    let [orphan, foreign, malformed, hidden, shadowed] = places();
    let sources = ["foreign", "malformed", "hidden", "shadowed"];
    let lower = sources
        .iter()
        .fold(LayerBuilder::new().stdlib(STDLIB), |layer, name| {
            layer.file(&format!("app/{name}.py"), SOURCE)
        })
        .file(&orphan, cache_39(0, 0, b"orphan"))
        .file(&foreign, cache_of(3413, 0, 0, b"foreign"))
        .file(&malformed, "not bytecode")
        .file(&hidden, cache_39(0, 0, b"hidden"))
        .file(&shadowed, cache_39(0, 0, b"shadowed"));
    let upper = LayerBuilder::new().whiteout(&hidden).file("etc/upper", "u");
    ImageBuilder::of([lower, upper])
}

/// The kinds whose files are gone from the layers.
fn gone(done: &Minimized) -> Vec<&'static str> {
    let names = done.after.names(0);
    let kinds = KINDS.iter().zip(places());
    let gone = kinds.filter(|(_, place)| !names.contains(place));
    gone.map(|(kind, _)| *kind).collect()
}

#[test]
fn each_kind_of_dead_bytecode_has_a_key_of_its_own() {
    let found: Vec<String> = findings(&image())
        .into_iter()
        .map(|(kind, ..)| kind)
        .collect();
    for kind in KINDS {
        assert!(found.iter().any(|it| it == kind), "{found:?}");
    }
    let all_but = |kept: &str| KINDS.into_iter().filter(|kind| *kind != kept).collect();
    let mut cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (vec![], all_but("shadowed")),
        (vec!["dead=strip".to_owned()], KINDS.to_vec()),
        (vec!["dead=keep".to_owned()], vec![]),
    ];
    for kind in KINDS {
        let keep = vec!["dead=strip".to_owned(), format!("{kind}=keep")];
        cases.push((keep, all_but(kind)));
        let strip = vec![format!("{kind}=strip"), "dead=keep".to_owned()];
        cases.push((strip, vec![kind]));
    }
    for (settings, expected) in cases {
        let settings = settings.iter().flat_map(|it| ["--set", it]);
        let arguments: Vec<&str> = ["--profile", "default"]
            .into_iter()
            .chain(settings)
            .collect();
        let done = minimized(&image(), &arguments);
        assert_eq!(gone(&done), expected, "{arguments:?}");
        done.is_verified(&[]);
        done.is_verified(&arguments);
    }
}

#[test]
fn shadowed_bytecode_that_is_run_by_its_path_or_covers_other_stays() {
    let strip = ["--set", "shadowed=strip"];
    let layer = || {
        LayerBuilder::new()
            .stdlib(STDLIB)
            .file("app/m.py", SOURCE)
            .file("app/m.pyc", cache_39(0, 0, b"lower"))
    };
    let run = ImageBuilder::of([layer()])
        .edit_config(|config| config["config"] = json!({"Cmd": ["python", "/app/m.pyc"]}));
    let linked = ImageBuilder::of([layer().symlink("app/link", "m.pyc")]);
    let upper = LayerBuilder::new().file("app/m.pyc", cache_39(0, 0, b"upper"));
    let covering = ImageBuilder::of([layer(), upper]);
    for image in [run, linked, covering] {
        let done = minimized(&image, &strip);
        assert!(done.unpacked().has("app/m.pyc"));
        done.is_verified(&[]);
    }
}

#[test]
fn verify_holds_shadowed_bytecode_against_the_profile() {
    let layer = LayerBuilder::new().stdlib(STDLIB).file("app/m.py", SOURCE);
    let full = ImageBuilder::of([layer.clone().file("app/m.pyc", cache_39(0, 0, b"m"))]);
    let directory = tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    full.write(&old);
    ImageBuilder::of([layer]).write(&new);
    let [old, new] = [&old, &new].map(|path| path.to_str().unwrap());
    let strip = ["--profile", "default", "--set", "shadowed=strip"];
    for (sides, arguments, code) in [
        ([old, new], &[][..], 0),
        ([old, new], &strip, 0),
        ([old, new], &strip[..2], 1),
        ([old, old], &strip, 1),
    ] {
        let output = pycull([&["verify", sides[0], sides[1]], arguments].concat());
        assert_eq!(output.code, Some(code), "{arguments:?} {}", output.text());
    }
}

fn old_code() -> Vec<u8> {
    hash_cache_39(1, [7; 8], b"old code")
}

fn with_stale_and_unchecked() -> ImageBuilder {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file("app/m.py", SOURCE)
        .file(&cache_path("app", "m", 0), old_code());
    ImageBuilder::of([layer])
}

/// Python runs the old code. Stripping it changes what the image does, so that needs a key of its own.
#[test]
fn an_unchecked_cache_of_another_source_is_named_kept_and_mended_where_a_profile_asks_for_it() {
    let image = with_stale_and_unchecked();
    let cache = cache_path("app", "m", 0);
    let found = inspected(&image)["findings"].clone();
    assert_eq!(found[0]["kind"], "hash-mismatch");
    assert!(
        found[0]["detail"].as_str().unwrap().contains("old code"),
        "{found}"
    );
    let done = minimized(&image, &[]);
    assert!(done.unpacked().has(&cache));
    assert!(
        done.warnings()[0].contains("stale=compile"),
        "{:?}",
        done.warnings()
    );
    done.is_verified(&["--profile", "default"]);
    for mode in ["timestamp", "checked-hash", "unchecked-hash"] {
        let setting = format!("invalidation={mode}");
        let arguments = ["--profile", "default", "--set", &setting];
        let done = minimized(&image, &arguments);
        assert!(!done.unpacked().has(&cache), "{mode}");
        done.is_verified(&arguments);
        let kept = minimized(&image, &[&arguments[..], &["--set", "stale=keep"]].concat());
        // A new header would present the old code as current.
        assert_eq!(kept.unpacked().read(&cache), old_code(), "{mode}");
    }
    // `minimize` keeps such a cache by default, so `verify` does not accept that another tool stripped it.
    let directory = tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    image.write(&old);
    let planned = [
        "minimize",
        old.to_str().unwrap(),
        "--dry-run",
        "--set",
        "stale=compile",
        "--format",
        "json",
    ];
    let planned = pycull(planned).success().json();
    assert_eq!(planned["images"][0]["compiled"]["files"], 1);
    minimize(&old, &new, &["--set", "invalidation=timestamp"]);
    let output = pycull([
        "verify",
        old.to_str().unwrap(),
        new.to_str().unwrap(),
        "--profile",
        "default",
    ]);
    assert_eq!(output.code, Some(1), "{}", output.text());
}

const LIBRARY_311: &str = "usr/lib/python3.11";

#[test]
fn a_cache_in_the_directory_of_another_python_is_foreign_there() {
    let cache = |directory: &str| cache_path(directory, "m", 0);
    let places = [
        (LIBRARY_311.to_owned(), true),
        (format!("{LIBRARY_311}/site-packages"), true),
        ("usr/lib/python3/dist-packages".to_owned(), false),
        ("app".to_owned(), false),
        (STDLIB.to_owned(), false),
    ];
    let layer = places.iter().fold(
        LayerBuilder::new().stdlib(STDLIB).stdlib(LIBRARY_311),
        |layer, (place, _)| layer.module(place, "m", SOURCE),
    );
    let foreign: Vec<_> = findings(&ImageBuilder::of([layer]))
        .into_iter()
        .filter(|(kind, ..)| kind == "foreign")
        .map(|(_, path, _)| path)
        .collect();
    let mut expected: Vec<String> = places
        .iter()
        .filter(|(_, is_foreign)| *is_foreign)
        .map(|(place, _)| cache(place))
        .collect();
    expected.sort();
    assert_eq!(foreign, expected);
}

#[test]
fn caches_for_an_embedded_python_are_not_foreign() {
    let layer = || {
        LayerBuilder::new()
            .stdlib(LIBRARY_311)
            .module("app", "m", SOURCE)
    };
    let foreign = |layer| findings(&ImageBuilder::of([layer])).len();
    assert_eq!(foreign(layer()), 1);
    for file in ["opt/blender/libpython3.9.so.1.0", "opt/app/python39.zip"] {
        assert_eq!(foreign(layer().file(file, "embedded")), 0, "{file}");
    }
}

#[test]
fn advice_for_an_image_of_stale_caches_compiles_them_and_tells_rewritten_time_stamps_from_edits() {
    let advice = |mtimes: [u64; 4], sizes: u32| {
        let modules = mtimes.iter().enumerate();
        let layer = modules.fold(
            LayerBuilder::new().stdlib(STDLIB),
            |layer, (number, mtime)| {
                let cache = cache_39(1_500_000_000 + number as u32, sizes, b"m");
                layer
                    .mtime(*mtime)
                    .file(&format!("app/m{number}.py"), SOURCE)
                    .file(&cache_path("app", &format!("m{number}"), 0), cache)
            },
        );
        let directory = tempdir().unwrap();
        let layout = directory.path().join("image");
        ImageBuilder::of([layer]).write(&layout);
        let layout = layout.to_str().unwrap();
        let output = pycull(["inspect", layout, "--advise", "--format", "json"]);
        output.success().json()["images"][0]["advice"].clone()
    };
    let clamped = advice([1_600_000_000; 4], SOURCE.len() as u32);
    let choice = &clamped["choices"][0];
    assert_eq!(
        (
            &choice["recompiles"],
            &choice["compiled_at_start"],
            &choice["recommended"]
        ),
        // The three modules of the standard library have no cache.
        (&json!(true), &json!(3), &json!(true)),
        "{clamped}"
    );
    assert!(
        clamped["reasons"]
            .to_string()
            .contains("timestamps were rewritten")
    );
    for edited in [
        advice([1_600_000_000; 4], 1),
        advice([1, 2, 3, 4], SOURCE.len() as u32),
    ] {
        let reasons = edited["reasons"].to_string();
        assert!(
            !reasons.contains("rewritten") && reasons.contains("4 stale caches"),
            "{reasons}"
        );
    }
}
