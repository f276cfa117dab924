//! Pass 1: reading a layer once, from the first byte of its blob to the last, and keeping what
//! later steps need: its members, and what each bytecode file says about itself.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::deflate::BlockIndex;
use crate::limits::{LayerAllowances, LimitError};
use crate::oci::blob::into_blob_error;
use crate::oci::compression::Decoder;
use crate::oci::digest::HashingReader;
use crate::oci::image::Layer;
use crate::oci::{BlobError, BlobStore, Compression, Digest, DigestHasher, open_verified};
use crate::parallel::{read_ahead, try_map};
use crate::progress::{ObservedReader, Observer, Phase};
use crate::pyc::{Header, HeaderError, Magic, MarshalError, MarshalErrorKind, check_body};
use crate::rootfs::MemberId;
use crate::tar::{self, Kind, Member, TarError};

/// What can be wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[error("layer {number} ({digest})")]
pub struct LayerError {
    /// The layer, counted from 1.
    pub number: usize,
    /// Its blob's digest.
    pub digest: Digest,
    /// What is wrong.
    #[source]
    pub cause: Box<LayerErrorCause>,
}

/// What is wrong with a layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerErrorCause {
    /// The blob is missing or damaged.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It does not decompress, or reading failed.
    #[error("it cannot be decompressed")]
    Decode(#[source] io::Error),
    /// It is no tar archive.
    #[error(transparent)]
    Tar(TarError),
    /// It has more members, or names, than the image may have.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// It is another layer than the config says.
    #[error("its content hashes to {found}, but the config's diff_id is {expected}")]
    DiffId {
        /// The diff_id in the config.
        expected: Digest,
        /// The digest of the uncompressed bytes.
        found: Digest,
    },
    /// A layer could not be written.
    #[error("it cannot be written to {directory}")]
    Write {
        /// Where it was to be.
        directory: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// What one bytecode file holds.
#[derive(Debug, Clone)]
pub struct Bytecode {
    /// Its header, or why it has none.
    pub header: Result<Header, HeaderError>,
    /// Whether its body is marshalled code to its end; `Ok` also where that cannot be told.
    pub body: Result<(), MarshalError>,
    /// What the file is, to find identical ones.
    pub contents: Contents,
}

/// What a bytecode file is: two with equal contents are the same, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contents {
    /// Its header as it stands; empty where it has none.
    pub header: Box<[u8]>,
    /// SHA-256 of what follows the header.
    pub body_sha256: [u8; 32],
}

/// A layer, read.
#[derive(Debug)]
pub struct LayerScan {
    /// Its descriptor and diff_id.
    pub layer: Layer,
    /// How its blob is compressed, told from the bytes.
    pub compression: Compression,
    /// The deflate blocks of its blob, where that is gzip.
    pub blocks: BlockIndex,
    /// Bytes of the tar archive, with what follows its end marker.
    pub uncompressed_bytes: u64,
    /// Its members, in order.
    pub members: Vec<Member>,
    /// Headers, byte for byte, of the members that a plan may change: bytecode and hardlinks.
    pub raw_headers: HashMap<usize, Box<[u8]>>,
    /// What each bytecode file holds, by the index of its member.
    pub bytecode: HashMap<usize, Bytecode>,
}

/// Bytecode files larger than this are not examined, and so kept: the largest known is a tenth of it.
const LARGEST_BYTECODE: u64 = 64 << 20;

/// Members whose names are kept in one text.
const SHARING: usize = 1024;

/// Reads all layers of an image, at most `jobs` at a time.
///
/// # Errors
/// [`LayerError`] for the first layer that is missing, damaged, no tar archive, not the one
/// that the config means, or too much for `allowances`.
pub fn scan_layers(
    store: &dyn BlobStore,
    layers: &[Layer],
    jobs: usize,
    allowances: &LayerAllowances,
    observer: &dyn Observer,
) -> Result<Vec<LayerScan>, LayerError> {
    observer.begin(
        Phase::Reading,
        layers.len(),
        layers.iter().map(|layer| layer.descriptor.size()).sum(),
    );
    let scans = try_map(jobs, layers, |index, layer| {
        let scan = scan_layer(store, layer, allowances, observer)
            .map_err(|cause| layer_error(index, layer, cause))?;
        observer.item_done();
        Ok(scan)
    });
    observer.end();
    scans
}

/// A cause with the layer that it is about.
pub(crate) fn layer_error(index: usize, layer: &Layer, cause: LayerErrorCause) -> LayerError {
    LayerError {
        number: index + 1,
        digest: layer.descriptor.digest().clone(),
        cause: Box::new(cause),
    }
}

fn scan_layer(
    store: &dyn BlobStore,
    layer: &Layer,
    allowances: &LayerAllowances,
    observer: &dyn Observer,
) -> Result<LayerScan, LayerErrorCause> {
    let (mut scan, blocks) = read_layer(store, layer, observer, |compression, stream| {
        let mut scan = LayerScan {
            layer: layer.clone(),
            compression,
            blocks: BlockIndex::default(),
            uncompressed_bytes: 0,
            members: Vec::new(),
            raw_headers: HashMap::new(),
            bytecode: HashMap::new(),
        };
        let mut reader = tar::Reader::new(stream);
        while let Some(member) = reader.next_member()? {
            allowances.members.spend(1)?;
            let mut kept_bytes = member.held_bytes();
            let index = scan.members.len();
            let is_bytecode = member.kind == Kind::File && member.path.ends_with(b".pyc");
            if is_bytecode || member.kind == Kind::Hardlink {
                scan.raw_headers.insert(index, reader.raw_headers().into());
                kept_bytes += reader.raw_headers().len() as u64;
            }
            allowances.names.spend(kept_bytes)?;
            if is_bytecode && !member.is_sparse() && member.size <= LARGEST_BYTECODE {
                scan.bytecode
                    .insert(index, examine(&mut reader, member.size)?);
            }
            scan.members.push(member);
            if scan.members.len().is_multiple_of(SHARING) {
                tar::share_paths(&mut scan.members[index + 1 - SHARING..]);
            }
        }
        let rest = scan.members.len() / SHARING * SHARING;
        tar::share_paths(&mut scan.members[rest..]);
        scan.members.shrink_to_fit();
        scan.uncompressed_bytes = reader.drain()?;
        Ok(scan)
    })?;
    scan.blocks = blocks;
    Ok(scan)
}

fn examine(reader: &mut impl Read, size: u64) -> io::Result<Bytecode> {
    let mut bytes = Vec::with_capacity(size.min(1 << 20) as usize);
    reader.read_to_end(&mut bytes)?;
    let header = Header::parse(&bytes);
    let body = match &header {
        // Before a release the layout of code objects changes from one magic number to the next.
        Ok(header) if header.magic.is_final() => match header.magic.version() {
            Some(version) => checked(check_body(version, &bytes[header.length..])),
            None => Ok(()),
        },
        _ => Ok(()),
    };
    let (start, rest) = bytes.split_at(header.as_ref().map_or(0, |header| header.length));
    let contents = Contents {
        header: start.into(),
        body_sha256: Sha256::digest(rest).into(),
    };
    Ok(Bytecode {
        header,
        body,
        contents,
    })
}

/// What is too much to look at is not known to be wrong.
fn checked(body: Result<(), MarshalError>) -> Result<(), MarshalError> {
    match body {
        Err(error) if error.kind == MarshalErrorKind::TooMany => Ok(()),
        body => body,
    }
}

/// Reads a layer for the first time: blob and diff_id are checked to their last bytes. Returns the
/// blob's deflate blocks too.
fn read_layer<T>(
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

/// Reads a layer again that [`scan_layers`] read. The blob is checked as before; what a blob
/// decompresses to is known to be right then.
pub(crate) fn reread_layer<T>(
    store: &dyn BlobStore,
    layer: &Layer,
    observer: &dyn Observer,
    consume: impl FnOnce(&mut dyn Read) -> Result<T, LayerErrorCause>,
) -> Result<T, LayerErrorCause> {
    decode_layer(store, layer, observer, |_, stream| consume(stream)).map(|(value, _)| value)
}

/// Decompresses a layer for `consume`, checks the blob to its last byte, and says what is really wrong
/// where a damaged blob made the decoder stumble first.
///
/// Reading with its check, decompressing, and what `consume` does run side by side.
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

impl From<TarError> for LayerErrorCause {
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => error.into(),
            error => Self::Tar(error),
        }
    }
}

/// An error of what is read from an archive or of the stream below it.
impl From<io::Error> for LayerErrorCause {
    fn from(error: io::Error) -> Self {
        error
            .downcast::<TarError>()
            .map_or_else(Self::Decode, Self::Tar)
    }
}

/// Which sources are to be hashed, and as the interpreters of which magic numbers do it.
pub type WantedHashes = BTreeMap<MemberId, Vec<Magic>>;

/// The hashes of sources, by member and magic number.
pub type SourceHashes = HashMap<(MemberId, Magic), [u8; 8]>;
