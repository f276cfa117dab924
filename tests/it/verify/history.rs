//! How `verify` pairs layers, with a history that helps and without one.

use std::path::Path;

use serde_json::{Value, json};

use super::image::{Entry, Image, verified};
use crate::support::pyc::STDLIB;
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// The paths of all differences between two images.
#[track_caller]
fn differing(before: &Image, after: &Image) -> Vec<Value> {
    let output = verified(before, after, &["--format", "json"]);
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let differences = output.json()["images"][0]["differences"].clone();
    let differences = differences.as_array().unwrap().iter();
    differences
        .map(|difference| difference["path"].clone())
        .collect()
}

#[test]
fn descriptors_of_images_without_a_history_are_compared() {
    let [mut before, mut after] = [Image::sound(), Image::without_level_1()];
    for image in [&mut before, &mut after] {
        image.history = Value::Null;
    }
    assert_eq!(verified(&before, &after, &[]).code, Some(0));
    after.layer_annotations = json!({});
    assert_eq!(differing(&before, &after), ["/layers/0/annotations"]);
    before.history = json!([]);
    after.history = json!([]);
    assert_eq!(differing(&before, &after), ["/layers/0/annotations"]);
}

#[test]
fn a_history_that_does_not_match_the_layers_gets_no_new_entry() {
    let [mut before, mut after] = [Image::sound(), Image::without_level_1()];
    for image in [&mut before, &mut after] {
        image.history.as_array_mut().unwrap().pop();
    }
    assert_eq!(verified(&before, &after, &[]).code, Some(0));
    let history = after.history.as_array_mut().unwrap();
    history.push(json!({"created_by": "the application"}));
    assert_eq!(differing(&before, &after), ["/history/2"]);
}

#[test]
fn layers_in_another_order_are_a_difference() {
    let mut before = Image::sound();
    before.layers.push(vec![Entry::file("srv/a", "a")]);
    before.layers.push(vec![Entry::file("srv/b", "b")]);
    let history = before.history.as_array_mut().unwrap();
    history.extend([json!({"created_by": "a"}), json!({"created_by": "b"})]);
    let mut after = before.clone();
    after.layers.swap(2, 3);
    assert_eq!(differing(&before, &after), ["/layers/2", "/layers/3"]);
}

#[test]
fn an_inline_cache_of_buildkit_may_stay_if_no_layer_went() {
    let directory = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|name| directory.path().join(name));
    let base = LayerBuilder::new()
        .stdlib(STDLIB)
        .module(STDLIB, "m", "# m\n");
    let caches = LayerBuilder::new().cache(STDLIB, "m", 0, "# m\n", "code");
    let write = |layers: &[&LayerBuilder], path: &Path| {
        let image = ImageBuilder::of(layers.iter().map(|layer| (*layer).clone()));
        let image = image.edit_config(|config| config["moby.buildkit.cache.v0"] = json!("x"));
        image.write(path);
    };
    write(&[&base, &caches], &before);
    let arguments = ["verify", before.to_str().unwrap(), after.to_str().unwrap()];
    for (layers, is_refused) in [(&[&base, &caches][..], false), (&[&base][..], true)] {
        std::fs::remove_dir_all(&after).ok();
        write(layers, &after);
        let text = pycull(arguments).text();
        assert_eq!(text.contains("counts layers"), is_refused, "{text}");
    }
}
