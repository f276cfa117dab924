//! What moves between pycull and a registry: each blob once, and nothing that is there already.

use super::{Shop, image, layers, manifest, pycull_at};
use crate::support::builder::{Attestation, write_index, write_nested_index};
use crate::support::fault_proxy::{FaultProxy, Passed};
use crate::support::tools::tool;
use crate::support::{ImageBuilder, LayerBuilder};

/// The sizes of an image's layers in a registry.
fn sizes(name: &str) -> Vec<u64> {
    let manifest = manifest(name);
    let layers = manifest["layers"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| layer["size"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_blob_is_read_once() {
    let shop = Shop::open();
    let proxy = FaultProxy::counting(&shop.registry.address);
    let name = shop.through(&proxy, "app:v1");
    for command in ["inspect", "minimize"] {
        proxy.forget();
        let out = shop.path("out.tar");
        let more = ["--output", out.to_str().unwrap()];
        let more = if command == "minimize" {
            &more[..]
        } else {
            &[]
        };
        pycull_at(&shop.path(""), &[&[command, name.as_str()], more].concat()).success();
        let expected: u64 = sizes(&shop.registry.image("app:v1")).iter().sum();
        let config = 2000;
        assert!(
            proxy.down() >= expected && proxy.down() < expected + config,
            "{}",
            proxy.down()
        );
        // The config and three layers.
        assert_eq!(proxy.count("GET", "/blobs/"), 4, "{:#?}", proxy.log());
        assert_eq!(proxy.count("GET", "/manifests/v1"), 1);
    }
}

#[test]
fn only_new_layers_go_up_to_the_registry_that_the_image_is_from() {
    let shop = Shop::open();
    let proxy = FaultProxy::counting(&shop.registry.address);
    let from = shop.through(&proxy, "app:v1");
    for target in ["app:v1-small", "another/repository:small"] {
        proxy.forget();
        let to = shop.through(&proxy, target);
        pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
        let written = shop.registry.image(target);
        let new: u64 = sizes(&written)[1..].iter().sum();
        assert!(
            proxy.up() >= new && proxy.up() < new + 2000,
            "{} of {new}",
            proxy.up()
        );
        // Most of an image comes down once, to be read.
        let old: u64 = sizes(&shop.registry.image("app:v1")).iter().sum();
        assert!(proxy.down() < old + 2000);
        // Both repositories are on one registry, so pycull finds out once how to speak to it.
        let is_first = |it: &&Passed| it.request.path == "/v2/";
        assert_eq!(proxy.log().iter().filter(is_first).count(), 1);
        let tag = target.rsplit(':').next().unwrap();
        let last = proxy
            .log()
            .into_iter()
            .rfind(|it| it.request.method == "PUT")
            .unwrap();
        assert!(
            last.request.path.ends_with(&format!("/manifests/{tag}")),
            "{last:?}"
        );
    }
    // A second time, nothing goes up.
    proxy.forget();
    let to = shop.through(&proxy, "app:v1-small");
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    assert_eq!(proxy.up(), 0);
}

#[test]
fn a_second_image_on_the_same_base_sends_no_layer_of_the_base() {
    let shop = Shop::open();
    shop.put("second:v1", &image("second"));
    let proxy = FaultProxy::counting(&shop.registry.address);
    for name in ["app", "second"] {
        proxy.forget();
        let layout = shop.path(&format!("put/{name}-v1"));
        let to = shop.through(&proxy, &format!("small/images:{name}"));
        pycull_at(
            &shop.path(""),
            &["minimize", layout.to_str().unwrap(), "--output", &to],
        )
        .success();
    }
    let small = shop.registry.image("small/images:second");
    let own = *sizes(&small).last().unwrap();
    assert!(proxy.up() < own + 2000, "{} of {own}", proxy.up());
    assert_eq!(layers(&manifest(&small)).len(), 3);
}

/// Platforms that share a layer: it comes down once.
#[test]
fn a_layer_that_images_share_comes_down_once() {
    let shop = Shop::open();
    shop.put("app:v2", &image("other"));
    let proxy = FaultProxy::counting(&shop.registry.address);
    let names = ["app:v1", "app:v2"].map(|name| shop.through(&proxy, name));
    pycull_at(&shop.path(""), &["compare", &names[0], &names[1]]).success();
    let base = layers(&manifest(&shop.registry.image("app:v1")))[0].to_owned();
    assert_eq!(proxy.count("GET", &base), 1);
    proxy.forget();
    pycull_at(&shop.path(""), &["verify", &names[0], &names[1]]);
    assert_eq!(proxy.count("GET", &base), 1);
}

/// The manifest and the config tell the sizes.
#[test]
fn comparing_sizes_fetches_no_layer() {
    let shop = Shop::open();
    shop.put("app:v2", &image("other"));
    let proxy = FaultProxy::counting(&shop.registry.address);
    let names = ["app:v1", "app:v2"].map(|name| shop.through(&proxy, name));
    let compare = |more: &[&str]| {
        let fixed = ["compare", &names[0], &names[1], "--format", "json"];
        let output = pycull_at(&shop.path(""), &[&fixed, more].concat()).success();
        output.json()["images"][0].clone()
    };
    let sizes = compare(&["--sizes", "--max-growth", "1%"]);
    // A manifest and a config of each image.
    assert_eq!(proxy.count("GET", "/manifests/"), 2, "{:#?}", proxy.log());
    assert_eq!(proxy.count("GET", "/blobs/"), 2, "{:#?}", proxy.log());
    assert!(proxy.down() < 2000, "{}", proxy.down());
    let all = compare(&[]);
    assert_eq!(sizes["pull"], all["pull"]);
    assert_eq!(
        sizes["totals"]["compressed_after"],
        all["totals"]["compressed_after"]
    );
}

#[test]
fn an_image_of_one_layer_without_bytecode_goes_to_another_registry_whole() {
    let shop = Shop::open();
    let base = LayerBuilder::new().file("etc/os-release", b"ID=none\n");
    shop.put("plain:v1", &ImageBuilder::of([base]));
    let other = tempfile::tempdir().unwrap();
    let other_registry = crate::support::registry::Registry::start(other.path());
    let (from, to) = (
        shop.registry.image("plain:v1"),
        other_registry.image("mirror/plain:v1"),
    );
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    assert_eq!(
        shop.registry.tagged("plain", "v1"),
        other_registry.tagged("mirror/plain", "v1")
    );
}

/// Puts an image of three platforms that share the layers of the base into the registry, with an attestation for each.
pub(super) fn put_three_platforms(shop: &Shop, name: &str) {
    let layout = shop.path("index");
    let mut manifests = Vec::new();
    for architecture in ["amd64", "arm64", "s390x"] {
        let own = LayerBuilder::new().file("etc/architecture", architecture);
        let image = image("app").layer(own).platform("linux", architecture);
        manifests.push(image.write_blobs(&layout));
    }
    let attestations: Vec<_> = manifests
        .iter()
        .map(|image| Attestation::of(image).write(&layout))
        .collect();
    manifests.extend(attestations);
    let root = write_nested_index(&layout, manifests);
    write_index(&layout, vec![root]);
    let from = format!("oci:{}", layout.display());
    let all = ["copy", "--quiet", "--all", "--dest-tls-verify=false"];
    tool(
        "skopeo",
        all.iter()
            .copied()
            .chain([&*from, &*shop.registry.image(name)]),
    )
    .success();
}

#[test]
fn a_layer_that_platforms_share_comes_down_once_and_goes_up_once() {
    let shop = Shop::open();
    put_three_platforms(&shop, "app:all");
    let proxy = FaultProxy::counting(&shop.registry.address);
    let (from, to) = (
        shop.through(&proxy, "app:all"),
        shop.through(&proxy, "app:small"),
    );
    let minimize = ["minimize", &from, "--output", &to, "--format", "json"];
    let report = pycull_at(&shop.path(""), &minimize).success().json();
    assert_eq!(report["images"].as_array().unwrap().len(), 3);
    assert_eq!(report["left_out"].as_array().unwrap().len(), 3);
    let sizes_of_first = |name: &str| {
        let index = manifest(&shop.registry.image(name));
        let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        sizes(&shop.registry.image(&format!("app@{digest}")))
    };
    let (old, new) = (sizes_of_first("app:all"), sizes_of_first("app:small"));
    let slack = 10_000;
    let down: u64 = old.iter().sum();
    assert!(
        proxy.down() >= down && proxy.down() < down + slack,
        "{} of {down}",
        proxy.down()
    );
    // The base layer is there already.
    let up: u64 = new[1..].iter().sum();
    assert!(proxy.up() < up + slack, "{} of {up}", proxy.up());
    let verify = ["verify", &from, &to, "--profile", "default"];
    pycull_at(&shop.path(""), &verify).success();
}
