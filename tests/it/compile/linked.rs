//! Compiled caches become hardlinks to equal caches of their module, so that a second run has nothing to link.

use tempfile::tempdir;

use super::crafted::{LIBRARY, MTIME, PYTHON, cache, library};
use crate::support::scene::{Minimized, minimize};
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized};

/// Without a docstring and without `assert`, all levels of a module are equal.
const PLAIN: &str = "x = 1\n";

const ALL_LEVELS: [&str; 2] = ["levels=[0,1,2]", "missing=compile"];

fn module() -> LayerBuilder {
    library().file(&format!("{LIBRARY}/m.py"), PLAIN)
}

fn arguments<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    let settings = settings.iter().flat_map(|it| ["--set", it]);
    PYTHON.into_iter().chain(settings).collect()
}

/// The cache of the module `m` at level 0, as pycull compiles it.
fn level_zero() -> Vec<u8> {
    let image = ImageBuilder::of([module()]);
    minimized(&image, &arguments(&["missing=compile"]))
        .unpacked()
        .read(&cache("m", ""))
}

/// Minimizes an image twice with the same settings. Checks that the first result is verified, and that the second is
/// the same.
#[track_caller]
fn minimized_twice(image: &ImageBuilder, settings: &[&str]) -> Minimized {
    let settings = [&ALL_LEVELS[..], settings].concat();
    let done = minimized(image, &arguments(&settings));
    let with_profile: Vec<&str> = settings.iter().flat_map(|it| ["--set", it]).collect();
    done.is_verified(&[&["--profile", "default"], &with_profile[..]].concat());
    let directory = tempdir().unwrap();
    let again = directory.path().join("again");
    let report = minimize(&done.after.0, &again, &arguments(&settings));
    let relinked = &report["images"][0]["relinked"];
    assert_eq!(
        Layout::new(&again).manifest_digest(),
        done.after.manifest_digest(),
        "{relinked}"
    );
    done
}

/// The target of each cache of the module `m` in a layer, by level; `None` for a file.
fn targets(layout: &Layout, layer: usize) -> [Option<String>; 3] {
    let members = layout.members(layer);
    ["", ".opt-1", ".opt-2"].map(|level| {
        let path = cache("m", level);
        let found = members.iter().find(|it| it.path.ends_with(&path));
        found.unwrap().link.clone()
    })
}

#[test]
fn a_compiled_level_becomes_a_link_to_an_equal_one_that_the_layer_has() {
    let old = level_zero();
    let zero = cache("m", "");
    let image = ImageBuilder::of([module().file(&zero, &old)]);
    let linked = [None, Some(zero.clone()), Some(zero)];
    let done = minimized_twice(&image, &["placement=source"]);
    assert_eq!(done.actions(), ["rewritten"]);
    assert_eq!(targets(&done.after, 0), linked);
    assert_eq!(done.unpacked().read(&cache("m", ".opt-1")), old);

    let done = minimized_twice(&image, &["placement=source", "hardlink=false"]);
    assert_eq!(targets(&done.after, 0), [None, None, None]);

    // The target's name is as the archive has it.
    let dotted = format!("./{}", cache("m", ""));
    let image = ImageBuilder::of([module().file(&dotted, &old)]);
    let done = minimized_twice(&image, &["placement=source"]);
    let linked = [None, Some(dotted.clone()), Some(dotted)];
    assert_eq!(targets(&done.after, 0), linked);
    assert_eq!(done.unpacked().read(&cache("m", ".opt-2")), old);
}

#[test]
fn a_compiled_level_is_not_linked_to_a_file_with_other_metadata_or_other_names() {
    let old = level_zero();
    let (zero, one) = (cache("m", ""), cache("m", ".opt-1"));
    let layers = [
        module().mode(0o600).file(&zero, &old),
        module().pax("uid", "7").file(&zero, &old),
        module()
            .pax("SCHILY.xattr.user.note", "1")
            .file(&zero, &old),
        module().file(&zero, &old).hardlink("store/m", &zero),
    ];
    for layer in layers {
        let done = minimized_twice(&ImageBuilder::of([layer]), &["placement=source"]);
        assert_eq!(targets(&done.after, 0), [None, None, Some(one.clone())]);
    }
}

#[test]
fn a_compiled_level_becomes_a_link_to_the_name_that_stays_or_gets_another_header() {
    let old = level_zero();
    let (zero, one) = (cache("m", ""), cache("m", ".opt-1"));
    // The name with the data goes.
    let layer = module().file(&one, &old).hardlink(&zero, &one);
    let settings = ["placement=source", "levels=[0,2]"];
    let done = minimized_twice(&ImageBuilder::of([layer]), &settings);
    let names = done.after.names(0);
    assert!(!names.contains(&one), "{names:?}");
    let members = done.after.members(0);
    let two = members.iter().find(|it| it.path == cache("m", ".opt-2"));
    assert_eq!(two.unwrap().link, Some(zero.clone()));
    assert_eq!(done.unpacked().read(&cache("m", ".opt-2")), old);

    // The old cache is stale, and stays with a new header.
    let mut stale = old.clone();
    stale[8..12].copy_from_slice(&(MTIME as u32 - 5).to_le_bytes());
    let image = ImageBuilder::of([module().file(&zero, &stale)]);
    let done = minimized_twice(&image, &["placement=source", "stale=compile"]);
    let linked = [None, Some(zero.clone()), Some(zero.clone())];
    assert_eq!(targets(&done.after, 0), linked);
    assert_eq!(done.unpacked().read(&one), old);

    // The invalidation mode changes.
    let image = ImageBuilder::of([module().file(&zero, &old)]);
    for mode in ["checked-hash", "unchecked-hash"] {
        let mode = format!("invalidation={mode}");
        let done = minimized_twice(&image, &["placement=source", &mode]);
        assert_eq!(targets(&done.after, 0), linked);
    }
}

#[test]
fn levels_are_linked_only_within_a_layer() {
    let (zero, one) = (cache("m", ""), cache("m", ".opt-1"));
    let image = ImageBuilder::of([module().file(&zero, level_zero())]);
    let done = minimized_twice(&image, &[]);
    assert_eq!(done.actions(), ["kept", "appended"]);
    let appended = done.after.members(1);
    let links = appended.iter().filter_map(|it| it.link.as_deref());
    let links: Vec<&str> = links.filter(|link| link.contains("/m.")).collect();
    assert_eq!(links, [&*one]);

    // In a full image, the topmost layer takes the place of a new one.
    let more = (0..124).map(|number| LayerBuilder::new().file(&format!("etc/{number}"), ""));
    let top = LayerBuilder::new().mtime(MTIME).file(&zero, level_zero());
    let layers = [module()].into_iter().chain(more).chain([top]);
    let done = minimized_twice(&ImageBuilder::of(layers), &[]);
    let linked = [None, Some(zero.clone()), Some(zero)];
    assert_eq!(targets(&done.after, done.after.layer_count() - 1), linked);
}
