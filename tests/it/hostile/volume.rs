//! Images that expand to much more than their size.

use std::io::{Read as _, Write};

use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::bounds::Becomes::{self, Read, Refused};
use super::bounds::{is_bounded, layer_is_bounded};
use crate::support::builder::{self, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST};
use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::{ImageBuilder, LayerBuilder, Layered};

const TOO_MANY: Becomes<'_> = Refused("files, which is the limit");
const TOO_LONG: Becomes<'_> = Refused("bytes of names and headers, which is the limit");
const TOO_LARGE: Becomes<'_> =
    Refused("bytes of indexes, manifests and configs, which is the limit");

fn folded(count: usize, add: impl Fn(LayerBuilder, usize) -> LayerBuilder) -> LayerBuilder {
    let start = LayerBuilder::new().stdlib(STDLIB);
    (0..count).fold(start, add)
}

#[test]
fn members_beyond_what_the_size_allows_are_refused() {
    layer_is_bounded(
        "empty files",
        TOO_MANY,
        folded(60_000, |layer, _| layer.file("a", "")),
    );
    layer_is_bounded(
        "caches",
        TOO_MANY,
        folded(60_000, |layer, n| {
            layer.file(&cache_path(STDLIB, &n.to_string(), 0), "")
        }),
    );
    layer_is_bounded(
        "implied directories",
        TOO_MANY,
        folded(2_000, |layer, n| {
            layer.file(&format!("{n}{}/f", "/d".repeat(45)), "")
        }),
    );
}

#[test]
fn names_and_headers_beyond_what_the_size_allows_are_refused() {
    let deep = "d/".repeat(2_000);
    layer_is_bounded(
        "names in depth",
        TOO_LONG,
        folded(100, |layer, n| layer.file(&format!("{n}/{deep}"), "")),
    );
    let long = "n".repeat(4_000);
    layer_is_bounded(
        "long names",
        TOO_LONG,
        folded(10_000, |layer, n| layer.file(&format!("{n}{long}"), "")),
    );
    layer_is_bounded(
        "targets of links",
        TOO_LONG,
        folded(10_000, |layer, n| layer.symlink(&n.to_string(), &long)),
    );
    let megabyte = vec![b'x'; 1 << 20];
    let value = &megabyte[..1_000_000];
    layer_is_bounded(
        "extended attributes",
        TOO_LONG,
        folded(100, |layer, n| {
            layer
                .pax("SCHILY.xattr.user.a", value)
                .file(&n.to_string(), "")
        }),
    );
    layer_is_bounded(
        "comments on hardlinks",
        TOO_LONG,
        folded(100, |layer, n| {
            layer
                .pax("comment", value)
                .hardlink(&n.to_string(), &format!("{STDLIB}/os.py"))
        }),
    );
    layer_is_bounded(
        "comments on caches",
        TOO_LONG,
        folded(100, |layer, n| {
            layer
                .pax("comment", value)
                .file(&cache_path(STDLIB, &n.to_string(), 0), "")
        }),
    );
}

#[test]
fn what_is_long_but_forgotten_costs_nothing() {
    let value = vec![b'x'; 1_000_000];
    layer_is_bounded(
        "comments on files",
        Read,
        folded(50, |layer, n| {
            layer.pax("comment", &value).file(&n.to_string(), "")
        }),
    );
}

#[test]
fn links_that_lead_through_links_are_bounded() {
    let through = |parts: &str, count: usize| {
        let links = (1..39).fold(
            LayerBuilder::new()
                .stdlib(STDLIB)
                .directory("a")
                .symlink("a/l0", "/a"),
            |layer, n| layer.symlink(&format!("a/l{n}"), &format!("{parts}l{}", n - 1)),
        );
        (0..count).fold(links, |layer, n| layer.file(&format!("a/l38/f{n}"), ""))
    };
    layer_is_bounded("few parts", Read, through("../a/", 1_000));
    let many = "../a/".repeat(800);
    let refused = Refused("too many symlinks on the way to");
    layer_is_bounded("many parts", refused, through(&many, 1_000));
    layer_is_bounded(
        "a chain",
        Refused("symlinks on the way"),
        LayerBuilder::new()
            .symlink("a", "b")
            .symlink("b", "a")
            .file("a/x", ""),
    );
    layer_is_bounded(
        "symlinks that lead nowhere",
        Read,
        folded(20_000, |layer, n| {
            layer.symlink(&format!("s{n}"), &format!("s{}", n + 1))
        }),
    );
    let target = "x/../".repeat(80);
    layer_is_bounded(
        "symlinks that take long",
        Read,
        folded(20_000, |layer, n| {
            layer.directory("x").symlink(&format!("s{n}"), &target)
        }),
    );
}

#[test]
fn chains_and_repetitions_are_bounded() {
    let link = |n: usize| cache_path(STDLIB, &n.to_string(), 0);
    let first = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&link(0), cache_39(0, 0, b"m"));
    let chain = (1..40_000).fold(first, |layer, n| layer.hardlink(&link(n), &link(n - 1)));
    layer_is_bounded("a chain of hardlinks", Read, chain);
    layer_is_bounded(
        "one name",
        Read,
        folded(40_000, |layer, _| {
            layer.file(&link(0), cache_39(0, 0, b"m"))
        }),
    );
    let lower = folded(1_000, |layer, n| layer.file(&link(n), ""));
    let whiteouts = (0..30_000).fold(LayerBuilder::new(), |layer, n| match n % 2 {
        0 => layer.whiteout(&link(n % 10)),
        _ => layer.opaque(&format!("{STDLIB}/__pycache__")),
    });
    let image = ImageBuilder::of([lower, whiteouts]);
    is_bounded("equal whiteouts", Read, |path| image.write(path));
}

#[test]
fn layers_that_are_named_again_and_again_are_bounded() {
    let layer = folded(5_000, |layer, n| layer.file(&n.to_string(), ""));
    let tar = layer.build();
    let repeated = |count: usize| {
        let mut image = ImageBuilder::new().layer_as(layer.clone(), Layered::Zstd);
        let again = image.config["rootfs"]["diff_ids"][0].clone();
        let entry = image.config["history"][0].clone();
        for _ in 1..count {
            image.config["rootfs"]["diff_ids"]
                .as_array_mut()
                .unwrap()
                .push(again.clone());
            image.config["history"]
                .as_array_mut()
                .unwrap()
                .push(entry.clone());
        }
        move |path: &std::path::Path| {
            image.write(path);
            let layout = crate::support::Layout::new(path);
            let mut manifest = layout.manifest();
            manifest["layers"] = vec![manifest["layers"][0].clone(); count].into();
            let mut root = builder::write_document(path, OCI_MANIFEST, &manifest);
            root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
            builder::write_index(path, vec![root]);
        }
    };
    assert!(tar.len() > 2_000_000);
    is_bounded("a thousand times", TOO_MANY, repeated(1_000));
    is_bounded("five times", Read, repeated(5));
}

#[test]
fn bombs_are_bounded() {
    let zeros = |bytes: usize| {
        LayerBuilder::new()
            .stdlib(STDLIB)
            .file("zeros", vec![0; bytes])
    };
    layer_is_bounded("a file of zeros", Read, zeros(40 << 20));
    let zstd_of_zeros = zstd::encode_all(std::io::repeat(0).take(3 << 30), 1).unwrap();
    let tar = LayerBuilder::new().build();
    let image = ImageBuilder::new().layer_blob(&tar, zstd_of_zeros, "+zstd");
    is_bounded("a zstd bomb", Refused(""), |path| image.write(path));
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..1024 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    let image = ImageBuilder::new().layer_blob(&tar, encoder.finish().unwrap(), "+gzip");
    is_bounded("a gzip bomb", Refused(""), |path| image.write(path));
    let empty = GzEncoder::new(Vec::new(), flate2::Compression::best())
        .finish()
        .unwrap();
    let image = ImageBuilder::new().layer_blob(&tar, empty.repeat(200_000), "+gzip");
    is_bounded("many empty gzip members", Refused(""), |path| {
        image.write(path)
    });
}

/// An image with an additional field in its config.
fn with_config(key: &str, value: Value) -> ImageBuilder {
    let layer = LayerBuilder::new().stdlib(STDLIB);
    ImageBuilder::of([layer]).edit_config(|config| config[key] = value)
}

#[test]
fn documents_are_bounded() {
    let large = |key: &str, value| {
        let image = with_config(key, value);
        move |path: &std::path::Path| image.write(path)
    };
    let numbers = || Value::Array(vec![json!(0); 2_000_000]);
    is_bounded("a config of numbers", TOO_LARGE, large("x", numbers()));
    let lists = Value::Array(vec![json!([]); 1_200_000]);
    is_bounded("a config of lists", TOO_LARGE, large("x", lists));
    let fields = (0..300_000).map(|n| (n.to_string(), Value::Null));
    is_bounded(
        "a config of fields",
        Read,
        large("x", Value::Object(fields.collect())),
    );
    is_bounded(
        "a long text",
        Read,
        large("x", json!("\u{1}".repeat(700_000))),
    );
    let entry = json!({"created_by": "x", "empty_layer": true});
    let history = vec![entry; 90_000];
    is_bounded("a history", Read, |path| {
        let image = ImageBuilder::of([LayerBuilder::new().stdlib(STDLIB)]);
        let edit = |config: &mut Value| config["history"].as_array_mut().unwrap().extend(history);
        image.edit_config(edit).write(path);
    });
    let words = Value::Array(vec![json!("/bin/sh"); 300_000]);
    is_bounded(
        "words",
        Read,
        large("config", json!({"Cmd": words, "Entrypoint": ["env"]})),
    );
    let variables: Vec<_> = (0..200_000).map(|n| format!("V{n}=$V{n}")).collect();
    is_bounded(
        "variables",
        Read,
        large("config", json!({"Env": variables, "Cmd": ["$V1"]})),
    );
}

#[test]
fn one_document_many_times_is_refused() {
    is_bounded("a manifest of an index", TOO_LARGE, |path| {
        let mut image = ImageBuilder::of([LayerBuilder::new().stdlib(STDLIB)]);
        image.manifest["annotations"] = json!({"x": "x".repeat(2_000_000)});
        let root = image.write_blobs(path);
        let index = builder::write_nested_index(path, vec![root; 20]);
        builder::write_index(path, vec![index]);
    });
    is_bounded(
        "indexes that name each other",
        Refused("descriptors"),
        |path| {
            let mut below = vec![ImageBuilder::of([LayerBuilder::new()]).write_blobs(path)];
            for _ in 0..7 {
                let index = builder::write_nested_index(path, vec![below[0].clone(); 30]);
                below = vec![index];
            }
            builder::write_index(path, below);
        },
    );
    is_bounded("deep indexes", Refused("nested more than"), |path| {
        let mut below = ImageBuilder::of([LayerBuilder::new()]).write_blobs(path);
        for _ in 0..30 {
            below = builder::write_nested_index(path, vec![below]);
        }
        builder::write_index(path, vec![below]);
    });
}

#[test]
fn texts_that_are_no_documents_are_refused() {
    let manifest = |text: String| {
        move |path: &std::path::Path| {
            ImageBuilder::of([LayerBuilder::new()]).write(path);
            let mut root = builder::write_text(path, OCI_MANIFEST, &text);
            root["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
            builder::write_index(path, vec![root]);
        }
    };
    let number = |text: &str| format!("{{\"schemaVersion\":{text}}}");
    for (name, text) in [
        ("nothing", String::new()),
        ("a list", "[]".to_owned()),
        (
            "deep lists",
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
        ),
        ("deep objects", "{\"a\":".repeat(100_000)),
        ("a cut text", "{\"a\":\"".to_owned()),
        ("a long number", number(&"9".repeat(1_000_000))),
        ("an exponent", number("1e999999999")),
        ("spaces", " ".repeat(1_000_000)),
        ("two documents", "{}{}".to_owned()),
        ("a byte order mark", "\u{feff}{}".to_owned()),
        ("a comment", "/**/{}".to_owned()),
        ("no config", "{\"layers\":[]}".to_owned()),
        (
            "layers that are a number",
            "{\"layers\":7,\"config\":{}}".to_owned(),
        ),
    ] {
        is_bounded(name, Refused(""), manifest(text));
    }
}

#[test]
fn descriptors_that_name_nothing_good_are_refused() {
    let digest = |text: &str| json!({"mediaType": OCI_MANIFEST, "digest": text, "size": 2});
    let hex = "a".repeat(64);
    for descriptor in [
        digest(""),
        digest("sha256:"),
        digest("sha256:../../../../etc/passwd"),
        digest(&format!("sha256:{}", "../".repeat(21))),
        digest(&format!("sha256:{}", "A".repeat(64))),
        digest(&format!("sha256:{hex}{hex}")),
        digest(&format!("md5:{hex}")),
        digest(&format!("../blobs:{hex}")),
        digest(&format!("sha256:{hex}")),
        digest(&"x".repeat(100_000)),
        json!({"mediaType": OCI_MANIFEST, "digest": format!("sha256:{hex}"), "size": -1}),
        json!({"mediaType": OCI_MANIFEST, "digest": format!("sha256:{hex}"), "size": 1.5}),
        json!({"mediaType": OCI_MANIFEST, "digest": format!("sha256:{hex}"), "size": u64::MAX}),
        json!({"mediaType": OCI_MANIFEST, "digest": format!("sha256:{hex}"), "size": "2"}),
        json!({"mediaType": OCI_CONFIG, "digest": format!("sha256:{hex}"), "size": 2}),
        json!({"mediaType": OCI_INDEX, "digest": format!("sha256:{hex}"), "size": 2}),
        json!({"mediaType": 7, "digest": format!("sha256:{hex}"), "size": 2}),
        json!({"digest": format!("sha256:{hex}"), "size": 2}),
        json!(null),
        json!([]),
        json!("sha256"),
    ] {
        let name = descriptor.to_string().chars().take(100).collect::<String>();
        is_bounded(&name, Refused(""), |path| {
            ImageBuilder::of([LayerBuilder::new()]).write(path);
            builder::write_index(path, vec![descriptor]);
        });
    }
}

#[test]
fn files_at_the_end_of_long_paths_are_bounded() {
    let deep = format!("{STDLIB}/{}", "d/".repeat(1_900));
    let caches = folded(2_000, |layer, n| {
        let module = format!("m{n}");
        layer.file(&cache_path(&deep, &module, 0), cache_39(0, 0, b""))
    });
    layer_is_bounded("caches", Read, caches);
    let sources = folded(2_000, |layer, n| layer.file(&format!("{deep}m{n}.py"), ""));
    let stripped = sources.file(&cache_path(STDLIB, "gone", 0), cache_39(0, 0, b""));
    layer_is_bounded("sources", Read, stripped);
}
