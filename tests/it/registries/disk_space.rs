//! The disk space that an image needs on its way from a registry to a registry.

use super::{Shop, command, noise, pycull_at};
use crate::support::disk::Disk;
use crate::support::fault_proxy::FaultProxy;
use crate::support::pyc::STDLIB;
use crate::support::tools::run;
use crate::support::{ImageBuilder, LayerBuilder, Layered};

const MIB: usize = 1 << 20;

/// MiB of a layer that do not compress. The rest of the layer is small.
const SIZE: usize = 48;

/// A layer with bytecode in each MiB of it.
fn python(seed: u64) -> LayerBuilder {
    (0..SIZE).fold(LayerBuilder::new().stdlib(STDLIB), |layer, number| {
        let data = noise(MIB, seed + number as u64);
        layer
            .module_of_three(STDLIB, &format!("m{number}"))
            .file(&format!("usr/share/{number}"), data)
    })
}

/// Minimizes an image, with temporary files on a disk that has room for `percent` of one layer.
fn minimize_within(percent: usize, image: &ImageBuilder) {
    let shop = Shop::open();
    shop.put("large:v1", image);
    let [from, to] = ["large:v1", "large:small"].map(|name| shop.registry.image(name));
    let disk = Disk::of((SIZE * MIB * percent / 100 / 1024) as u64);
    let home = tempfile::tempdir().unwrap();
    let mut minimize = command(home.path());
    minimize.env("TMPDIR", disk.path());
    run(minimize.args(["minimize", &from, "--output", &to, "--jobs", "1"])).success();
    pycull_at(home.path(), &["verify", &from, &to, "--profile", "default"]).success();
}

#[test]
fn a_layer_and_the_new_one_take_the_space_of_one() {
    minimize_within(110, &ImageBuilder::of([python(1)]));
}

/// A layer without bytecode needs no space once it is read, and leaves its space to the next.
#[test]
fn layers_that_cannot_change_take_no_space_beside_those_that_do() {
    let data = |seed| LayerBuilder::new().file("usr/share/data", noise((SIZE - 8) * MIB, seed));
    minimize_within(110, &ImageBuilder::of([data(500), data(501), python(1)]));
}

#[test]
fn a_disk_without_room_is_refused_before_a_layer_comes_down() {
    let shop = Shop::open();
    let data = |seed| LayerBuilder::new().file("usr/share/data", noise(6 * MIB, seed));
    shop.put("large:v1", &ImageBuilder::of([data(500), data(501)]));
    let proxy = FaultProxy::counting(&shop.registry.address);
    let from = shop.through(&proxy, "large:v1");
    // A registry needs room for each layer in turn, a file for all of them.
    for (free, output) in [
        (4, shop.registry.image("large:small")),
        (9, "small.tar".to_owned()),
    ] {
        let (disk, home) = (Disk::of(free << 10), tempfile::tempdir().unwrap());
        let mut minimize = command(home.path());
        minimize.env("TMPDIR", disk.path()).current_dir(home.path());
        let refused = run(minimize.args(["minimize", &from, "--output", &output]));
        refused.refused("they need");
        // Only the config comes down.
        assert!(proxy.down() < 1000);
    }
}

/// A layer of Zstandard may be read and written again at another level, so it takes more space while it is written.
#[test]
fn a_layer_that_is_written_leaves_its_space_to_the_next() {
    let layers = [python(1), python(100)].into_iter();
    let image = layers.fold(ImageBuilder::new(), |image, layer| {
        image.layer_as(layer, Layered::Zstd)
    });
    minimize_within(420, &image);
}
