//! Recognizes paths that are not images, and says how to make images from them.

use std::io::Read;
use std::path::Path;

use crate::oci::Blob;
use crate::quoting::quoted;

use super::error::TransportError;
use super::file_names::{INDEX_JSON, MANIFEST_JSON};
use super::hints::unpacking;

/// Number of bytes to read from the start of a file to recognize it.
const START: u64 = 4096;

/// Directories at the top of a root file system. Two of them are enough to recognize one.
const TOP: [&str; 4] = ["etc", "usr", "var", "bin"];

/// Recognizes a file that pycull cannot read as an archive.
pub(super) fn recognized(file: &Blob, path: &Path) -> Option<TransportError> {
    let mut start = Vec::new();
    file.reader().take(START).read_to_end(&mut start).ok()?;
    let name = quoted(&path.display().to_string());
    let is_stdin = path == Path::new("-");
    let unpack = |tool: &str| unpacking(path, tool);
    let (found, hint) = match &start[..] {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ("compressed with xz", unpack("xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => ("compressed with bzip2", unpack("bzip2")),
        [0x04, 0x22, 0x4d, 0x18, ..] => ("compressed with lz4", unpack("lz4")),
        [b'P', b'K', 3, 4, ..] => (
            "a zip archive",
            match is_stdin {
                true => "an image archive is a tar file".to_owned(),
                false => format!(
                    "an image archive is a tar file; `unzip -l {name}` lists what is in this file"
                ),
            },
        ),
        _ if is_containerfile(&start) && is_stdin => (
            "a Containerfile",
            "build the image first, then pipe it: `podman save --format oci-archive app | pycull inspect -`"
                .to_owned(),
        ),
        _ if is_containerfile(&start) => (
            "a Containerfile",
            format!(
                "build the image first: `podman build -t app -f {name} && podman save --format oci-archive -o app.tar app`"
            ),
        ),
        _ => return None,
    };
    Some(other(path, found, hint))
}

fn other(path: &Path, found: &'static str, hint: String) -> TransportError {
    TransportError::OtherThing {
        path: path.to_owned(),
        found,
        hint,
    }
}

/// Whether the text begins with an instruction that can begin a Containerfile.
fn is_containerfile(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let mut lines = text.lines().map(str::trim_start);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let mut words = first.unwrap_or_default().split_whitespace();
    let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
    matches!(instruction.as_str(), "FROM" | "ARG") && words.next().is_some() && !start.contains(&0)
}

/// The error for an archive without the tables of an image. `names` are the names in the archive.
pub(super) fn in_archive(path: &Path, names: &[&str]) -> TransportError {
    let is_below = |name: &str, top: &str| {
        let rest = name.strip_prefix(top);
        rest.is_some_and(|rest| rest.starts_with('/'))
    };
    let has = |top: &&str| names.iter().any(|name| is_below(name, top));
    if TOP.iter().filter(|top| has(top)).count() < 2 {
        return TransportError::NotAnImage {
            path: path.to_owned(),
            reason: format!("the archive has neither {INDEX_JSON} nor {MANIFEST_JSON}"),
        };
    }
    let hint = format!(
        "make an image from it first: `podman import {} app && {SAVE}`",
        quoted(&path.display().to_string())
    );
    other(path, "an archive of a root file system", hint)
}

const SAVE: &str = "podman save --format oci-archive -o app.tar app";

/// Recognizes a directory that is not a layout.
pub(super) fn in_directory(path: &Path) -> Option<TransportError> {
    let name = quoted(&path.display().to_string());
    if TOP.iter().filter(|top| path.join(top).is_dir()).count() >= 2 {
        let hint = format!(
            "make an image from it first: `tar -cC {name} . | podman import - app && {SAVE}`"
        );
        return Some(other(path, "a root file system", hint));
    }
    let builds = ["Containerfile", "Dockerfile"];
    builds.iter().find(|file| path.join(file).is_file())?;
    let hint = format!("build the image first: `podman build -t app {name} && {SAVE}`");
    Some(other(path, "a build context", hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::spool;

    fn found(content: &[u8], path: &str) -> Option<(&'static str, String)> {
        let file = spool::blob_of(content).unwrap();
        match recognized(&file, Path::new(path))? {
            TransportError::OtherThing { found, hint, .. } => Some((found, hint)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_containerfile_begins_with_an_instruction_that_has_an_argument() {
        for text in [
            "FROM python",
            "from python\n",
            "# syntax=docker/dockerfile:1\n\n  ARG VERSION=3\nFROM python:$VERSION\n",
        ] {
            let (what, hint) = found(text.as_bytes(), "a file").unwrap();
            assert_eq!(what, "a Containerfile", "{text}");
            assert!(hint.contains("podman build -t app -f 'a file'"), "{hint}");
        }
        for text in [
            "FROM",
            "# FROM python",
            "RUN true",
            "some words",
            "",
            "FROM a\0b",
        ] {
            assert_eq!(found(text.as_bytes(), "a file"), None, "{text}");
        }
    }

    #[test]
    fn a_file_on_standard_input_is_not_named_in_a_hint() {
        for content in [&b"FROM python"[..], b"PK\x03\x04"] {
            let [(_, piped), (_, named)] =
                ["-", "a-file"].map(|path| found(content, path).unwrap());
            assert!(
                !piped.contains(" -f -") && !piped.contains("unzip"),
                "{piped}"
            );
            assert!(named.contains("a-file"), "{named}");
        }
    }
}
