//! Trap 24: caches that something other than `import` reads, by their paths.

use serde_json::{Value, json};

use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::scene::Minimized;
use crate::support::{ImageBuilder, LayerBuilder, inspected, minimized, pycull};

const MINIMAL: [&str; 2] = ["--profile", "minimal"];

/// A program that was compiled and shipped without its source, and a module with its source.
fn application() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .directory("app")
        .directory("app/__pycache__")
        .file(&bot(), cache_39(0, 0, b"bot"))
        .module("app", "helper", "# helper\n")
}

fn bot() -> String {
    cache_path("app", "bot", 0)
}

/// Minimizes an image. Checks that the program is kept and the rest stripped, that both commands report it, and that
/// `verify` accepts the result.
#[track_caller]
fn keeps_the_program(image: &ImageBuilder, word: &str) -> Minimized {
    let done = minimized(image, &MINIMAL);
    let unpacked = done.unpacked();
    assert_eq!(unpacked.read(&bot()), cache_39(0, 0, b"bot"));
    assert!(!unpacked.has(&cache_path("app", "helper", 0)));
    assert!(!unpacked.has(&cache_path(STDLIB, "m", 0)));
    let warnings = done.warnings();
    assert!(
        matches!(warnings[..], [one] if one.contains(word) && one.contains(&bot())),
        "{warnings:?}"
    );
    let notes = inspected(image)["notes"].clone();
    let note = notes[0].as_str().unwrap();
    assert!(note.contains(&bot()) && note.contains("keeps"), "{note}");
    done.is_verified(&[]);
    done.is_verified(&MINIMAL);
    done
}

#[test]
fn a_cache_that_the_config_runs_is_kept_in_every_form_of_a_command() {
    let shell = |text: &str| json!({"Cmd": ["/bin/sh", "-c", text]});
    let mut runs: Vec<Value> = vec![
        json!({"Cmd": ["python", "__pycache__/bot.cpython-39.pyc"], "WorkingDir": "/app"}),
        json!({"Entrypoint": ["python3", "/app/__pycache__/bot.cpython-39.pyc"]}),
        json!({"Cmd": ["python", "bot.cpython-39.pyc"], "WorkingDir": "/app/__pycache__"}),
        json!({"Entrypoint": ["tini", "--", "python"], "Cmd": ["app/__pycache__/../__pycache__/bot.cpython-39.pyc"]}),
        json!({"Healthcheck": {"Test": ["CMD", "python", "/app/__pycache__/bot.cpython-39.pyc"]}}),
        json!({"Healthcheck": {"Test": ["CMD-SHELL", "python /app/__pycache__/bot.cpython-39.pyc || exit 1"]}}),
        json!({"Env": ["PYTHONSTARTUP=/app/__pycache__/bot.cpython-39.pyc"], "Cmd": ["python", "-i"]}),
    ];
    runs.extend(
        [
            "exec python '/app/__pycache__/bot.cpython-39.pyc' --port=80",
            "cd /app && exec python __pycache__/bot.cpython-39.pyc",
            "cd app; cd __pycache__; python bot.cpython-39.pyc",
            "cd /app && python __pycache__/bot.*.pyc",
            "env -C /app python -u __pycache__/bot.cpython-39.pyc >/dev/null",
        ]
        .map(shell),
    );
    for run in runs {
        let image =
            ImageBuilder::of([application()]).edit_config(|config| config["config"] = run.clone());
        keeps_the_program(&image, "command of the image names it");
    }
}

#[test]
fn a_cache_that_an_entry_script_runs_is_kept() {
    let script = "/app/__pycache__/bot.cpython-39.pyc";
    let scripts = [
        format!("#!/bin/sh\nexec python {script} \"$@\"\n"),
        "#!/bin/sh\ncd /app/__pycache__ || exit 1\npython -u ./bot.cpython-39.pyc\n".to_owned(),
        format!("#!/bin/sh\nexec /second {script}\n"),
        "#!/bin/sh\n. /variables\nexec python \"$MAIN\"\n".to_owned(),
        "#!/bin/sh\nexec python /app/__pycache__/bot.*.pyc\n".to_owned(),
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"; exec python app/__pycache__/bot.cpython-39.pyc\n"
            .to_owned(),
        "#!/bin/sh\nexec python \"${0%/*}/app/__pycache__/bot.cpython-39.pyc\"\n".to_owned(),
        format!("#!/bin/sh\ncp {script} /tmp/x.pyc; exec python /tmp/x.pyc\n"),
        format!("#!/bin/bash\nRUN=(python -u {script}); exec \"${{RUN[@]}}\"\n"),
    ];
    for text in scripts {
        let layer = || {
            application()
                .file("entry", &text)
                .file("second", "#!/usr/bin/env python3\n")
                .file("variables", format!("MAIN={script}\n"))
        };
        for run in [
            json!({"Entrypoint": ["/entry"]}),
            json!({"Healthcheck": {"Test": ["CMD", "/entry"]}}),
        ] {
            let image =
                ImageBuilder::of([layer()]).edit_config(|config| config["config"] = run.clone());
            keeps_the_program(&image, "command of the image names it");
        }
    }
}

#[test]
fn where_only_a_shell_knows_a_caches_name_all_that_it_may_be_are_kept() {
    for text in [
        "for f in /app/__pycache__/*.pyc; do python \"$f\"; done",
        "for b in bot lib; do python /app/__pycache__/$b.cpython-39.pyc; done",
        "BOT=bot; exec env A=b python3 -W ignore /app/__pycache__/$BOT.cpython-39.pyc",
        "bash -c 'python /app/__pycache__/{bot,lib}.cpython-39.pyc'",
    ] {
        let layer = || application().file("entry", format!("#!/bin/sh\n{text}\n"));
        for run in [
            json!({"Cmd": ["/bin/sh", "-c", text]}),
            json!({"Entrypoint": ["/entry"]}),
        ] {
            let image =
                ImageBuilder::of([layer()]).edit_config(|config| config["config"] = run.clone());
            let done = minimized(&image, &MINIMAL);
            let unpacked = done.unpacked();
            assert!(unpacked.has(&bot()), "{run}: {text}");
            assert!(
                unpacked.has(&cache_path("app", "helper", 0)),
                "{run}: {text}"
            );
            assert!(!unpacked.has(&cache_path(STDLIB, "m", 0)));
            done.is_verified(&MINIMAL);
        }
    }
}

#[test]
fn what_a_config_only_might_name_by_chance_is_stripped() {
    let runs = [
        json!({"Cmd": ["python", "-m", "app"], "WorkingDir": "/app"}),
        json!({"Cmd": ["/bin/sh", "-c", "gunicorn --forwarded-allow-ips=* app"], "WorkingDir": "/app"}),
        json!({"Cmd": ["python", "bot.cpython-39.pyc"]}),
    ];
    for run in runs {
        let image =
            ImageBuilder::of([application()]).edit_config(|config| config["config"] = run.clone());
        let done = minimized(&image, &MINIMAL);
        assert!(!done.unpacked().has("app/__pycache__"), "{run}");
        assert_eq!(done.warnings(), [""; 0], "{run}");
        done.is_verified(&MINIMAL);
    }
}

#[test]
fn a_cache_that_a_symlink_leads_to_is_kept() {
    let bot = bot();
    let links: [&[(&str, &str)]; 7] = [
        &[("app/bot.pyc", "__pycache__/bot.cpython-39.pyc")],
        &[("usr/local/bin/bot", "/app/__pycache__/bot.cpython-39.pyc")],
        &[("app/sub/bot.pyc", "../__pycache__/bot.cpython-39.pyc")],
        &[
            ("srv/one", "two"),
            ("srv/two", "/srv/three"),
            ("srv/three", "../app/__pycache__/bot.cpython-39.pyc"),
        ],
        &[
            ("srv/pkg", "../app"),
            ("bot.pyc", "srv/pkg/__pycache__/bot.cpython-39.pyc"),
        ],
        &[
            ("srv/caches", "/app/__pycache__"),
            ("bot.pyc", "srv/caches/bot.cpython-39.pyc"),
        ],
        &[(
            "bot.pyc",
            "app/__pycache__/../__pycache__/bot.cpython-39.pyc",
        )],
    ];
    for links in links {
        let layer = links.iter().fold(application(), |layer, (link, target)| {
            layer.symlink(link, target)
        });
        // The same with the links in a layer above the cache.
        let upper = links
            .iter()
            .fold(LayerBuilder::new(), |layer, (link, target)| {
                layer.symlink(link, target)
            });
        for image in [
            ImageBuilder::of([layer]),
            ImageBuilder::of([application(), upper]),
        ] {
            let done = keeps_the_program(&image, "leads to it");
            assert!(done.unpacked().has(&bot));
        }
    }
}

#[test]
fn a_cache_directory_that_a_symlink_leads_to_stays_though_it_is_emptied() {
    let store = "store/lib/__pycache__";
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .directory("store/lib")
        .directory(store)
        .file("app/n.py", "# n\n")
        .symlink("app/__pycache__", "../store/lib/__pycache__")
        .cache("store/lib", "n", 0, "# n\n", "n 0")
        .cache("store/lib", "n", 1, "# n\n", "n 1");
    let image = ImageBuilder::of([layer]);
    // The source lies beside the symlink, so these are its caches, not orphans.
    assert_eq!(crate::support::findings(&image), []);
    let done = minimized(&image, &[]);
    assert!(done.unpacked().has(&cache_path("store/lib", "n", 0)));
    assert!(!done.unpacked().has(&cache_path("store/lib", "n", 1)));
    done.is_verified(&["--profile", "default"]);
    let done = minimized(&image, &MINIMAL);
    assert!(done.unpacked().path(store).is_dir());
    assert!(!done.unpacked().has(&cache_path("store/lib", "n", 0)));
    done.is_verified(&MINIMAL);
}

/// As in the stores of ostree and conda.
#[test]
fn files_that_have_other_names_are_told_of_once() {
    let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
    let lower = names
        .iter()
        .fold(LayerBuilder::new().stdlib(STDLIB), |layer, name| {
            layer.module(STDLIB, name, "# n\n")
        });
    let objects = |layer| {
        names.iter().fold(layer, |layer: LayerBuilder, name| {
            layer.hardlink(
                &format!("objects/{name}.file"),
                &cache_path(STDLIB, name, 0),
            )
        })
    };
    for image in [
        ImageBuilder::of([objects(lower.clone())]),
        ImageBuilder::of([lower.clone(), objects(LayerBuilder::new())]),
    ] {
        let note = inspected(&image)["notes"][0].as_str().unwrap().to_owned();
        assert!(
            note.starts_with("40 caches")
                && note.contains("objects/n")
                && note.contains("frees nothing"),
            "{note}"
        );
    }
    let image = ImageBuilder::of([lower.clone(), objects(LayerBuilder::new())]);
    let done = minimized(&image, &MINIMAL);
    let warnings = done.warnings();
    assert!(
        matches!(warnings[..], [one] if one.contains("and 39 more like it") && one.contains("layer 2")),
        "{warnings:?}"
    );
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("after");
    let arguments = [
        "minimize",
        done.before.0.to_str().unwrap(),
        "--output",
        output.to_str().unwrap(),
    ];
    let text = pycull([&arguments, &MINIMAL[..]].concat()).success().text();
    assert!(
        !text.contains("already matches the profile") && text.contains("needs all 40 files"),
        "{text}"
    );
}

/// Checks that `verify` reports this difference for the output of another tool.
#[track_caller]
fn refused(before: &ImageBuilder, after: &ImageBuilder, path: &str, what: &str) {
    let directory = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| directory.path().join(name));
    before.write(&old);
    after.write(&new);
    let sides = [&old, &new].map(|path| path.to_str().unwrap());
    let output = pycull(["verify", sides[0], sides[1], "--format", "json"]);
    assert_eq!(output.code, Some(1), "{}{}", output.text(), output.stderr);
    let differences = output.json()["images"][0]["differences"].clone();
    let found = differences.as_array().unwrap().iter().any(|difference| {
        difference["path"] == path && difference["what"].as_str().unwrap().contains(what)
    });
    assert!(found, "{differences}");
}

#[test]
fn verify_refuses_what_broke_a_symlink_or_a_command() {
    let with = |layer: LayerBuilder| layer.symlink("app/bot.pyc", "__pycache__/bot.cpython-39.pyc");
    let bare = || {
        LayerBuilder::new()
            .stdlib(STDLIB)
            .directory("app")
            .file("app/helper.py", "# helper\n")
    };
    let full = || {
        bare()
            .directory("app/__pycache__")
            .file(&bot(), cache_39(0, 0, b"bot"))
    };
    refused(
        &ImageBuilder::of([with(full())]),
        &ImageBuilder::of([with(bare())]),
        "app/bot.pyc",
        "leads nowhere, but led to app/__pycache__/bot.cpython-39.pyc",
    );
    let link = |layer: LayerBuilder| layer.symlink("srv/caches", "/app/__pycache__");
    refused(
        &ImageBuilder::of([link(full())]),
        &ImageBuilder::of([link(bare())]),
        "srv/caches",
        "leads nowhere",
    );
    let run = |layer| {
        ImageBuilder::of([layer]).edit_config(|config| {
            config["config"] =
                json!({"WorkingDir": "/app", "Cmd": ["python", "__pycache__/bot.cpython-39.pyc"]});
        })
    };
    refused(
        &run(full()),
        &run(bare()),
        &bot(),
        "a command of the image names it",
    );
    let other = bare()
        .directory("app/__pycache__")
        .file(&bot(), cache_39(0, 0, b"other"));
    refused(&run(full()), &run(other), &bot(), "other code");
}

#[test]
fn a_symlink_that_led_nowhere_before_may_go_on_doing_so() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", "# m\n")
        .symlink("etc/dangling", "/nowhere/__pycache__/x.pyc")
        .symlink("etc/circle", "circle");
    let done = minimized(&ImageBuilder::of([layer]), &MINIMAL);
    done.is_verified(&MINIMAL);
}

#[test]
fn a_path_with_the_characters_of_a_wildcard_is_a_path() {
    let directory = "app/[v1]";
    let image = ImageBuilder::new()
        .layer(
            LayerBuilder::new()
                .stdlib(STDLIB)
                .module_of_three(directory, "bot"),
        )
        .edit_config(|config| {
            let path = format!("/{}", cache_path(directory, "bot", 2));
            config["config"]["Cmd"] = json!(["python3", path]);
        });
    let done = minimized(&image, &[]);
    assert!(done.unpacked().has(&cache_path(directory, "bot", 2)));
    assert!(!done.unpacked().has(&cache_path(directory, "bot", 1)));
}

#[test]
fn caches_whose_data_is_under_another_name_have_one_warning() {
    let mut layer = LayerBuilder::new().stdlib(STDLIB);
    for number in 0..5 {
        let object = format!("store/{number}.file");
        layer = layer
            .file(&format!("{STDLIB}/m{number}.py"), "# m\n")
            .file(&object, format!("bytecode {number}"))
            .hardlink(&cache_path(STDLIB, &format!("m{number}"), 1), &object);
    }
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let warnings = done.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("and 4 more like it"), "{warnings:?}");
}
