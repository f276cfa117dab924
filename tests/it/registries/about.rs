//! What an image's new manifest says of the old one, and what refers to the old one.

use super::moved_bytes::put_three_platforms;
use super::{Shop, image, manifest, pycull_at};
use crate::support::tools::tool;

const BASE: &str = "org.opencontainers.image.base";

fn minimize(shop: &Shop, to: &str, more: &[&str]) -> serde_json::Value {
    let [from, to] = ["app:v1", to].map(|name| shop.registry.image(name));
    let arguments = ["minimize", &from, "--output", &to, "--format", "json"];
    pycull_at(&shop.path(""), &[&arguments, more].concat())
        .success()
        .json()
}

#[test]
fn the_new_manifest_names_its_base() {
    let shop = Shop::open();
    minimize(&shop, "app:small", &[]);
    let small = manifest(&shop.registry.image("app:small"));
    let old = shop.registry.tagged("app", "v1").unwrap();
    assert_eq!(small["annotations"][format!("{BASE}.digest")], old.as_str());
    let name = format!("{}/app:v1", shop.registry.address);
    assert_eq!(small["annotations"][format!("{BASE}.name")], name.as_str());
    // The image made from the new one keeps the first base.
    let (from, to) = (
        shop.registry.image("app:small"),
        shop.registry.image("app:smaller"),
    );
    pycull_at(
        &shop.path(""),
        &["minimize", &from, "--output", &to, "--profile", "minimal"],
    )
    .success();
    let smaller = manifest(&shop.registry.image("app:smaller"));
    assert_eq!(smaller["annotations"], small["annotations"]);
    let verify = [
        "verify",
        &shop.registry.image("app:small"),
        &to,
        "--profile",
        "minimal",
    ];
    pycull_at(&shop.path(""), &verify).success();
}

#[test]
fn a_base_that_is_another_image_is_a_difference() {
    let shop = Shop::open();
    minimize(&shop, "app:small", &[]);
    shop.put(
        "app:v2",
        &image("app").edit_config(|config| config["author"] = "somebody".into()),
    );
    let other = pycull_at(
        &shop.path(""),
        &[
            "verify",
            &shop.registry.image("app:v2"),
            &shop.registry.image("app:small"),
        ],
    );
    assert_eq!(other.code, Some(1));
    assert!(other.text().contains("base.digest"), "{}", other.text());
}

#[test]
fn signatures_are_listed_and_not_carried() {
    let shop = Shop::open();
    let digest = shop.registry.tagged("app", "v1").unwrap();
    let tag = format!("app:{}.sig", digest.replace(':', "-"));
    // cosign stores a signature as an image under such a tag.
    shop.put(&tag, &image("signature"));
    let refused = pycull_at(
        &shop.path(""),
        &[
            "minimize",
            &shop.registry.image("app:v1"),
            "--output",
            &shop.registry.image("app:small"),
            "--require-unsigned",
        ],
    );
    let refused = refused.refused("is signed (signature sha256:");
    assert!(
        refused
            .stderr
            .contains("hint: leave out `--require-unsigned`")
    );
    assert_eq!(shop.registry.tagged("app", "small"), None);
    let report = minimize(&shop, "app:small", &[]);
    let left_out = report["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0]["kind"], "signature");
    assert_eq!(left_out[0]["subject"], digest.as_str());
}

#[test]
fn a_tag_that_moves_is_said_with_the_way_back() {
    let shop = Shop::open();
    let old = shop.registry.tagged("app", "v1").unwrap();
    let file = shop.path("auth.json");
    std::fs::write(&file, "{}").unwrap();
    let login = ["--authfile", file.to_str().unwrap()];
    let report = minimize(&shop, "app:v1", &login);
    assert_ne!(shop.registry.tagged("app", "v1").unwrap(), old);
    let replaced = &report["replaced"];
    assert_eq!(replaced["id"], old.as_str());
    let command = replaced["restore"].as_str().unwrap();
    assert!(command.contains(&login.join(" ")), "{command}");
    let words = command.split(' ').skip(1);
    tool("skopeo", words).success();
    assert_eq!(shop.registry.tagged("app", "v1").unwrap(), old);
    assert_eq!(
        minimize(&shop, "app:new", &[])["replaced"],
        serde_json::Value::Null
    );
}

#[test]
fn a_tag_is_not_replaced_by_one_of_its_platforms() {
    let shop = Shop::open();
    put_three_platforms(&shop, "app:all");
    let old = shop.registry.tagged("app", "all");
    let small = |output: &str| {
        let [from, to] = ["app:all", output].map(|name| shop.registry.image(name));
        let minimize = [
            "minimize",
            &from,
            "--output",
            &to,
            "--platform",
            "linux/arm64",
        ];
        pycull_at(&shop.path(""), &minimize)
    };
    let refused = small("app:all").refused("`--platform` would remove");
    for platform in ["linux/amd64", "linux/s390x"] {
        assert!(refused.stderr.contains(platform), "{}", refused.stderr);
    }
    assert_eq!(shop.registry.tagged("app", "all"), old);
    for other in ["app:small", "other:all"] {
        small(other).success();
    }
}
