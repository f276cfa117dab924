//! Trap 30: a Zstandard stream does not reveal its level, but a stripped layer must not become larger than it was.

use std::fs;

use crate::support::builder::Layered;
use crate::support::pyc::STDLIB;
use crate::support::scene::minimize;
use crate::support::tools::tool;
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized};

/// A pseudorandom sequence, the same in every run.
fn noise() -> impl FnMut(u64) -> u64 {
    let mut state = 1u64;
    move |bound| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) % bound
    }
}

/// Text that compresses better at higher levels.
fn text(bytes: usize) -> Vec<u8> {
    let mut next = noise();
    let words: Vec<String> = (0..4000)
        .map(|_| {
            (0..2 + next(8))
                .map(|_| (b'a' + next(20) as u8) as char)
                .collect()
        })
        .collect();
    let mut text = Vec::with_capacity(bytes + 100);
    while text.len() < bytes {
        let word = next(4000) * next(4000) / 4000;
        text.extend_from_slice(words[word as usize].as_bytes());
        text.push(b" \n(.,"[next(5) as usize]);
    }
    text
}

/// A layer from which stripping removes almost nothing.
fn layer() -> LayerBuilder {
    let text = text(2_500_000);
    let python = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    let files = text.chunks(50_000).enumerate();
    files.fold(python, |layer, (number, part)| {
        layer.file(&format!("usr/share/{number}"), part)
    })
}

fn zstd(data: &[u8], flags: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
    fs::write(&from, data).unwrap();
    let paths = [from.to_str().unwrap(), "-o", to.to_str().unwrap()];
    tool("zstd", ["-q"].iter().chain(flags).chain(&paths)).success();
    fs::read(&to).unwrap()
}

#[test]
fn a_layer_of_any_level_does_not_grow_when_it_is_stripped() {
    let tar = layer().build();
    let mut sizes = Vec::new();
    for level in ["-1", "-3", "-9", "-19"] {
        let image = ImageBuilder::new().layer_blob(&tar, zstd(&tar, &[level]), "+zstd");
        let old = image.blob(0).len() as u64;
        let done = minimized(&image, &[]);
        let new = done.after.manifest()["layers"][0]["size"].as_u64().unwrap();
        // There is no level to try above 19, so the frames of another writer may be a few bytes smaller.
        assert!(new <= old + 64, "{level}: {old}, then {new}");
        assert!(new > old * 3 / 4, "{level}: {old}, then {new}");
        let is_told = done.warnings().iter().any(|it| it.contains(" grew from "));
        assert_eq!(is_told, new > old, "{:?}", done.warnings());
        sizes.push(new);
    }
    assert!(
        sizes.is_sorted_by(|a, b| a >= b) && sizes[1] > sizes[3],
        "{sizes:?}"
    );
}

#[test]
fn what_skopeo_compressed_with_zstandard_does_not_grow() {
    let directory = tempfile::tempdir().unwrap();
    let [plain, before, after] =
        ["plain", "before", "after"].map(|name| directory.path().join(name));
    ImageBuilder::new()
        .layer_as(layer(), Layered::Plain)
        .write(&plain);
    for format in ["zstd", "zstd:chunked"] {
        let to = format!("oci:{}:latest", before.display());
        tool(
            "skopeo",
            [
                "copy",
                "--quiet",
                "--dest-compress-format",
                format,
                &format!("oci:{}:latest", plain.display()),
                &to,
            ],
        )
        .success();
        let report = minimize(&before, &after, &[]);
        let size =
            |layout: &std::path::Path| Layout::new(layout).manifest()["layers"][0]["size"].as_u64();
        assert!(size(&after) <= size(&before), "{format}: {report}");
        assert!(!report.to_string().contains("grew"), "{report}");
        for layout in [&before, &after] {
            fs::remove_dir_all(layout).unwrap();
        }
    }
}

/// 9 MiB of noise, twice: only the highest level has a window that large.
#[test]
fn a_layer_that_grew_all_the_same_is_told_of_with_what_to_do() {
    let mut next = noise();
    let noise: Vec<u8> = (0..9 << 20).map(|_| next(256) as u8).collect();
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .file("usr/share/a", &noise)
        .file("usr/share/b", &noise);
    let tar = layer.build();
    let blob = zstd(&tar, &["-1", "--long=27"]);
    assert!(blob.len() < 10 << 20);
    let done = minimized(&ImageBuilder::new().layer_blob(&tar, blob, "+zstd"), &[]);
    let warnings = done.warnings().join("\n");
    assert!(warnings.contains("layer 1 grew from"), "{warnings}");
    assert!(warnings.contains("`--compression zstd:22`"), "{warnings}");
}
