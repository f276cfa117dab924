//! `pycull compare`: pairs of layers, trees, modules and gates, on images made by hand and on a real one.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::builder::{write_index, write_nested_index};
use crate::support::pyc::{STDLIB, cache_path};
use crate::support::tools::{Output, real_image};
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized, pycull};

/// Images in a temporary directory.
struct Images(TempDir);

impl Images {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes an image and returns its path.
    fn add(&self, name: &str, layers: impl IntoIterator<Item = LayerBuilder>) -> String {
        let path = self.path(name);
        ImageBuilder::of(layers).write(path.as_ref());
        path
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Bytes that do not compress.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn base() -> LayerBuilder {
    let layer = LayerBuilder::new().directory("usr").stdlib(STDLIB);
    layer.module_of_three(STDLIB, "m")
}

fn tool() -> LayerBuilder {
    let layer = LayerBuilder::new().directory("usr");
    layer.file("usr/bin/tool", noise(1, 20_000))
}

fn app() -> LayerBuilder {
    let layer = LayerBuilder::new().directory("app");
    layer
        .file("app/data", noise(2, 5_000))
        .module("app", "main", "print('hello')\n")
}

/// All three layers in one.
fn squashed() -> LayerBuilder {
    base()
        .file("usr/bin/tool", noise(1, 20_000))
        .file("app/data", noise(2, 5_000))
        .module("app", "main", "print('hello')\n")
}

#[track_caller]
fn compared(images: &[&str]) -> Value {
    let arguments = ["compare", "--format", "json"];
    let report = pycull(arguments.iter().chain(images)).success().json();
    assert_eq!(report["schema"], "pycull.compare/1");
    report
}

/// The numbers of paired layers. Zero means no layer.
fn rows(image: &Value) -> Vec<(u64, u64)> {
    let number = |layer: &Value| layer["index"].as_u64().unwrap_or(0);
    let layers = image["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| (number(&layer["before"]), number(&layer["after"])))
        .collect()
}

/// The differences in the compressed size of layers.
fn differences(image: &Value) -> Vec<i64> {
    let layers = image["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer["compressed_difference"].as_i64().unwrap())
        .collect()
}

#[test]
fn an_inserted_layer_is_the_only_difference() {
    let images = Images::new();
    let before = images.add("before", [base(), app()]);
    for (layers, expected) in [
        (vec![tool(), base(), app()], [(0, 1), (1, 2), (2, 3)]),
        (vec![base(), tool(), app()], [(1, 1), (0, 2), (2, 3)]),
        (vec![base(), app(), tool()], [(1, 1), (2, 2), (0, 3)]),
    ] {
        let after = images.add("after", layers);
        let image = &compared(&[&before, &after])["images"][0];
        assert_eq!(rows(image), expected);
        let changed = differences(image).iter().filter(|it| **it != 0).count();
        assert_eq!(changed, 1, "{image:#}");
        assert_eq!(image["modules"], json!([]));
        assert_eq!(image["after"], json!(after));
    }
}

#[test]
fn a_dropped_layer_is_the_only_difference() {
    let images = Images::new();
    let before = images.add("before", [base(), tool(), app()]);
    let after = images.add("after", [base(), app()]);
    let image = &compared(&[&before, &after])["images"][0];
    assert_eq!(rows(image), [(1, 1), (2, 0), (3, 2)]);
    let text = pycull(["compare", &before, &after]).success().text();
    let row = |start: &str| text.lines().any(|line| line.trim().starts_with(start));
    assert!(row("2 → -") && row("3 → 2"), "{text}");
}

#[test]
fn a_squashed_layer_stands_beside_what_it_shares_most_with() {
    let images = Images::new();
    let before = images.add("before", [base(), tool(), app()]);
    let after = images.add("after", [squashed()]);
    let image = &compared(&[&before, &after])["images"][0];
    assert_eq!(rows(image), [(1, 0), (2, 1), (3, 0)]);
    let back = &compared(&[&after, &before])["images"][0];
    assert_eq!(rows(back), [(0, 1), (1, 2), (0, 3)]);
    for tree in image["trees"].as_array().unwrap() {
        assert_eq!(tree["difference_bytes"], 0, "{tree:#}");
    }
}

#[test]
fn layers_that_pycull_rewrote_stand_beside_what_they_were() {
    let done = minimized(
        &ImageBuilder::of([base(), tool(), app()]),
        &["--profile", "minimal"],
    );
    let [before, after] = [&done.before, &done.after].map(|layout| layout.0.to_str().unwrap());
    let image = &compared(&[before, after])["images"][0];
    assert_eq!(rows(image), [(1, 1), (2, 2), (3, 3)]);
    assert!(differences(image)[0] < 0 && differences(image)[1] == 0);
    let trees = image["trees"].as_array().unwrap();
    let paths: Vec<_> = trees.iter().map(|tree| &tree["path"]).collect();
    assert_eq!(paths, ["app", STDLIB]);
    for tree in trees {
        assert_eq!(tree["python"], "3.9");
        assert_eq!(tree["before"]["sources"], tree["after"]["sources"]);
        assert_eq!(tree["after"]["levels"]["0"]["bytes"], 0);
        assert!(tree["difference_bytes"].as_i64() < Some(0));
    }
    let changed = image["modules"].as_array().unwrap();
    let paths: Vec<_> = changed.iter().map(|module| &module["path"]).collect();
    assert_eq!(paths, [&*format!("{STDLIB}/m.py"), "app/main.py"]);
}

#[test]
fn hidden_caches_count_where_they_are_shipped() {
    let images = Images::new();
    let gone = "opt/old/lib/python3.9/site-packages";
    let lower = || base().module_of_three(gone, "n");
    let whiteouts = LayerBuilder::new()
        .whiteout(&cache_path(STDLIB, "m", 1))
        .whiteout("opt/old");
    let before = images.add("before", [lower(), whiteouts]);
    let after = images.add("after", [base()]);
    let image = &compared(&[&before, &after])["images"][0];
    let trees = image["trees"].as_array().unwrap();
    let paths: Vec<_> = trees.iter().map(|tree| &tree["path"]).collect();
    assert_eq!(paths, [&Value::Null, &json!(STDLIB)]);
    assert_eq!(trees[0]["before"]["levels"]["2"]["files"], 1);
    assert_eq!(trees[1]["difference_bytes"], 0, "{image:#}");
    assert_sums(image);
}

/// Checks that the levels of all trees add up to the levels of the image.
#[track_caller]
fn assert_sums(image: &Value) {
    for side in ["before", "after"] {
        for level in ["0", "1", "2"] {
            let trees = image["trees"].as_array().unwrap().iter();
            let bytes = |levels: &Value| levels[level]["bytes"].as_u64().unwrap();
            let sum: u64 = trees.map(|tree| bytes(&tree[side]["levels"])).sum();
            assert_eq!(sum, bytes(&image["levels"][side]), "{side} {level}");
        }
    }
}

#[test]
fn of_several_images_each_is_compared_with_the_first() {
    let images = Images::new();
    let before = images.add("before", [base(), app()]);
    let more = images.add("more", [base(), tool(), app()]);
    let less = images.add("less", [base()]);
    let report = compared(&[&before, &more, &less]);
    assert_eq!(report["before"], json!(before));
    assert_eq!(report["after"], json!(more));
    let compared_alone =
        [&more, &less].map(|after| compared(&[&before, after])["images"][0].clone());
    assert_eq!(report["images"], json!(compared_alone));
    let text = pycull(["compare", &before, &more, &less]).success().text();
    let images_row = text.lines().find(|line| line.starts_with("image")).unwrap();
    let place = |name: &str| images_row.find(name).unwrap();
    assert!(place("before") < place("more") && place("more") < place("less"));
    for row in [
        "compressed",
        "unpacked",
        "level 0",
        "sources",
        "cold pull",
        "warm pull",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(row)),
            "{row}: {text}"
        );
    }
    assert!(!text.contains("modules that changed most"), "{text}");
    let detailed = pycull(["compare", &before, &more, &less, "-v"]).success();
    assert!(detailed.text().contains("- → 2"), "{}", detailed.text());
}

#[test]
fn each_gate_applies_to_each_image_after() {
    let images = Images::new();
    let before = images.add("before", [base(), app()]);
    let more = images.add("more", [base(), tool(), app()]);
    let less = images.add("less", [base()]);
    let refused = gated(&[&before, &less, &more], &["--max-growth", "1kB"]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with(&format!("{more} (linux/amd64) grew by 20.")));
    let refused = gated(&[&before, &less, &more], &["--max-size", "1"]);
    assert_eq!(refused.len(), 2, "{refused:?}");
}

/// The messages of failed gates, without `error: `. Checks that the exit code matches.
#[track_caller]
fn gated(images: &[&str], gates: &[&str]) -> Vec<String> {
    let output: Output = pycull(["compare"].iter().chain(images).chain(gates));
    let said: Vec<String> = output
        .stderr
        .lines()
        .map(|line| line.strip_prefix("error: ").unwrap().to_owned())
        .collect();
    let expected = if said.is_empty() { 0 } else { 1 };
    assert_eq!(output.code, Some(expected), "{}", output.stderr);
    assert!(!output.stdout.is_empty());
    said
}

#[track_caller]
fn passes(images: &[&str], gates: &[&str]) {
    assert_eq!(gated(images, gates), [""; 0], "{gates:?}");
}

/// Checks that a gate refuses the image after, with all these parts in the message.
#[track_caller]
fn refuses(images: &[&str], gates: &[&str], parts: &[&str]) {
    let said = gated(images, gates);
    assert_eq!(said.len(), 1, "{said:?}");
    for part in parts {
        assert!(said[0].contains(part), "`{part}` is not in: {}", said[0]);
    }
}

#[test]
fn growth_is_refused_with_the_layers_that_grew() {
    let images = Images::new();
    let small = images.add("small", [base(), app()]);
    let large = images.add("large", [base(), tool(), app()]);
    let grown = [&*small, &*large];
    passes(&grown, &["--max-growth", "21kB"]);
    passes(&grown, &["--max-growth", "1000%"]);
    passes(&[&large, &small], &["--max-growth", "0"]);
    for limit in ["10kB", "50%"] {
        let parts = [
            "grew by 20.",
            " compressed, ",
            " more than --max-growth ",
            ": new layer 2 +20.",
        ];
        refuses(&grown, &["--max-growth", limit], &parts);
    }
}

#[test]
fn a_size_is_refused_with_the_largest_layers() {
    let images = Images::new();
    let before = images.add("before", [base(), app()]);
    let after = images.add("after", [base(), tool(), app()]);
    let pair = [&*before, &*after];
    passes(&pair, &["--max-size", "30kB"]);
    let parts = [
        " compressed, ",
        " more than --max-size 10.0 kB: new layer 2 20.",
        ", layer 3 5.",
        ", layer 1 ",
    ];
    refuses(&pair, &["--max-size", "10kB"], &parts);
    let share = pycull(["compare", &before, &after, "--max-size", "10%"]);
    assert_eq!(share.code, Some(2), "{}", share.stderr);
}

#[test]
fn bytecode_is_refused_with_trees_and_levels() {
    let done = minimized(
        &ImageBuilder::of([base(), app()]),
        &["--profile", "minimal"],
    );
    let [full, bare] = [&done.before, &done.after].map(|layout| layout.0.to_str().unwrap());
    passes(&[full, bare], &["--max-bytecode", "0"]);
    passes(&[bare, full], &["--max-bytecode", "1kB"]);
    passes(&[bare, full], &["--max-bytecode", "10%"]);
    for limit in ["100B", "0.5%"] {
        let parts = [
            " of bytecode (",
            " % of the unpacked layers), ",
            " more than --max-bytecode ",
            "level 0 in app ",
            &format!("level 1 in {STDLIB} "),
            ", and 1 more",
        ];
        refuses(&[bare, full], &["--max-bytecode", limit], &parts);
    }
}

#[test]
fn too_little_shrinking_is_refused() {
    let images = Images::new();
    let large = images.add("large", [base(), tool(), app()]);
    let small = images.add("small", [base(), app()]);
    let shrunk = [&*large, &*small];
    passes(&shrunk, &["--require-shrink"]);
    passes(&shrunk, &["--require-shrink", "20kB"]);
    passes(&shrunk, &["--require-shrink=50%"]);
    let parts = [
        "shrank by only 20.",
        " short of --require-shrink 90 %: former layer 2 -20.",
    ];
    refuses(&shrunk, &["--require-shrink", "90%"], &parts);
    let parts = [
        "grew by 20.",
        " short of --require-shrink: new layer 2 +20.",
    ];
    refuses(&[&small, &large], &["--require-shrink"], &parts);
    let parts = ["1 B short of --require-shrink: no layer changed its size"];
    refuses(&[&small, &small], &["--require-shrink"], &parts);
}

#[test]
fn all_gates_are_heard() {
    let images = Images::new();
    let before = images.add("before", [base()]);
    let after = images.add("after", [base(), tool()]);
    let gates = "--max-growth 0 --max-size 1kB --max-bytecode 0 --require-shrink 1%";
    let gates: Vec<&str> = gates.split(' ').collect();
    let said = gated(&[&before, &after], &gates);
    let flags = ["max-growth", "max-size", "max-bytecode", "require-shrink"];
    assert_eq!(said.len(), flags.len(), "{said:#?}");
    for (said, flag) in said.iter().zip(flags) {
        assert!(said.contains(flag), "{said}");
    }
}

#[test]
fn a_platform_that_one_image_lacks_is_told() {
    let images = Images::new();
    let (before, after) = (images.path("both"), images.path("one"));
    let one = ImageBuilder::of([base()]);
    let other = ImageBuilder::of([base(), app()]).platform("linux", "arm64");
    let roots = [&one, &other].map(|image| image.write_blobs(before.as_ref()));
    let index = write_nested_index(before.as_ref(), roots.to_vec());
    write_index(before.as_ref(), vec![index]);
    one.write(after.as_ref());
    let report = compared(&[&before, &after, &before]);
    let unmatched = |present_in, absent_from, side| {
        json!([{
            "platform": "linux/arm64", "present_in": present_in, "absent_from": absent_from, "side": side
        }])
    };
    assert_eq!(report["unmatched"], unmatched(&before, &after, "before"));
    // If a gate cannot be applied to an image, the message says so.
    let alone = ["cannot apply gates to linux/arm64"];
    refuses(&[&before, &after], &["--max-size", "1MB"], &alone);
    refuses(&[&after, &before], &["--max-size", "1MB"], &alone);
    let report = compared(&[&after, &before]);
    assert_eq!(report["unmatched"], unmatched(&before, &after, "after"));
    let report = compared(&[&before, &after, &before]);
    let platforms = report["images"].as_array().unwrap().iter();
    let platforms = platforms.map(|image| (&image["platform"], &image["after"]));
    assert_eq!(
        platforms.collect::<Vec<_>>(),
        [
            (&json!("linux/amd64"), &json!(after)),
            (&json!("linux/amd64"), &json!(before)),
            (&json!("linux/arm64"), &json!(before)),
        ]
    );
}

#[test]
fn an_image_without_a_partner_is_named() {
    let images = Images::new();
    let (both, odd) = (images.path("both"), images.path("odd"));
    let image = |architecture| ImageBuilder::of([base()]).platform("linux", architecture);
    let roots = ["amd64", "arm64"].map(|name| image(name).write_blobs(both.as_ref()));
    let index = write_nested_index(both.as_ref(), roots.to_vec());
    write_index(both.as_ref(), vec![index]);
    image("s390x").write(odd.as_ref());
    pycull(["compare", &both, &both, &odd]).refused(&format!(
        "the earlier image has linux/amd64, linux/arm64; `{odd}` has linux/s390x"
    ));
    pycull(["compare", "-", &both, "-"]).refused("only one of the images");
}

/// Removes what only the layers tell from an image of a report.
fn without_content(image: &Value) -> Value {
    let mut image = image.clone();
    for name in ["levels", "trees", "modules"] {
        image[name] = Value::Null;
    }
    for name in ["before", "after", "difference"] {
        image["totals"][format!("uncompressed_{name}")] = Value::Null;
    }
    for pair in image["layers"].as_array_mut().unwrap() {
        pair["uncompressed_difference"] = Value::Null;
        for side in ["before", "after"] {
            if pair[side].is_object() {
                pair[side]["uncompressed_bytes"] = Value::Null;
                pair[side]["levels"] = Value::Null;
            }
        }
    }
    image
}

#[test]
fn sizes_alone_are_those_of_a_whole_comparison() {
    let done = minimized(
        &ImageBuilder::of([base(), tool(), app()]),
        &["--profile", "minimal"],
    );
    let [before, small] = [&done.before, &done.after].map(|layout| layout.0.to_str().unwrap());
    let images = Images::new();
    let more = images.add("more", [base(), tool(), tool().file("new", "x"), app()]);
    let whole = compared(&[before, small, &more]);
    let sizes = compared(&["--sizes", before, small, &more]);
    let expected = whole["images"].as_array().unwrap().iter();
    let expected: Vec<Value> = expected.map(without_content).collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(sizes["images"], json!(expected));
}

#[test]
fn sizes_alone_keep_the_largest_of_reordered_layers_side_by_side() {
    let images = Images::new();
    let before = images.add("before", [tool(), app()]);
    let after = images.add("after", [app(), tool()]);
    let image = &compared(&["--sizes", &before, &after])["images"][0];
    assert_eq!(rows(image), [(0, 1), (1, 2), (2, 0)]);
}

#[test]
fn sizes_alone_need_no_layer() {
    let images = Images::new();
    let before = images.add("before", [base(), app()]);
    let after = images.add("after", [base(), tool(), app()]);
    let layouts = [&before, &after].map(|image| Layout(image.into()));
    let layers: Vec<_> = layouts.iter().flat_map(blobs_of_layers).collect();
    for layer in layers {
        let _ = std::fs::remove_file(layer); // Both images share two layers.
    }
    pycull(["compare", &before, &after]).refused("missing");
    let pair = [&*before, &*after];
    passes(
        &pair,
        &["--sizes", "--max-growth", "21kB", "--max-size", "30kB"],
    );
    let parts = [": new layer 2 +20."];
    refuses(&pair, &["--sizes", "--max-growth", "10kB"], &parts);
    let parts = ["grew by 20.", " short of --require-shrink: "];
    refuses(&pair, &["--sizes", "--require-shrink"], &parts);
    let badge = images.path("badge.svg");
    passes(&pair, &["--sizes", "--badge", &badge]);
    assert!(
        std::fs::read_to_string(badge)
            .unwrap()
            .contains("image size")
    );
    let text = pycull(["compare", "--sizes", &before, &after]).success();
    let text = text.text();
    assert!(
        !text.contains("unpacked") && !text.contains("level"),
        "{text}"
    );
    let page = pycull(["compare", "--sizes", &before, &after, "--format", "html"]).success();
    assert!(!page.text().contains("layers, unpacked"));
}

/// The files of an image's layers.
fn blobs_of_layers(layout: &Layout) -> Vec<std::path::PathBuf> {
    let layers = layout.manifest()["layers"].as_array().unwrap().clone();
    let digests = layers
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned());
    digests
        .map(|digest| layout.0.join("blobs").join(digest.replace(':', "/")))
        .collect()
}

/// The size of all members that are named as CPython caches, by the tests' own code.
fn cache_bytes(layout: &Layout) -> u64 {
    let is_cache = |path: &str| {
        let (directory, name) = path.rsplit_once('/').unwrap_or_default();
        directory.ends_with("/__pycache__") && name.ends_with(".pyc")
    };
    let layers = 0..layout.layer_count();
    let members = layers.flat_map(|layer| layout.members(layer));
    members
        .filter(|member| is_cache(&member.path))
        .map(|member| member.data.len() as u64)
        .sum()
}

#[test]
fn a_real_image_is_compared_with_what_is_left_of_it() {
    let before = Layout::new(real_image("py3.9"));
    let images = Images::new();
    let after = images.path("after");
    let input = before.0.to_str().unwrap();
    pycull([
        "minimize",
        input,
        "--output",
        &format!("oci:{after}:x"),
        "--profile",
        "minimal",
    ])
    .success();
    let image = &compared(&[input, &after])["images"][0];
    let pairs = rows(image);
    assert!(
        pairs.iter().all(|(old, new)| old == new || *new == 0),
        "{pairs:?}"
    );
    assert_sums(image);
    let bytecode = |side: &str| {
        let levels = image["levels"][side].as_object().unwrap().values();
        levels
            .map(|level| level["bytes"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(bytecode("before"), cache_bytes(&before));
    assert_eq!(bytecode("after"), cache_bytes(&Layout::new(&after)));
    passes(
        &[input, &after],
        // The share of caches depends on the current versions of the packages.
        &["--require-shrink", "1%", "--max-bytecode", "1%"],
    );
    refuses(
        &[&after, input],
        &["--max-bytecode", "1%"],
        &["level 0 in usr/lib/python3"],
    );
}
