//! Modification times, and members that are not files.

use std::os::unix::fs::MetadataExt;

use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::stream::{assert_untouched, cut};
use crate::support::{ImageBuilder, LayerBuilder, Layered, findings, minimized};

const MTIME: u32 = 1_600_000_000;
const SOURCE: &str = "# m\n";

fn module(fraction: &str, cached: u32) -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .pax("mtime", format!("{MTIME}.{fraction}"))
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .file(
            &cache_path(STDLIB, "m", 0),
            cache_39(cached, SOURCE.len() as u32, b"m"),
        )
}

/// Trap 6: mtime rounding.
#[test]
fn a_fraction_of_a_second_is_cut_off_and_not_rounded() {
    for fraction in ["001", "5", "75", "999", "9999998"] {
        let image = ImageBuilder::of([module(fraction, MTIME)]);
        assert_eq!(findings(&image), [], "{fraction}");
        let done = minimized(&image, &[]);
        assert_eq!(done.actions(), ["kept"], "{fraction}");
        let stale = ImageBuilder::of([module(fraction, MTIME + 1)]);
        assert_eq!(findings(&stale)[0].0, "stale", "{fraction}");
    }
}

/// Trap 6: Python's double rounds the last nanoseconds of a second up.
#[test]
fn the_last_nanoseconds_of_a_second_count_as_the_next_as_in_python() {
    assert_eq!(
        findings(&ImageBuilder::of([module("999999990", MTIME + 1)])),
        []
    );
    assert_eq!(
        findings(&ImageBuilder::of([module("999999990", MTIME)]))[0].0,
        "stale"
    );
}

/// Trap 6: a rewritten layer keeps the fractions of seconds.
#[test]
fn a_rewritten_layer_keeps_fractions_of_seconds() {
    let layer = module("750000001", MTIME).cache(STDLIB, "m", 1, SOURCE, "one");
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&cache_path(STDLIB, "m", 1)], &[]);
    let unpacked = done.unpacked();
    let source = unpacked.path(&format!("{STDLIB}/m.py")).metadata().unwrap();
    assert_eq!(
        (source.mtime(), source.mtime_nsec()),
        (i64::from(MTIME), 750_000_001)
    );
}

/// Trap 7: rewritten timestamps.
#[test]
fn clamped_sources_leave_every_cache_stale_and_stale_ones_go() {
    let stdlib = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    // As `buildah --timestamp` does: changes all mtimes of the layer, and no bytes of the caches.
    let clamped = restamped(&stdlib.build(), 1_700_000_000);
    let image = || ImageBuilder::new().layer_tar(clamped.clone(), Layered::Gzip);
    let stale = findings(&image());
    assert_eq!(stale.len(), 3);
    assert!(stale.iter().all(|(kind, ..)| kind == "stale"), "{stale:?}");
    let done = minimized(&image(), &[]);
    assert_eq!(done.image()["reasons"]["stale"], 3);
    assert!(!done.unpacked().has(&cache_path(STDLIB, "m", 0)));
    let kept = minimized(&image(), &["--set", "stale=\"keep\""]);
    assert!(kept.unpacked().has(&cache_path(STDLIB, "m", 0)));
    assert_eq!(kept.image()["reasons"]["level 1"], 1);
}

fn restamped(tar: &[u8], mtime: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (members, end) = cut(tar);
    for (_, slice) in members {
        let mut member = slice.bytes.to_vec();
        let mut header = tar::Header::from_byte_slice(&member[..512]).clone();
        header.set_mtime(mtime);
        header.set_cksum();
        member[..512].copy_from_slice(header.as_bytes());
        bytes.extend(member);
    }
    [&bytes, end].concat()
}

/// Trap 13: if a layer has a path twice, the last member wins.
#[test]
fn of_two_members_with_one_name_the_last_counts_and_both_go() {
    let path = cache_path(STDLIB, "m", 1);
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 1, SOURCE, "first")
        .file("etc/between", "b")
        .cache(STDLIB, "m", 1, SOURCE, "second");
    let done = minimized(&ImageBuilder::of([layer]), &["--set", "dead=\"keep\""]);
    assert!(!done.unpacked().has(&path));
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&path], &[]);
}

/// Trap 13: if a source occurs twice, the cache is compared with the last one.
#[test]
fn a_source_that_comes_twice_is_judged_by_its_last_member() {
    let source = format!("{STDLIB}/m.py");
    let fresh = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&source, "# another\n")
        .file(&source, SOURCE)
        .cache(STDLIB, "m", 0, SOURCE, "m");
    assert_eq!(findings(&ImageBuilder::of([fresh])), []);
    let stale = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&source, SOURCE)
        .file(&source, "# another\n")
        .cache(STDLIB, "m", 0, SOURCE, "m");
    assert_eq!(findings(&ImageBuilder::of([stale]))[0].0, "stale");
}

/// Trap 14: absolute and dot-dot links are legal content.
#[test]
fn links_that_are_absolute_or_lead_upwards_pass_through() {
    let path = cache_path(STDLIB, "m", 1);
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .file("etc/target", "t")
        .symlink("etc/absolute", "/usr/bin/python3")
        .symlink("etc/upwards", "../../../../../../etc/passwd")
        .symlink("etc/nowhere", "/does/not/exist")
        .hardlink("etc/hard-absolute", "/etc/target")
        .hardlink("etc/hard-dotted", "./etc/../etc/target");
    let done = minimized(&ImageBuilder::of([layer]), &["--set", "levels=[0, 2]"]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&path], &[]);
    let unpacked = done.unpacked();
    for (name, target) in [
        ("etc/absolute", "/usr/bin/python3"),
        ("etc/upwards", "../../../../../../etc/passwd"),
        ("etc/nowhere", "/does/not/exist"),
    ] {
        let read = std::fs::read_link(unpacked.path(name)).unwrap();
        assert_eq!(read.to_str(), Some(target));
    }
    assert_eq!(unpacked.read("etc/hard-dotted"), b"t");
}

/// Trap 14, with trap 2: a link whose target is written differently is still a link.
#[test]
fn a_link_finds_its_data_however_its_target_is_written() {
    let data = cache_path(STDLIB, "m", 1);
    for target in [
        format!("/{data}"),
        format!("./{data}"),
        format!("usr/../{data}"),
        format!("../{data}"),
    ] {
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .file(&format!("{STDLIB}/m.py"), SOURCE)
            .cache(STDLIB, "m", 1, SOURCE, "m")
            .hardlink(&cache_path(STDLIB, "m", 0), &target);
        let done = minimized(&ImageBuilder::of([layer]), &[]);
        let cache = cache_39(MTIME, SOURCE.len() as u32, b"m");
        assert_eq!(
            done.unpacked().read(&cache_path(STDLIB, "m", 0)),
            cache,
            "{target}"
        );
    }
}

/// Trap 14: a member's own name may be written differently, too.
#[test]
fn a_cache_is_found_however_its_name_is_written() {
    let path = cache_path(STDLIB, "m", 1);
    for name in [
        format!("/{path}"),
        format!("./{path}"),
        format!("etc/../{path}"),
        format!("../{path}"),
        path.replace('/', "//"),
    ] {
        let cache = cache_39(MTIME, SOURCE.len() as u32, b"m");
        let layer = LayerBuilder::new()
            .stdlib(STDLIB)
            .file(&format!("{STDLIB}/m.py"), SOURCE)
            .file(&name, cache)
            .file("etc/after", "a");
        let done = minimized(&ImageBuilder::of([layer]), &[]);
        let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
        assert_untouched(&before, &after, &[&name], &[]);
    }
}
