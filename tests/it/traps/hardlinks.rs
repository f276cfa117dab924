//! Hardlinks: which name has the data, and in which layer.

use crate::support::pyc::{STDLIB, cache_39, cache_path};
use crate::support::stream::{assert_untouched, find};
use crate::support::{ImageBuilder, LayerBuilder, minimized};

const SOURCE: &str = "# m\n";

fn path(level: u8) -> String {
    cache_path(STDLIB, "m", level)
}

/// Three levels that are one file, linked as rpm does. `.opt-1.pyc` sorts first and has the data.
fn linked_as_rpm_does() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .pax("SCHILY.xattr.user.label", "lib_t")
        .cache(STDLIB, "m", 1, SOURCE, "the same")
        .hardlink(&path(2), &path(1))
        .hardlink(&path(0), &path(1))
        .file("etc/after", "after")
}

fn data() -> Vec<u8> {
    cache_39(1_600_000_000, SOURCE.len() as u32, b"the same")
}

/// Trap 2: the data entry of a hardlink.
#[test]
fn the_only_surviving_link_becomes_the_data_member() {
    let done = minimized(&ImageBuilder::of([linked_as_rpm_does()]), &[]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[&path(1), &path(2)], &[&path(0)]);
    let members = done.after.members(0);
    let member = members
        .iter()
        .find(|member| member.path == path(0))
        .unwrap();
    assert_eq!(member.kind, tar::EntryType::Regular);
    assert_eq!(member.data, data());
    assert_eq!(
        member.xattrs,
        [("user.label".to_owned(), b"lib_t".to_vec())]
    );
    let unpacked = done.unpacked();
    assert_eq!(unpacked.read(&path(0)), data());
    assert!(!unpacked.has(&path(1)) && !unpacked.has(&path(2)));
}

/// Trap 2: the data entry of a hardlink. The remaining names link to the first of them.
#[test]
fn links_to_a_dropped_name_point_at_the_first_survivor() {
    let done = minimized(
        &ImageBuilder::of([linked_as_rpm_does()]),
        &["--set", "levels=[0, 2]"],
    );
    let members = done.after.members(0);
    let member = |level| {
        members
            .iter()
            .find(|member| member.path == path(level))
            .unwrap()
    };
    assert_eq!(member(2).kind, tar::EntryType::Regular);
    assert_eq!(member(2).data, data());
    assert_eq!(member(0).kind, tar::EntryType::Link);
    assert_eq!(member(0).link.as_deref(), Some(&*path(2)));
    use std::os::unix::fs::MetadataExt;
    let unpacked = done.unpacked();
    let inode = |level| unpacked.path(&path(level)).metadata().unwrap().ino();
    assert_eq!(inode(0), inode(2));
}

/// Trap 2: a link to a link is a link to the data.
#[test]
fn a_chain_of_links_survives_the_loss_of_any_of_its_names() {
    let layer = || {
        LayerBuilder::new()
            .stdlib(STDLIB)
            .file(&format!("{STDLIB}/m.py"), SOURCE)
            .cache(STDLIB, "m", 1, SOURCE, "the same")
            .hardlink(&path(2), &path(1))
            .hardlink(&path(0), &path(2))
    };
    for levels in [
        "levels=[0]",
        "levels=[1]",
        "levels=[2]",
        "levels=[0, 1]",
        "levels=[0, 2]",
    ] {
        let done = minimized(&ImageBuilder::of([layer()]), &["--set", levels]);
        let unpacked = done.unpacked();
        for level in 0..3 {
            let stays = levels.contains(&level.to_string());
            assert_eq!(unpacked.has(&path(level)), stays, "{levels}: {level}");
            if stays {
                assert_eq!(unpacked.read(&path(level)), data(), "{levels}: {level}");
            }
        }
    }
}

/// Trap 2, if one of the names is not a cache.
#[test]
fn a_name_outside_the_caches_inherits_the_data() {
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 0, SOURCE, "the same")
        .hardlink("opt/backup/m.bin", &path(0));
    let done = minimized(&ImageBuilder::of([layer]), &["--profile", "minimal"]);
    assert_eq!(done.unpacked().read("opt/backup/m.bin"), data());
}

/// Trap 3: links across layers.
#[test]
fn a_target_that_an_upper_layer_links_to_stays_and_is_spoken_of() {
    let upper = LayerBuilder::new().hardlink(&path(0), &path(1));
    let lower = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "n")
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 1, SOURCE, "the same");
    let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
    assert_eq!(done.unpacked().read(&path(0)), data());
    assert_eq!(done.actions(), ["rewritten", "kept"]);
    let warnings = done.warnings();
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains(&path(1)) && warning.contains("layer 2")),
        "{warnings:?}"
    );
}

/// Trap 3: an upper layer has full copies of files that are linked in a lower layer.
#[test]
fn full_copies_above_linked_ones_are_stripped_for_themselves() {
    let upper = LayerBuilder::new()
        .mode(0o600)
        .cache(STDLIB, "m", 0, SOURCE, "above")
        .cache(STDLIB, "m", 1, SOURCE, "above")
        .file("etc/upper", "u");
    let done = minimized(&ImageBuilder::of([linked_as_rpm_does(), upper]), &[]);
    let unpacked = done.unpacked();
    let above = cache_39(1_600_000_000, SOURCE.len() as u32, b"above");
    assert_eq!(unpacked.read(&path(0)), above);
    assert!(!unpacked.has(&path(1)) && !unpacked.has(&path(2)));
    let names = done.after.names(0);
    assert!(
        !names.iter().any(|name| name.contains("__pycache__")),
        "{names:?}"
    );
}

/// Trap 3: a removed link does not keep its target.
#[test]
fn a_link_that_goes_itself_keeps_nothing_alive() {
    let upper = LayerBuilder::new()
        .hardlink(&path(2), &path(1))
        .file("etc/upper", "u");
    let lower = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .cache(STDLIB, "m", 1, SOURCE, "the same");
    let done = minimized(&ImageBuilder::of([lower, upper]), &[]);
    assert_eq!(done.warnings(), [""; 0]);
    let unpacked = done.unpacked();
    assert!(!unpacked.has(&path(1)) && !unpacked.has(&path(2)));
}

/// Trap 4: the size field of a hardlink member must be 0.
#[test]
fn a_file_that_becomes_a_hardlink_has_size_zero_in_header_and_records() {
    let cache = data();
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
        .file(&path(1), &cache)
        .pax("size", cache.len().to_string())
        .pax("comment", "kept")
        .file(&path(0), &cache)
        .file("etc/after", "after");
    let done = minimized(&ImageBuilder::of([layer]), &["--profile", "levels-0-1"]);
    let (before, after) = (done.before.layer_tar(0), done.after.layer_tar(0));
    assert_untouched(&before, &after, &[], &[&path(0)]);
    let members = done.after.members(0);
    let link = members
        .iter()
        .find(|member| member.path == path(0))
        .unwrap();
    assert_eq!(link.kind, tar::EntryType::Link);
    assert_eq!(link.link.as_deref(), Some(&*path(1)));
    assert_eq!(link.size_field, 0);
    let slice = find(&after, &path(0)).bytes;
    let has = |needle: &[u8]| slice.windows(needle.len()).any(|window| window == needle);
    assert!(!has(b" size="), "a size record is left");
    assert!(has(b" comment=kept"));
    assert_eq!(done.unpacked().read(&path(0)), cache);
}
