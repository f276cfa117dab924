//! Edits the config and manifest of an image whose layers changed. Edits work on JSON values, so fields that pycull
//! does not know stay.

use serde_json::{Value, json};

use super::annotations::{Renamed, refresh};
use super::media_types::convert_manifest;
use crate::oci::annotations::{BASE_DIGEST, BASE_NAME};
use crate::oci::digest::{Digest, sha256_digest};
use crate::oci::image::{Image, is_empty_layer};
use crate::oci::json_text::edited;
use crate::oci::layer_writer::WrittenLayer;
use crate::oci::media_type::{DOCKER_LAYER, DOCKER_MANIFEST, Family, OCI_LAYER, layer_media_type};

/// The original texts of an image's documents.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
    /// The name of the image in its registry, if it is in one.
    pub name: Option<String>,
}

/// What happened to a layer.
#[derive(Debug, Clone)]
pub(crate) enum LayerOutcome {
    /// The layer keeps its blob.
    Kept,
    /// The layer has a new blob.
    Rewritten(WrittenLayer),
    /// The layer became empty, so the image no longer has it.
    Dropped,
}

/// The new text of a document, and the descriptor that names it.
#[derive(Debug, Clone)]
pub(crate) struct NewDocument {
    /// The descriptor. It keeps the other fields of the old one.
    pub descriptor: Value,
    /// SHA-256 digest of the document, as in the descriptor.
    pub digest: Digest,
    /// The text of the document.
    pub bytes: Vec<u8>,
}

/// The new config and manifest of an image.
#[derive(Debug, Clone)]
pub(crate) struct NewDocuments {
    pub config: NewDocument,
    pub manifest: NewDocument,
    /// Changed digests: those of layers, their diff_ids, the config and the manifest.
    pub renamed: Renamed,
    /// Whether the number of history entries with a layer differs from the number of layers.
    pub history_is_misaligned: bool,
}

/// Makes the config and manifest of `image` after its layers changed.
///
/// There is one outcome for each layer. `appended` is a new layer above them. The documents get the media types of
/// `family`; without a family, they keep their own. Unchanged parts keep their text from `texts`.
pub(crate) fn rewrite_documents(
    image: &Image,
    texts: &Texts,
    outcomes: &[LayerOutcome],
    appended: Option<&WrittenLayer>,
    family: Option<Family>,
) -> NewDocuments {
    let mut renamed = renamed_layers(image, outcomes);
    let mut config = image.config.clone();
    let history_is_misaligned = !edit_history(&mut config, outcomes);
    edit_diff_ids(&mut config, outcomes);
    edit_layer_notes(&mut config, outcomes, &renamed);
    let mut manifest = image.manifest.clone();
    edit_layers(&mut manifest, outcomes, &renamed);
    if let Some(layer) = appended {
        append_layer(&mut manifest, &mut config, layer, history_is_misaligned);
    }
    let mut descriptor = image.descriptor.clone();
    if let Some(family) = family {
        convert_manifest(&mut descriptor, &mut manifest, family);
    }
    let config_descriptor = manifest.get("config").unwrap_or(&Value::Null);
    let config = replace_document(config_descriptor, &texts.config, &config, &renamed);
    rename(&mut renamed, config_descriptor, &config.descriptor);
    manifest["config"] = config.descriptor.clone();
    if are_layers_changed(outcomes) || appended.is_some() {
        refresh(&mut manifest, &renamed);
        if let Some(name) = &texts.name {
            cite_base(&mut manifest, name, image.manifest_digest());
        }
    }
    let manifest = replace_document(&descriptor, &texts.manifest, &manifest, &renamed);
    rename(&mut renamed, &descriptor, &manifest.descriptor);
    NewDocuments {
        config,
        manifest,
        renamed,
        history_is_misaligned,
    }
}

/// Names the old image as the base of the new one (image-spec annotations.md), unless the manifest names a base already.
/// A manifest in Docker's format has no annotations.
fn cite_base(manifest: &mut Value, name: &str, digest: &str) {
    let is_docker = manifest
        .get("mediaType")
        .is_some_and(|it| *it == DOCKER_MANIFEST);
    let Some(fields) = manifest.as_object_mut().filter(|_| !is_docker) else {
        return;
    };
    let annotations = fields.entry("annotations").or_insert_with(|| json!({}));
    let Some(annotations) = annotations.as_object_mut() else {
        return;
    };
    if !annotations.contains_key(BASE_DIGEST) && !annotations.contains_key(BASE_NAME) {
        annotations.insert(BASE_DIGEST.to_owned(), json!(digest));
        annotations.insert(BASE_NAME.to_owned(), json!(name));
    }
}

/// Records the new digest of a descriptor, if it changed.
pub(crate) fn rename(renamed: &mut Renamed, old: &Value, new: &Value) {
    let digest = |descriptor: &Value| Some(descriptor.get("digest")?.as_str()?.to_owned());
    if let (Some(old), Some(new)) = (digest(old), digest(new))
        && old != new
    {
        renamed.insert(old, new);
    }
}

/// Whether any layer was rewritten or dropped.
pub(crate) fn are_layers_changed(outcomes: &[LayerOutcome]) -> bool {
    let is_kept = |outcome: &LayerOutcome| matches!(outcome, LayerOutcome::Kept);
    !outcomes.iter().all(is_kept)
}

fn renamed_layers(image: &Image, outcomes: &[LayerOutcome]) -> Renamed {
    let mut renamed = Renamed::new();
    for (layer, outcome) in image.layers.iter().zip(outcomes) {
        if let LayerOutcome::Rewritten(written) = outcome {
            let blob = layer.descriptor.digest().to_string();
            renamed.insert(blob, written.digest.to_string());
            renamed.insert(layer.diff_id.to_string(), written.diff_id.to_string());
        }
    }
    renamed
}

/// BuildKit's inline cache, which refers to layers by their number. Without one of the layers, it would refer to
/// others.
const INLINE_CACHE: &str = "moby.buildkit.cache.v0";

/// Updates the other parts of a config that refer to layers.
fn edit_layer_notes(config: &mut Value, outcomes: &[LayerOutcome], renamed: &Renamed) {
    // The label `ostree.final-diffid` names the last layer that came from an ostree commit. bootc does not start an
    // image with a wrong one.
    let labels = config
        .pointer_mut("/config/Labels")
        .and_then(Value::as_object_mut);
    for label in labels.into_iter().flat_map(|labels| labels.values_mut()) {
        if let Some(new) = label.as_str().and_then(|digest| renamed.get(digest)) {
            *label = json!(new);
        }
    }
    let is_dropped = |outcome: &LayerOutcome| matches!(outcome, LayerOutcome::Dropped);
    if let (true, Some(fields)) = (outcomes.iter().any(is_dropped), config.as_object_mut()) {
        fields.shift_remove(INLINE_CACHE);
    }
}

/// Makes the text of `document` from `old_text`, and a descriptor that names it. The annotations of the descriptor
/// follow `renamed`.
pub(crate) fn replace_document(
    descriptor: &Value,
    old_text: &[u8],
    document: &Value,
    renamed: &Renamed,
) -> NewDocument {
    let bytes = edited(old_text, document);
    let mut descriptor = descriptor.clone();
    let digest = sha256_digest(&bytes);
    let size = bytes.len() as u64;
    set_content(&mut descriptor, digest.as_ref(), size, renamed);
    NewDocument {
        descriptor,
        digest,
        bytes,
    }
}

/// Points a descriptor to new content. Removes embedded data, and whatever describes the old bytes.
pub(super) fn set_content(descriptor: &mut Value, digest: &str, size: u64, renamed: &Renamed) {
    let Some(fields) = descriptor.as_object_mut() else {
        return;
    };
    if fields.get("digest").is_some_and(|old| old == digest) {
        return;
    }
    fields.insert("digest".to_owned(), json!(digest));
    fields.insert("size".to_owned(), json!(size));
    fields.shift_remove("data");
    fields.shift_remove("urls");
    refresh(descriptor, renamed);
}

/// Edits the entries of rewritten layers, and removes those of dropped layers.
fn edit_list(
    list: &mut Vec<Value>,
    outcomes: &[LayerOutcome],
    edit: impl Fn(&mut Value, &WrittenLayer),
) {
    let old = std::mem::take(list);
    for (mut entry, outcome) in old.into_iter().zip(outcomes) {
        match outcome {
            LayerOutcome::Kept => {}
            LayerOutcome::Rewritten(written) => edit(&mut entry, written),
            LayerOutcome::Dropped => continue,
        }
        list.push(entry);
    }
}

fn edit_layers(manifest: &mut Value, outcomes: &[LayerOutcome], renamed: &Renamed) {
    let Some(layers) = manifest.get_mut("layers").and_then(Value::as_array_mut) else {
        return;
    };
    edit_list(layers, outcomes, |descriptor, written| {
        let old_type = descriptor
            .get("mediaType")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let media_type = layer_media_type(old_type, written.compression);
        descriptor["mediaType"] = json!(media_type);
        set_content(
            descriptor,
            written.digest.as_ref(),
            written.compressed_bytes,
            renamed,
        );
    });
}

fn edit_diff_ids(config: &mut Value, outcomes: &[LayerOutcome]) {
    let Some(diff_ids) = config
        .pointer_mut("/rootfs/diff_ids")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    edit_list(diff_ids, outcomes, |diff_id, written| {
        *diff_id = json!(written.diff_id.as_ref())
    });
}

/// Marks the history entries of dropped layers as empty, so that every other entry stays with its layer (image-spec
/// config.md, "history").
///
/// Readers count from the lowest layer, so a history that is too short or too long describes the first layers. Returns
/// `false` if the number of entries with a layer differs from the number of layers.
fn edit_history(config: &mut Value, outcomes: &[LayerOutcome]) -> bool {
    let Some(history) = config.get_mut("history").and_then(Value::as_array_mut) else {
        return true;
    };
    let entries: Vec<&mut Value> = history
        .iter_mut()
        .filter(|entry| !is_empty_layer(entry))
        .collect();
    let is_aligned = entries.len() == outcomes.len();
    for (entry, outcome) in entries.into_iter().zip(outcomes) {
        if let (LayerOutcome::Dropped, Some(fields)) = (outcome, entry.as_object_mut()) {
            fields.insert("empty_layer".to_owned(), json!(true));
        }
    }
    is_aligned
}

/// Adds a layer to the manifest and the config. Adds a history entry only if the history matches the layers.
fn append_layer(
    manifest: &mut Value,
    config: &mut Value,
    layer: &WrittenLayer,
    history_is_misaligned: bool,
) {
    let is_docker = manifest
        .get("mediaType")
        .is_some_and(|it| it == DOCKER_MANIFEST);
    let family = if is_docker { DOCKER_LAYER } else { OCI_LAYER };
    push(
        manifest.get_mut("layers"),
        json!({
            "mediaType": layer_media_type(family, layer.compression),
            "digest": layer.digest.as_ref(),
            "size": layer.compressed_bytes,
        }),
    );
    let created = creation_time(config);
    push(
        config.pointer_mut("/rootfs/diff_ids"),
        json!(layer.diff_id.as_ref()),
    );
    if !history_is_misaligned {
        let mut entry = json!({"created_by": "pycull minimize", "comment": "compiled bytecode"});
        if let Some(created) = created {
            entry["created"] = created;
        }
        push(config.get_mut("history"), entry);
    }
}

/// The time of the last history entry, or else of the config. A new layer gets it too, because digests must not depend
/// on the clock.
fn creation_time(config: &Value) -> Option<Value> {
    let history = config.get("history").and_then(Value::as_array);
    let last = history.and_then(|history| history.last()?.get("created"));
    last.or_else(|| config.get("created")).cloned()
}

fn push(list: Option<&mut Value>, entry: Value) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;
    use crate::oci::Compression;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn written(letter: char) -> LayerOutcome {
        let digest = Digest::from_str(&digest(letter)).unwrap();
        LayerOutcome::Rewritten(WrittenLayer {
            path: "unused".into(),
            digest: digest.clone(),
            compressed_bytes: 7,
            diff_id: digest,
            uncompressed_bytes: 9,
            compression: Compression::Zstd,
        })
    }

    fn image() -> Image {
        let layer = |letter| {
            json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(letter), "size": 3,
                "annotations": {"io.github.containers.zstd-chunked.manifest-checksum": "x", "org.example.kept": "y"},
                "data": "AAAA", "urls": ["https://example.org/old"], "x-unknown": 1,
            })
        };
        let config_descriptor = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest('c'), "size": 5});
        Image {
            descriptor: json!({"mediaType": "m", "digest": digest('d'), "size": 5, "platform": {"os": "linux"}, "data": "AAAA"}),
            manifest: json!({"schemaVersion": 2, "x-unknown": {"deep": [1]}, "config": config_descriptor, "layers": [layer('1'), layer('2'), layer('3')]}),
            config_descriptor: serde_json::from_value(config_descriptor).unwrap(),
            config: json!({
                "x-unknown": "kept",
                "rootfs": {"type": "layers", "diff_ids": [digest('1'), digest('2'), digest('3')]},
                "history": [{"created_by": "a"}, {"created_by": "b"}, {"created_by": "env", "empty_layer": true}, {"created_by": "c"}],
            }),
            layers: Vec::new(),
            platform: "linux/amd64".parse().unwrap(),
        }
    }

    fn parsed(document: &NewDocument) -> Value {
        serde_json::from_slice(&document.bytes).unwrap()
    }

    #[test]
    fn a_dropped_layers_history_entry_is_marked_and_all_stays_aligned() {
        let documents = rewrite_documents(
            &image(),
            &Texts::default(),
            &[LayerOutcome::Kept, LayerOutcome::Dropped, written('9')],
            None,
            None,
        );
        assert!(!documents.history_is_misaligned);
        let config = parsed(&documents.config);
        assert_eq!(
            config["rootfs"]["diff_ids"],
            json!([digest('1'), digest('9')])
        );
        let empty: Vec<bool> = config["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["empty_layer"] == json!(true))
            .collect();
        assert_eq!(empty, [false, true, true, false]);
        assert_eq!(config["x-unknown"], "kept");
    }

    #[test]
    fn annotations_and_data_about_old_bytes_go_and_unknown_fields_stay() {
        let documents = rewrite_documents(
            &image(),
            &Texts::default(),
            &[LayerOutcome::Kept, LayerOutcome::Kept, written('9')],
            None,
            None,
        );
        let manifest = parsed(&documents.manifest);
        assert_eq!(manifest["x-unknown"], json!({"deep": [1]}));
        assert_eq!(
            manifest["layers"][0],
            image().manifest["layers"][0],
            "an untouched layer keeps its descriptor"
        );
        let layer = &manifest["layers"][2];
        assert_eq!(layer["annotations"], json!({"org.example.kept": "y"}));
        assert_eq!((layer.get("data"), layer.get("urls")), (None, None));
        assert_eq!(layer["x-unknown"], json!(1));
        assert_eq!(
            layer["mediaType"],
            "application/vnd.oci.image.layer.v1.tar+zstd"
        );
        assert_eq!(
            (&layer["digest"], &layer["size"]),
            (&json!(digest('9')), &json!(7))
        );
        assert_eq!(
            documents.manifest.descriptor["platform"],
            json!({"os": "linux"})
        );
        assert_eq!(documents.manifest.descriptor.get("data"), None);
        assert_eq!(manifest["config"], documents.config.descriptor);
    }

    #[test]
    fn a_history_that_does_not_match_keeps_each_entry_with_its_layer() {
        let mut image = image();
        image.config["history"].as_array_mut().unwrap().pop();
        let mut expected = image.config["history"].clone();
        expected[1]["empty_layer"] = json!(true);
        let documents = rewrite_documents(
            &image,
            &Texts::default(),
            &[
                LayerOutcome::Kept,
                LayerOutcome::Dropped,
                LayerOutcome::Kept,
            ],
            None,
            None,
        );
        assert!(documents.history_is_misaligned);
        assert_eq!(parsed(&documents.config)["history"], expected);
    }

    #[test]
    fn an_appended_layer_is_named_everywhere_in_the_manifests_family() {
        let mut image = image();
        image.config["history"][3]["created"] = json!("2024-05-06T07:08:09Z");
        let LayerOutcome::Rewritten(layer) = written('9') else {
            unreachable!()
        };
        let kept = [const { LayerOutcome::Kept }; 3];
        let documents = rewrite_documents(&image, &Texts::default(), &kept, Some(&layer), None);
        let (manifest, config) = (parsed(&documents.manifest), parsed(&documents.config));
        assert_eq!(
            manifest["layers"][3],
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": digest('9'), "size": 7})
        );
        assert_eq!(config["rootfs"]["diff_ids"][3], digest('9'));
        let entry = &config["history"][4];
        assert_eq!(entry["created"], "2024-05-06T07:08:09Z");
        assert!(entry["created_by"].as_str().unwrap().contains("pycull"));
        // A history that does not match the layers stays as it is.
        image.config["history"].as_array_mut().unwrap().pop();
        image.manifest["mediaType"] = json!(DOCKER_MANIFEST);
        let documents = rewrite_documents(&image, &Texts::default(), &kept, Some(&layer), None);
        assert_eq!(
            parsed(&documents.config)["history"],
            image.config["history"]
        );
        let media_type = &parsed(&documents.manifest)["layers"][3]["mediaType"];
        assert_eq!(
            media_type,
            "application/vnd.docker.image.rootfs.diff.tar.zstd"
        );
    }

    #[test]
    fn an_image_whose_layers_changed_names_the_old_one_as_its_base() {
        let texts = Texts {
            name: Some("localhost/app:1".to_owned()),
            ..Texts::default()
        };
        let base = |image: &Image, outcome: LayerOutcome| {
            let outcomes = [outcome, LayerOutcome::Kept, LayerOutcome::Kept];
            let documents = rewrite_documents(image, &texts, &outcomes, None, None);
            let annotations = parsed(&documents.manifest)["annotations"].clone();
            [BASE_DIGEST, BASE_NAME].map(|name| annotations[name].clone())
        };
        let old = [json!(digest('d')), json!("localhost/app:1")];
        let none = [Value::Null, Value::Null];
        assert_eq!(base(&image(), written('9')), old);
        assert_eq!(base(&image(), LayerOutcome::Dropped), old);
        assert_eq!(base(&image(), LayerOutcome::Kept), none);
        let mut docker = image();
        docker.manifest["mediaType"] = json!(DOCKER_MANIFEST);
        assert_eq!(base(&docker, written('9')), none);
        for (name, place) in [(BASE_DIGEST, 0), (BASE_NAME, 1)] {
            let mut based = image();
            based.manifest["annotations"] = json!({name: "another"});
            let mut expected = none.clone();
            expected[place] = json!("another");
            assert_eq!(base(&based, written('9')), expected);
        }
    }

    #[test]
    fn labels_with_the_digest_of_a_layer_follow_it_and_an_inline_cache_goes_with_a_layer() {
        let mut old = image();
        let layer = |letter: char| {
            let descriptor = json!({"mediaType": "m", "digest": digest(letter), "size": 1});
            crate::oci::image::Layer {
                descriptor: serde_json::from_value(descriptor).unwrap(),
                diff_id: Digest::from_str(&digest(letter)).unwrap(),
            }
        };
        old.layers = ['1', '2', '3'].map(layer).to_vec();
        old.config["config"] = json!({"Labels": {"layer": digest('1'), "note": "kept"}});
        old.config[INLINE_CACHE] = json!("cache");
        let config = |second: LayerOutcome| {
            let outcomes = [written('9'), second, LayerOutcome::Kept];
            let documents = rewrite_documents(&old, &Texts::default(), &outcomes, None, None);
            parsed(&documents.config)
        };
        let kept = config(LayerOutcome::Kept);
        let labels = json!({"layer": digest('9'), "note": "kept"});
        assert_eq!(kept["config"]["Labels"], labels);
        assert_eq!(kept[INLINE_CACHE], "cache");
        assert_eq!(config(LayerOutcome::Dropped).get(INLINE_CACHE), None);
    }
}
