//! Docker archives: the format that `docker save` writes and `docker load` reads.
//!
//! The old form is `manifest.json` with a config and tar files beside it. It has no OCI manifest, so pycull synthesizes
//! one. Since docker 25 the archive is an OCI layout that contains a `manifest.json`.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::oci::digest::sha256_digest;
use crate::oci::image::diff_ids;
use crate::oci::json_keys::{self, respell};
use crate::oci::json_text;
use crate::oci::media_type::{OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, layer_media_type};
use crate::oci::{Blob, BlobError, BlobStore, Compression, Digest, DigestHasher, ImageError, Node};

use super::archive::Archive;
use super::error::TransportError;
use super::file_names::{INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT};
use super::image_name::{REF_NAME, normalized, set_annotation};
use super::index_json::choose;
use super::medium::{DockerForm, Medium};
use super::oci_archive;
use super::output::check_complete_for;
use super::reference::Wanted;
use super::source::{Source, docker_names};
use super::spool;
use super::transports::Transport;

/// Opens the image that a reference chooses.
///
/// Reads `index.json` if that leads to a whole image, else `manifest.json`, which skopeo and podman always read. docker
/// may save an index of many platforms with the blobs of one, and docker 25 may save an empty index. In these cases
/// only `manifest.json` leads to the image.
pub(super) fn open(archive: Arc<Archive>, wanted: Wanted<'_>) -> Result<Source, TransportError> {
    if !(archive.has(MANIFEST_JSON) && archive.has(INDEX_JSON) && archive.has(OCI_LAYOUT)) {
        return open_manifest_json(&archive, wanted, DockerForm::Old);
    }
    let form = DockerForm::OciCarrying;
    let medium = Medium::DockerArchive(form);
    let opened = oci_archive::open(Arc::clone(&archive), wanted, medium).and_then(|source| {
        let node = check_complete_for(&*source.store, &source.root, wanted.platform)?;
        Ok(named_as_written(source, &node, &archive))
    });
    let error = match opened {
        Ok(source) => return Ok(source),
        Err(error @ TransportError::Ambiguous { .. }) => return Err(error),
        Err(error) => error,
    };
    match open_manifest_json(&archive, wanted, form) {
        Ok(mut source) => {
            if is_damage(&error) {
                source.warnings.insert(
                    0,
                    format!("pycull reads manifest.json instead of {INDEX_JSON}: {error}"),
                );
            }
            Ok(source)
        }
        Err(other @ (TransportError::NoSuchName { .. } | TransportError::Ambiguous { .. })) => {
            Err(other)
        }
        Err(_) => Err(error),
    }
}

/// Whether the error means that documents are damaged, as opposed to left out.
fn is_damage(error: &TransportError) -> bool {
    let of_blob = |error: &BlobError| !matches!(error, BlobError::Missing { .. });
    match error {
        TransportError::Malformed { .. } | TransportError::TooLarge { .. } => true,
        TransportError::Blob(error) | TransportError::Image(ImageError::Blob(error)) => {
            of_blob(error)
        }
        TransportError::Image(ImageError::Malformed { .. }) => true,
        _ => false,
    }
}

/// Gives the source the names that `manifest.json` has. The annotations expand short names, or have no names.
fn named_as_written(mut source: Source, node: &Node, archive: &Archive) -> Source {
    let document = archive.read_json(MANIFEST_JSON).unwrap_or_default();
    let entries = document.as_array().map_or(&[][..], Vec::as_slice);
    let images = node.images();
    let configs: HashSet<&str> = images
        .iter()
        .map(|image| image.config_descriptor.digest().digest())
        .collect();
    let is_it = |entry: &&Value| {
        let name = entry["Config"].as_str().and_then(hex_name);
        name.is_some_and(|hex| configs.contains(hex))
    };
    source.entry = entries.iter().find(is_it).cloned().unwrap_or_default();
    if source.docker_names.is_empty() {
        source.docker_names = repo_tags(entries.iter().filter(is_it));
    }
    let tags = repo_tags(entries).into_iter().rev();
    let written: HashMap<String, String> = tags.map(|tag| (normalized(&tag), tag)).collect();
    for name in &mut source.docker_names {
        if let Some(tag) = written.get(&normalized(name)) {
            name.clone_from(tag);
        }
    }
    if let Some(name) = source.docker_names.first() {
        source.name.clone_from(name);
    }
    source
}

fn repo_tags<'a>(entries: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let tags = entries
        .into_iter()
        .filter_map(|it| it["RepoTags"].as_array());
    let tags = tags.flatten().filter_map(Value::as_str);
    tags.map(str::to_owned).collect()
}

fn open_manifest_json(
    archive: &Archive,
    wanted: Wanted<'_>,
    form: DockerForm,
) -> Result<Source, TransportError> {
    let document = archive.read_json(MANIFEST_JSON)?;
    let entries = document
        .as_array()
        .ok_or_else(|| malformed(archive, "it is not an array".to_owned()))?;
    let candidates = candidates(entries);
    let empty = MappedStore(HashMap::new());
    let chosen = choose(&candidates, wanted, Transport::DockerArchive, &empty)?;
    let entry = chosen["place"]
        .as_u64()
        .and_then(|place| entries.get(place as usize));
    let entry = entry.unwrap_or(&Value::Null);
    let mut warnings = Vec::new();
    let (store, mut root) = synthesize(archive, entry, &mut warnings)?;
    let name = super::image_name::annotation(&chosen, REF_NAME);
    set_annotation(&mut root, REF_NAME, name);
    let names = docker_names(&candidates, &chosen, wanted);
    let medium = Medium::DockerArchive(form);
    let reference = wanted.reference;
    Ok(Source {
        entry: entry.clone(),
        warnings,
        ..Source::new(Arc::new(store), root, medium, reference, names)
    })
}

/// Turns the entries into descriptors to choose from, one for each RepoTag. The first descriptor of every entry comes
/// before all further ones, so that `@N` is the position of the entry.
fn candidates(entries: &[Value]) -> Vec<Value> {
    let candidate = |place: usize, name: Option<&str>| {
        let config = &entries[place]["Config"];
        // An image's ID is the digest of its config, and engines name the config's file by it.
        let id = config.as_str().and_then(hex_name);
        let digest = id.map_or_else(|| config.clone(), |hex| format!("sha256:{hex}").into());
        let mut candidate = json!({ "digest": digest, "place": place });
        set_annotation(&mut candidate, REF_NAME, name);
        candidate
    };
    let mut first = Vec::new();
    let mut further = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let tags = repo_tags([entry]);
        first.push(candidate(place, tags.first().map(String::as_str)));
        further.extend(tags.iter().skip(1).map(|tag| candidate(place, Some(tag))));
    }
    first.extend(further);
    first
}

fn malformed(archive: &Archive, reason: String) -> TransportError {
    TransportError::Malformed {
        path: archive.path.clone(),
        document: MANIFEST_JSON.to_owned(),
        reason,
    }
}

/// Blobs of an archive that does not name its files by digest.
struct MappedStore(HashMap<Digest, Blob>);

impl BlobStore for MappedStore {
    fn open(&self, digest: &Digest) -> Result<Blob, BlobError> {
        self.0
            .get(digest)
            .cloned()
            .ok_or_else(|| BlobError::Missing {
                digest: digest.clone(),
            })
    }
}

/// The hex digest in a file's name: engines name configs and layers so.
fn hex_name(name: &str) -> Option<&str> {
    let file_name = name.rsplit('/').next().unwrap_or(name);
    let stem = file_name.split_once('.').map_or(file_name, |it| it.0);
    let is_digest = stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then_some(stem)
}

/// Returns a warning if a file's name is not its digest. This is not an error: engines read the file anyway.
fn check_name(name: &str, digest: &Digest) -> Option<String> {
    let hex = hex_name(name)?;
    (hex != digest.digest()).then(|| {
        format!(
            "the name of `{name}` does not match its digest {digest}; pycull reads the file anyway"
        )
    })
}

/// Synthesizes the manifest of an entry in `manifest.json`. The result depends only on the entry's config and layers.
fn synthesize(
    archive: &Archive,
    entry: &Value,
    warnings: &mut Vec<String>,
) -> Result<(MappedStore, Value), TransportError> {
    let read_error = |error| TransportError::io("read", &archive.path)(error);
    let member = |name: &str| {
        let missing = || malformed(archive, format!("`{name}` is not in the archive"));
        archive.find(name).ok_or_else(missing)
    };
    let no_config = || malformed(archive, "an entry has no `Config`".to_owned());
    let config_name = entry["Config"].as_str().ok_or_else(no_config)?;
    let config_bytes = archive.read(config_name)?;
    let config_digest = sha256_digest(&config_bytes);
    warnings.extend(check_name(config_name, &config_digest));
    let layer_names: Vec<&str> = entry["Layers"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let diff_ids = config_diff_ids(archive, config_name, &config_bytes)?;
    if diff_ids.len() != layer_names.len() {
        let reason = format!("{} layers, {} diff_ids", layer_names.len(), diff_ids.len());
        return Err(malformed(archive, reason));
    }
    let mut blobs = HashMap::from([(config_digest.clone(), member(config_name)?)]);
    let mut layers = Vec::new();
    for (name, diff_id) in layer_names.into_iter().zip(diff_ids) {
        let layer = member(name)?;
        let (media_type, digest) = identify(&layer, diff_id).map_err(read_error)?;
        layers.push(descriptor(&media_type, &digest, layer.size()));
        blobs.insert(digest, layer);
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &config_digest, config_bytes.len() as u64),
        "layers": layers,
    })
    .to_string();
    let digest = sha256_digest(manifest.as_bytes());
    let root = descriptor(OCI_MANIFEST, &digest, manifest.len() as u64);
    blobs.insert(
        digest,
        spool::blob_of(manifest.as_bytes()).map_err(read_error)?,
    );
    Ok((MappedStore(blobs), root))
}

/// Returns the layer's media type and digest. An uncompressed layer gets its diff_id as digest. The reader of the layer
/// checks that digest against the bytes.
fn identify(layer: &Blob, diff_id: Digest) -> io::Result<(String, Digest)> {
    let compression = spool::compression(layer)?;
    let digest = match compression {
        Compression::None => diff_id,
        _ => hash(layer)?,
    };
    Ok((layer_media_type(OCI_LAYER, compression), digest))
}

fn config_diff_ids(
    archive: &Archive,
    name: &str,
    bytes: &[u8],
) -> Result<Vec<Digest>, TransportError> {
    json_text::parse(bytes)
        .map_err(|error| error.to_string())
        .and_then(|mut config: Value| {
            respell(&mut config, &json_keys::CONFIG);
            diff_ids(&config)
        })
        .map_err(|reason| TransportError::Malformed {
            path: archive.path.clone(),
            document: name.to_owned(),
            reason,
        })
}

fn descriptor(media_type: &str, digest: &Digest, size: u64) -> Value {
    json!({ "mediaType": media_type, "digest": digest.as_ref(), "size": size })
}

fn hash(blob: &Blob) -> io::Result<Digest> {
    struct Hashing(DigestHasher);
    impl Write for Hashing {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0.update(buffer);
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(DigestHasher::sha256());
    io::copy(
        &mut io::BufReader::with_capacity(128 << 10, blob.reader()),
        &mut hashing,
    )?;
    Ok(hashing.0.finish())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::super::Reference;
    use super::super::archive::{self, Content};
    use super::super::docker_archive_write::{NewFiles, SaveAs, write};
    use super::super::output::check_complete;
    use super::super::testing::{header, image, layer_tar, refer, two_platforms};
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn archive(files: &[(&str, Vec<u8>)], symlinks: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = header(tar::EntryType::Regular, bytes.len());
            builder.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        for (name, target) in symlinks {
            let mut header = header(tar::EntryType::Symlink, 0);
            builder.append_link(&mut header, name, target).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn config(layers: &[&[u8]]) -> Vec<u8> {
        let diff_ids = layers.iter().map(|layer| sha256_digest(layer));
        let diff_ids: Vec<String> = diff_ids.map(|digest| digest.to_string()).collect();
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        json!({ "os": "linux", "architecture": "amd64", "rootfs": rootfs })
            .to_string()
            .into_bytes()
    }

    fn open_bytes(bytes: &[u8], reference: &str) -> Result<Source, TransportError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar");
        std::fs::write(&path, bytes).unwrap();
        let reference = reference.replace("x.tar", path.to_str().unwrap());
        Source::open(&refer(&reference), io::empty())
    }

    /// An archive as docker before 25 writes it, in which a symlink shares a layer.
    fn old_archive() -> Vec<u8> {
        let (first, second) = (layer_tar(b"first"), layer_tar(b"second"));
        let manifest = json!([
            { "Config": "c0.json", "RepoTags": ["a:1", "a:latest"],
              "Layers": ["first/layer.tar", "again/layer.tar", "second.tar.gz"] },
            { "Config": "c1.json", "RepoTags": null, "Layers": ["first/layer.tar"] },
        ]);
        archive(
            &[
                ("c0.json", config(&[&first, &first, &second])),
                ("c1.json", config(&[&first])),
                ("first/layer.tar", first),
                ("second.tar.gz", gzip(&second)),
                ("manifest.json", manifest.to_string().into_bytes()),
            ],
            &[("again/layer.tar", "../first/layer.tar")],
        )
    }

    #[test]
    fn an_old_archive_with_symlinked_and_compressed_layers_is_read_whole() {
        let source = open_bytes(&old_archive(), "docker-archive:x.tar:a:1").unwrap();
        assert_eq!(source.medium, Medium::DockerArchive(DockerForm::Old));
        assert_eq!(source.root["annotations"][REF_NAME], "a:1");
        assert_eq!(source.name, "a:1");
        let node = check_complete(&*source.store, &source.root).unwrap();
        let image = node.images()[0];
        assert_eq!(image.layers.len(), 3);
        for layer in &image.layers {
            let mut blob = crate::oci::open_verified(&*source.store, &layer.descriptor).unwrap();
            io::copy(&mut blob, &mut io::sink()).unwrap();
        }
        let media_types = image
            .layers
            .iter()
            .map(|layer| layer.descriptor.media_type());
        let media_types: Vec<String> = media_types.map(ToString::to_string).collect();
        assert_eq!(media_types[0], OCI_LAYER);
        assert_eq!(media_types[2], format!("{OCI_LAYER}+gzip"));
    }

    #[test]
    fn the_manifest_that_is_made_up_is_the_same_every_time() {
        let open = || open_bytes(&old_archive(), "docker-archive:x.tar:@0").unwrap();
        assert_eq!(open().root, open().root);
    }

    #[test]
    fn images_are_chosen_by_any_spelling_of_their_names_or_by_place() {
        for (reference, expected) in [
            ("docker-archive:x.tar:docker.io/library/a:1", Some("a:1")),
            ("docker-archive:x.tar:a", Some("a:latest")),
            ("docker-archive:x.tar:@0", Some("a:1")),
            ("docker-archive:x.tar:@1", None),
        ] {
            let source = open_bytes(&old_archive(), reference).unwrap();
            let name = super::super::image_name::annotation(&source.root, REF_NAME);
            assert_eq!(name, expected, "{reference}");
        }
        match open_bytes(&old_archive(), "x.tar").map(|_| ()) {
            Err(TransportError::Ambiguous { choices, .. }) => {
                assert_eq!(choices, ["a:1", "@1", "a:latest"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_layer_that_is_not_in_the_archive_is_named() {
        let manifest = json!([{ "Config": "c.json", "Layers": ["gone.tar"] }]).to_string();
        let bytes = archive(
            &[
                ("c.json", config(&[b"x"])),
                ("manifest.json", manifest.into_bytes()),
            ],
            &[],
        );
        let error = open_bytes(&bytes, "x.tar").map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("gone.tar"), "{error}");
    }

    #[test]
    fn both_forms_read_back_under_their_names() {
        let names = [
            "docker.io/library/a:1".to_owned(),
            "localhost/b:2".to_owned(),
        ];
        for form in [DockerForm::Old, DockerForm::OciCarrying] {
            let output = image("", b"layer");
            let mut bytes = Vec::new();
            let save_as = SaveAs {
                form,
                names: &names,
            };
            write(&output, save_as, None, &mut bytes, Path::new("-")).unwrap();
            let source = open_bytes(&bytes, "x.tar").unwrap();
            assert_eq!(source.medium, Medium::DockerArchive(form));
            assert_eq!(source.docker_names, names);
            let node = check_complete(&*source.store, &source.root).unwrap();
            let original = output.checked().unwrap();
            assert_eq!(node.images()[0].config, original.images()[0].config);
            if form == DockerForm::OciCarrying {
                assert_eq!(source.root["digest"], output.root["digest"]);
            }
        }
    }

    #[test]
    fn an_index_of_which_blobs_are_missing_is_read_through_manifest_json() {
        let mut output = two_platforms();
        let whole = output.checked().unwrap();
        let image = whole.images()[0];
        let new = NewFiles {
            output: &output.clone(),
            form: DockerForm::OciCarrying,
            image,
            names: &["a:1".to_owned()],
        };
        let manifest_json = json!([new.entry(&HashMap::new())]).to_string().into_bytes();
        output.blobs.truncate(4); // the index and the first image
        let mut files = oci_archive::files(&output, &[output.root.clone()]);
        files.insert(MANIFEST_JSON.to_owned(), Content::Bytes(manifest_json));
        let mut bytes = Vec::new();
        archive::write(&mut bytes, Path::new("-"), &files).unwrap();
        let source = open_bytes(&bytes, "docker-archive:x.tar").unwrap();
        assert_eq!(
            source.medium,
            Medium::DockerArchive(DockerForm::OciCarrying)
        );
        check_complete(&*source.store, &source.root).unwrap();
        assert_eq!(source.docker_names, ["a:1"]);
    }

    #[test]
    fn several_platforms_do_not_fit_and_the_hint_says_how() {
        let error = write(
            &two_platforms(),
            SaveAs {
                form: DockerForm::OciCarrying,
                names: &[],
            },
            None,
            io::sink(),
            Path::new("-"),
        )
        .unwrap_err();
        assert!(error.hint().unwrap().contains("--platform linux/amd64"));
    }

    #[test]
    fn an_image_without_a_name_has_null_repo_tags() {
        let mut bytes = Vec::new();
        let save_as = SaveAs {
            form: DockerForm::OciCarrying,
            names: &[],
        };
        write(
            &image("v1", b"x"),
            save_as,
            None,
            &mut bytes,
            Path::new("-"),
        )
        .unwrap();
        let archive = Archive::open(&Reference::Stream, &bytes[..]).unwrap();
        let mut manifest_json = String::new();
        let member = archive.find(MANIFEST_JSON).unwrap();
        member.reader().read_to_string(&mut manifest_json).unwrap();
        assert!(
            manifest_json.contains(r#""RepoTags":null"#),
            "{manifest_json}"
        );
    }
}
