//! Images of random layers. After `minimize`, real tools unpack the same trees except for caches. `verify` agrees with
//! the trees, and a second run changes nothing.

mod compared;
mod damage;
pub mod generator;
mod unpacked;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::compared::{differences, forget_directory_times, forget_times_of_linked_caches};
use self::damage::damaged;
use self::generator::{Form, layers};
use self::unpacked::{by_podman, by_umoci, name_of, tagged};
use super::merged_view::view;
use super::support::builder::{write_index, write_nested_index};
use super::support::random::Random;
use super::support::scene::{minimize, validates};
use super::support::tree::{Entry, Tree};
use super::support::{ImageBuilder, Layered, Layout, pycull};

/// Number of images in one run of pycull.
const AT_A_TIME: usize = 25;

/// Number of images that podman gets with each profile.
const FOR_PODMAN: usize = 20;

const PROFILES: [&[&str]; 5] = [
    &["--profile", "minimal"],
    &[],
    &["--set", "levels=[1]", "--set", "dead=\"keep\""],
    &["--set", "levels=[0, 2]", "--set", "stale=\"keep\""],
    &["--set", "levels=[2]", "--set", "hardlink=false"],
];

#[test]
fn umoci_unpacks_what_pycull_makes_of_random_layers_0_to_149() {
    agree_with_umoci(0..150);
}

#[test]
fn umoci_unpacks_what_pycull_makes_of_random_layers_150_to_299() {
    agree_with_umoci(150..300);
}

#[test]
fn umoci_unpacks_what_pycull_makes_of_random_layers_300_to_449() {
    agree_with_umoci(300..450);
}

#[test]
fn umoci_unpacks_what_pycull_makes_of_random_layers_450_to_599() {
    agree_with_umoci(450..600);
}

#[test]
fn podman_mounts_what_pycull_makes_of_random_layers() {
    let mut faults = Faults::default();
    for (number, arguments) in PROFILES.iter().enumerate() {
        let seeds = number * FOR_PODMAN..(number + 1) * FOR_PODMAN;
        let batch = Batch::new(seeds, Form::EachAlone, arguments);
        let layouts = [("before", &batch.before), ("after", &batch.after)];
        let mut trees = by_podman(&layouts, batch.directory.path());
        for name in batch.verdicts.keys() {
            let mut tree = |tag: &str| trees.remove(&(tag.to_owned(), name.clone())).unwrap();
            let (before, after) = (tree("before"), tree("after"));
            faults.compare(&batch, name, &before, &after);
        }
    }
    faults.assert_none();
}

#[test]
fn verify_refuses_whatever_tells_damaged_random_layers_apart() {
    let batches = [
        (1000, PROFILES[0]),
        (1025, PROFILES[1]),
        (1050, PROFILES[2]),
    ];
    let (mut seen, mut faults) = (0, Faults::default());
    for (first, arguments) in batches {
        let batch = Batch::new(first..first + AT_A_TIME, Form::OneUponTheOther, arguments);
        for manifest in batch.after.images() {
            let name = name_of(&manifest);
            seen += usize::from(is_damage_seen(&batch, &manifest, &mut faults, &name));
        }
    }
    faults.assert_none();
    assert!(seen >= AT_A_TIME, "only {seen} of the damages showed");
}

/// umoci may refuse the images of some seeds: at most one in ten.
#[track_caller]
fn agree_with_umoci(seeds: Range<usize>) {
    let (mut refused, count) = (0, seeds.len());
    let mut faults = Faults::default();
    for first in seeds.step_by(AT_A_TIME) {
        let arguments = PROFILES[first / AT_A_TIME % PROFILES.len()];
        let batch = Batch::new(first..first + AT_A_TIME, Form::OneUponTheOther, arguments);
        let scratch = batch.directory.path();
        let layouts = [(&batch.before, "old"), (&batch.after, "new")]
            .map(|(layout, name)| tagged(layout, &layout.images(), &scratch.join(name)));
        for name in batch.verdicts.keys() {
            let Some(before) = by_umoci(&layouts[0], name, scratch) else {
                refused += 1;
                continue;
            };
            match by_umoci(&layouts[1], name, scratch) {
                Some(after) => faults.compare(&batch, name, &before, &after),
                None => faults.add(&batch, name, "umoci refuses the image after"),
            }
        }
    }
    faults.assert_none();
    assert!(
        refused * 10 <= count,
        "umoci refuses {refused} of {count} images"
    );
}

/// The images of some seeds in an index, and pycull's output for them.
struct Batch {
    directory: TempDir,
    before: Layout,
    after: Layout,
    arguments: &'static [&'static str],
    /// The verdict of `verify` and its reasons, by the name of the image.
    verdicts: BTreeMap<String, (String, String)>,
}

impl Batch {
    #[track_caller]
    fn new(seeds: Range<usize>, form: Form, arguments: &'static [&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [before, after, again] =
            ["before", "after", "again"].map(|name| directory.path().join(name));
        let manifests = seeds.map(|seed| {
            let compression = if seed % 2 == 0 {
                Layered::Plain
            } else {
                Layered::Gzip
            };
            let layers = layers(seed, form).into_iter();
            let image = layers.fold(ImageBuilder::new(), |image, layer| {
                image.layer_as(layer, compression)
            });
            image
                .platform("linux", &format!("seed{seed}"))
                .write_blobs(&before)
        });
        let nested = write_nested_index(&before, manifests.collect());
        write_index(&before, vec![nested]);
        minimize(&before, &after, arguments);
        minimize(&after, &again, arguments);
        let (before, after) = (Layout(before), Layout(after));
        assert_eq!(
            after.index()["manifests"][0]["digest"],
            Layout(again).index()["manifests"][0]["digest"],
            "a second run with {arguments:?} changes something"
        );
        for manifest in after.images() {
            validates(&after, &manifest);
        }
        let verdicts = verdicts(&before.0, &after.0);
        Self {
            directory,
            before,
            after,
            arguments,
            verdicts,
        }
    }
}

/// The verdicts of `verify` for the images of two indexes.
fn verdicts(before: &Path, after: &Path) -> BTreeMap<String, (String, String)> {
    let (before, after) = (before.to_str().unwrap(), after.to_str().unwrap());
    let report = pycull(["verify", before, after, "--format", "json"]).json();
    let images = report["images"].as_array().unwrap().iter();
    let verdict = |image: &Value| {
        let name = image["platform"]
            .as_str()
            .unwrap()
            .trim_start_matches("linux/");
        let verdict = image["verdict"].as_str().unwrap().to_owned();
        (name.to_owned(), (verdict, image["differences"].to_string()))
    };
    images.map(verdict).collect()
}

/// Collects all disagreements, so that one run shows them all.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, batch: &Batch, name: &str, what: &str) {
        let arguments = batch.arguments.join(" ");
        self.0.push(format!("{name}, {arguments}: {what}"));
    }

    /// Compares the trees with each other, with the verdict of `verify`, and with the merged file systems that pycull
    /// computes.
    fn compare(&mut self, batch: &Batch, name: &str, before: &Tree, after: &Tree) {
        let found = differences(before, after);
        if !found.is_empty() {
            self.add(batch, name, &found.join("\n    "));
        }
        let (verdict, why) = &batch.verdicts[name];
        if (verdict == "same") != found.is_empty() {
            self.add(batch, name, &format!("verify says {verdict}: {why}"));
        }
        for (layout, tree) in [(&batch.before, before), (&batch.after, after)] {
            let found = differences_of_view(layout, name, tree);
            if !found.is_empty() {
                self.add(
                    batch,
                    name,
                    &format!("its view differs: {}", found.join("\n    ")),
                );
            }
        }
    }

    #[track_caller]
    fn assert_none(&self) {
        let shown = self.0.iter().take(12).cloned().collect::<Vec<_>>();
        assert!(
            shown.is_empty(),
            "{} faults:\n{}",
            self.0.len(),
            shown.join("\n")
        );
    }
}

/// The differences between the merged file system that pycull computes and a tree.
fn differences_of_view(layout: &Layout, name: &str, unpacked: &Tree) -> Vec<String> {
    let mut images = layout.images().into_iter();
    let manifest = images.find(|manifest| name_of(manifest) == name).unwrap();
    let mut view = view(&layout.0, &manifest);
    let mut unpacked = unpacked.clone();
    view.describe_implied(&unpacked);
    for tree in [&mut view.tree, &mut unpacked] {
        forget_directory_times(tree);
        forget_times_of_linked_caches(tree);
    }
    let all = view.tree.0.keys().chain(unpacked.0.keys());
    let mut paths: Vec<&String> = all.collect();
    paths.sort();
    paths.dedup();
    let pairs = paths
        .into_iter()
        .map(|path| (path, view.tree.0.get(path), unpacked.0.get(path)));
    let described =
        |(path, here, there): (&String, Option<&Entry>, Option<&Entry>)| match (here, there) {
            (Some(here), Some(there)) => format!("{path}: {}", here.changes(there)),
            (Some(_), None) => format!("{path} is in the view alone"),
            _ => format!("{path} is in the unpacked tree alone"),
        };
    let different = pairs.filter(|(_, here, there)| here != there);
    different.map(described).collect()
}

/// Damages an image. Returns whether the damage shows in the tree that umoci unpacks. If so, `verify` must find it.
fn is_damage_seen(batch: &Batch, manifest: &Value, faults: &mut Faults, name: &str) -> bool {
    let scratch = batch.directory.path();
    let old = tagged(
        &batch.after,
        std::slice::from_ref(manifest),
        &scratch.join(format!("old-{name}")),
    );
    let Some(before) = by_umoci(&old, name, scratch) else {
        return false;
    };
    let document = batch.after.document(manifest);
    let tars = document["layers"].as_array().unwrap().iter();
    let tars: Vec<Vec<u8>> = tars
        .map(|layer| super::support::layout::decompressed(&batch.after.blob(layer)))
        .collect();
    let mut random = Random::new(format!("damage {name}"));
    let Some(tars) = damaged(&tars, &before, &mut random) else {
        return false;
    };
    let image = tars.into_iter().fold(ImageBuilder::new(), |image, tar| {
        image.layer_tar(tar, Layered::Plain)
    });
    let config = batch.after.document(&document["config"]);
    let image = image.edit_config(|new| {
        let diff_ids = new["rootfs"]["diff_ids"].take();
        *new = config;
        new["rootfs"]["diff_ids"] = diff_ids;
    });
    let new = scratch.join(format!("new-{name}"));
    let mut root = image.write_blobs(&new);
    root["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    write_index(&new, vec![root]);
    let is_seen = match by_umoci(&new, name, scratch) {
        Some(after) => !differences(&before, &after).is_empty(),
        None => true,
    };
    let output = pycull(["verify", old.to_str().unwrap(), new.to_str().unwrap()]);
    if is_seen && output.code == Some(0) {
        let what = "verify says same of a damaged image";
        faults.add(batch, name, what);
    }
    is_seen
}
