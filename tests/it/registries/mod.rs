//! Images in registries: reading them, writing them, what moves, and what happens on bad networks.

mod about;
mod disk_space;
mod faults;
mod login;
mod moved_bytes;
mod proxies;
mod stores;
mod streams;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::fault_proxy::{Fault, FaultProxy, Passing};
use crate::support::pyc::STDLIB;
use crate::support::registry::Registry;
use crate::support::tools::{Output, pycull_command, run, tool};
use crate::support::{ImageBuilder, LayerBuilder};

/// A registry with an image of three layers, of which the second and third have bytecode.
struct Shop {
    directory: TempDir,
    registry: Registry,
}

impl Shop {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::start(directory.path());
        let shop = Self {
            directory,
            registry,
        };
        shop.put("app:v1", &image("app"));
        shop
    }

    /// Puts an image into the registry.
    fn put(&self, name: &str, image: &ImageBuilder) {
        let layout = self.path("put").join(name.replace(':', "-"));
        image.write(&layout);
        copy_in(&layout, &self.registry.image(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A proxy's name of an image in the registry.
    fn through(&self, proxy: &FaultProxy, name: &str) -> String {
        format!("docker://{}/{name}", proxy.address)
    }
}

fn copy_in(layout: &Path, name: &str) {
    let from = format!("oci:{}", layout.display());
    tool(
        "skopeo",
        ["copy", "--quiet", "--dest-tls-verify=false", &from, name],
    )
    .success();
}

/// Bytes that do not compress, so that sizes of layers are about known.
fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    (0..length).map(next).collect()
}

/// An image whose first layer has no bytecode and is the same in all of them.
fn image(name: &str) -> ImageBuilder {
    let base = LayerBuilder::new().file("usr/share/base", noise(600_000, 1));
    let python = LayerBuilder::new()
        .stdlib(STDLIB)
        .module_of_three(STDLIB, "m")
        .file("usr/share/python", noise(300_000, 2));
    let own = LayerBuilder::new()
        .module_of_three(&format!("{STDLIB}/site-packages"), name)
        .file("app/data", noise(100_000, name.len() as u64));
    ImageBuilder::of([base, python, own])
}

/// pycull without the credentials and the configuration of this machine.
fn command(home: &Path) -> Command {
    let mut command = pycull_command();
    for name in [
        "REGISTRY_AUTH_FILE",
        "DOCKER_CONFIG",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", home);
    command
}

fn pycull_at(home: &Path, arguments: &[&str]) -> Output {
    run(command(home).args(arguments))
}

/// A manifest in a registry.
fn manifest(name: &str) -> Value {
    let text = tool("skopeo", ["inspect", "--tls-verify=false", "--raw", name]).success();
    serde_json::from_slice(&text.stdout).unwrap()
}

fn layers(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().unwrap();
    layers
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap())
        .collect()
}

#[test]
fn an_image_goes_from_a_registry_to_the_same_one() {
    let shop = Shop::open();
    let (from, to) = (
        shop.registry.image("app:v1"),
        shop.registry.image("app:v1-small"),
    );
    let report = pycull_at(
        &shop.path(""),
        &["minimize", &from, "--output", &to, "--format", "json"],
    );
    let report = report.success().json();
    assert_eq!(report["output_form"], "registry");
    let tagged = shop.registry.tagged("app", "v1-small").unwrap();
    assert_eq!(report["output_digest"], tagged);
    let (before, after) = (manifest(&from), manifest(&to));
    assert_eq!(layers(&before)[0], layers(&after)[0]);
    assert_ne!(layers(&before)[1..], layers(&after)[1..]);
    let verified = pycull_at(
        &shop.path(""),
        &["verify", &from, &to, "--profile", "default"],
    );
    verified.success();
    // skopeo checks every digest.
    let copy = format!("oci:{}:v1", shop.path("copy").display());
    tool(
        "skopeo",
        ["copy", "--quiet", "--src-tls-verify=false", &to, &copy],
    )
    .success();
}

/// The bytes do not depend on where the image is.
#[test]
fn a_registry_gets_what_a_layout_gets() {
    let shop = Shop::open();
    let layout = shop.path("layout");
    image("app").write(&layout);
    let file = format!("oci:{}", shop.path("out").display());
    pycull_at(
        &shop.path(""),
        &["minimize", layout.to_str().unwrap(), "--output", &file],
    )
    .success();
    let (from, to) = (
        shop.registry.image("app:v1"),
        shop.registry.image("other/app:small"),
    );
    pycull_at(&shop.path(""), &["minimize", &from, "--output", &to]).success();
    assert_eq!(layers(&manifest(&file)), layers(&manifest(&to)));
}

#[test]
fn every_command_reads_a_registry() {
    let shop = Shop::open();
    let name = shop.registry.image("app:v1");
    let layout = shop.path("layout");
    image("app").write(&layout);
    let run = |arguments: &[&str]| pycull_at(&shop.path(""), arguments).success().json();
    let remote = run(&["inspect", &name, "--format", "json"]);
    let local = run(&["inspect", layout.to_str().unwrap(), "--format", "json"]);
    assert_eq!(remote["images"], local["images"]);
    let compared = run(&[
        "compare",
        &name,
        layout.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(compared["images"][0]["totals"]["compressed_difference"], 0);
    run(&[
        "verify",
        &name,
        layout.to_str().unwrap(),
        "--format",
        "json",
    ]);
    let planned = run(&["minimize", &name, "--dry-run", "--format", "json"]);
    assert!(planned["images"][0]["removed"]["files"].as_u64().unwrap() > 0);
}

#[test]
fn a_digest_is_checked_and_so_is_the_tag_beside_it() {
    let shop = Shop::open();
    shop.put("app:v2", &image("other"));
    let home = shop.path("");
    let digest = |tag| shop.registry.tagged("app", tag).unwrap();
    let inspect = |reference: &str| pycull_at(&home, &["inspect", reference]);
    inspect(&shop.registry.image(&format!("app@{}", digest("v1")))).success();
    inspect(&shop.registry.image(&format!("app:v1@{}", digest("v1")))).success();
    let moved = inspect(&shop.registry.image(&format!("app:v1@{}", digest("v2"))));
    let moved = moved.refused(&format!(
        "now has the digest {}, not {}",
        digest("v1"),
        digest("v2")
    ));
    assert!(
        moved.stderr.contains("hint: leave out the digest"),
        "{}",
        moved.stderr
    );
    let output = shop.registry.image(&format!("app:v3@{}", digest("v1")));
    let arguments = [
        "minimize",
        &shop.registry.image("app:v1"),
        "--output",
        &output,
    ];
    pycull_at(&home, &arguments).refused("an output has a tag, not a digest");
}

#[test]
fn what_is_missing_is_said_in_the_registry_s_words() {
    let shop = Shop::open();
    let home = shop.path("");
    for name in ["app:v9", "nobody/app:v1"] {
        let refused = pycull_at(&home, &["inspect", &shop.registry.image(name)]);
        refused.refused("the registry returned 404 Not Found: manifest unknown (MANIFEST_UNKNOWN)");
    }
    let nowhere = pycull_at(&home, &["inspect", "docker://127.0.0.1:1/app"]);
    nowhere.refused("the connection to `127.0.0.1:1` failed");
}

#[test]
fn a_missing_tag_is_said_with_the_nearest_tags() {
    let shop = Shop::open();
    for number in 0..12 {
        let [from, to] = ["app:v1".to_owned(), format!("app:3.{number}-slim")]
            .map(|name| shop.registry.image(&name));
        let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        tool("skopeo", ["copy", "--quiet", tls[0], tls[1], &from, &to]).success();
    }
    let proxy = FaultProxy::counting(&shop.registry.address);
    let inspect = |name: &str| pycull_at(&shop.path(""), &["inspect", &shop.through(&proxy, name)]);
    let refused =
        inspect("app:3.7-slm").refused("has no tag `3.7-slm`; the nearest tags are 3.7-slim, ");
    let stderr = refused.stderr;
    assert_eq!(stderr.matches("-slim, ").count(), 9, "{stderr}");
    let hint = format!(
        "hint: choose one, for example `docker://{}/app:3.7-slim`",
        proxy.address
    );
    assert!(stderr.contains(&hint), "{stderr}");
    assert!(stderr.contains("MANIFEST_UNKNOWN"), "{stderr}");
    assert_eq!(proxy.count("GET", "/tags/list"), 1);
    proxy.forget();
    inspect("app:v1").success();
    let digest = format!("app@sha256:{}", "0".repeat(64));
    inspect(&digest).refused("the registry returned 404");
    assert_eq!(proxy.count("GET", "/tags/list"), 0);
}

#[test]
fn a_registry_that_lists_no_tags_is_believed_about_the_missing_one() {
    let shop = Shop::open();
    let rule = |request: &Passing| match request.is("GET", "/tags/list") {
        true => Fault::Answer(503, vec![]),
        false => Fault::None,
    };
    let proxy = FaultProxy::start(&shop.registry.address, rule);
    let refused = pycull_at(
        &shop.path(""),
        &["inspect", &shop.through(&proxy, "app:v9")],
    );
    refused.refused("the registry returned 404 Not Found: manifest unknown");
    assert_eq!(proxy.count("GET", "/tags/list"), 1);
}

#[test]
fn a_host_without_a_repository_is_no_image() {
    let home = tempfile::tempdir().unwrap();
    for host in ["localhost:5000", "q.example.com:5000"] {
        let refused = pycull_at(home.path(), &["inspect", &format!("docker://{host}")]);
        let refused = refused.refused("no repository follows the host");
        let hint = format!("add the name of an image: `docker://{host}/NAME:TAG`");
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
}
