//! Annotations that describe bytes that pycull replaced: the table of contents of a layer, or the digest of a document.
//! A reader that trusts such an annotation fails, or fetches the wrong bytes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Maps the digests of blobs and tar streams that changed to the new digests.
pub(crate) type Renamed = HashMap<String, String>;

/// Prefixes of annotations that describe a blob's bytes to a reader that fetches parts of it, with the names of the
/// formats.
const OF_PARTS: [(&str, &str); 8] = [
    ("io.github.containers.zstd-chunked.", "zstd:chunked"),
    // From before 2021, by containers/storage and stargz-snapshotter.
    ("io.containers.zstd-chunked.", "zstd:chunked"),
    ("containerd.io/snapshot/stargz/", "eStargz"),
    ("io.containers.estargz.", "eStargz"),
    ("containerd.io/snapshot/nydus-", "Nydus"),
    ("containerd.io/snapshot/overlaybd/", "overlaybd"),
    ("com.amazon.soci.", "SOCI"),
    // A client writes these for its own snapshotter: the addresses and digests of the layer.
    ("containerd.io/snapshot/remote/", "remote snapshotter"),
];

/// Annotations with a digest that pycull updates: that of the config (BuildKit) or of the tar stream (containerd).
const DIGESTS: [&str; 3] = [
    "config.digest",
    "containerimage.config.digest",
    "containerd.io/uncompressed",
];

/// The formats for lazy pulling that the annotations of a document or descriptor belong to, sorted and without
/// duplicates.
pub(crate) fn lazy_formats(annotated: &Value) -> Vec<&'static str> {
    let annotations = annotated.get("annotations").and_then(Value::as_object);
    let names = annotations.into_iter().flat_map(Map::keys);
    let mut formats: Vec<&str> = names.filter_map(|name| format_of(name)).collect();
    formats.sort_unstable();
    formats.dedup();
    formats
}

fn format_of(name: &str) -> Option<&'static str> {
    let mut known = OF_PARTS.iter();
    let (_, format) = known.find(|(prefix, _)| name.starts_with(prefix))?;
    Some(format)
}

/// Updates the digests in annotations of [`DIGESTS`], and removes all other annotations that describe old bytes.
pub(crate) fn refresh(annotated: &mut Value, renamed: &Renamed) {
    let Some(annotations) = annotated
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let before = annotations.len();
    annotations.retain(|name, value| {
        if format_of(name).is_some() {
            return false;
        }
        let Some(text) = value.as_str() else {
            return true;
        };
        match renamed.get(text) {
            Some(new) if DIGESTS.contains(&&**name) => {
                *value = json!(new);
                true
            }
            Some(_) => false,
            None => true,
        }
    });
    if let (true, true, Some(fields)) = (
        annotations.is_empty(),
        before > 0,
        annotated.as_object_mut(),
    ) {
        fields.shift_remove("annotations");
    }
}

/// Annotation of an index entry: its image has zstd layers (containers/image). Engines choose an entry by it.
const HAS_ZSTD: &str = "io.github.containers.compression.zstd";

/// Removes the annotation [`HAS_ZSTD`].
pub(crate) fn forget_zstd(descriptor: &mut Value) {
    if let Some(annotations) = descriptor
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        let removed = annotations.shift_remove(HAS_ZSTD);
        if let (Some(_), true, Some(fields)) =
            (removed, annotations.is_empty(), descriptor.as_object_mut())
        {
            fields.shift_remove("annotations");
        }
    }
}

/// Whether the value of an annotation is one of these digests.
pub(crate) fn names_any(annotated: &Value, digests: &std::collections::HashSet<String>) -> bool {
    let annotations = annotated.get("annotations").and_then(Value::as_object);
    let values = annotations.into_iter().flat_map(Map::values);
    values
        .filter_map(Value::as_str)
        .any(|it| digests.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_old_bytes_go_and_all_others_stay() {
        let renamed = Renamed::from([("sha256:old".to_owned(), "sha256:new".to_owned())]);
        let mut layer = json!({"annotations": {
            "containerd.io/uncompressed": "sha256:old",
            "containerd.io/distribution.source.docker.io": "library/python",
            "containerd.io/snapshot/overlaybd/blob-size": "1",
            "org.example.copy-of": "sha256:old",
            "org.opencontainers.image.base.digest": "sha256:base",
            "buildkit/createdat": "2024-01-01T00:00:00Z",
        }});
        refresh(&mut layer, &renamed);
        assert_eq!(
            layer,
            json!({"annotations": {
                "containerd.io/uncompressed": "sha256:new",
                "containerd.io/distribution.source.docker.io": "library/python",
                "org.opencontainers.image.base.digest": "sha256:base",
                "buildkit/createdat": "2024-01-01T00:00:00Z",
            }})
        );
        let mut empty = json!({"annotations": {"com.amazon.soci.span-size": "1"}, "size": 1});
        assert_eq!(lazy_formats(&empty), ["SOCI"]);
        refresh(&mut empty, &renamed);
        assert_eq!(empty, json!({"size": 1}));
    }
}
