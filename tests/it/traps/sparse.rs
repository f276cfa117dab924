//! Trap 13: sparse members should not exist but do, in three forms of pax records and GNU's old form.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::stream::{cut, without};
use crate::support::{ImageBuilder, LayerBuilder, Layered, minimized, tool};

const FORMS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=posix", "--sparse-version=0.0"],
    &["--format=posix", "--sparse-version=0.1"],
    &["--format=posix", "--sparse-version=1.0"],
];

fn hole(path: &Path, pieces: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = File::create(path).unwrap();
    for piece in 0..pieces {
        file.seek(SeekFrom::Start(piece * 256 * 1024)).unwrap();
        file.write_all(&[b'd'; 4096]).unwrap();
    }
    file.set_len(pieces * 256 * 1024).unwrap();
}

/// An archive by GNU tar: sparse files, one with the name of a cache, and a module with caches.
fn archive(form: &[&str]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let plain = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    tar::Archive::new(&plain.build()[..]).unpack(&root).unwrap();
    hole(&root.join("var/few.img"), 2);
    // More than the four pieces that fit into an old GNU header, and the 21 of one more block.
    hole(&root.join("var/many.img"), 60);
    fs::write(root.join(STDLIB).join("holes.py"), "# h\n").unwrap();
    hole(&root.join(cache_path(STDLIB, "holes", 0)), 2);
    let file = directory.path().join("layer.tar");
    let fixed = [
        "--sort=name",
        "--sparse",
        "-C",
        root.to_str().unwrap(),
        "-cf",
        file.to_str().unwrap(),
    ];
    tool("tar", fixed.iter().chain(form).chain(&["."])).success();
    fs::read(file).unwrap()
}

/// Trap 13: sparse members.
#[test]
fn sparse_members_of_every_form_pass_through_byte_for_byte() {
    for form in FORMS {
        let tar = archive(form);
        let sparse = tar.windows(11).any(|window| window == b"GNU.sparse.")
            || cut(&tar).0.iter().any(|(_, slice)| slice.flag == b'S');
        assert!(sparse, "{form:?}: tar wrote nothing sparse");
        let image = ImageBuilder::new().layer_tar(tar.clone(), Layered::Gzip);
        let done = minimized(&image, &["--profile", "minimal"]);
        let goes = |name: &str| name.contains("__pycache__/m.");
        assert!(done.after.layer_tar(0) == without(&tar, goes), "{form:?}");
        let warnings = done.warnings().join("\n");
        assert!(
            warnings.contains("holes.cpython-39.pyc") && warnings.contains("sparse"),
            "{form:?}: {warnings}"
        );
    }
}

/// Trap 13: a sparse file in the new layer equals the original.
#[test]
fn sparse_files_come_out_of_the_new_layer_as_they_were() {
    for form in FORMS {
        let done = minimized(
            &ImageBuilder::new().layer_tar(archive(form), Layered::Gzip),
            &[],
        );
        let unpacked = done.unpacked();
        let expected = tempfile::tempdir().unwrap();
        for (name, pieces) in [("var/few.img", 2), ("var/many.img", 60)] {
            let file = expected.path().join(name);
            hole(&file, pieces);
            assert!(
                unpacked.read(name) == fs::read(file).unwrap(),
                "{form:?}: {name}"
            );
        }
    }
}
