//! Image references as people write them (containers-transports(5)).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::TransportError;
use super::hints::{mistyped, near_names};
use super::transports::{Engine, REGISTRY, Transport};
use crate::oci::{Digest, Platform};

/// The request for an image: the reference to it, and the platform to choose.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a Reference,
    pub(super) platform: Option<&'a Platform>,
}

/// Transports of other tools. A bare path with such a prefix is usually a mistake.
const FOREIGN_TRANSPORTS: [&str; 8] = [
    "atomic",
    "docker-tarball",
    "file",
    "http",
    "https",
    "ostree",
    "sif",
    "tarball",
];

/// Selects one image of a medium that holds several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// By name: a tag, or a docker reference.
    Name(String),
    /// By position, from zero: written `@N`.
    Index(usize),
    /// By the digest of the image's manifest, or of an index: written `@ALGORITHM:HEX`, optionally after a name.
    Digest {
        /// The name under which to look for the digest.
        name: Option<String>,
        /// The digest of the manifest or index.
        digest: Digest,
    },
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "@{index}"),
            Self::Digest { name, digest } => {
                write!(f, "{}@{digest}", name.as_deref().unwrap_or_default())
            }
        }
    }
}

/// The place of an image to read or write. `Display` gives back the syntax that it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `TRANSPORT:PATH[:NAME]`. The path cannot contain a colon, but the name may. The path `-` is standard input or
    /// output.
    Transport {
        /// The medium.
        transport: Transport,
        /// The directory or file.
        path: PathBuf,
        /// The image in the medium.
        selector: Option<Selector>,
    },
    /// `-`: an archive on standard input or output.
    Stream,
    /// A bare path. pycull recognizes the medium by the content.
    Path(PathBuf),
    /// `docker://NAME[:TAG][@DIGEST]`: an image in a registry. The name may be a short one.
    Registry(String),
    /// `containers-storage:NAME` or `docker-daemon:NAME`: an image in an engine's own store.
    Engine {
        /// The engine.
        engine: Engine,
        /// The name, as the engine's commands take it.
        name: String,
    },
}

impl Reference {
    /// The directory or file; `-` for standard input or output. Empty for an image that is not in a file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Transport { path, .. } | Self::Path(path) => path,
            Self::Stream => Path::new("-"),
            Self::Registry(_) | Self::Engine { .. } => Path::new(""),
        }
    }

    /// Whether it is standard input or output.
    pub fn is_stream(&self) -> bool {
        !matches!(self, Self::Path(_)) && self.path() == Path::new("-")
    }

    /// The text that makes a selector a reference to an image of this medium.
    pub(super) fn prefix(&self, transport: Transport) -> String {
        format!("{}:{}:", transport.name(), self.path().display())
    }

    /// The error of opening what the reference leads to. If it does not exist, the error offers similar names.
    pub(super) fn cannot_open(&self, error: io::Error) -> TransportError {
        let path = self.path();
        let Self::Transport {
            transport,
            selector,
            ..
        } = self
        else {
            return TransportError::io("open", path)(error);
        };
        if error.kind() != io::ErrorKind::NotFound {
            return TransportError::io("open", path)(error);
        }
        let near = near_names(path).into_iter().map(|near| Self::Transport {
            transport: *transport,
            path: near.into(),
            selector: selector.clone(),
        });
        TransportError::Missing {
            path: path.to_owned(),
            kind: match transport {
                Transport::Oci => "image layout",
                Transport::Dir => "directory",
                Transport::OciArchive | Transport::DockerArchive => "file",
            },
            near: near.map(|it| it.to_string()).collect(),
        }
    }

    /// The image that the reference asks for, if it does.
    pub fn selector(&self) -> Option<&Selector> {
        match self {
            Self::Transport { selector, .. } => selector.as_ref(),
            _ => None,
        }
    }

    /// The medium that the reference asks for, if it does.
    pub fn transport(&self) -> Option<Transport> {
        match self {
            Self::Transport { transport, .. } => Some(*transport),
            _ => None,
        }
    }
}

impl FromStr for Reference {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |reason| TransportError::BadReference {
            reference: text.to_owned(),
            reason,
        };
        match text {
            "" => return Err(bad("it is empty")),
            "-" => return Ok(Self::Stream),
            _ => {}
        }
        let Some((name, rest)) = text.split_once(':') else {
            return Ok(Self::Path(text.into()));
        };
        if name == REGISTRY {
            return match rest.strip_prefix("//") {
                Some("") => Err(bad("no name follows the transport")),
                Some(name) => Ok(Self::Registry(name.to_owned())),
                None => Err(bad("an image in a registry is `docker://NAME`")),
            };
        }
        if let Some(engine) = Engine::from_transport(name) {
            // `skopeo` writes the place of podman's store in brackets, and podman's commands do not take it.
            return match rest {
                "" => Err(bad("no name follows the transport")),
                _ if rest.starts_with(['-', '[']) => Err(bad("it is not the name of an image")),
                _ if rest.starts_with('/') => Err(bad("a name does not start with a slash")),
                _ => Ok(Self::Engine {
                    engine,
                    name: rest.to_owned(),
                }),
            };
        }
        let Some(transport) = Transport::from_name(name) else {
            if FOREIGN_TRANSPORTS.contains(&name)
                || (rest.starts_with("//") && !name.contains('/'))
                || mistyped(text).is_some()
            {
                return Err(TransportError::Unsupported {
                    transport: name.to_owned(),
                    reference: text.to_owned(),
                });
            }
            return Ok(Self::Path(text.into()));
        };
        in_file(transport, rest).map_err(bad)
    }
}

/// Parses `PATH[:NAME][@DIGEST]` after the name of a transport.
fn in_file(transport: Transport, rest: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match split_digest(rest) {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    // A digest cannot follow `@N`.
    let (path, selector) = match rest.split_once(':') {
        Some((path, "")) if digest.is_some() => (path, None),
        Some((path, selector)) => (path, Some(selector)),
        None => (rest, None),
    };
    if path.is_empty() {
        return Err("no path follows the transport");
    }
    if matches!(transport, Transport::Oci | Transport::Dir) && path == "-" {
        return Err("a directory cannot be standard input or output");
    }
    let selector = selector.map(parse_selector).transpose()?;
    let selector = match (selector, digest) {
        (selector, None) => selector,
        (None, Some(digest)) => Some(Selector::Digest { name: None, digest }),
        (Some(Selector::Name(name)), Some(digest)) => {
            let name = Some(name);
            Some(Selector::Digest { name, digest })
        }
        (Some(_), Some(_)) => {
            return Err("use a position or a digest, not both");
        }
    };
    if transport == Transport::Dir && selector.is_some() {
        return Err("a `dir:` holds one image, which has no name");
    }
    Ok(Reference::Transport {
        transport,
        path: path.into(),
        selector,
    })
}

/// Splits the text at a digest at its end.
fn split_digest(text: &str) -> Option<(&str, Digest)> {
    let (rest, digest) = text.rsplit_once('@')?;
    digest.contains(':').then_some(())?;
    Some((rest, digest.parse().ok()?))
}

fn parse_selector(text: &str) -> Result<Selector, &'static str> {
    match text.strip_prefix('@') {
        _ if text.is_empty() => Err("no name follows the last colon"),
        Some(index) => index
            .parse()
            .map(Selector::Index)
            .map_err(|_| "`@` must be followed by the image's position: 0 for the first image"),
        None if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err("a name cannot contain spaces")
        }
        None => Ok(Selector::Name(text.to_owned())),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport {
                transport,
                path,
                selector,
            } => {
                write!(f, "{}:{}", transport.name(), path.display())?;
                match selector {
                    None => Ok(()),
                    Some(digest @ Selector::Digest { name: None, .. }) => digest.fmt(f),
                    Some(selector) => write!(f, ":{selector}"),
                }
            }
            Self::Stream => f.write_str("-"),
            Self::Path(path) => path.display().fmt(f),
            Self::Registry(name) => write!(f, "{REGISTRY}://{name}"),
            Self::Engine { engine, name } => write!(f, "{}:{name}", engine.transport()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(transport: Transport, path: &str, name: Option<&str>) -> Reference {
        Reference::Transport {
            transport,
            path: path.into(),
            selector: name.map(|name| Selector::Name(name.to_owned())),
        }
    }

    #[test]
    fn every_form_is_parsed_and_displayed_as_written() {
        let cases = [
            ("oci:dir", transport(Transport::Oci, "dir", None)),
            ("oci:a/b:v1", transport(Transport::Oci, "a/b", Some("v1"))),
            (
                "oci:dir:localhost/a:1",
                transport(Transport::Oci, "dir", Some("localhost/a:1")),
            ),
            (
                "oci-archive:/x.tar:v1",
                transport(Transport::OciArchive, "/x.tar", Some("v1")),
            ),
            (
                "docker-archive:x.tar:docker.io/library/a:1",
                transport(
                    Transport::DockerArchive,
                    "x.tar",
                    Some("docker.io/library/a:1"),
                ),
            ),
            ("dir:a/b", transport(Transport::Dir, "a/b", None)),
            ("-", Reference::Stream),
            ("dir/oci", Reference::Path("dir/oci".into())),
            ("./oci:x", Reference::Path("./oci:x".into())),
            ("app:latest", Reference::Path("app:latest".into())),
            (
                "docker://localhost:5000/a:1",
                Reference::Registry("localhost:5000/a:1".to_owned()),
            ),
            (
                "containers-storage:localhost/a",
                Reference::Engine {
                    engine: Engine::Podman,
                    name: "localhost/a".to_owned(),
                },
            ),
            (
                "docker-daemon:a:1",
                Reference::Engine {
                    engine: Engine::Docker,
                    name: "a:1".to_owned(),
                },
            ),
        ];
        for (text, expected) in cases {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference, expected);
            assert_eq!(reference.to_string(), text);
        }
    }

    #[test]
    fn a_place_is_chosen_with_an_at_sign() {
        let reference: Reference = "docker-archive:x.tar:@2".parse().unwrap();
        assert_eq!(reference.selector(), Some(&Selector::Index(2)));
        assert_eq!(reference.to_string(), "docker-archive:x.tar:@2");
    }

    #[test]
    fn a_digest_chooses_with_or_without_a_name() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, path, name) in [
            (format!("oci:dir@{digest}"), "dir", None),
            (format!("oci:dir:v1@{digest}"), "dir", Some("v1")),
            (format!("oci:d@r@{digest}"), "d@r", None),
            (format!("docker-archive:-:a:1@{digest}"), "-", Some("a:1")),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.path(), Path::new(path));
            let expected = Selector::Digest {
                name: name.map(str::to_owned),
                digest: digest.parse().unwrap(),
            };
            assert_eq!(reference.selector(), Some(&expected));
            assert_eq!(reference.to_string(), text);
        }
        let both = format!("oci:dir:@1@{digest}");
        for text in [both.as_str(), "oci:dir@sha256:", "dir:d:tag"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_archive_transport_takes_a_stream() {
        let reference: Reference = "docker-archive:-".parse().unwrap();
        assert!(reference.is_stream());
        assert!("oci:-".parse::<Reference>().is_err());
    }

    #[test]
    fn transports_of_other_tools_are_named_with_a_way_out() {
        for text in ["ostree:a", "ftp://a/b"] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(
                matches!(&error, TransportError::Unsupported { .. }),
                "{text}"
            );
            let hint = error.hint().unwrap();
            assert!(
                hint.contains(&format!("skopeo copy {text} oci:DIR:TAG")),
                "{hint}"
            );
        }
    }

    #[test]
    fn references_without_a_path_or_a_name_are_refused() {
        for text in [
            "",
            "oci:",
            "oci::tag",
            "oci:dir:",
            "oci:dir:@x",
            "oci:d:a b",
            "docker://",
            "docker:app",
            "containers-storage:",
            "containers-storage:--all",
            "containers-storage:[overlay@/x]app",
            "containers-storage://app",
            "docker-daemon://app",
        ] {
            assert!(
                matches!(
                    text.parse::<Reference>(),
                    Err(TransportError::BadReference { .. })
                ),
                "{text}"
            );
        }
    }
}
