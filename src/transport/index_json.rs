//! `index.json`, the table of images in a layout (image-spec image-layout.md). Chooses an image from it, and adds an
//! image to it. Everything else in the document stays as it is.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::limits::Limits;
use crate::oci::image::{parse_object, typed_descriptor};
use crate::oci::json_keys::{self, respell};
use crate::oci::load::{is_set, load_within};
use crate::oci::media_type::{DocumentKind, OCI_INDEX, document_kind};
use crate::oci::{BlobStore, Digest, Platform, read_document};

use super::error::TransportError;
use super::file_names::{INDEX_JSON, OCI_LAYOUT};
use super::image_name::{
    CONTAINERD_NAME, REF_NAME, annotation, full_names, is_full_name, normalized, tag,
};
use super::reference::{Selector, Wanted};
use super::transports::Transport;

/// Checks the layout version in an `oci-layout` file.
pub(super) fn check_layout_version(document: &Value, path: &Path) -> Result<(), TransportError> {
    let version = document.get("imageLayoutVersion").and_then(Value::as_str);
    if version == Some("1.0.0") {
        return Ok(());
    }
    Err(TransportError::Malformed {
        path: path.to_owned(),
        document: OCI_LAYOUT.to_owned(),
        reason: format!(
            "its image layout version is `{}`, and only 1.0.0 exists",
            version.unwrap_or_default()
        ),
    })
}

/// Makes an `index.json` that lists `roots`.
pub(super) fn with_roots(roots: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": roots })
}

/// The descriptors in an `index.json`.
pub(super) fn roots(index: &Value) -> &[Value] {
    index
        .get("manifests")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Returns the descriptor that a reference asks for. `transport` is the medium that was found, for messages. `store`
/// holds the documents in which to look for a digest or a platform.
pub(super) fn choose(
    roots: &[Value],
    wanted: Wanted<'_>,
    transport: Transport,
    store: &dyn BlobStore,
) -> Result<Value, TransportError> {
    let reference = wanted.reference;
    if roots.is_empty() {
        return Err(TransportError::NotAnImage {
            path: reference.path().to_owned(),
            reason: format!("its {INDEX_JSON} has no manifests"),
        });
    }
    let candidates = match reference.selector() {
        None => images(roots),
        Some(Selector::Name(name)) => named(roots, name),
        Some(Selector::Index(index)) => roots.get(*index).into_iter().collect(),
        Some(Selector::Digest { name, digest }) => {
            let named = match name {
                Some(name) => named(roots, name),
                None => roots.iter().collect(),
            };
            if let Some(found) = with_digest(&named, digest, store) {
                return Ok(found);
            }
            Vec::new()
        }
    };
    if let ([], Some(selector)) = (&candidates[..], reference.selector()) {
        return Err(TransportError::NoSuchName {
            path: reference.path().to_owned(),
            name: selector.to_string(),
            choices: choices(roots),
        });
    }
    let of_platform = match wanted.platform {
        Some(platform) if !is_one(&candidates) => of_platform(&candidates, platform, store),
        _ => Vec::new(),
    };
    match (&candidates[..], &of_platform[..]) {
        (_, [first, ..]) if is_one(&of_platform) => Ok((*first).clone()),
        ([first, ..], []) if is_one(&candidates) => Ok((*first).clone()),
        _ => Err(TransportError::Ambiguous {
            reference: reference.to_string(),
            prefix: reference.prefix(transport),
            choices: choices(roots),
        }),
    }
}

/// Whether all candidates are one image. `docker save` lists an image once for each of its names.
fn is_one(candidates: &[&Value]) -> bool {
    let mut digests = candidates.iter().map(|root| &root["digest"]);
    let first = digests.next();
    first.is_some() && digests.all(|digest| Some(digest) == first)
}

/// The candidates that have an image of this platform.
fn of_platform<'a>(
    candidates: &[&'a Value],
    platform: &Platform,
    store: &dyn BlobStore,
) -> Vec<&'a Value> {
    let limits = Limits::default();
    let mut known: HashMap<String, bool> = HashMap::new();
    let mut has_image = |root: &&&Value| {
        // Check each image once: one image can have many names.
        let known = known.entry(root["digest"].to_string());
        *known.or_insert_with(|| load_within(store, root, Some(platform), &limits).is_ok())
    };
    candidates
        .iter()
        .filter(|it| has_image(it))
        .copied()
        .collect()
}

/// Finds the descriptor with that digest, among the roots or in the indexes below them. A root keeps its name.
/// Descriptors below a root have no name.
fn with_digest(roots: &[&Value], digest: &Digest, store: &dyn BlobStore) -> Option<Value> {
    let is_it = |descriptor: &Value| descriptor["digest"] == digest.as_ref();
    if let Some(found) = roots.iter().find(|root| is_it(root)) {
        return Some((*found).clone());
    }
    let mut pending: Vec<Value> = roots.iter().map(|root| (*root).clone()).collect();
    let mut budget = MOST_INDEXES;
    while let Some(descriptor) = pending.pop() {
        let is_index = document_kind(descriptor["mediaType"].as_str().unwrap_or_default())
            == Some(DocumentKind::Index);
        budget -= usize::from(is_index);
        if budget == 0 {
            return None;
        }
        let Some(children) = is_index.then(|| children(&descriptor, store)).flatten() else {
            continue;
        };
        if let Some(found) = children.iter().find(|child| is_it(child)) {
            return Some(found.clone());
        }
        pending.extend(children);
    }
    None
}

/// Number of indexes to read while looking for a digest.
const MOST_INDEXES: usize = 1000;

fn children(descriptor: &Value, store: &dyn BlobStore) -> Option<Vec<Value>> {
    let typed = typed_descriptor(descriptor).ok()?;
    let bytes = read_document(store, &typed, "index").ok()?;
    let mut index = parse_object(&bytes, "index", typed.digest().as_ref()).ok()?;
    respell(&mut index, &json_keys::INDEX);
    Some(roots(&index).to_vec())
}

/// The roots that can be images. If none can, all roots.
pub(super) fn images(roots: &[Value]) -> Vec<&Value> {
    let is_image = |root: &&Value| {
        let media_type = root.get("mediaType").and_then(Value::as_str);
        media_type.is_some_and(|text| document_kind(text).is_some())
            && !is_set(root, "artifactType")
            && !annotation(root, REF_NAME).is_some_and(is_cosign_tag)
    };
    let images: Vec<&Value> = roots.iter().filter(is_image).collect();
    match images.is_empty() {
        true => roots.iter().collect(),
        false => images,
    }
}

/// Whether the name is a tag that cosign gives to data about an image: `sha256-HEX`, alone or with `.sig`, `.att` or
/// `.sbom`.
fn is_cosign_tag(name: &str) -> bool {
    let digest = name.strip_prefix("sha256-");
    digest.is_some_and(|digest| {
        let (hex, kind) = digest.split_once('.').unwrap_or((digest, ""));
        let is_hex = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex && matches!(kind, "sig" | "att" | "sbom" | "")
    })
}

/// Returns the roots with that name. Three comparisons are tried in turn: the exact name, then the full form of the
/// name, then the tag of the full name.
fn named<'a>(roots: &'a [Value], name: &str) -> Vec<&'a Value> {
    let matching = |test: &dyn Fn(&Value) -> bool| -> Vec<&'a Value> {
        roots.iter().filter(|root| test(root)).collect()
    };
    let exact = matching(&|root| {
        [REF_NAME, CONTAINERD_NAME]
            .into_iter()
            .any(|key| annotation(root, key) == Some(name))
    });
    if !exact.is_empty() {
        return exact;
    }
    let wanted = normalized(name);
    let written_out = matching(&|root| full_names(root).any(|full| normalized(full) == wanted));
    if !written_out.is_empty() || is_full_name(name) {
        return written_out;
    }
    matching(&|root| full_names(root).any(|full| tag(full) == Some(name)))
}

/// For each root, the selector that names it: its name if no other root has that name, else `@N`.
fn choices(roots: &[Value]) -> Vec<String> {
    let name_of = |root| annotation(root, REF_NAME).or_else(|| annotation(root, CONTAINERD_NAME));
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for name in roots.iter().filter_map(name_of) {
        *uses.entry(name).or_default() += 1;
    }
    let choice = |(place, root)| {
        name_of(root)
            .filter(|name| uses[name] == 1)
            .map_or_else(|| format!("@{place}"), str::to_owned)
    };
    roots.iter().enumerate().map(choice).collect()
}

/// Adds a descriptor. It replaces the entry with the same name. Without a name, it replaces the entry without a name
/// that has digest `origin`, else the only image without a name. If nothing matches, it goes to the end.
///
/// Only one entry keeps the name. `origin` is the digest of the root that the new image was made from. If an entry with
/// the name has that digest, only that entry is replaced, and the others stay: they are images of other platforms.
///
/// Returns false if the document has no array of manifests.
pub(super) fn put(index: &mut Value, root: Value, origin: &str) -> bool {
    respell(index, &json_keys::INDEX);
    // A docker archive may have `null` here.
    if index.get("manifests").is_some_and(Value::is_null) {
        index["manifests"] = json!([]);
    }
    let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return false;
    };
    let name = annotation(&root, REF_NAME).map(str::to_owned);
    let is_unnamed = |entry: &Value| annotation(entry, REF_NAME).is_none();
    // Two images without a name cannot be told apart. The image that was read is replaced, or the only one there is.
    let unnamed: Vec<Value> = images(manifests)
        .into_iter()
        .filter(|entry| is_unnamed(entry))
        .map(|entry| entry["digest"].clone())
        .collect();
    let gives_way = match &unnamed[..] {
        several if several.iter().any(|digest| digest == origin) => Value::from(origin),
        [only] => only.clone(),
        _ => root["digest"].clone(),
    };
    let is_named = |entry: &Value, name: &str| {
        annotation(entry, REF_NAME) == Some(name) && !names_another(entry, &root)
    };
    let is_origin = |entry: &Value| entry["digest"] == origin;
    let has_origin = name.as_ref().is_some_and(|name| {
        let mut entries = manifests.iter();
        entries.any(|entry| is_named(entry, name) && is_origin(entry))
    });
    let same = |entry: &Value| match &name {
        Some(name) => is_named(entry, name) && (is_origin(entry) || !has_origin),
        None => {
            let digest = &entry["digest"];
            is_unnamed(entry) && (*digest == root["digest"] || *digest == gives_way)
        }
    };
    let Some(place) = manifests.iter().position(same) else {
        manifests.push(root);
        return true;
    };
    let mut position = 0;
    manifests.retain(|entry| {
        position += 1;
        position <= place + 1 || !same(entry)
    });
    manifests[place] = root;
    true
}

/// Whether two entries have different full docker names. Such entries may still have the same tag.
fn names_another(entry: &Value, other: &Value) -> bool {
    let full = |root| annotation(root, CONTAINERD_NAME).map(normalized);
    matches!((full(entry), full(other)), (Some(one), Some(other)) if one != other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::OCI_MANIFEST;
    use crate::oci::{Blob, BlobError};

    fn root(digest: &str, name: Option<&str>) -> Value {
        let mut root = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1});
        super::super::image_name::set_annotation(&mut root, REF_NAME, name);
        root
    }

    struct Nothing;

    impl BlobStore for Nothing {
        fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
            let digest = digest.clone();
            Err(BlobError::Missing { digest })
        }
    }

    fn choose_digest(roots: &[Value], reference: &str) -> Result<String, TransportError> {
        let wanted = Wanted {
            reference: &reference.parse().unwrap(),
            platform: None,
        };
        let chosen = choose(roots, wanted, Transport::Oci, &Nothing)?;
        Ok(chosen["digest"].as_str().unwrap().to_owned())
    }

    #[test]
    fn the_only_image_needs_no_tag() {
        assert_eq!(
            choose_digest(&[root("d", Some("v1"))], "oci:x").unwrap(),
            "d"
        );
    }

    #[test]
    fn an_ambiguous_reference_lists_the_choices() {
        let roots = [
            root("a", Some("v1")),
            root("b", None),
            root("c", Some("twice")),
            root("d", Some("twice")),
        ];
        for reference in ["oci:x", "oci:x:twice"] {
            match choose_digest(&roots, reference) {
                Err(error @ TransportError::Ambiguous { .. }) => {
                    assert!(error.to_string().ends_with(": v1, @1, @2, @3"), "{error}");
                    assert!(error.hint().is_some_and(|hint| hint.contains("`oci:x:v1`")));
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(choose_digest(&roots, "oci:x:@3").unwrap(), "d");
    }

    #[test]
    fn a_missing_tag_lists_what_there_is() {
        match choose_digest(&[root("a", Some("v1"))], "oci:x:v2") {
            Err(TransportError::NoSuchName { choices, .. }) => assert_eq!(choices, ["v1"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_match_exactly_then_written_out_then_by_tag() {
        let mut docker = root("b", Some("1"));
        docker["annotations"][CONTAINERD_NAME] = "docker.io/library/b:1".into();
        let roots = [root("a", Some("localhost/foo:latest")), docker];
        for (name, expected) in [
            ("localhost/foo:latest", "a"),
            ("localhost/foo", "a"),
            ("latest", "a"),
            ("b:1", "b"),
            ("1", "b"),
            ("docker.io/library/b:1", "b"),
        ] {
            let found = choose_digest(&roots, &format!("oci:x:{name}")).unwrap();
            assert_eq!(found, expected, "{name}");
        }
        assert!(choose_digest(&roots, "oci:x:other/foo:latest").is_err());
    }

    #[test]
    fn one_image_under_two_names_is_no_ambiguity() {
        let roots = [root("a", Some("v1")), root("a", Some("v2"))];
        assert_eq!(choose_digest(&roots, "oci:x").unwrap(), "a");
    }

    #[test]
    fn artifacts_beside_an_image_are_not_chosen() {
        let mut artifact = root("b", None);
        artifact["artifactType"] = "application/x-signature".into();
        assert_eq!(
            choose_digest(&[artifact, root("a", None)], "oci:x").unwrap(),
            "a"
        );
    }

    #[test]
    fn an_index_without_manifests_is_no_image() {
        assert!(matches!(
            choose_digest(&[], "oci:x"),
            Err(TransportError::NotAnImage { .. })
        ));
    }

    #[test]
    fn a_replaced_name_keeps_its_place_and_all_else_stays() {
        let mut index = with_roots(&[
            root("a", Some("v1")),
            root("b", Some("v2")),
            root("c", None),
        ]);
        index["x-unknown"] = json!({"z": 1, "a": 2});
        assert!(put(&mut index, root("d", Some("v1")), ""));
        assert!(put(&mut index, root("c", None), ""));
        assert!(put(&mut index, root("e", Some("v3")), ""));
        let digests: Vec<_> = roots(&index).iter().map(|root| &root["digest"]).collect();
        assert_eq!(digests, ["d", "b", "c", "e"]);
        assert_eq!(index["x-unknown"].to_string(), r#"{"z":1,"a":2}"#);
    }

    #[test]
    fn a_name_that_two_entries_had_is_left_with_one() {
        let mut index = with_roots(&[root("a", Some("v")), root("b", None), root("c", Some("v"))]);
        assert!(put(&mut index, root("d", Some("v")), ""));
        assert_eq!(roots(&index), [root("d", Some("v")), root("b", None)]);
    }

    #[test]
    fn of_two_entries_with_a_name_only_the_one_that_was_read_gives_way() {
        let mut index = with_roots(&[root("a", Some("v")), root("b", None), root("c", Some("v"))]);
        assert!(put(&mut index, root("d", Some("v")), "c"));
        assert_eq!(
            roots(&index),
            [root("a", Some("v")), root("b", None), root("d", Some("v"))]
        );
    }

    #[test]
    fn an_image_without_a_name_replaces_the_one_that_was_read_or_the_only_one() {
        let (named, first, second) = (root("a", Some("v")), root("b", None), root("c", None));
        let new = || root("d", None);
        for (old, origin, expected) in [
            (vec![&named, &first], "", vec![&named, &new()]),
            (vec![&first, &named], "z", vec![&new(), &named]),
            (vec![&first, &second], "b", vec![&new(), &second]),
            (vec![&first, &second], "c", vec![&first, &new()]),
            (vec![&first, &second], "z", vec![&first, &second, &new()]),
            (vec![&named], "a", vec![&named, &new()]),
        ] {
            let old: Vec<Value> = old.into_iter().cloned().collect();
            let mut index = with_roots(&old);
            assert!(put(&mut index, new(), origin));
            let found: Vec<&Value> = roots(&index).iter().collect();
            assert_eq!(found, expected, "{old:?}, read: {origin:?}");
        }
    }

    #[test]
    fn names_that_cosign_gives_to_data_about_an_image_are_known() {
        let tag = |hex: &str, end: &str| format!("sha256-{}{end}", hex.repeat(32));
        for end in ["", ".sig", ".att", ".sbom"] {
            assert!(is_cosign_tag(&tag("a1", end)), "{end}");
        }
        let hex = "a1".repeat(32);
        for name in [
            tag("a1", ".v1"),
            tag("g1", ".sig"),
            tag("a1a1", ""),
            "sha256-a1.sig".to_owned(),
            format!("{hex}.sig"),
            "latest".to_owned(),
        ] {
            assert!(!is_cosign_tag(&name), "{name}");
        }
    }
}
