//! The same input and profile give the same digests, on any machine and with any number of jobs. A second run has
//! nothing to do.

use std::io::Write;
use std::path::Path;

use crate::support::layout::Layout;
use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::minimize;
use crate::support::tools::{real_image, testdata};
use crate::support::{ImageBuilder, LayerBuilder, Layered, pycull};

/// The manifest digest of fedora-shaped.tar after profile `default`.
const PINNED: &str = "sha256:ad22c571f65a14481f3569a69557ac81edde29faed7a134fe80d04780e491e79";

/// The names of all built-in profiles, as pycull lists them.
fn profiles() -> Vec<String> {
    let list = pycull(["profile", "list"]).success().text();
    let names: Vec<String> = list
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"default".to_owned()), "{list}");
    names
}

/// The profiles that compile nothing. Images made by hand have no interpreter.
fn stripping_profiles() -> Vec<String> {
    let compiles = |name: &String| {
        let text = pycull(["profile", "show", name.as_str()]).success().text();
        text.contains("missing = \"compile\"")
    };
    let (compiling, stripping): (Vec<_>, Vec<_>) = profiles().into_iter().partition(compiles);
    assert!(compiling.contains(&"all".to_owned()), "{compiling:?}");
    stripping
}

/// Several layers with every compression. Links, whiteouts and hidden caches connect them.
fn layered() -> ImageBuilder {
    let source = "# m\n";
    let directory = format!("{STDLIB}/__pycache__");
    let base = LayerBuilder::new()
        .stdlib(STDLIB)
        .directory(&directory)
        .module_of_three(STDLIB, "a")
        .module_of_three(STDLIB, "b")
        .file(&format!("{STDLIB}/m.py"), source)
        .cache(STDLIB, "m", 1, source, "same")
        .hardlink(&cache_path(STDLIB, "m", 2), &cache_path(STDLIB, "m", 1))
        .hardlink(&cache_path(STDLIB, "m", 0), &cache_path(STDLIB, "m", 1))
        .module_of_three("opt/app", "c");
    let above = LayerBuilder::new()
        .whiteout(&cache_path(STDLIB, "a", 1))
        .whiteout("opt/app/__pycache__")
        .cache(STDLIB, "b", 0, "# b\n", "another")
        .cache(STDLIB, "b", 1, "# b\n", "another");
    let top = LayerBuilder::new()
        .directory("opt/app/__pycache__")
        .opaque("opt/app/__pycache__")
        .cache("opt/app", "c", 1, "# c\n", "top")
        .hardlink(&cache_path(STDLIB, "z", 0), &cache_path(STDLIB, "b", 0));
    let only_caches = LayerBuilder::new().cache(STDLIB, "b", 2, "# b\n", "again");
    ImageBuilder::new()
        .layer(base)
        .layer_as(above, Layered::Zstd)
        .layer_as(top, Layered::Plain)
        .layer(only_caches)
}

#[track_caller]
fn digest(layout: &Path) -> String {
    Layout::new(layout).manifest_digest()
}

/// Minimizes `input` and then the result. Checks that the second run changes nothing.
#[track_caller]
fn settles(input: &Path, profile: &str) {
    let directory = tempfile::tempdir().unwrap();
    let outputs = ["once", "twice"].map(|name| directory.path().join(name));
    let to = |path: &Path| format!("oci:{}", path.display());
    minimize(input, Path::new(&to(&outputs[0])), &["--profile", profile]);
    let again = minimize(
        &outputs[0],
        Path::new(&to(&outputs[1])),
        &["--profile", profile],
    );
    assert_eq!(digest(&outputs[0]), digest(&outputs[1]), "{profile}");
    let layers = again["images"][0]["layers"].as_array().unwrap();
    let all_kept = layers.iter().all(|layer| layer["action"] == "kept");
    assert!(all_kept, "{profile}: {layers:?}");
    assert_eq!(
        again["images"][0]["reasons"],
        serde_json::json!({}),
        "{profile}"
    );
}

#[test]
fn a_second_run_on_an_image_shaped_like_fedoras_changes_nothing() {
    for profile in stripping_profiles() {
        settles(&testdata("fedora-shaped.tar"), &profile);
    }
}

#[test]
fn a_second_run_on_layers_with_links_and_whiteouts_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    layered().write(directory.path());
    for profile in stripping_profiles() {
        settles(directory.path(), &profile);
    }
}

#[test]
fn a_second_run_on_a_real_image_changes_nothing() {
    let image = real_image("py3.11");
    for profile in profiles() {
        settles(&image, &profile);
    }
}

/// The manifest digests of several runs, each with its own arguments.
fn digests(input: &Path, runs: &[&[&str]]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let run = |(number, arguments): (usize, &&[&str])| {
        let output = directory.path().join(number.to_string());
        let to = format!("oci:{}", output.display());
        minimize(input, Path::new(&to), arguments);
        digest(&output)
    };
    runs.iter().enumerate().map(run).collect()
}

#[test]
fn the_number_of_jobs_and_the_run_leave_no_trace_in_the_image() {
    let directory = tempfile::tempdir().unwrap();
    layered().write(directory.path());
    let runs: [&[&str]; 4] = [&["--jobs", "1"], &["--jobs", "8"], &["--jobs", "3"], &[]];
    for input in [directory.path().to_owned(), testdata("fedora-shaped.tar")] {
        let found = digests(&input, &runs);
        assert!(found.iter().all(|digest| *digest == found[0]), "{found:?}");
        assert_ne!(found[0], untouched_digest(&input), "nothing was done");
    }
}

#[test]
fn a_real_image_comes_out_the_same_at_one_job_and_at_eight() {
    let found = digests(&real_image("py3.13"), &[&["--jobs", "1"], &["--jobs", "8"]]);
    assert_eq!(found[0], found[1]);
}

fn untouched_digest(input: &Path) -> String {
    let report = pycull(["inspect", input.to_str().unwrap(), "--format", "json"]);
    let report = report.success().json();
    report["images"][0]["manifest_digest"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_medium_leaves_no_trace_in_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("out.tar");
    let report = minimize(&testdata("fedora-shaped.tar"), &archive, &[]);
    assert_eq!(
        report["images"][0]["after"]["manifest_digest"],
        untouched_digest(&archive)
    );
    let by_layout = digests(&testdata("fedora-shaped.tar"), &[&[]]);
    assert_eq!(by_layout[0], untouched_digest(&archive));
}

#[test]
fn the_digest_of_a_known_image_is_the_one_that_every_release_gave() {
    let found = digests(&testdata("fedora-shaped.tar"), &[&[]]);
    assert_eq!(
        found[0], PINNED,
        "the output for testdata/fedora-shaped.tar changed. Users see every layer pushed and pulled \
         again. Where that is intended, put the new digest into PINNED and say so in CHANGELOG.md"
    );
}

/// Compressing whole layers matters here: copied blocks would be those of the builder.
#[test]
fn equal_content_from_two_builders_gives_equal_layers_where_they_are_compressed_whole() {
    let text: String = (0..40_000)
        .map(|n| format!("{} ", n * 7919 % 10_007))
        .collect();
    let tar = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .file("usr/share/text", text)
        .build();
    let directory = tempfile::tempdir().unwrap();
    let digests = |compression: &str| {
        [1, 9].map(|level| {
            let [before, after] = ["before", "after"].map(|name| {
                directory
                    .path()
                    .join(format!("{name}-{compression}-{level}"))
            });
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
            encoder.write_all(&tar).unwrap();
            let blob = encoder.finish().unwrap();
            ImageBuilder::new()
                .layer_blob(&tar, blob, "+gzip")
                .write(&before);
            minimize(&before, &after, &["--compression", compression]);
            Layout::new(&after).manifest_digest()
        })
    };
    let [one, other] = digests("keep");
    assert_ne!(one, other);
    let [one, other] = digests("gzip:6");
    assert_eq!(one, other);
}
