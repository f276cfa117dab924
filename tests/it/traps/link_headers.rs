//! Trap 29: engines apply the header of a hardlink to the file that it names.

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::verdict;
use crate::support::{ImageBuilder, LayerBuilder, minimized};

const SOURCE: &str = "# m\n";

fn base() -> LayerBuilder {
    LayerBuilder::new()
        .stdlib(STDLIB)
        .file(&format!("{STDLIB}/m.py"), SOURCE)
}

/// A cache of level 1 with data, mode 0644, an owner and two attributes.
fn with_data() -> LayerBuilder {
    base()
        .pax("uid", "1")
        .pax("gid", "2")
        .pax("mtime", "1600000000.25")
        .pax("SCHILY.xattr.user.a", "data")
        .pax("SCHILY.xattr.user.b", "data")
        .cache(STDLIB, "m", 1, SOURCE, "the same")
}

#[test]
fn a_link_that_takes_the_data_over_has_its_own_mode_owner_and_time() {
    let (data, heir) = (cache_path(STDLIB, "m", 1), cache_path(STDLIB, "m", 0));
    let layer = with_data()
        .mode(0o600)
        .mtime(1_500_000_000)
        .pax("uid", "3")
        .pax("SCHILY.xattr.user.b", "link")
        .pax("SCHILY.xattr.user.c", "link")
        .hardlink(&heir, &data);
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    let entry = done.unpacked().tree().0[&heir].clone();
    let found = (entry.mode, entry.owner, entry.mtime);
    assert_eq!(found, (0o600, (3, 0), (1_500_000_000, 0)));
    let text = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap();
    let xattrs: Vec<_> = entry.xattrs.values().map(text).collect();
    assert_eq!(xattrs, ["data", "link", "link"]);
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}

#[test]
fn a_link_to_the_heir_still_has_the_last_word() {
    let name = |level| cache_path(STDLIB, "m", level);
    let layer = with_data()
        .mode(0o600)
        .hardlink(&name(0), &name(1))
        .mode(0o640)
        .hardlink(&name(2), &name(1));
    let done = minimized(&ImageBuilder::of([layer]), &["--set", "levels=[0, 2]"]);
    let modes: Vec<u32> = done.after.members(0).iter().map(|it| it.mode).collect();
    assert_eq!(modes[modes.len() - 2..], [0o600, 0o640]);
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}

#[test]
fn a_link_that_goes_with_the_data_leaves_its_attributes_to_the_heir() {
    let name = |level| cache_path(STDLIB, "m", level);
    let layer = with_data()
        .mode(0o600)
        .pax("SCHILY.xattr.user.b", "between")
        .pax("SCHILY.xattr.user.d", "between")
        .hardlink(&name(2), &name(1))
        .pax("SCHILY.xattr.user.c", "link")
        .hardlink(&name(0), &name(1));
    let done = minimized(&ImageBuilder::of([layer]), &[]);
    assert_eq!(done.warnings(), Vec::<String>::new());
    let entry = done.unpacked().tree().0[&name(0)].clone();
    let text = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap();
    let xattrs: Vec<_> = entry.xattrs.values().map(text).collect();
    assert_eq!(xattrs, ["data", "between", "link", "between"]);
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}

#[test]
fn a_cache_whose_header_sets_the_mode_of_another_file_stays() {
    for (mode, actions) in [(0o755, "kept"), (0o644, "rewritten")] {
        let layer = base()
            .mode(0o644)
            .cache("store", "m", 0, SOURCE, "the same")
            .mode(mode)
            .hardlink(&cache_path(STDLIB, "m", 1), &cache_path("store", "m", 0));
        let keep = ["--set", "dead=\"keep\""];
        let done = minimized(&ImageBuilder::of([layer]), &keep);
        assert_eq!(done.actions(), [actions]);
        let warned = done.warnings().iter().any(|it| it.contains("whose header"));
        assert_eq!(warned, actions == "kept", "{:?}", done.warnings());
        assert_eq!(verdict(&done.before.0, &done.after.0), "same");
    }
}

#[test]
fn verify_applies_the_headers_of_links_to_their_file() {
    let layer = |mode: u32| {
        let stored = base().file("store/m", "the same").file("store/other", "");
        ImageBuilder::of([stored.mode(mode).hardlink("lib/m", "store/m")])
    };
    let directory = tempfile::tempdir().unwrap();
    let paths = ["old", "same", "new"].map(|name| directory.path().join(name));
    for (path, mode) in paths.iter().zip([0o600, 0o600, 0o644]) {
        layer(mode).write(path);
    }
    assert_eq!(verdict(&paths[0], &paths[1]), "same");
    assert_eq!(verdict(&paths[0], &paths[2]), "different");
}
