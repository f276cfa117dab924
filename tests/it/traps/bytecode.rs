//! What a file is to Python: sourceless modules, magic numbers, levels in use.

use serde_json::json;

use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_of, cache_path};
use crate::support::stream::assert_untouched;
use crate::support::{ImageBuilder, LayerBuilder, findings, inspected, minimized};

const MTIME: u32 = 1_600_000_000;

/// Trap 1: sourceless stdlib modules.
#[test]
fn sourceless_modules_stay_when_all_caches_go() {
    let module = cache_39(0, 0, b"module");
    let names = [
        format!("{STDLIB}/encodings/cp857.pyc"),
        format!("{STDLIB}/pydoc_data/topics.pyc"),
        format!("{STDLIB}/pydoc_data/__init__.pyc"),
    ];
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    let layer = names
        .iter()
        .fold(layer, |layer, name| layer.file(name, &module));
    let image = ImageBuilder::of([layer]);
    assert_eq!(inspected(&image)["trees"][0]["sourceless"]["files"], 3);
    let done = minimized(&image, &["--profile", "minimal"]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    let caches = [0, 1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&caches[0], &caches[1], &caches[2]], &[]);
    for name in &names {
        assert_eq!(done.unpacked().read(name), module);
    }
}

/// Trap 1: only what lies in `__pycache__` is a cache, whatever its name.
#[test]
fn bytecode_outside_a_cache_directory_stays_whatever_its_name() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .file(&format!("{STDLIB}/m.cpython-39.pyc"), cache_39(0, 0, b"a"))
        .file(
            &format!("{STDLIB}/m.cpython-39.opt-1.pyc"),
            cache_39(0, 0, b"b"),
        )
        .file(&format!("{STDLIB}/m.pyc"), cache_39(0, 0, b"shadowed"))
        .file(&format!("{STDLIB}/__pycache__/readme.pyc"), "no cache name");
    let done = minimized(&ImageBuilder::of([layer]), &["--profile", "minimal"]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    let caches = [0, 1, 2].map(|level| cache_path(STDLIB, "m", level));
    assert_untouched(&before, &after, &[&caches[0], &caches[1], &caches[2]], &[]);
}

fn with_magics(most: u16, one: u16) -> ImageBuilder {
    let mut layer = LayerBuilder::new().stdlib(STDLIB);
    for (name, magic) in [("a", most), ("b", most), ("c", most), ("odd", one)] {
        let source = format!("# {name}\n");
        layer = layer.file(&format!("{STDLIB}/{name}.py"), &source).file(
            &cache_path(STDLIB, name, 0),
            cache_of(magic, MTIME, source.len() as u32, name.as_bytes()),
        );
    }
    ImageBuilder::of([layer])
}

/// Trap 10: wrong magic.
#[test]
fn a_cache_of_a_beta_is_foreign_to_the_release_though_its_name_fits() {
    let image = with_magics(MAGIC_39, 3424);
    let odd = cache_path(STDLIB, "odd", 0);
    let found = findings(&image);
    assert_eq!(found, [("foreign".to_owned(), odd.clone(), 1)]);
    let done = minimized(&image, &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&odd], &[]);
}

/// Trap 10: the interpreter in the image counts, and not the table of releases.
#[test]
fn a_patched_interpreters_own_magic_number_is_the_right_one() {
    let image = with_magics(3424, MAGIC_39);
    assert_eq!(inspected(&image)["trees"][0]["magic"], 3424);
    let odd = cache_path(STDLIB, "odd", 0);
    assert_eq!(findings(&image), [("foreign".to_owned(), odd, 1)]);
}

/// Trap 19: -OO breaks programs: levels are read, never turned on.
#[test]
fn the_level_in_use_is_read_from_the_config_and_the_config_is_left_alone() {
    let runs: [(serde_json::Value, u8); 4] = [
        (json!({"Env": ["A=b", "PYTHONOPTIMIZE=2"]}), 2),
        (
            json!({"Entrypoint": ["/usr/bin/python3", "-OO", "app.py"]}),
            2,
        ),
        (json!({"Cmd": ["python3", "-O", "-m", "app"]}), 1),
        (json!({"Cmd": ["python3", "app.py", "-OO"]}), 0),
    ];
    for (run, expected) in runs {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .module_of_three(STDLIB, "m");
        let image = ImageBuilder::of([layer]).edit_config(|config| config["config"] = run.clone());
        let done = minimized(&image, &["--profile", "auto"]);
        let unpacked = done.unpacked();
        for level in 0..3 {
            let path = cache_path(STDLIB, "m", level);
            assert_eq!(
                unpacked.has(&path),
                level == expected,
                "{run}: level {level}"
            );
        }
        assert_eq!(done.after.config()["config"], run);
    }
}

/// Trap 19: no profile gives an image a level that it does not have, or an environment.
#[test]
fn no_profile_turns_a_level_on() {
    for profile in ["default", "minimal", "levels-0-1", "auto"] {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .module(STDLIB, "m", "# m\n");
        let image = ImageBuilder::of([layer]);
        let done = minimized(&image, &["--profile", profile]);
        assert_eq!(done.after.config()["config"], json!({}), "{profile}");
        let unpacked = done.unpacked();
        for level in [1, 2] {
            assert!(!unpacked.has(&cache_path(STDLIB, "m", level)), "{profile}");
        }
    }
}
