//! Reads the tar stream of a layer. Separate threads read and check the blob, decompress it, and consume the stream.

use std::io::{self, Read};

use super::error::LayerErrorCause;
use crate::deflate::BlockIndex;
use crate::oci::blob::into_blob_error;
use crate::oci::compression::Decoder;
use crate::oci::digest::HashingReader;
use crate::oci::image::Layer;
use crate::oci::{BlobError, BlobStore, Compression, DigestHasher, open_verified};
use crate::parallel::read_ahead;
use crate::progress::{ObservedReader, Observer};

/// Reads a layer for the first time. Checks the blob and the diff_id to their last bytes. Returns the blob's deflate
/// blocks too.
pub(super) fn read_layer<T>(
    store: &dyn BlobStore,
    layer: &Layer,
    observer: &dyn Observer,
    consume: impl FnOnce(Compression, &mut dyn Read) -> Result<T, LayerErrorCause>,
) -> Result<(T, BlockIndex), LayerErrorCause> {
    let hasher = DigestHasher::for_digest(&layer.diff_id).ok_or_else(|| BlobError::Algorithm {
        digest: layer.diff_id.clone(),
    })?;
    decode_layer(store, layer, observer, |compression, inner| {
        let mut stream = HashingReader { inner, hasher };
        let value = consume(compression, &mut stream)?;
        io::copy(&mut stream, &mut io::sink())?;
        Ok((value, stream.hasher.finish()))
    })
    .and_then(|((value, found), blocks)| match found == layer.diff_id {
        true => Ok((value, blocks)),
        false => Err(LayerErrorCause::DiffId {
            expected: layer.diff_id.clone(),
            found,
        }),
    })
}

/// Reads a layer again after [`scan_layers`](super::scan_layers). Checks the blob again. A blob with the right digest
/// decompresses to the content that was checked before.
pub(crate) fn reread_layer<T>(
    store: &dyn BlobStore,
    layer: &Layer,
    observer: &dyn Observer,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, LayerErrorCause>,
) -> Result<T, LayerErrorCause> {
    decode_layer(store, layer, observer, |_, stream| consume(stream)).map(|(value, _)| value)
}

/// Decompresses a layer for `consume` and checks the blob to its last byte. If a damaged blob made the decoder fail
/// first, returns the error of the blob.
///
/// Reading with its check, decompressing and `consume` run in parallel.
fn decode_layer<T>(
    store: &dyn BlobStore,
    layer: &Layer,
    observer: &dyn Observer,
    consume: impl FnOnce(Compression, &mut dyn Read) -> Result<T, LayerErrorCause>,
) -> Result<(T, BlockIndex), LayerErrorCause> {
    let digest = layer.descriptor.digest();
    let verified = open_verified(store, &layer.descriptor)?;
    let mut blob = ObservedReader {
        inner: verified,
        observer,
    };
    let result = read_ahead(&mut blob, |blob| {
        let mut decoder =
            Decoder::new(blob, layer.descriptor.size()).map_err(LayerErrorCause::Decode)?;
        let compression = decoder.compression();
        let value = read_ahead(&mut decoder, |stream| consume(compression, stream));
        Ok((value?, decoder.into_block_index()))
    });
    let rest = io::copy(&mut blob, &mut io::sink()).map_err(|error| into_blob_error(error, digest));
    match (rest, result) {
        (Err(damage), _) => Err(damage.into()),
        (Ok(_), result) => result,
    }
}
