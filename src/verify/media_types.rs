//! Compares the media types of an image's documents and layers.
//!
//! A media type may change only between the equivalent types of Docker and OCI. The type of a layer may also change its
//! compression, if it matches the layer.

use serde_json::Value;

use super::{Difference, Part, Side};
use crate::oci::{Compression, Image};

/// The OCI equivalent of a Docker media type. Other types stay as they are.
pub(super) fn meaning(media_type: &str) -> String {
    let Some(name) = media_type.strip_prefix("application/vnd.docker.") else {
        return media_type.to_owned();
    };
    let layer = |rest: &str, name: &str| match rest.split_once('.') {
        Some(("", compression)) => format!("{name}+{compression}"),
        _ if rest.is_empty() => name.to_owned(),
        _ => media_type.to_owned(),
    };
    let oci = |name: &str| format!("application/vnd.oci.image.{name}");
    if let Some(rest) = name.strip_prefix("image.rootfs.diff.tar") {
        return layer(rest, &oci("layer.v1.tar"));
    }
    if let Some(rest) = name.strip_prefix("image.rootfs.foreign.diff.tar") {
        return layer(rest, &oci("layer.nondistributable.v1.tar"));
    }
    match name {
        "distribution.manifest.v2+json" => oci("manifest.v1+json"),
        "distribution.manifest.list.v2+json" => oci("index.v1+json"),
        "container.image.v1+json" => oci("config.v1+json"),
        _ => media_type.to_owned(),
    }
}

/// The OCI equivalent of a layer's media type, without the compression.
pub(super) fn meaning_of_layer(media_type: &str) -> String {
    let meaning = meaning(media_type);
    match meaning.rsplit_once('+') {
        Some((layer, "gzip" | "zstd")) => layer.to_owned(),
        _ => meaning,
    }
}

/// Sets the second descriptor's media type to that of the first, if both are equivalent.
pub(super) fn agree(old: &Value, new: &mut Value, meaning: fn(&str) -> String) {
    if let (Some(before), Some(after)) = (media_type(old), media_type(new))
        && meaning(before) == meaning(after)
    {
        new["mediaType"] = old["mediaType"].clone();
    }
}

/// The media type of an image's manifest. If the manifest has none, its descriptor has one.
pub(super) fn of_manifest(image: &Image) -> Option<&str> {
    media_type(&image.manifest).or_else(|| media_type(&image.descriptor))
}

fn media_type(value: &Value) -> Option<&str> {
    value.get("mediaType")?.as_str()
}

/// Compares media types that no single descriptor decides: of the manifest, and of mixtures. Also checks that the media
/// types of new layers match their compression.
pub(super) fn compare(before: &Side<'_>, after: &Side<'_>, differences: &mut Vec<Difference>) {
    let mut push = |path: String, what: String| {
        differences.push(Difference {
            part: Part::Manifest,
            path: path.into_bytes(),
            what,
        });
    };
    if is_mixed(after.image) && !is_mixed(before.image) {
        let what = "is a mixture of Docker's and OCI's media types";
        push("/mediaType".to_owned(), what.to_owned());
    }
    let is_contradicted = |image: &Image| {
        let (inner, outer) = (media_type(&image.manifest), media_type(&image.descriptor));
        inner.is_some() && inner != outer
    };
    if is_contradicted(after.image) && !is_contradicted(before.image) {
        let what = "is not the media type of the descriptor that names the manifest";
        push("/mediaType".to_owned(), what.to_owned());
    }
    let old_layers = &before.image.layers;
    for (index, scan) in after.inventory().layers.iter().enumerate() {
        let descriptor = &scan.layer.descriptor;
        let is_old = old_layers
            .iter()
            .any(|old| old.descriptor.digest() == descriptor.digest());
        let media_type = descriptor.media_type().to_string();
        let is_known = meaning(&media_type).starts_with("application/vnd.oci.image.layer.");
        if !is_old && is_known && compression(&media_type) != Some(scan.compression) {
            let what = format!(
                "is `{media_type}`, but the layer's compression is {}",
                scan.compression
            );
            push(format!("/layers/{index}/mediaType"), what);
        }
    }
}

/// The compression that the media type of a layer names.
fn compression(media_type: &str) -> Option<Compression> {
    match meaning(media_type).rsplit_once('+') {
        None => Some(Compression::None),
        Some((_, "gzip")) => Some(Compression::Gzip),
        Some((_, "zstd")) => Some(Compression::Zstd),
        Some(_) => None,
    }
}

fn is_mixed(image: &Image) -> bool {
    let layers = image.manifest.get("layers").and_then(Value::as_array);
    let descriptors = image.manifest.get("config").into_iter();
    let types = descriptors
        .chain(layers.into_iter().flatten())
        .filter_map(media_type);
    let mut are_docker = of_manifest(image)
        .into_iter()
        .chain(types)
        .map(|it| it.starts_with("application/vnd.docker."));
    let first = are_docker.next();
    are_docker.any(|is_docker| Some(is_docker) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_type_means_the_oci_type_of_the_same_thing() {
        let docker = |name: &str| format!("application/vnd.docker.{name}");
        for (name, oci) in [
            ("distribution.manifest.v2+json", "manifest.v1+json"),
            ("distribution.manifest.list.v2+json", "index.v1+json"),
            ("container.image.v1+json", "config.v1+json"),
            ("image.rootfs.diff.tar", "layer.v1.tar"),
            ("image.rootfs.diff.tar.gzip", "layer.v1.tar+gzip"),
            ("image.rootfs.diff.tar.zstd", "layer.v1.tar+zstd"),
            (
                "image.rootfs.foreign.diff.tar.gzip",
                "layer.nondistributable.v1.tar+gzip",
            ),
        ] {
            let oci = format!("application/vnd.oci.image.{oci}");
            assert_eq!(meaning(&docker(name)), oci, "{name}");
            assert_eq!(meaning(&oci), oci);
        }
        for unknown in [
            docker("plugin.v1+json"),
            docker("image.rootfs.difference"),
            docker("image.rootfs.diff.tarball.gzip"),
            "application/x".to_owned(),
        ] {
            assert_eq!(meaning(&unknown), unknown);
        }
    }

    #[test]
    fn only_the_compression_of_a_layer_may_change() {
        let layer = |rest: &str| format!("application/vnd.oci.image.layer.v1.tar{rest}");
        for rest in ["", "+gzip", "+zstd"] {
            assert_eq!(meaning_of_layer(&layer(rest)), layer(""));
        }
        let encrypted = layer("+gzip+encrypted");
        assert_eq!(meaning_of_layer(&encrypted), encrypted);
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        assert_ne!(meaning_of_layer(foreign), layer(""));
    }
}
