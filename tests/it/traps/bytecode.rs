//! The role of files for Python: sourceless modules, magic numbers, levels in use.

use std::path::Path;

use serde_json::json;

use crate::support::pyc::{MAGIC_39, STDLIB, cache_39, cache_of, cache_path};
use crate::support::scene::minimized_layout;
use crate::support::stream::assert_untouched;
use crate::support::{ImageBuilder, LayerBuilder, findings, inspected, minimized, pycull, tool};

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

/// Trap 1: only files in `__pycache__` are caches, whatever their names.
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

/// Trap 25: names with dots.
#[test]
fn caches_of_modules_with_dots_in_their_names_are_caches_like_all_others() {
    let names = [
        "gunicorn.conf",
        "local.settings",
        "a.b.c",
        "odd.cpython-311",
        "odd.opt-1",
        ".hidden",
    ];
    let layer = names
        .iter()
        .fold(LayerBuilder::new().stdlib(STDLIB), |layer, name| {
            layer.module_of_three("app", name)
        });
    let layer = layer
        .module_of_three(STDLIB, "__phello__.foo")
        .file(&cache_path("app", "gone.conf", 0), cache_39(0, 0, b"gone"))
        .file("app/old.conf.py", "# old\n")
        .file(&cache_path("app", "old.conf", 0), cache_39(1, 6, b"old"))
        .file(
            "app/__pycache__/.cpython-39.pyc",
            cache_39(0, 0, b"nobody's"),
        )
        .file(
            "app/__pycache__/test.cpython-39-pytest-7.4.3.pyc",
            "pytest's",
        );
    let image = ImageBuilder::of([layer]);
    let (orphan, stale) = (
        cache_path("app", "gone.conf", 0),
        cache_path("app", "old.conf", 0),
    );
    let expected = [
        ("orphan".to_owned(), orphan.clone(), 1),
        ("stale".to_owned(), stale.clone(), 1),
    ];
    assert_eq!(findings(&image), expected);
    let level = |level: &str| inspected(&image)["layers"][0]["levels"][level]["files"].clone();
    assert_eq!([level("0"), level("1"), level("2")], [9, 7, 7]);
    let done = minimized(&image, &[]);
    let caches = names.iter().map(|name| ("app", *name));
    let caches = caches.chain([(STDLIB, "__phello__.foo")]);
    let dropped =
        caches.flat_map(|(directory, name)| [1, 2].map(|it| cache_path(directory, name, it)));
    let dropped: Vec<String> = dropped.chain([orphan, stale]).collect();
    let dropped: Vec<&str> = dropped.iter().map(String::as_str).collect();
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &dropped, &[]);
}

/// Trap 25: `import` takes a dot for that of a package, but `python gunicorn.conf.pyc` runs the file.
#[test]
fn bytecode_with_dots_in_its_name_in_place_of_a_source_is_sourceless_and_shadowed_by_nothing() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file("app/gunicorn.conf.py", "# conf\n")
        .file("app/gunicorn.conf.pyc", cache_39(0, 0, b"run by its path"));
    let image = ImageBuilder::of([layer]);
    let report = inspected(&image);
    let trees = report["trees"].as_array().unwrap();
    let app = trees.iter().find(|tree| tree["path"] == "app").unwrap();
    assert_eq!(app["sourceless"]["files"], 1);
    assert_eq!(findings(&image), []);
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

/// Trap 10: the interpreter in the image counts, not the table of releases.
#[test]
fn a_patched_interpreters_own_magic_number_is_the_right_one() {
    let image = with_magics(3424, MAGIC_39);
    assert_eq!(inspected(&image)["trees"][0]["magic"], 3424);
    let odd = cache_path(STDLIB, "odd", 0);
    assert_eq!(findings(&image), [("foreign".to_owned(), odd, 1)]);
}

/// Trap 19: -OO breaks programs, so pycull reads the level but never changes it.
#[test]
fn the_level_in_use_is_read_from_the_config_and_the_config_is_left_alone() {
    let runs: [(serde_json::Value, u8); 6] = [
        (json!({"Env": ["A=b", "PYTHONOPTIMIZE=2"]}), 2),
        (
            json!({"Entrypoint": ["/usr/bin/python3", "-OO", "app.py"]}),
            2,
        ),
        (json!({"Cmd": ["python3", "-O", "-m", "app"]}), 1),
        (json!({"Cmd": ["python3", "app.py", "-OO"]}), 0),
        (json!({"Cmd": ["/bin/sh", "-c", "python3 -OO app.py"]}), 2),
        (
            json!({"Entrypoint": ["/entry"], "Cmd": ["python3", "app.py"]}),
            1,
        ),
    ];
    for (run, expected) in runs {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .module_of_three(STDLIB, "m")
            .file("entry", "#!/bin/sh\nexport PYTHONOPTIMIZE=1\nexec \"$@\"\n");
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

/// Trap 60: pycull does not guess which command starts Python at which level.
#[test]
fn auto_refuses_an_image_that_does_not_tell_its_level_and_the_advice_says_so() {
    for (command, reason) in [
        (
            json!(["/bin/sh", "-c", "python3 $OPTIONS app.py"]),
            "an argument of Python",
        ),
        (json!(["/start"]), "`/start` may start Python"),
        (
            json!(["/twice"]),
            "it starts Python at more than one level: 0 and 2",
        ),
    ] {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .module_of_three(STDLIB, "m")
            .file("start", b"\x7fELF\0")
            .file(
                "twice",
                "#!/bin/sh\npython3 prepare.py\nexec python3 -OO app.py\n",
            );
        let image =
            ImageBuilder::of([layer]).edit_config(|config| config["config"]["Cmd"] = command);
        let layout = tempfile::tempdir().unwrap();
        image.write(layout.path());
        let path = layout.path().to_str().unwrap();
        for arguments in [&["--dry-run"][..], &["--output", "-"]] {
            let refused = pycull([&["minimize", path, "--profile", "auto"], arguments].concat());
            let refused = refused.refused(reason);
            assert!(
                refused.stderr.contains("`--set 'levels=[0]'`"),
                "{}",
                refused.stderr
            );
        }
        let advice = pycull(["inspect", path, "--advise"]).success().text();
        let advice = advice.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            advice.contains(reason) && advice.contains("profile `auto` refuses the image"),
            "{advice}"
        );
        let set = [
            "minimize",
            path,
            "--profile",
            "auto",
            "--set",
            "levels=[0]",
            "--dry-run",
        ];
        pycull(set).success();
    }
}

/// Trap 19: no profile gives an image a level that it does not have, or changes its environment.
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

/// Trap 62: foreign caches do not decide the Python version of an application. Otherwise one run would leave work for a
/// second.
#[test]
fn caches_of_a_python_that_is_not_there_do_not_choose_the_version_of_an_application() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", "# m\n")
        .file("app/main.py", "# main\n")
        .file(
            "app/__pycache__/main.cpython-312.pyc",
            cache_of(3531, MTIME, 7, b"main"),
        );
    let image = ImageBuilder::of([layer]);
    let report = inspected(&image);
    let trees = report["trees"].as_array().unwrap();
    let app = trees.iter().find(|tree| tree["path"] == "app").unwrap();
    assert_eq!(app["python"], "3.9");
    let directory = tempfile::tempdir().unwrap();
    image.write(directory.path());
    let path = directory.path().to_str().unwrap();
    let planned = [
        "minimize",
        path,
        "--dry-run",
        "--set",
        "missing=compile",
        "--format",
        "json",
    ];
    let planned = pycull(planned).success().json();
    // `os`, `site`, `encodings` and `main`, all in one run.
    assert_eq!(planned["images"][0]["compiled"]["files"], 4);
    let done = minimized(&image, &[]);
    let copy = |layout: &Path| {
        tool("cp", [Path::new("-a"), &done.after.0, layout]).success();
    };
    let again = minimized_layout(copy, &[]);
    assert_eq!(again.actions(), ["kept"]);
}

/// Trap 63: if there are two Pythons, an application belongs to the one that the image starts.
#[test]
fn an_application_is_for_the_python_that_the_command_starts() {
    let local = "usr/local/lib/python3.13";
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .stdlib(local)
        .file("usr/bin/python3.9", b"\x7fELF\0")
        .file("usr/local/bin/python3.13", b"\x7fELF\0")
        .symlink("usr/bin/python3", "python3.9")
        .symlink("usr/local/bin/python3", "python3.13")
        .symlink("usr/local/bin/python", "python3")
        .file("app/main.py", "# main\n");
    for (config, expected) in [
        (json!({"Cmd": ["python", "/app/main.py"]}), "3.13"),
        (json!({"Cmd": ["/usr/bin/python3", "/app/main.py"]}), "3.9"),
        (
            json!({"Cmd": ["python3", "main.py"], "Env": ["PATH=/usr/bin:/bin"]}),
            "3.9",
        ),
        (
            json!({"Cmd": ["/bin/sh", "-c", "exec python3 main.py"]}),
            "3.13",
        ),
    ] {
        let image = ImageBuilder::of([layer.clone()]).edit_config(|it| it["config"] = config);
        let report = inspected(&image);
        let trees = report["trees"].as_array().unwrap();
        let app = trees.iter().find(|tree| tree["path"] == "app").unwrap();
        assert_eq!(app["python"], expected);
    }
}

/// Trap 63: if nothing reveals the Python version of an application, the profile sets it.
#[test]
fn a_profile_says_for_which_python_a_tree_is() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .stdlib("usr/local/lib/python3.13")
        .file("app/main.py", "# main\n")
        .file("srv/main.py", "# main\n");
    let directory = tempfile::tempdir().unwrap();
    ImageBuilder::of([layer]).write(directory.path());
    let path = directory.path().to_str().unwrap();
    for (setting, files) in [
        (r#"python="3.13""#, 2),
        (r#"python={"app/**"="3.9"}"#, 1),
        (r#"python={"srv"="3.13", "app"="3.9"}"#, 2),
    ] {
        let options = [
            "--set",
            "missing=compile",
            "--set",
            "exclude=['usr/**']",
            "--set",
            setting,
        ];
        let planned = ["minimize", path, "--dry-run", "--format", "json"];
        let planned = pycull([&planned[..], &options].concat()).success().json();
        let image = &planned["images"][0];
        assert_eq!(image["compiled"]["files"], files, "{setting}");
        let unsaid = image["warnings"]
            .to_string()
            .contains("the profile key `python`");
        assert_eq!(unsaid, files < 2, "{setting}: {}", image["warnings"]);
    }
    let wrong = pycull(["minimize", path, "--dry-run", "--set", r#"python="three""#]);
    wrong.refused("it takes a version such as");
}

fn notes(image: &ImageBuilder) -> String {
    let report = inspected(image);
    let notes = report["notes"].as_array().unwrap().iter();
    let notes: Vec<&str> = notes.map(|note| note.as_str().unwrap()).collect();
    notes.join("\n")
}

/// Trap 64: images of other Pythons are not images without work.
#[test]
fn inspect_and_minimize_say_what_they_do_not_handle() {
    let python2 = [&b"\x03\xf3\r\n"[..], &[0; 4], b"N"].concat();
    let layer = LayerBuilder::new()
        .stdlib("opt/pypy/lib/pypy3.11")
        .file("opt/pypy/lib/pypy3.11/__pycache__/os.pypy311.pyc", b"pypy")
        .file(
            "opt/pypy/lib/pypy3.11/__pycache__/os.pypy311.opt-1.pyc",
            b"pypy",
        )
        .stdlib("usr/lib/python2.7")
        .file("usr/lib/python2.7/os.pyc", python2);
    let image = ImageBuilder::of([layer]);
    let expected = [
        "pycull does not handle PyPy 3.11, and leaves its 2 bytecode files (8 B) unchanged",
        "pycull does not handle Python 2, and leaves its 1 bytecode file (9 B) unchanged",
    ];
    assert_eq!(notes(&image), expected.join("\n"));
    let done = minimized(&image, &["--profile", "minimal"]);
    assert_eq!(done.actions(), ["kept"]);
    assert_eq!(done.warnings(), expected);
    let plain = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", "# m\n");
    assert_eq!(notes(&ImageBuilder::of([plain])), "");
}

/// Trap 65: with PYTHONPYCACHEPREFIX, Python never reads a cache beside its source.
#[test]
fn no_cache_is_compiled_where_python_does_not_look_for_it() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", "# m\n")
        .file(
            "var/pyc/usr/lib64/python3.9/m.cpython-39.pyc",
            cache_39(MTIME, 4, b"m"),
        );
    let image = ImageBuilder::of([layer])
        .edit_config(|it| it["config"]["Env"] = json!(["PYTHONPYCACHEPREFIX=/var/pyc"]));
    let told = notes(&image);
    assert!(
        told.contains("only below /var/pyc") && told.contains("1 bytecode file ("),
        "{told}"
    );
    let directory = tempfile::tempdir().unwrap();
    image.write(directory.path());
    let path = directory.path().to_str().unwrap();
    for setting in ["missing=compile", "stale=compile"] {
        let refused = pycull(["minimize", path, "--dry-run", "--set", setting]);
        let refused = refused.refused("only below /var/pyc (PYTHONPYCACHEPREFIX)");
        assert!(refused.stderr.contains("`--profile minimal`"));
    }
    let done = minimized(&image, &["--profile", "minimal"]);
    assert!(
        done.unpacked()
            .has("var/pyc/usr/lib64/python3.9/m.cpython-39.pyc")
    );
    assert_eq!(done.warnings(), [told]);
}

/// Trap 66: a glob with a typing error keeps or strips nothing.
#[test]
fn globs_that_match_nothing_are_warned_of() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    let image = ImageBuilder::of([layer]);
    let exclude = r#"exclude=["usr/**", "/app/**", "usr/*/m.cpython-39.pyc"]"#;
    let done = minimized(&image, &["--set", exclude]);
    assert_eq!(
        done.warnings(),
        [
            "the glob `/app/**` matches no cache of the image",
            "the glob `usr/*/m.cpython-39.pyc` matches no cache of the image"
        ]
    );
    // A cache that will only be compiled counts as a match too.
    let os = format!(r#"include=["**", "{}"]"#, cache_path(STDLIB, "os", 0));
    assert_eq!(minimized(&image, &["--set", &os]).warnings(), [""; 0]);
}

/// Trap 67: conda's store of unpacked packages is not on any search path.
#[test]
fn modules_in_condas_package_store_are_not_missing_a_cache() {
    let (store, site) = ("opt/conda/pkgs/flask-3-py_0", "lib/python3.9/site-packages");
    let missing = |index: &str| -> Vec<String> {
        let layer = LayerBuilder::new()
            .stdlib("opt/conda/lib/python3.9")
            .file(&format!("opt/conda/{site}/flask.py"), "# flask\n")
            .file(&format!("{store}/{index}"), "{}")
            .file(&format!("{store}/{site}/flask.py"), "# flask\n");
        let report = inspected(&ImageBuilder::of([layer]));
        let findings = report["findings"].as_array().unwrap().iter();
        let paths = findings.map(|finding| finding["path"].as_str().unwrap().to_owned());
        paths.filter(|path| path.ends_with("flask.py")).collect()
    };
    let environment = format!("opt/conda/{site}/flask.py");
    assert_eq!(missing("info/index.json").join(" "), environment);
    let other = format!("{store}/{site}/flask.py");
    assert_eq!(missing("readme"), [environment, other]);
}
