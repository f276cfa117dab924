//! Work grows linearly with the input. Four times the input takes about four times as long. A loop inside a loop would
//! take sixteen times as long.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::builder::{self, OCI_MANIFEST};
use crate::support::cost::measured;
use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// Maximum growth of the time for four times the input. It allows more than four because of caches and memory, but far
/// less than sixteen.
const MOST: f64 = 8.0;

/// Below this many seconds, start-up and noise matter more than the input.
const LEAST: f64 = 0.2;

/// Very high limits, because these tests are about time.
const LIMITS: &str = "members=10000000,names=4000000000";

/// Checks every command on images of this size and of four times this size.
#[track_caller]
fn is_linear(size: usize, image: impl Fn(usize) -> ImageBuilder) {
    let directory = tempfile::tempdir().unwrap();
    let [small, large] = ["small", "large"].map(|name| directory.path().join(name));
    image(size).write(&small);
    image(size * 4).write(&large);
    times_grow_with(&small, &large);
}

#[track_caller]
fn times_grow_with(small: &Path, large: &Path) {
    for command in ["inspect", "minimize", "verify"] {
        let [before, after] = [small, large].map(|image| seconds(command, image));
        let growth = after / before.max(LEAST);
        assert!(
            growth < MOST,
            "{command} takes {before:.2} s, and {after:.2} s for four times as much"
        );
    }
}

/// The CPU time of a command on an image, in seconds. `verify` compares the image with the output of `minimize`.
fn seconds(command: &str, image: &Path) -> f64 {
    let output = image.with_extension("small");
    let [image, output] = [image, &output].map(|path| path.to_str().unwrap());
    let arguments = match command {
        "inspect" => vec!["inspect", image],
        "verify" => vec!["verify", image, output],
        _ => vec![
            "minimize",
            image,
            "--output",
            output,
            "--profile",
            "minimal",
        ],
    };
    let measured = measured(arguments.into_iter().chain(["--limit", LIMITS]));
    let code = measured.output.code;
    assert_eq!(
        code,
        Some(0),
        "{command}: {}{}",
        measured.output.text(),
        measured.output.stderr
    );
    measured.processors.as_secs_f64()
}

fn folded(
    size: usize,
    layer: LayerBuilder,
    add: impl Fn(LayerBuilder, usize) -> LayerBuilder,
) -> LayerBuilder {
    (0..size).fold(layer, add)
}

fn python() -> LayerBuilder {
    LayerBuilder::new().stdlib(STDLIB)
}

#[test]
fn many_files() {
    is_linear(20_000, |size| {
        let add = |layer: LayerBuilder, n| layer.file(&format!("d{}/f{n}", n % 1000), "");
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn many_modules_with_caches() {
    is_linear(2_000, |size| {
        let add = |layer: LayerBuilder, n| layer.module_of_three(STDLIB, &format!("m{n}"));
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn a_chain_of_hardlinks() {
    is_linear(5_000, |size| {
        let first = python().cache(STDLIB, "m0", 0, "", "m");
        let add = |layer: LayerBuilder, n| {
            let [link, target] = [n + 1, n].map(|n| cache_path(STDLIB, &format!("m{n}"), 0));
            layer.hardlink(&link, &target)
        };
        ImageBuilder::of([folded(size, first, add)])
    });
}

#[test]
fn a_chain_of_hardlinks_over_layers_of_which_some_stay() {
    is_linear(5_000, |size| {
        let lower = python().cache(STDLIB, "m", 0, "", "m");
        let target = cache_path(STDLIB, "m", 0);
        let name = |n: usize| match n % 2 {
            0 => cache_path(STDLIB, &format!("m{n}"), 0),
            _ => format!("opt/store/{n}.pyc"),
        };
        let add = |layer: LayerBuilder, n: usize| match n {
            0 => layer.hardlink(&name(0), &target),
            _ => layer.hardlink(&name(n), &name(n - 1)),
        };
        ImageBuilder::of([lower, folded(size, LayerBuilder::new(), add)])
    });
}

#[test]
fn hardlinks_whose_headers_differ() {
    is_linear(5_000, |size| {
        let first = python().cache(STDLIB, "m0", 0, "", "m");
        let target = cache_path(STDLIB, "m0", 0);
        let add = |layer: LayerBuilder, n: usize| {
            let layer = layer.mode(0o400 + (n % 0o200) as u32);
            match n % 100 {
                0 => layer.hardlink(&format!("opt/{n}"), &target),
                _ => layer.hardlink(&cache_path(STDLIB, &format!("m{n}"), 0), &target),
            }
        };
        ImageBuilder::of([folded(size, first, add)])
    });
}

#[test]
fn equal_whiteouts() {
    is_linear(10_000, |size| {
        let add = |layer: LayerBuilder, _| layer.whiteout(&cache_path(STDLIB, "m", 0));
        let upper = folded(size, LayerBuilder::new(), add);
        ImageBuilder::of([python().module_of_three(STDLIB, "m"), upper])
    });
}

#[test]
fn whiteouts_of_caches() {
    is_linear(3_000, |size| {
        let name = |n: usize| format!("m{n}");
        let lower = |layer: LayerBuilder, n| layer.cache(STDLIB, &name(n), 0, "", "m");
        let upper = |layer: LayerBuilder, n| layer.whiteout(&cache_path(STDLIB, &name(n), 0));
        ImageBuilder::of([
            folded(size, python(), lower),
            folded(size, LayerBuilder::new(), upper),
        ])
    });
}

#[test]
fn opaque_directories() {
    is_linear(3_000, |size| {
        let lower = |layer: LayerBuilder, n| layer.cache(&format!("opt/d{n}"), "m", 0, "", "m");
        let upper = |layer: LayerBuilder, n| layer.opaque(&format!("opt/d{n}/__pycache__"));
        ImageBuilder::of([
            folded(size, python(), lower),
            folded(size, LayerBuilder::new(), upper),
        ])
    });
}

#[test]
fn members_of_one_name() {
    is_linear(10_000, |size| {
        let cache = cache_39(0, 0, b"m");
        let add = |layer: LayerBuilder, _| layer.file(&cache_path(STDLIB, "m", 0), &cache);
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn many_trees() {
    is_linear(1_000, |size| {
        let add = |layer: LayerBuilder, n| {
            layer.module_of_three(&format!("srv/{n}/lib/python3.9/site-packages"), "m")
        };
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn directories_that_only_caches_imply() {
    is_linear(2_000, |size| {
        let add = |layer: LayerBuilder, n| {
            let path = format!("opt/{}/{n}/x/y/z/__pycache__/m.cpython-39.pyc", n % 7);
            layer.file(&path, cache_39(0, 0, b"m"))
        };
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn symlinks_through_symlinks() {
    is_linear(2_000, |size| {
        let long = "../a/".repeat(5);
        let links = |layer: LayerBuilder, n: usize| match n {
            0 => layer.symlink("a/l0", "/a"),
            _ => layer.symlink(&format!("a/l{n}"), &format!("{long}l{}", n - 1)),
        };
        let layer = folded(39, python().directory("a"), links);
        let add = |layer: LayerBuilder, n| match n % 2 {
            0 => layer.file(&format!("a/l38/f{n}.py"), ""),
            _ => layer.symlink(&format!("a/s{n}.py"), &format!("/a/l38/f{}.py", n - 1)),
        };
        ImageBuilder::of([folded(size, layer, add)])
    });
}

#[test]
fn symlinks_to_caches() {
    is_linear(3_000, |size| {
        let add = |layer: LayerBuilder, n| {
            let name = format!("m{n}");
            let target = format!("/{}", cache_path(STDLIB, &name, 0));
            layer
                .cache(STDLIB, &name, 0, "", "m")
                .symlink(&format!("opt/{n}.pyc"), &target)
        };
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn sourceless_modules_beside_their_sources() {
    is_linear(5_000, |size| {
        let add = |layer: LayerBuilder, n| {
            layer
                .file(&format!("srv/m{n}.pyc"), cache_39(0, 0, b"m"))
                .file(&format!("srv/m{n}.py"), "")
        };
        ImageBuilder::of([folded(size, python(), add)])
    });
}

#[test]
fn many_layers() {
    is_linear(30, |size| {
        let layers = (0..size).map(|n| {
            let layer = if n == 0 {
                python()
            } else {
                LayerBuilder::new()
            };
            folded(50, layer, |layer, m| {
                layer.module_of_three(STDLIB, &format!("m{n}x{m}"))
            })
        });
        ImageBuilder::of(layers)
    });
}

#[test]
fn words_and_variables_of_a_command() {
    is_linear(1_500, |size| {
        let words: Vec<String> = (0..size).map(|n| format!("$V{n}/x${{V{n}}}")).collect();
        let variables: Vec<String> = (0..size).map(|n| format!("V{n}=/usr/{n}")).collect();
        ImageBuilder::of([python()]).edit_config(|config| {
            config["config"] = json!({"Cmd": words, "Env": variables});
        })
    });
}

#[test]
fn history_and_labels() {
    is_linear(5_000, |size| {
        ImageBuilder::of([python()]).edit_config(|config| {
            let empty = json!({"created_by": "ENV a=b", "empty_layer": true});
            config["history"]
                .as_array_mut()
                .unwrap()
                .extend(vec![empty; size]);
            let labels = (0..size).map(|n| (format!("label.{n}"), json!("value")));
            config["config"]["Labels"] = Value::Object(labels.collect());
        })
    });
}

#[test]
fn tags_of_one_image() {
    let directory = tempfile::tempdir().unwrap();
    let write = |size: usize| {
        let layout = directory.path().join(size.to_string());
        let image = ImageBuilder::of([python()]);
        image.write(&layout);
        let root = image.write_blobs(&layout);
        let roots = (0..size).map(|n| {
            let mut root = root.clone();
            root["annotations"] = json!({"org.opencontainers.image.ref.name": format!("t{n}")});
            root
        });
        builder::write_index(&layout, roots.collect());
        layout
    };
    times_grow_with(&write(5_000), &write(20_000));
}

#[test]
fn an_error_does_not_list_all_of_many_names() {
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layout");
    let roots = (0..20_000).map(|n| {
        let mut root =
            json!({"mediaType": OCI_MANIFEST, "size": 2, "digest": format!("sha256:{n:064x}")});
        root["annotations"] = json!({"org.opencontainers.image.ref.name": format!("tag{n}")});
        root
    });
    let roots = roots.collect();
    ImageBuilder::of([LayerBuilder::new()]).write(&layout);
    builder::write_index(&layout, roots);
    let output = pycull(["inspect", layout.to_str().unwrap()]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.len() < 2000, "{} bytes", output.stderr.len());
}
