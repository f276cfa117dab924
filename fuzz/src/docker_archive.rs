//! A docker archive from arbitrary bytes. Opening it never panics. An image that opens can be written as a docker
//! archive, which reads back as the same image under the same names.
//!
//! The first byte of an input chooses what follows: an archive, in which checksums are corrected, or a list of files.

use std::collections::HashSet;

use pycull::oci::{Node, load};
use pycull::progress::Unobserved;
use pycull::registry::RegistrySettings;
use pycull::transport::{Medium, OutputBlob, OutputImage, Source, prepare};

use super::image::{archive, archive_seed, open};
use super::tar_stream::with_checksums;

const REFERENCES: [&str; 4] = [
    "docker-archive:-:@0",
    "docker-archive:-:@1",
    "docker-archive:-:a:1",
    "-",
];

/// Runs the target. Returns whether an image was written and read back.
pub fn run(input: &[u8]) -> bool {
    let Some((&control, rest)) = input.split_first() else {
        return false;
    };
    let archive = match control & 1 {
        0 => archive(rest),
        _ => with_checksums(rest.to_vec()),
    };
    let sources = REFERENCES.map(|reference| open(reference, &archive));
    let read_back = sources.iter().flatten().map(assert_reads_back);
    read_back.fold(false, |any, one| any | one)
}

/// Checks that the written image reads back. Returns false if it cannot be written.
fn assert_reads_back(source: &Source) -> bool {
    let Some(bytes) = written(source) else {
        return false;
    };
    let again = open("docker-archive:-", &bytes).unwrap();
    assert_eq!(images(&again), images(source), "another image");
    if matches!(source.medium, Medium::DockerArchive(_)) {
        assert_eq!(again.medium, source.medium);
        assert_eq!(again.root["digest"], source.root["digest"]);
    }
    assert_eq!(again.docker_names, source.docker_names, "other names");
    assert!(
        written(&again).unwrap() == bytes,
        "written otherwise the second time"
    );
    true
}

/// Writes an image as a docker archive. Returns `None` if a part of the image is missing.
fn written(source: &Source) -> Option<Vec<u8>> {
    let node = load(&*source.store, &source.root, None).ok()?;
    let digests: HashSet<_> = node.blobs().ok()?.into_iter().collect();
    let blob = |digest| {
        let bytes = source.store.open(&digest).ok()?;
        Some(OutputBlob {
            digest,
            bytes,
            is_checked: false,
        })
    };
    let image = OutputImage {
        origin: String::new(),
        root: source.root.clone(),
        blobs: digests.into_iter().map(blob).collect::<Option<_>>()?,
    };
    let mut bytes = Vec::new();
    let sink = prepare(
        &"docker-archive:-".parse().unwrap(),
        source,
        &RegistrySettings::default(),
        &mut bytes,
    )
    .ok()?;
    sink.commit(image, &Unobserved).ok()?;
    Some(bytes)
}

/// The config of each image, and the digests of its layers.
fn images(source: &Source) -> Vec<(String, Vec<String>)> {
    let node: Node = load(&*source.store, &source.root, None).unwrap();
    let images = node.images().into_iter();
    let digests = images.map(|image| {
        let layers = image.layers.iter();
        let layers = layers.map(|layer| layer.descriptor.digest().to_string());
        (
            image.config_descriptor.digest().to_string(),
            layers.collect(),
        )
    });
    digests.collect()
}

const CONFIG: &str =
    r#"{"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": ["%9"]}}"#;
const TWO_LAYERS: &str =
    r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":["%9","%9"]}}"#;
const MANIFEST: &str = r#"{"schemaVersion": 2, "config":
    {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "%0", "size": #0}, "layers":
    [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "%9", "size": #9}]}"#;
const INDEX: &str = r#"{"schemaVersion": 2, "manifests": [
    {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%1", "size": #1,
     "annotations": {"io.containerd.image.name": "docker.io/library/a:1", "org.opencontainers.image.ref.name": "1"}}]}"#;

/// Archives of docker before and after version 25, with names, links and several images.
pub fn seeds() -> Vec<Vec<u8>> {
    let old = |list: &str, config: &str| {
        let files = [
            ("HEX.json", config),
            ("manifest.json", list),
            ("again/layer.tar", "../~9.tar"),
        ];
        archive_seed(&files)
    };
    let new = |list: &str| {
        archive_seed(&[
            ("blobs/sha256/HEX", CONFIG),
            ("blobs/sha256/HEX", MANIFEST),
            ("oci-layout", r#"{"imageLayoutVersion": "1.0.0"}"#),
            ("index.json", INDEX),
            ("manifest.json", list),
        ])
    };
    let one = r#"[{"Config": "~0.json", "RepoTags": ["a:1", "a:latest"], "Layers": ["~9.tar"]}]"#;
    let linked = r#"[{"Config":"~0.json","RepoTags":null,"Layers":["again/layer.tar","~9.tar"]}]"#;
    let several = r#"[{"Config": "~0.json", "Layers": ["~9.tar"]}, {"Config": "~0.json", "RepoTags": ["a:1"], "Layers": ["again/layer.tar"]}]"#;
    let blobs = r#"[{"Config":"blobs/sha256/~0","RepoTags":["a:1"],"Layers":["blobs/sha256/~9"]}]"#;
    let lists = [
        old(one, CONFIG),
        old(linked, TWO_LAYERS),
        old(several, CONFIG),
        new(blobs),
        new("[]"),
        archive_seed(&[
            ("HEX.json", CONFIG),
            ("repositories", r#"{"a": {"1": "~0"}}"#),
            ("manifest.json", one),
        ]),
    ];
    let lists = lists.iter().flat_map(|list| {
        [
            [&[0][..], list].concat(),
            [&[1][..], &archive(list)].concat(),
        ]
    });
    lists.collect()
}
