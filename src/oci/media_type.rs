//! Media types of OCI and Docker documents and layers (image-spec media-types.md; Docker's image manifest version 2,
//! schema 2), and which types of the two families are equivalent.

use super::compression::Compression;

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer without compression.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker layer without compression. A dot joins its compression suffix.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker manifest list, the equivalent of an OCI index.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The kind of a JSON document, from its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// An index of manifests, one for each platform.
    Index,
    /// The manifest of one image or artifact.
    Manifest,
}

/// The kind of document with this media type; `None` for types that pycull does not follow.
pub fn document_kind(media_type: &str) -> Option<DocumentKind> {
    match media_type {
        OCI_INDEX | DOCKER_MANIFEST_LIST => Some(DocumentKind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(DocumentKind::Manifest),
        _ => None,
    }
}

/// Whether a manifest whose config has this type is a container image.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// A set of media types. In an OCI layout, engines find an image by tag only if its types are OCI types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Types of the OCI image specification.
    Oci,
    /// Types of Docker's image manifest version 2, schema 2.
    Docker,
}

/// OCI types and their Docker equivalents.
const EQUIVALENTS: [(&str, &str); 7] = [
    (OCI_INDEX, DOCKER_MANIFEST_LIST),
    (OCI_MANIFEST, DOCKER_MANIFEST),
    (OCI_CONFIG, DOCKER_CONFIG),
    (OCI_LAYER, DOCKER_LAYER),
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ),
];

/// containerd writes these. Docker never defined them, and other engines refuse them.
const CONTAINERD_ZSTD: [(&str, &str); 2] = [
    (
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.zstd",
    ),
];

/// The equivalent of `media_type` in `family`, which may be the same type. `None` if `family` has no equivalent.
pub fn in_family(media_type: &str, family: Family) -> Option<&'static str> {
    let extra = match family {
        Family::Oci => &CONTAINERD_ZSTD[..],
        Family::Docker => &[],
    };
    let mut pairs = EQUIVALENTS.iter().chain(extra).copied();
    let pair = pairs.find(|(oci, docker)| [*oci, *docker].contains(&media_type));
    pair.map(|(oci, docker)| match family {
        Family::Oci => oci,
        Family::Docker => docker,
    })
}

/// Whether a layer of this type is a tar archive. OCI and Docker layers are, compressed or not, and so are types of
/// older tools with `tar` in their names.
pub fn is_tar_layer(media_type: &str) -> bool {
    let words = media_type.split(['.', '+', '-', '/', ';']);
    words
        .into_iter()
        .any(|word| matches!(word, "tar" | "gtar" | "tgz"))
}

/// The media type of a layer of type `original` after compression with `compression`.
///
/// The family stays (OCI or Docker, distributable or not). An unknown type does not change.
pub fn layer_media_type(original: &str, compression: Compression) -> String {
    const OCI: [&str; 2] = [
        OCI_LAYER,
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
    ];
    const DOCKER: [&str; 2] = [
        DOCKER_LAYER,
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ];
    let suffix = match compression {
        Compression::None => None,
        Compression::Gzip => Some("gzip"),
        Compression::Zstd => Some("zstd"),
    };
    let family = |bases: [&'static str; 2], separator: char| {
        bases.into_iter().find_map(|base| {
            let rest = original.strip_prefix(base)?;
            (rest.is_empty() || rest.starts_with(separator)).then_some((base, separator))
        })
    };
    match family(OCI, '+').or_else(|| family(DOCKER, '.')) {
        Some((base, separator)) => match suffix {
            Some(suffix) => format!("{base}{separator}{suffix}"),
            None => base.to_owned(),
        },
        None => original.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_same_meaning_are_found_in_both_families() {
        for (oci, docker) in EQUIVALENTS {
            for media_type in [oci, docker] {
                assert_eq!(in_family(media_type, Family::Oci), Some(oci));
                assert_eq!(in_family(media_type, Family::Docker), Some(docker));
            }
        }
        for (oci, docker) in CONTAINERD_ZSTD {
            assert_eq!(in_family(docker, Family::Oci), Some(oci));
            assert_eq!(in_family(oci, Family::Docker), None);
        }
        for other in [
            "",
            "application/vnd.in-toto+json",
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        ] {
            assert_eq!(in_family(other, Family::Oci), None, "{other}");
        }
    }

    #[test]
    fn a_layer_stays_in_its_family() {
        let cases = [
            (
                OCI_LAYER,
                Compression::Gzip,
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip",
                Compression::Zstd,
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+zstd",
                Compression::None,
                OCI_LAYER,
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                Compression::None,
                "application/vnd.oci.image.layer.nondistributable.v1.tar",
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Compression::Gzip,
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                Compression::None,
                "application/vnd.docker.image.rootfs.diff.tar",
            ),
            (
                "application/x-other",
                Compression::Gzip,
                "application/x-other",
            ),
        ];
        for (original, compression, expected) in cases {
            assert_eq!(layer_media_type(original, compression), expected);
        }
    }
}
