//! The size table of Fedora's proposal, on an image with the contents of Fedora's python3-libs. A script computes the
//! same table from the unpacked tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::support::engines::skopeo_copy;
use super::support::scene::{Unpacked, minimize};
use super::support::tools::{pycull, run, testdata, tool, tool_command};

type Situations = BTreeMap<String, u64>;

/// The fixture as a layout.
fn fixture(directory: &Path) -> String {
    let layout = directory.join("fixture");
    let archive = testdata("fedora-shaped.tar");
    skopeo_copy(
        &format!("oci-archive:{}", archive.display()),
        &format!("oci:{}:latest", layout.display()),
    );
    layout.display().to_string()
}

/// The size tables of `inspect`: of each tree, and of the whole image under `.`.
fn inspected(image: &str) -> BTreeMap<String, Situations> {
    let report = pycull(["inspect", image, "--format", "json"])
        .success()
        .json();
    let image = &report["images"][0];
    let table = |value: &Value| -> Situations {
        let rows = value["situations"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                row["name"].as_str().unwrap().to_owned(),
                row["bytes"].as_u64().unwrap(),
            )
        })
        .collect()
    };
    let trees = image["trees"].as_array().unwrap().iter();
    let trees = trees.map(|tree| (tree["path"].as_str().unwrap().to_owned(), table(tree)));
    trees.chain([(".".to_owned(), table(image))]).collect()
}

/// The size table as `tests/oracle/situations.py` computes it.
fn computed(rootfs: &Path, tree: &str, excluded: &[&str]) -> Situations {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/situations.py");
    let output = run(tool_command("python3")
        .arg(script)
        .arg(rootfs)
        .arg(tree)
        .args(excluded));
    serde_json::from_slice(&output.success().stdout).unwrap()
}

/// The trees inside another tree. They do not count as part of it.
fn inside<'a>(tree: &str, all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    all.map(String::as_str)
        .filter(|other| tree != "." && other.starts_with(&format!("{tree}/")))
        .collect()
}

#[test]
fn inspect_gives_the_sizes_that_are_computed_from_the_unpacked_tree() {
    let directory = tempfile::tempdir().unwrap();
    let image = fixture(directory.path());
    let tables = inspected(&image);
    let unpacked = Unpacked::by_umoci(Path::new(&image), "latest");
    assert_eq!(
        tables.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            ".",
            "usr/lib/python3.9/site-packages",
            "usr/lib64/python3.9"
        ]
    );
    for (tree, table) in &tables {
        let expected = computed(&unpacked.path(""), tree, &inside(tree, tables.keys()));
        assert_eq!(*table, expected, "{tree}");
        assert_eq!(table.len(), 7, "{tree}");
    }
    // In the order of Fedora's table.
    let stdlib = &tables["usr/lib64/python3.9"];
    let sizes = [
        "no-cache",
        "level-0",
        "levels-0-1",
        "levels-0-1-unlinked",
        "all-unlinked",
    ]
    .map(|name| stdlib[name]);
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
}

#[test]
fn a_tree_that_lies_in_another_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = |path: &str, bytes: usize| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
    };
    file("lib/a.py", 1);
    file("lib/__pycache__/a.cpython-39.pyc", 10);
    file("lib/site-packages/b.py", 100);
    let size = |excluded: &[&str]| computed(directory.path(), "lib", excluded)["status-quo"];
    assert_eq!((size(&[]), size(&["lib/site-packages"])), (111, 11));
}

#[test]
fn images_of_the_default_profile_unpack_to_the_predicted_size() {
    unpacks_to_the_predicted_size("default", "level-0");
}

#[test]
fn images_of_the_minimal_profile_unpack_to_the_predicted_size() {
    unpacks_to_the_predicted_size("minimal", "no-cache");
}

#[test]
fn images_of_the_levels_0_1_profile_unpack_to_the_predicted_size() {
    unpacks_to_the_predicted_size("levels-0-1", "levels-0-1");
}

fn unpacks_to_the_predicted_size(profile: &str, situation: &str) {
    let directory = tempfile::tempdir().unwrap();
    let image = fixture(directory.path());
    let output = directory.path().join("output");
    minimize(Path::new(&image), &output, &["--profile", profile]);
    let predicted = inspected(&image);
    let unpacked = Unpacked::by_umoci(&output, "latest");
    for (tree, table) in &predicted {
        let size =
            computed(&unpacked.path(""), tree, &inside(tree, predicted.keys()))["status-quo"];
        assert_eq!(size, table[situation], "{tree}");
        assert!(
            size < table["status-quo"] || situation != "no-cache",
            "{tree}"
        );
    }
}

#[test]
fn the_fixtures_are_what_their_scripts_make() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["umoci", "chroot"] {
        tool_command(name);
    }
    run(Command::new(testdata("fedora-shaped/remake")).arg(directory.path())).success();
    for name in ["fedora-shaped.tar", "docker-old.tar", "docker-new.tar"] {
        let made = directory.path().join(name);
        let same = tool("cmp", [made, testdata(name)]);
        assert_eq!(same.code, Some(0), "{name}: {}{}", same.text(), same.stderr);
    }
}
