//! OCI archives: an image layout in a tar file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use serde_json::Value;

use super::archive::{self, Archive, Content};
use super::archive_update::{Images, InPlace, Remainder, index_with};
use super::error::TransportError;
use super::file_names::{INDEX_JSON, OCI_LAYOUT, OCI_LAYOUT_CONTENT, blob_name};
use super::index_json::{check_layout_version, choose, roots, with_roots};
use super::medium::Medium;
use super::output::OutputImage;
use super::reference::Wanted;
use super::source::{Source, docker_names};
use super::transports::Transport;

/// Opens the image that `reference` chooses from the archive's `index.json`.
pub(super) fn open(
    archive: Arc<Archive>,
    wanted: Wanted<'_>,
    medium: Medium,
) -> Result<Source, TransportError> {
    check_layout_version(&archive.read_json(OCI_LAYOUT)?, &archive.path)?;
    let index = archive.read_json(INDEX_JSON)?;
    let roots = roots(&index);
    let transport = match medium {
        Medium::DockerArchive(_) => Transport::DockerArchive,
        _ => Transport::OciArchive,
    };
    let root = choose(roots, wanted, transport, &*archive)?;
    let names = docker_names(roots, &root, wanted);
    Ok(Source::new(archive, root, medium, wanted.reference, names))
}

/// The files of an archive that holds `output` and lists `roots` in its `index.json`.
pub(super) fn files<'a>(output: &'a OutputImage, roots: &[Value]) -> BTreeMap<String, Content<'a>> {
    let index = with_roots(roots).to_string().into_bytes();
    let documents = [
        (
            OCI_LAYOUT.to_owned(),
            Content::Bytes(OCI_LAYOUT_CONTENT.to_vec()),
        ),
        (INDEX_JSON.to_owned(), Content::Bytes(index)),
    ];
    let blobs = output.blobs.iter();
    documents
        .into_iter()
        .chain(blobs.map(|blob| (blob_name(&blob.digest), Content::Blob(blob))))
        .collect()
}

/// Writes an archive of `output`. If `in_place` is set, copies the other images of that archive.
pub(super) fn write(
    output: &OutputImage,
    in_place: Option<&InPlace>,
    to: impl Write,
    path: &Path,
) -> Result<(), TransportError> {
    output.checked()?;
    let new = slice::from_ref(&output.root);
    let Some(InPlace { archive, .. }) = in_place else {
        return archive::write(to, path, &files(output, new));
    };
    let (index, gone) = index_with(archive, new, &output.origin)?;
    let stays = roots(&index).iter().filter(|root| !new.contains(root));
    let stays = Images {
        roots: stays.collect(),
        ..Images::default()
    };
    let goes = Images {
        roots: gone.iter().collect(),
        ..Images::default()
    };
    let remainder = Remainder::new(archive, &stays, &goes);
    if !remainder.has_images {
        return archive::write(to, path, &files(output, new));
    }
    let mut files = files(output, new);
    files.remove(OCI_LAYOUT);
    let index = index.to_string().into_bytes();
    files.insert(INDEX_JSON.to_owned(), Content::Bytes(index));
    remainder.write(to, path, files)
}

#[cfg(test)]
mod tests {
    use super::super::output::check_complete;
    use super::super::testing::{image, refer};
    use super::*;

    #[test]
    fn an_archive_reads_back_and_its_bytes_are_the_same_every_time() {
        let output = image("v1", b"layer");
        let mut first = Vec::new();
        write(&output, None, &mut first, Path::new("-")).unwrap();
        let mut reordered = output.clone();
        reordered.blobs.reverse();
        let mut second = Vec::new();
        write(&reordered, None, &mut second, Path::new("-")).unwrap();
        assert_eq!(first, second);

        let source = Source::open(&refer("-"), &first[..]).unwrap();
        assert_eq!(source.medium, Medium::OciArchive);
        assert_eq!(source.root, output.root);
        check_complete(&*source.store, &source.root).unwrap();
    }

    #[test]
    fn an_archive_of_a_blob_that_is_missing_is_not_begun() {
        let mut output = image("v1", b"layer");
        output.blobs.pop();
        let mut written = Vec::new();
        assert!(write(&output, None, &mut written, Path::new("-")).is_err());
        assert!(written.is_empty());
    }

    #[test]
    fn a_compressed_archive_on_standard_input_is_read() {
        let mut tar = Vec::new();
        write(&image("v1", b"layer"), None, &mut tar, Path::new("-")).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&tar).unwrap();
        let source = Source::open(&refer("-"), &gzip.finish().unwrap()[..]).unwrap();
        check_complete(&*source.store, &source.root).unwrap();
    }

    #[test]
    fn another_layout_version_is_refused() {
        let files = BTreeMap::from([
            (
                OCI_LAYOUT.to_owned(),
                Content::Bytes(br#"{"imageLayoutVersion":"2"}"#.to_vec()),
            ),
            (INDEX_JSON.to_owned(), Content::Bytes(b"{}".to_vec())),
        ]);
        let mut tar = Vec::new();
        archive::write(&mut tar, Path::new("-"), &files).unwrap();
        assert!(matches!(
            Source::open(&refer("-"), &tar[..]).map(|_| ()),
            Err(TransportError::Malformed { .. })
        ));
    }
}
