//! Names of images in the annotations of an `index.json` and in the RepoTags of a docker archive.

use serde_json::{Map, Value};

use crate::registry::{full_name, has_host};

/// The image-spec's annotation for an image's name (annotations.md). Tools write a tag or a full docker reference to
/// it.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's and docker's annotation for the full docker reference.
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// An annotation of a descriptor. `None` if it is missing or empty.
pub(super) fn annotation<'a>(descriptor: &'a Value, key: &str) -> Option<&'a str> {
    descriptor
        .get("annotations")?
        .get(key)?
        .as_str()
        .filter(|text| !text.is_empty())
}

/// Sets an annotation of a descriptor, or removes it if `value` is `None`.
pub(super) fn set_annotation(descriptor: &mut Value, key: &str, value: Option<&str>) {
    let Some(fields) = descriptor.as_object_mut() else {
        return;
    };
    let annotations = fields
        .entry("annotations")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(annotations) = annotations.as_object_mut() {
        match value {
            Some(value) => {
                annotations.insert(key.to_owned(), value.into());
            }
            None => {
                annotations.shift_remove(key);
            }
        }
        if annotations.is_empty() {
            fields.shift_remove("annotations");
        }
    }
}

/// Whether `name` includes a repository, as opposed to a bare tag.
pub(super) fn is_full_name(name: &str) -> bool {
    name.contains(['/', ':'])
}

/// The full docker references of a descriptor, most trusted first.
pub(super) fn full_names(descriptor: &Value) -> impl Iterator<Item = &str> {
    [CONTAINERD_NAME, REF_NAME]
        .into_iter()
        .filter_map(|key| annotation(descriptor, key))
        .filter(|name| is_full_name(name))
}

/// The full form of a docker reference: `a` becomes `docker.io/library/a:latest` (the distribution project's reference
/// grammar, "normalized named").
pub(super) fn normalized(name: &str) -> String {
    let (domain, rest) = match name.split_once('/') {
        Some(("index.docker.io", rest)) => ("docker.io", rest),
        Some((domain, rest)) if has_host(name) => (domain, rest),
        _ => ("docker.io", name),
    };
    let tag = match rest.contains('@') || tag(rest).is_some() {
        true => "",
        false => ":latest",
    };
    full_name(domain, rest) + tag
}

/// The tag at the end of a full docker reference.
pub(super) fn tag(name: &str) -> Option<&str> {
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    last.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_docker_hub() {
        let cases = [
            ("a", "docker.io/library/a:latest"),
            ("a:1", "docker.io/library/a:1"),
            ("docker.io/a:1", "docker.io/library/a:1"),
            ("index.docker.io/library/a:1", "docker.io/library/a:1"),
            ("me/a:1", "docker.io/me/a:1"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("quay.io/x/y:z", "quay.io/x/y:z"),
            ("a@sha256:00", "docker.io/library/a@sha256:00"),
        ];
        for (name, expected) in cases {
            assert_eq!(normalized(name), expected);
        }
    }

    #[test]
    fn a_tag_is_told_from_a_port() {
        assert_eq!(tag("localhost:5000/a"), None);
        assert_eq!(tag("localhost:5000/a:1"), Some("1"));
    }

    #[test]
    fn the_last_annotation_takes_the_map_with_it() {
        let mut descriptor = serde_json::json!({"digest": "d"});
        set_annotation(&mut descriptor, REF_NAME, Some("v1"));
        assert_eq!(annotation(&descriptor, REF_NAME), Some("v1"));
        set_annotation(&mut descriptor, REF_NAME, None);
        assert_eq!(descriptor, serde_json::json!({"digest": "d"}));
    }
}
