//! Errors of reading an image from a medium and of writing one to it.

use std::io;
use std::path::{Path, PathBuf};

use crate::oci::compression::DecompressionBomb;
use crate::oci::listing::listed;
use crate::oci::{BlobError, ImageError};
use crate::registry::RegistryError;
use crate::scratch::{self, TemporaryError};

use super::hints::{
    did_you_mean, did_you_mean_one_of, mistyped, of_io, of_missing_directory, of_name_as_output,
    of_unsupported, unpacking,
};

/// An image could not be found, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The text is not an image reference.
    #[error("`{reference}` is not an image reference: {reason}")]
    BadReference {
        /// The text of the reference.
        reference: String,
        /// Why it is not a reference.
        reason: &'static str,
    },
    /// The transport exists, but pycull does not support it.
    #[error("transport `{transport}` of `{reference}` is not supported")]
    Unsupported {
        /// The transport's name.
        transport: String,
        /// The whole reference.
        reference: String,
    },
    /// The medium exists but holds no image, or no image of the requested kind.
    #[error("no image in `{}`: {reason}", path.display())]
    NotAnImage {
        /// The directory or file; `-` for standard input.
        path: PathBuf,
        /// What is missing in it.
        reason: String,
    },
    /// The path is not an image, but the user can make an image from it.
    #[error("no image in `{}`: it is {found}", path.display())]
    OtherThing {
        /// The directory or file; `-` for standard input.
        path: PathBuf,
        /// What the path is, as in "it is …".
        found: &'static str,
        /// How to make an image from it.
        hint: String,
    },
    /// The extension of the output's name means a compression that pycull does not write.
    #[error("cannot write `{}`: pycull compresses archives with gzip or Zstandard only", path.display())]
    Packing {
        /// The output's path.
        path: PathBuf,
    },
    /// A compressed archive unpacks to more than the limit.
    #[error(
        "`{}` unpacks to more than {} bytes, which is the limit for a file of {} bytes",
        path.display(), bomb.limit, bomb.bytes
    )]
    Bomb {
        /// The archive; `-` for standard input.
        path: PathBuf,
        /// The archive's size, and the limit on its unpacked size.
        bomb: DecompressionBomb,
        /// The program that unpacks it.
        tool: &'static str,
    },
    /// The archive is empty: it has no bytes.
    #[error("no image in `{}`: it is empty", path.display())]
    Empty {
        /// The file; `-` for standard input.
        path: PathBuf,
        /// Whether the archive is a stream, such as a pipe.
        is_stream: bool,
    },
    /// A document of the medium breaks its specification.
    #[error("{document} of `{}` is malformed: {reason}", path.display())]
    Malformed {
        /// The directory or file that holds the document.
        path: PathBuf,
        /// For example `index.json`.
        document: String,
        /// What is wrong with the document.
        reason: String,
    },
    /// A document is larger than the limit.
    #[error("{document} of `{}` has {size} bytes; the limit is {limit} bytes", path.display())]
    TooLarge {
        /// The directory or file that holds the document.
        path: PathBuf,
        /// For example `index.json`.
        document: String,
        /// The document's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The medium holds several images, and the reference does not say which to use.
    #[error("`{reference}` names more than one image: {}", listed(choices))]
    Ambiguous {
        /// The reference.
        reference: String,
        /// The text before a choice that makes it a full reference: `oci:DIR:`.
        prefix: String,
        /// The selectors of the images, one each.
        choices: Vec<String>,
    },
    /// No image in the medium has the requested name.
    #[error("no image `{name}` in `{}`; available: {}", path.display(), listed(choices))]
    NoSuchName {
        /// The directory or file.
        path: PathBuf,
        /// The requested name.
        name: String,
        /// The selectors of the images in the medium.
        choices: Vec<String>,
    },
    /// The output exists and is of another kind.
    #[error("`{}` exists and is {found}, not {expected}", path.display())]
    ExistsAsOther {
        /// The output's path.
        path: PathBuf,
        /// The expected kind.
        expected: &'static str,
        /// The kind that was found.
        found: &'static str,
    },
    /// The output is an archive of several images, and the new image was not made from any of them.
    #[error("cannot replace `{}`: it holds {images} images, which would be lost", path.display())]
    HoldsOthers {
        /// The output's path.
        path: PathBuf,
        /// The number of images in the archive.
        images: usize,
    },
    /// The archive to replace changed after it was read.
    #[error("`{}` changed while pycull worked on it", path.display())]
    Changed {
        /// The archive.
        path: PathBuf,
    },
    /// A docker archive holds images of one platform only, and the image has several platforms.
    #[error("a docker archive holds one platform, but this image has {}: {}", platforms.len(), listed(platforms))]
    SeveralPlatforms {
        /// Their platforms.
        platforms: Vec<String>,
    },
    /// An engine takes an image of one platform, and the image has several.
    #[error("`{program}` loads only one platform, but this image has {}: {}", platforms.len(), listed(platforms))]
    EnginePlatforms {
        /// The engine's program.
        program: &'static str,
        /// The platforms.
        platforms: Vec<String>,
    },
    /// The output is a bare path, and the name of an image was probably meant.
    #[error("`{}` looks like the name of an image, not like a path", path.display())]
    NameAsOutput {
        /// The path.
        path: PathBuf,
    },
    /// The directory or file that a reference with a transport names does not exist.
    #[error("cannot open `{}`: there is no such {kind}", path.display())]
    Missing {
        /// The directory or file.
        path: PathBuf,
        /// What it should be.
        kind: &'static str,
        /// References to what has a similar name.
        near: Vec<String>,
    },
    /// An engine's program could not be started.
    #[error("cannot start `{program}`")]
    NoEngine {
        /// The program.
        program: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// An engine's command failed.
    #[error("`{command}` failed: {}", without_prefix(message))]
    Engine {
        /// The program and its command, for example `podman save`.
        command: String,
        /// The last line that it printed.
        message: String,
    },
    /// A registry could not be asked, or refused something.
    #[error(transparent)]
    Registry(Box<RegistryError>),
    /// A blob is missing or damaged.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The image's documents are missing, damaged or malformed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The system's temporary directory cannot be used.
    #[error(transparent)]
    Temporary(#[from] TemporaryError),
    /// The directory in which the output would be does not exist.
    #[error("cannot write `{}`: directory `{}` does not exist", path.display(), directory.display())]
    NoDirectory {
        /// The output's path.
        path: PathBuf,
        /// The directory.
        directory: PathBuf,
    },
    /// The file system or a stream failed.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// The action that failed, as in "cannot …".
        action: &'static str,
        /// The file or directory; `-` for standard input or output.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// An engine's message without podman's own prefix, which would follow pycull's `error: `.
fn without_prefix(message: &str) -> &str {
    message.strip_prefix("Error: ").unwrap_or(message)
}

impl From<RegistryError> for TransportError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(Box::new(error))
    }
}

impl TransportError {
    /// For `map_err`: makes the error of a failed `action` on `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The error of writing to a bare path. If its directory does not exist, the path may be the name of an image.
    pub fn of_output(self, path: &Path) -> Self {
        let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
        match (self, directory) {
            (Self::Io { source, .. }, Some(directory))
                if source.kind() == io::ErrorKind::NotFound && !directory.exists() =>
            {
                Self::NoDirectory {
                    path: path.to_owned(),
                    directory: directory.to_owned(),
                }
            }
            (error, _) => error,
        }
    }

    /// What the user can do about the error, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadReference { reference, .. } => {
                mistyped(reference).map(|meant| did_you_mean(&meant))
            }
            Self::Unsupported { reference, .. } => Some(of_unsupported(reference)),
            Self::NoDirectory { directory, .. } => of_missing_directory(directory),
            Self::NameAsOutput { path } => of_name_as_output(path),
            Self::Missing { near, .. } => did_you_mean_one_of(near),
            Self::Ambiguous {
                prefix, choices, ..
            } => Some(format!(
                "choose one, for example `{prefix}{}`",
                choices.first()?
            )),
            Self::SeveralPlatforms { platforms } => Some(format!(
                "choose one with `--platform {}`, or write all to `oci:DIR` or `oci-archive:FILE`",
                platforms.first()?
            )),
            Self::EnginePlatforms { platforms, .. } => Some(format!(
                "choose one with `--platform {}`",
                platforms.first()?
            )),
            Self::OtherThing { hint, .. } => Some(hint.clone()),
            Self::Bomb { path, tool, .. } => Some(format!(
                "if you trust the archive, {}",
                unpacking(path, tool)
            )),
            Self::Packing { .. } => {
                Some("choose a name that ends in `.tar`, `.tar.gz` or `.tar.zst`".to_owned())
            }
            Self::Changed { .. } => Some("run the command again".to_owned()),
            Self::ExistsAsOther { path, .. } | Self::HoldsOthers { path, .. } => Some(format!(
                "choose another output name, or remove `{}`",
                path.display()
            )),
            Self::Empty {
                is_stream: true, ..
            } => Some(
                "the command before the pipe wrote nothing; its error messages explain why"
                    .to_owned(),
            ),
            Self::Image(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Temporary(error) => Some(error.hint()),
            Self::NoEngine { program, .. } => Some(format!(
                "install `{program}`, or save the image to a file on another machine and read that file"
            )),
            Self::Io {
                action,
                path,
                source,
            } => scratch::hint_at(path, source).or_else(|| of_io(action, path, source.kind())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_where_and_what() {
        let error = TransportError::NoSuchName {
            path: "app".into(),
            name: "v3".to_owned(),
            choices: vec!["v1".to_owned(), "v2".to_owned()],
        };
        assert_eq!(
            error.to_string(),
            "no image `v3` in `app`; available: v1, v2"
        );
    }

    #[test]
    fn the_prefix_of_a_message_of_podman_is_left_out() {
        let error = |message: &str| TransportError::Engine {
            command: "podman save".to_owned(),
            message: message.to_owned(),
        };
        for message in ["app: image not known", "Error: app: image not known"] {
            assert_eq!(
                error(message).to_string(),
                "`podman save` failed: app: image not known"
            );
        }
    }
}
