//! Trap 22: archives of real writers, with everything that extension headers can carry.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::pyc::{STDLIB, cache_path};
use crate::support::scene::minimized_layout;
use crate::support::stream::{assert_untouched, cut, find, without};
use crate::support::{ImageBuilder, LayerBuilder, Layered, Minimized, tool};

const MODULE: &str = "module_with_long_name";

/// A directory whose name is longer than both fields of a ustar header together.
fn long_directory() -> String {
    format!("opt/{}/{}", "d".repeat(120), "e".repeat(180))
}

/// Fills a tree with everything that needs an extension header. `.opt-1.pyc` in the long directory has links to it.
fn fill(root: &Path) {
    let long = long_directory();
    let layer = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m");
    tar::Archive::new(&layer.build()[..]).unpack(root).unwrap();
    let source = root.join(format!("{long}/{MODULE}.py"));
    fs::create_dir_all(root.join(format!("{long}/__pycache__"))).unwrap();
    fs::write(&source, "# m\n").unwrap();
    let data = root.join(cache_path(&long, MODULE, 1));
    fs::write(
        &data,
        crate::support::pyc::cache_39(1_600_000_000, 4, b"linked"),
    )
    .unwrap();
    for level in [0, 2] {
        fs::hard_link(&data, root.join(cache_path(&long, MODULE, level))).unwrap();
    }
    let etc = root.join("etc");
    fs::create_dir(&etc).unwrap();
    fs::write(etc.join("capable"), "program").unwrap();
    fs::write(etc.join("ärgerlich-naïf.txt"), "not ASCII").unwrap();
    symlink(format!("/{}", "target/".repeat(40)), etc.join("long-link")).unwrap();
    fs::hard_link(etc.join("capable"), etc.join("twin")).unwrap();
    let attributes = [
        ("user.note", "0x6100ff0a3d"),
        (
            "security.capability",
            "0x0100000200040000000000000000000000000000",
        ),
        ("security.selinux", "0x7379733a6c69625f7400"),
    ];
    for path in [&etc.join("capable"), &data] {
        for (name, value) in attributes {
            tool(
                "setfattr",
                ["-n", name, "-v", value, path.to_str().unwrap()],
            )
            .success();
        }
    }
    // GNU touch sets nanoseconds. The caches of this source record whole seconds.
    let touch = |path: &Path, time: &str| {
        tool("touch", ["-h", "-d", time, path.to_str().unwrap()]).success()
    };
    touch(&source, "@1600000000.123456789");
    touch(&etc.join("capable"), "@1600000001.987654321");
}

fn archive(make: impl FnOnce(&str, &str)) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fill(&root);
    let file = directory.path().join("layer.tar");
    make(root.to_str().unwrap(), file.to_str().unwrap());
    fs::read(file).unwrap()
}

fn gnu_tar(format: &str, arguments: &[&str]) -> Vec<u8> {
    archive(|root, file| {
        let fixed = [
            "--sort=name",
            "--numeric-owner",
            format,
            "-C",
            root,
            "-cf",
            file,
        ];
        tool("tar", fixed.iter().chain(arguments).chain(&["."])).success();
    })
}

fn python_tar(format: &str) -> Vec<u8> {
    archive(|root, file| {
        let script = "import os, sys, tarfile
with tarfile.open(sys.argv[2], 'w', format=getattr(tarfile, sys.argv[3]), pax_headers={'comment': 'global'} if sys.argv[3] == 'PAX_FORMAT' else None) as archive:
    archive.add(sys.argv[1], '.', filter=lambda member: member)";
        tool("python3", ["-c", script, root, file, format]).success();
    })
}

fn bsd_tar() -> Vec<u8> {
    archive(|root, file| {
        tool(
            "bsdtar",
            ["--format=pax", "--xattrs", "-C", root, "-cf", file, "."],
        )
        .success();
    })
}

fn run(tar: &[u8], arguments: &[&str]) -> Minimized {
    let image = ImageBuilder::new().layer_tar(tar.to_vec(), Layered::Gzip);
    minimized_layout(|layout| image.write(layout), arguments)
}

/// The archives of all writers, with their names.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let attributes = ["--xattrs", "--xattrs-include=*"];
    vec![
        ("GNU tar, gnu", gnu_tar("--format=gnu", &[])),
        ("GNU tar, posix", gnu_tar("--format=posix", &attributes)),
        (
            "GNU tar, posix with a global header",
            gnu_tar(
                "--format=posix",
                &["--pax-option=globexthdr.name=g,comment=global"],
            ),
        ),
        ("Python, pax", python_tar("PAX_FORMAT")),
        ("Python, GNU", python_tar("GNU_FORMAT")),
        ("bsdtar, pax", bsd_tar()),
    ]
}

/// Trap 22, and promise 1: an untouched member is copied byte for byte.
#[test]
fn every_member_that_stays_is_copied_byte_for_byte_from_every_writer() {
    for (writer, tar) in archives() {
        let done = run(&tar, &["--profile", "minimal"]);
        let goes = |name: &str| name.contains("/__pycache__");
        assert!(cut(&tar).0.iter().any(|(name, _)| goes(name)), "{writer}");
        assert!(done.after.layer_tar(0) == without(&tar, goes), "{writer}");
        let unpacked = done.unpacked();
        assert!(
            unpacked.has(&format!("{}/{MODULE}.py", long_directory())),
            "{writer}"
        );
        let link = fs::read_link(unpacked.path("etc/long-link")).unwrap();
        assert_eq!(link.to_str().unwrap().len(), 281, "{writer}");
        assert_eq!(
            unpacked.read("etc/ärgerlich-naïf.txt"),
            b"not ASCII",
            "{writer}"
        );
    }
}

/// Trap 22, with trap 2: the member that inherits the data has the long name and the attributes.
#[test]
fn a_link_with_a_long_name_inherits_data_and_attributes_from_every_writer() {
    let path = |level| cache_path(&long_directory(), MODULE, level);
    for (writer, tar) in archives() {
        let done = run(&tar, &["--set", "levels=[0, 2]"]);
        let after = done.after.layer_tar(0);
        let names: Vec<String> = cut(&tar).0.into_iter().map(|(name, _)| name).collect();
        let full = |path: &str| {
            names
                .iter()
                .find(|name| name.trim_start_matches("./") == path)
                .unwrap()
                .clone()
        };
        let gone = [full(&path(1)), full(&cache_path(STDLIB, "m", 1))];
        // The order of the directory decides which name has the data. All remaining names may change.
        let kept = |name: &str| !gone.iter().any(|gone| gone == name);
        let stays = [full(&path(0)), full(&path(2))];
        let same = |name: &str| stays.iter().any(|stays| stays == name);
        assert!(
            without(&after, same) == without(&tar, |name| !kept(name) || same(name)),
            "{writer}"
        );
        let unpacked = done.unpacked();
        let expected = crate::support::pyc::cache_39(1_600_000_000, 4, b"linked");
        for level in [0, 2] {
            assert_eq!(unpacked.read(&path(level)), expected, "{writer}: {level}");
        }
        use std::os::unix::fs::MetadataExt;
        let inode = |level| unpacked.path(&path(level)).metadata().unwrap().ino();
        assert_eq!(inode(0), inode(2), "{writer}");
    }
}

/// Trap 22: attributes move with the data to the link that inherits it.
#[test]
fn attributes_of_a_dropped_data_member_are_on_its_heir() {
    let tar = gnu_tar("--format=posix", &["--xattrs", "--xattrs-include=*"]);
    let path = |level| format!("./{}", cache_path(&long_directory(), MODULE, level));
    let done = run(&tar, &[]);
    let heir = find(&done.after.layer_tar(0), &path(0)).bytes.to_vec();
    for record in [
        "SCHILY.xattr.user.note=",
        "SCHILY.xattr.security.capability=",
        "SCHILY.xattr.security.selinux=sys:lib_t",
    ] {
        assert!(
            heir.windows(record.len())
                .any(|window| window == record.as_bytes()),
            "{record}"
        );
    }
    let others = [1, 2].map(|level| format!("./{}", cache_path(STDLIB, "m", level)));
    let gone = [&*path(1), &*path(2), &*others[0], &*others[1]];
    assert_untouched(&tar, &done.after.layer_tar(0), &gone, &[&path(0)]);
}

/// Trap 22: an engine restores attributes and fractions of seconds.
#[test]
fn an_engine_restores_attributes_and_fractions_of_seconds() {
    use std::os::unix::fs::MetadataExt;
    let tar = gnu_tar("--format=posix", &["--xattrs", "--xattrs-include=*"]);
    let done = run(&tar, &["--profile", "minimal"]);
    let unpacked = done.unpacked();
    let capable = unpacked.path("etc/capable");
    let metadata = capable.metadata().unwrap();
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec()),
        (1_600_000_001, 987_654_321)
    );
    let read = |name: &str| {
        tool(
            "getfattr",
            [
                "-e",
                "hex",
                "-n",
                name,
                "--absolute-names",
                capable.to_str().unwrap(),
            ],
        )
        .success()
        .text()
    };
    assert!(read("user.note").contains("user.note=0x6100ff0a3d"));
    assert!(read("security.capability").contains("0x0100000200040000"));
}
