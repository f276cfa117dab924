//! JSON documents from arbitrary bytes. An edit changes only its target and keeps all other text byte for byte. Images
//! with such documents can be loaded, minimized and verified without a panic.
//!
//! The first byte of an input chooses what follows: edits and a text, or the files of an OCI archive.

mod spans;

use pycull::layers::check_image;
use pycull::oci::commands::named_paths;
use pycull::oci::json_text::{edited, parse};
use pycull::oci::load;
use pycull::profile::load as load_profile;
use serde_json::{Map, Value, json};

use self::spans::{Span, spans};
use super::choices::Choices;
use super::image::{archive, archive_seed, assert_verified, minimized, open};

/// Runs the target. Returns whether the document was edited or the image minimized.
pub fn run(input: &[u8]) -> bool {
    let mut choices = Choices::new(input);
    match choices.byte() & 1 {
        0 => assert_edits(choices),
        _ => assert_loads(choices.rest()),
    }
}

/// Number of bytes that decide one edit.
const EDIT: usize = 5;

fn assert_edits(mut choices: Choices<'_>) -> bool {
    let count = choices.below(5);
    let edits = choices.take(EDIT * count);
    let text = choices.rest();
    let plain: Result<Value, _> = serde_json::from_slice(text);
    let Ok(old) = parse(text) else {
        assert!(plain.is_err(), "a document is refused");
        return false;
    };
    if let Ok(plain) = plain {
        assert_eq!(old, plain, "read otherwise");
    }
    assert_eq!(edited(text, &old), text, "changed by no edit");
    let mut new = old.clone();
    for edit in edits.chunks_exact(EDIT) {
        change(&mut new, Choices::new(edit));
    }
    let written = edited(text, &new);
    assert_eq!(parse(&written).unwrap(), new, "not what was edited");
    assert_eq!(edited(&written, &new), written);
    for (number, span) in spans(text).iter().enumerate().take(20) {
        assert_one_edit(text, &old, span, number);
    }
    true
}

/// Checks that replacing a value changes the text of that value and nothing else.
fn assert_one_edit(text: &[u8], old: &Value, span: &Span, number: usize) {
    let new_value = format!("a new value, number {number}");
    let new_text = format!("\"{new_value}\"");
    let mut new = old.clone();
    let place = new.pointer_mut(&span.pointer).unwrap();
    *place = new_value.into();
    let expected = [
        &text[..span.range.start],
        new_text.as_bytes(),
        &text[span.range.end..],
    ];
    let written = edited(text, &new);
    assert!(
        written == expected.concat(),
        "at {}: {}",
        span.pointer,
        String::from_utf8_lossy(&written)
    );
}

/// Goes down to some value and changes it or its content.
fn change(value: &mut Value, mut choices: Choices<'_>) {
    let mut place = value;
    for _ in 0..choices.below(4) {
        let child = usize::from(choices.byte());
        let is_empty = match &*place {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => true,
        };
        if is_empty {
            break;
        }
        place = match place {
            Value::Object(map) => {
                let count = map.len();
                map.values_mut().nth(child % count).unwrap()
            }
            Value::Array(list) => {
                let count = list.len();
                &mut list[child % count]
            }
            _ => unreachable!(),
        };
    }
    let value = any_value(&mut choices);
    match place {
        Value::Object(map) => change_object(map, value, &mut choices),
        Value::Array(list) => change_array(list, value, &mut choices),
        other => *other = value,
    }
}

fn any_value(choices: &mut Choices<'_>) -> Value {
    match choices.below(9) {
        0 => Value::Null,
        1 => json!({}),
        2 => json!([[], {}]),
        3 => json!("\u{0}\"\u{fffd}"),
        4 => json!(1),
        5 => json!("a"),
        6 => json!({"a": 1, "b": [1, 1]}),
        7 => json!(-1.5e300),
        _ => json!([1, "a", {"a": 1}]),
    }
}

fn change_object(map: &mut Map<String, Value>, value: Value, choices: &mut Choices<'_>) {
    let keys: Vec<String> = map.keys().cloned().collect();
    let key = match keys.is_empty() {
        true => "a".to_owned(),
        false => choices.pick(&keys).clone(),
    };
    match choices.below(4) {
        0 => drop(map.shift_remove(&key)),
        1 => drop(map.insert(format!("{key}2"), value)),
        2 => map.clear(),
        _ => drop(map.insert(key, value)),
    }
}

fn change_array(list: &mut Vec<Value>, value: Value, choices: &mut Choices<'_>) {
    let place = choices.below(list.len().clamp(1, 256));
    match choices.below(6) {
        _ if list.is_empty() => list.push(value),
        0 => drop(list.remove(place)),
        1 => list.insert(place, value),
        2 => list.push(list[place].clone()),
        3 => list.reverse(),
        4 => list.swap(0, place),
        _ => list[place] = value,
    }
}

/// Checks that the output of `minimize` is the same image, and valid if the image was valid before. Loading and
/// minimizing may fail.
fn assert_loads(files: &[u8]) -> bool {
    let Ok(before) = open("oci-archive:-:@0", &archive(files)) else {
        return false;
    };
    let Ok(node) = load(&*before.store, &before.root, None) else {
        return false;
    };
    for image in node.images() {
        named_paths(&image.config);
    }
    let profile = load_profile("minimal", &[]).unwrap();
    let Ok(archive) = minimized(&before, &profile) else {
        return false;
    };
    let after = open("-", &archive).unwrap();
    if check_image(&*before.store, &before.root).is_ok() {
        check_image(&*after.store, &after.root).unwrap();
    }
    assert_verified(&before, &after);
    true
}

/// Texts with edits, and archives of one image and of an index.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#" {"n": [12345678901234567890123456, -0, 1.0, 1e5, 1E+400], "s": "\u003c\/\ud800 é", "twice": 1, "twice": {"a" : [ ]}}"#,
        "{\n  \"layers\": [\n    {\"digest\": \"x\", \"size\": 1},\n    {\"digest\": \"y\", \"size\": 2}\n  ]\n}\n",
        r#"[1, 1, 2, [], {}, {"a": {"b": {"c": null}}}, "a,b]}", true, false]"#,
        "{\"a\\u0062\": 1, \"ab\": 2}",
        "\"text\"",
        "[ ]",
        CONFIG,
        MANIFEST,
    ];
    let edits: [&[u8]; 4] = [
        b"\0\0",
        b"\0\x01\0\x04\x02\x01\0",
        b"\0\x02\x01\x01\x05\0\x01\x02\x02\x01\x06\x03",
        b"\0\x04\x01\x02\x08\x03\0\x02\x01\x01\x07\x01\x03\x02\x01\x01\x01\0\x03\0\0\x04",
    ];
    let archives = [
        archive_seed(&[
            ("blobs/sha256/HEX", CONFIG),
            ("blobs/sha256/HEX", MANIFEST),
            ("index.json", INDEX),
            ("oci-layout", LAYOUT),
        ]),
        archive_seed(&[
            ("blobs/sha256/HEX", CONFIG),
            ("blobs/sha256/HEX", MANIFEST),
            ("blobs/sha256/HEX", ATTESTATION),
            ("blobs/sha256/HEX", NESTED),
            ("index.json", OF_NESTED),
            ("oci-layout", LAYOUT),
        ]),
    ];
    let edited = texts
        .iter()
        .flat_map(|text| edits.map(|edits| [edits, text.as_bytes()].concat()));
    // As many archives as texts, because archives reach most of the code.
    let archives = archives.iter().cycle().take(texts.len() * edits.len());
    let archives = archives.map(|archive| [&[1][..], archive].concat());
    edited.chain(archives).collect()
}

const LAYOUT: &str = r#"{"imageLayoutVersion": "1.0.0"}"#;
const CONFIG: &str = r#"{"created": "2020-01-01T00:00:00Z", "os": "linux", "architecture": "amd64", "variant": "v8",
    "config": {"Env": ["PATH=/usr/bin", "PYTHONOPTIMIZE=1"], "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["exec python3 -O m.py"],
    "Labels": {"a": "b"}, "Healthcheck": {"Test": ["CMD", "python3", "-m", "m"]}},
    "rootfs": {"type": "layers", "diff_ids": ["%9"]}, "history": [{"created_by": "x"}, {"empty_layer": true}]}"#;
const MANIFEST: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "%0", "size": #0},
    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "%9", "size": #9,
    "annotations": {"a": "b"}, "urls": []}], "annotations": {"c": 1.50}}"#;
const INDEX: &str = r#"{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "%1", "size": #1, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]}"#;
const ATTESTATION: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "artifactType": "application/x", "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "%0", "size": #0},
    "layers": [], "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%1", "size": #1}}"#;
const NESTED: &str = r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%1", "size": #1, "platform": {"os": "linux", "architecture": "amd64"}},
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%2", "size": #2, "platform": {"os": "unknown", "architecture": "unknown"},
     "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "%1"}}]}"#;
const OF_NESTED: &str = r#"{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.index.v1+json",
    "digest": "%3", "size": #3}]}"#;
