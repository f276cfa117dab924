//! What annotations and labels say of bytes that are gone: table of contents of a layer, digests of documents. A reader
//! that trusted one would fail, or fetch the wrong bytes.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

/// Digests of blobs and tar streams that changed, each with the new one.
pub(crate) type Renamed = HashMap<String, String>;

/// Beginnings of annotations that describe a blob's bytes for a reader that fetches parts of it, with that format's name.
const OF_PARTS: [(&str, &str); 8] = [
    ("io.github.containers.zstd-chunked.", "zstd:chunked"),
    // As containers/storage and stargz-snapshotter wrote them before 2021.
    ("io.containers.zstd-chunked.", "zstd:chunked"),
    ("containerd.io/snapshot/stargz/", "eStargz"),
    ("io.containers.estargz.", "eStargz"),
    ("containerd.io/snapshot/nydus-", "Nydus"),
    ("containerd.io/snapshot/overlaybd/", "overlaybd"),
    ("com.amazon.soci.", "SOCI"),
    // A client's own notes for its snapshotter: addresses and digests of the layer.
    ("containerd.io/snapshot/remote/", "a remote snapshotter"),
];

/// Annotations whose value is a digest that has a successor: of the config (BuildKit), of the tar stream (containerd).
const DIGESTS: [&str; 3] = [
    "config.digest",
    "containerimage.config.digest",
    "containerd.io/uncompressed",
];

/// The formats for lazy pulling that a document's or descriptor's annotations belong to, each once.
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

/// Removes the annotations that describe what changed, and brings those up to date that only name it.
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

/// Says of an index entry that its image has zstd layers (containers/image). Engines choose by it.
const HAS_ZSTD: &str = "io.github.containers.compression.zstd";

/// Removes the note that an image has zstd layers.
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

/// Whether any annotation's value is one of these digests.
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
