//! Malformed indexes, manifests and configs.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{good, is_refused};
use crate::support::builder::{
    OCI_CONFIG, OCI_MANIFEST, write_index, write_nested_index, write_text,
};

/// A layout whose only root is this text, with the media type of a manifest.
fn manifest(text: &str) -> impl Fn(&Path) + '_ {
    move |layout| {
        good().write(layout);
        write_index(layout, vec![write_text(layout, OCI_MANIFEST, text)]);
    }
}

fn config(text: &str) -> impl Fn(&Path) + '_ {
    move |layout| {
        good().write(layout);
        let text = json!({"config": write_text(layout, OCI_CONFIG, text), "layers": []});
        manifest(&text.to_string())(layout);
    }
}

#[test]
fn documents_that_are_no_json_objects_are_refused() {
    for text in ["{", "", "[]", "null", "\u{feff}{}", "{\"a\": 1,}"] {
        is_refused(manifest(text), &["manifest sha256:", "malformed"]);
        is_refused(config(text), &["config sha256:", "malformed"]);
    }
}

#[test]
fn documents_nested_beyond_the_parsers_bound_are_refused() {
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    is_refused(
        manifest(&deep),
        &["manifest sha256:", "malformed", "recursion limit"],
    );
}

#[test]
fn files_of_the_layout_itself_that_are_no_json_are_refused_by_name() {
    for name in ["index.json", "oci-layout"] {
        let write = |layout: &Path| {
            good().write(layout);
            fs::write(layout.join(name), "{").unwrap();
        };
        is_refused(write, &[name, "malformed"]);
    }
}

#[test]
fn a_layout_of_another_version_is_refused() {
    let write = |layout: &Path| {
        good().write(layout);
        fs::write(
            layout.join("oci-layout"),
            r#"{"imageLayoutVersion": "2.0.0"}"#,
        )
        .unwrap();
    };
    is_refused(write, &["oci-layout", "2.0.0"]);
}

#[test]
fn an_index_without_manifests_is_refused() {
    let empty = |layout: &Path| {
        good().write(layout);
        write_index(layout, vec![]);
    };
    is_refused(empty, &["no manifests"]);
    let nested = |layout: &Path| {
        good().write(layout);
        let nested = write_nested_index(layout, vec![]);
        write_index(layout, vec![nested]);
    };
    is_refused(nested, &["index sha256:", "no manifests"]);
}

#[test]
fn indexes_nested_beyond_reason_are_refused() {
    let write = |layout: &Path| {
        let mut root = good().write_blobs(layout);
        for _ in 0..12 {
            root = write_nested_index(layout, vec![root]);
        }
        write_index(layout, vec![root]);
    };
    is_refused(write, &["nested", "deep"]);
}

#[test]
fn descriptors_without_digest_size_or_media_type_are_refused() {
    for missing in ["digest", "size", "mediaType"] {
        let image = good().edit_layer(0, |descriptor| {
            descriptor.as_object_mut().unwrap().remove(missing);
        });
        is_refused(|layout| image.write(layout), &["malformed", missing]);
    }
    for size in [json!(-1), json!("12"), json!(1.5)] {
        let image = good().edit_layer(0, |descriptor| descriptor["size"] = size.clone());
        is_refused(|layout| image.write(layout), &["malformed"]);
    }
}

#[test]
fn a_config_that_does_not_fit_its_manifest_is_refused() {
    let fewer = good().edit_config(|config| {
        config["rootfs"]["diff_ids"].as_array_mut().unwrap().pop();
    });
    is_refused(
        |layout| fewer.write(layout),
        &["config sha256:", "1 diff_ids for 2 layers"],
    );
    let none = good().edit_config(|config| {
        config.as_object_mut().unwrap().remove("rootfs");
    });
    is_refused(|layout| none.write(layout), &["config sha256:", "diff_ids"]);
    let odd = good().edit_config(|config| config["rootfs"]["diff_ids"][1] = json!("sha256:../x"));
    is_refused(|layout| odd.write(layout), &["config sha256:", "diff_id"]);
}

#[test]
fn an_artifact_is_no_image() {
    let write = |layout: &Path| {
        good().write(layout);
        let text = json!({
            "artifactType": "application/x-chart",
            "config": write_text(layout, "application/vnd.oci.empty.v1+json", "{}"),
            "layers": [],
        });
        manifest(&text.to_string())(layout);
    };
    is_refused(
        write,
        &["is not an image, but an artifact of type `application/x-chart`"],
    );
}
