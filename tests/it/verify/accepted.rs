//! `verify` accepts the output of `minimize`, with its profile and without.

use std::path::Path;

use serde_json::{Value, json};
use tar::EntryType;

use super::image::{Entry, Image, SOURCE, cache, library_cache, verified};
use crate::support::pyc::{STDLIB, cache_39};
use crate::support::pycull;
use crate::support::scene::minimize;
use crate::support::tools::{real_image, testdata};

#[track_caller]
fn is_same(before: &Path, after: &Path, arguments: &[&str]) -> Value {
    let images = ["verify", before.to_str().unwrap(), after.to_str().unwrap()];
    let arguments = [&images, arguments, &["--format", "json"]].concat();
    let output = pycull(&arguments);
    assert_eq!(
        output.code,
        Some(0),
        "{arguments:?}\n{}\n{}",
        output.text(),
        output.stderr
    );
    let image = output.json()["images"][0].clone();
    assert_eq!(
        (&image["verdict"], &image["differences"]),
        (&json!("same"), &json!([]))
    );
    image
}

/// Minimizes with these settings, and verifies the result with the same. Returns the report of `verify`.
#[track_caller]
fn accepts(image: &Path, settings: &[&str], more: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let after = directory.path().join("after");
    let report = minimize(image, &after, &[settings, more].concat());
    let found = is_same(image, &after, settings);
    // All sources of these images compile.
    let compiled = &report["images"][0]["compiled"];
    match &found["caches"]["missing"] {
        Value::Null => assert_eq!(compiled["files"], 0),
        missing => assert_eq!((missing, &compiled["failed"]), (&json!(0), &json!(0))),
    }
    assert!(found["checked"]["paths"].as_u64().unwrap() > 0);
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
    found
}

fn accepts_what_is_stripped(image: &Path) {
    accepts(image, &["--profile", "default"], &[]);
    let found = accepts(image, &["--profile", "minimal"], &[]);
    assert!(found["caches"]["removed"].as_u64().unwrap() > 10, "{found}");
}

#[test]
fn stripped_images_of_python_3_9_are_accepted() {
    accepts_what_is_stripped(&real_image("py3.9"));
}

#[test]
fn stripped_images_of_python_3_11_are_accepted() {
    accepts_what_is_stripped(&real_image("py3.11"));
}

#[test]
fn stripped_images_of_python_3_13_are_accepted() {
    accepts_what_is_stripped(&real_image("py3.13"));
}

#[test]
fn stripped_images_of_python_3_14_are_accepted() {
    accepts_what_is_stripped(&real_image("py3.14"));
}

#[test]
fn an_image_with_all_levels_compiled_is_accepted() {
    let found = accepts(
        &real_image("py3.11"),
        &["--profile", "all"],
        &["--no-cache"],
    );
    assert!(found["caches"]["added"].as_u64().unwrap() > 100, "{found}");
}

#[test]
fn caches_compiled_into_the_layers_of_their_sources_are_accepted() {
    let placed = [
        "missing=compile",
        "stale=compile",
        "placement=source",
        "invalidation=checked-hash",
    ];
    let settings = placed.iter().flat_map(|setting| ["--set", setting]);
    let settings: Vec<&str> = ["--profile", "default"]
        .into_iter()
        .chain(settings)
        .collect();
    let found = accepts(&real_image("py3.13"), &settings, &["--no-cache"]);
    assert!(found["caches"]["added"].as_u64().unwrap() > 0, "{found}");
}

#[test]
fn an_image_whose_caches_are_tied_by_a_hash_is_accepted() {
    let settings = ["--profile", "default", "--set", "invalidation=checked-hash"];
    let found = accepts(&real_image("py3.9"), &settings, &[]);
    assert!(
        found["caches"]["changed"].as_u64().unwrap() > 100,
        "{found}"
    );
}

#[test]
fn what_is_made_of_the_images_in_testdata_is_accepted() {
    for image in ["fedora-shaped.tar", "docker-old.tar", "docker-new.tar"] {
        for profile in ["default", "minimal", "levels-0-1"] {
            let directory = tempfile::tempdir().unwrap();
            let after = directory.path().join("after.tar");
            minimize(&testdata(image), &after, &["--profile", profile]);
            is_same(&testdata(image), &after, &["--profile", profile]);
            is_same(&testdata(image), &after, &[]);
        }
    }
}

/// Both images are made by hand, so that neither is pycull's.
#[test]
fn caches_may_go_come_and_change_their_links_and_headers() {
    type Change = fn(&mut Image);
    let changes: [(&str, Change); 8] = [
        ("nothing", |_| {}),
        ("all caches go, and their directory", |image| {
            for layer in &mut image.layers {
                layer.retain(|entry| !entry.path.contains("/__pycache__"));
            }
        }),
        ("a new cache in a new directory", |image| {
            let cache = Entry::file("app/__pycache__/main.cpython-39.pyc", "");
            let data = cache_39(1_600_000_000, 8, b"main");
            image.add(Entry::directory("app/__pycache__"));
            image.add(Entry { data, ..cache });
        }),
        ("a level linked with another", |image| {
            let target = library_cache("one", 0);
            image.add(Entry::link(
                &library_cache("one", 1),
                EntryType::Link,
                &target,
            ));
        }),
        ("an mtime of a cache", |image| {
            let entry = image.entry(&library_cache("one", 0));
            *entry = entry.clone().pax("mtime", "1500000000");
        }),
        (
            "a layer above with caches and the directories over them",
            |image| {
                image.layers.push(vec![
                    Entry::directory(STDLIB),
                    Entry::directory(&format!("{STDLIB}/__pycache__")),
                    Entry::file(&library_cache("os", 0), cache("os")),
                ]);
                let history = image.history.as_array_mut().unwrap();
                history.push(json!({"created_by": "compileall"}));
            },
        ),
        ("a layer that is gone, its entry marked", |image| {
            let rest = image.layers.pop().unwrap();
            image.layers[0].retain(|entry| !["etc/gone", "opt/dir/old"].contains(&&*entry.path));
            let visible = rest
                .into_iter()
                .filter(|entry| !entry.path.contains(".wh."));
            image.layers[0].extend(visible);
            image.history[2]["empty_layer"] = json!(true);
        }),
        ("a whiteout of what no layer has", |image| {
            image.add(Entry::file("etc/.wh.nothing", ""));
        }),
    ];
    for (name, change) in changes {
        let mut after = Image::without_level_1();
        change(&mut after);
        let mut before = Image::sound();
        if name.starts_with("a level linked") {
            before.entry(&library_cache("one", 1)).data = cache("one 0");
        }
        let output = verified(&before, &after, &[]);
        assert_eq!(
            output.code,
            Some(0),
            "{name}\n{}\n{}",
            output.text(),
            output.stderr
        );
    }
}

#[test]
fn levels_that_were_one_file_may_become_two() {
    let mut after = Image::sound();
    after.entry(&library_cache("one", 1)).data = cache("one 0");
    let mut before = after.clone();
    let target = library_cache("one", 0);
    let link = Entry::link(&library_cache("one", 1), EntryType::Link, &target);
    before.add(link);
    verified(&before, &after, &[]).success();
}

/// A compiled cache has the mode and owner of its source.
#[test]
fn a_stale_cache_may_be_replaced_by_one_with_other_metadata() {
    let mut before = Image::sound();
    let stale = before.entry(&library_cache("two", 0));
    stale.data = cache_39(1, SOURCE.len() as u32, b"old");
    stale.mode = 0o600;
    let after = Image::without_level_1();
    for setting in ["stale=compile", "missing=compile"] {
        verified(&before, &after, &["--profile", "default", "--set", setting]).success();
    }
    let output = verified(&before, &after, &[]);
    let said = output.text() + &output.stderr;
    assert_eq!(output.code, Some(0), "{said}");
}

#[test]
fn caches_that_a_profile_compiles_and_are_not_there_are_counted() {
    let mut image = Image::sound();
    // pycull does not compile for this Python.
    for module in ["os", "site"] {
        let path = format!("usr/lib/python2.7/{module}.py");
        image.add(Entry::file(&path, SOURCE));
    }
    let missing = |settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments: Vec<&str> = ["--profile", "levels-0-1", "--format", "json"]
            .into_iter()
            .chain(settings)
            .collect();
        let report = verified(&image, &image, &arguments).success().json();
        report["images"][0]["caches"]["missing"].clone()
    };
    assert_eq!(missing(&[]), Value::Null);
    // Two of six sources have both levels.
    assert_eq!(missing(&["missing=compile"]), 8);
    let exclude = r#"exclude=["app/**", "**/os.cpython-39.pyc"]"#;
    assert_eq!(missing(&["missing=compile", exclude]), 5);
}
