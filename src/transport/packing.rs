//! The compression of a whole archive, which its name decides.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::error::TransportError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// File name extensions and the compression that they mean. `None` is a compression that pycull does not write.
const ENDINGS: [(&str, Option<Packing>); 11] = [
    (".tar", Some(Packing::None)),
    (".tar.gz", Some(Packing::Gzip)),
    (".tgz", Some(Packing::Gzip)),
    (".tar.zst", Some(Packing::Zstd)),
    (".tzst", Some(Packing::Zstd)),
    (".tar.xz", None),
    (".txz", None),
    (".tar.bz2", None),
    (".tbz2", None),
    (".tar.lz4", None),
    (".tar.lzma", None),
];

fn ending(path: &Path) -> Option<Option<Packing>> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let found = ENDINGS.iter().find(|(ending, _)| name.ends_with(ending));
    found.map(|(_, packing)| *packing)
}

/// Whether the name ends with the extension of an archive.
pub(super) fn names_archive(path: &Path) -> bool {
    ending(path).is_some()
}

/// The compression that the name asks for. A name without a known extension means no compression.
pub(super) fn of_name(path: &Path) -> Result<Packing, TransportError> {
    match ending(path) {
        Some(None) => Err(TransportError::Packing {
            path: path.to_owned(),
        }),
        Some(Some(packing)) => Ok(packing),
        None => Ok(Packing::None),
    }
}

/// Compresses what is written to a file. The file is complete after `finish`.
pub(super) enum Packed<'a> {
    Plain(&'a File),
    Gzip(flate2::write::GzEncoder<&'a File>),
    Zstd(zstd::Encoder<'static, &'a File>),
}

impl<'a> Packed<'a> {
    pub(super) fn new(file: &'a File, packing: Packing) -> io::Result<Self> {
        Ok(match packing {
            Packing::None => Self::Plain(file),
            Packing::Gzip => {
                let level = flate2::Compression::default();
                Self::Gzip(flate2::write::GzEncoder::new(file, level))
            }
            Packing::Zstd => Self::Zstd(zstd::Encoder::new(file, 0)?),
        })
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(encoder) => encoder.finish().map(drop),
            Self::Zstd(encoder) => encoder.finish().map(drop),
        }
    }
}

impl Write for Packed<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(buffer),
            Self::Gzip(encoder) => encoder.write(buffer),
            Self::Zstd(encoder) => encoder.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            // Flushing in the middle would make the output larger. `finish` writes the rest.
            Self::Gzip(_) | Self::Zstd(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    #[test]
    fn an_archive_is_compressed_as_its_name_says() {
        for (name, expected) in [
            ("a.tar", Some(Packing::None)),
            ("a", Some(Packing::None)),
            ("a.gz", Some(Packing::None)),
            ("a.tar.gz", Some(Packing::Gzip)),
            ("A.TGZ", Some(Packing::Gzip)),
            ("a.tar.zst", Some(Packing::Zstd)),
            ("a.tar.xz", None),
            ("a.tbz2", None),
        ] {
            assert_eq!(of_name(Path::new(name)).ok(), expected, "{name}");
        }
    }

    #[test]
    fn what_is_compressed_is_complete_once_it_is_finished() {
        for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
            let content = vec![b'x'; 100_000];
            let file = tempfile::tempfile().unwrap();
            let mut packed = Packed::new(&file, packing).unwrap();
            packed.write_all(&content).unwrap();
            packed.flush().unwrap();
            packed.finish().unwrap();
            let mut bytes = Vec::new();
            (&file).rewind().unwrap();
            (&file).read_to_end(&mut bytes).unwrap();
            let plain = match packing {
                Packing::None => bytes,
                Packing::Gzip => {
                    let mut plain = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
                    decoder.read_to_end(&mut plain).unwrap();
                    plain
                }
                Packing::Zstd => zstd::decode_all(&bytes[..]).unwrap(),
            };
            assert!(plain == content, "{packing:?}");
        }
    }
}
