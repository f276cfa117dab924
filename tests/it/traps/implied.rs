//! Trap 28: directories that only the paths of other members imply.

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::{minimize, verdict};
use crate::support::tree::FileKind;
use crate::support::{ImageBuilder, LayerBuilder, minimized};

const DIRECTORY: &str = "opt/only";

fn base() -> LayerBuilder {
    LayerBuilder::new().stdlib(STDLIB)
}

/// A layer with a cache that will be removed, and without directories.
fn cache_alone() -> LayerBuilder {
    LayerBuilder::new().cache(DIRECTORY, "m", 1, "# m\n", "m 1")
}

#[test]
fn directories_that_only_a_removed_member_implied_are_written() {
    let image = ImageBuilder::of([base(), cache_alone()]);
    let done = minimized(&image, &[]);
    assert_eq!(done.after.names(1), ["opt/", "opt/only/"]);
    let tree = done.unpacked().tree();
    for directory in ["opt", DIRECTORY] {
        let entry = &tree.0[directory];
        let found = (entry.kind, entry.mode, entry.owner, entry.mtime);
        assert_eq!(found, (FileKind::Directory, 0o755, (0, 0), (0, 0)));
    }
    assert!(!tree.0.contains_key("opt/only/__pycache__"));
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
    let again = done.after.0.with_extension("again");
    minimize(&done.after.0, &again, &[]);
    assert_eq!(
        crate::support::Layout(again).manifest_digest(),
        done.after.manifest_digest()
    );
}

#[test]
fn a_directory_that_something_else_implies_is_not_written() {
    let others = [
        LayerBuilder::new().file("opt/only/x", ""),
        LayerBuilder::new().symlink("opt/only/x", "y"),
        LayerBuilder::new().directory(DIRECTORY),
        LayerBuilder::new().file("opt/only/deeper/x", ""),
    ];
    for other in others {
        for layers in [[other.clone(), cache_alone()], [cache_alone(), other]] {
            let image = ImageBuilder::of([vec![base()], layers.to_vec()].concat());
            let done = minimized(&image, &[]);
            assert_eq!(done.after.layer_count(), 2, "the layer has nothing left");
            assert_eq!(verdict(&done.before.0, &done.after.0), "same");
        }
    }
}

#[test]
fn a_file_below_does_not_come_back_in_place_of_an_implied_directory() {
    for covered in [DIRECTORY, "opt/only/__pycache__"] {
        let lower = base().file(covered, "a file");
        let done = minimized(&ImageBuilder::of([lower, cache_alone()]), &[]);
        assert_eq!(done.unpacked().tree().0[covered].kind, FileKind::Directory);
        assert_eq!(verdict(&done.before.0, &done.after.0), "same");
    }
}

#[test]
fn a_directory_that_only_a_useless_whiteout_implied_is_written() {
    let upper = LayerBuilder::new().whiteout(&cache_path(DIRECTORY, "m", 1));
    let done = minimized(&ImageBuilder::of([base(), cache_alone(), upper]), &[]);
    assert_eq!(
        done.unpacked().tree().0[DIRECTORY].kind,
        FileKind::Directory
    );
    assert_eq!(verdict(&done.before.0, &done.after.0), "same");
}

#[test]
fn verify_misses_a_directory_that_was_implied_and_wants_it_as_engines_make_it() {
    let before = ImageBuilder::of([base(), cache_alone()]);
    let after = |upper: LayerBuilder| ImageBuilder::of([base(), upper]);
    let verdict = |after: ImageBuilder| {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (directory.path().join("old"), directory.path().join("new"));
        before.write(&old);
        after.write(&new);
        verdict(&old, &new)
    };
    let with = |mode| LayerBuilder::new().mode(mode).directory(DIRECTORY);
    assert_eq!(verdict(after(with(0o755))), "same");
    assert_eq!(verdict(after(with(0o700))), "different");
    let label = LayerBuilder::new().pax("SCHILY.xattr.user.a", "b");
    assert_eq!(verdict(after(label.directory(DIRECTORY))), "different");
    assert_eq!(
        verdict(after(LayerBuilder::new().directory("opt"))),
        "different"
    );
}
