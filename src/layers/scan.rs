//! Pass 1: reading a layer once, from the first byte of its blob to the last, and keeping what
//! later steps need: its members, and what each bytecode file says about itself.

use std::collections::HashMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::access::Access;
use super::error::{LayerError, LayerErrorCause, layer_error};
use super::read::read_layer;
use crate::deflate::BlockIndex;
use crate::limits::LayerAllowances;
use crate::oci::image::Layer;
use crate::oci::{BlobStore, Compression};
use crate::parallel::try_map;
use crate::progress::{Observer, Phase};
use crate::pyc::{Header, HeaderError, MarshalError, MarshalErrorKind, check_body};
use crate::tar::{self, Kind, Member};

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

/// Reads all layers of an image.
///
/// # Errors
/// [`LayerError`] for the first layer that is missing, damaged, no tar archive, not the one
/// that the config means, or too much for `allowances`.
pub fn scan_layers(
    access: Access<'_>,
    layers: &[Layer],
    allowances: &LayerAllowances,
) -> Result<Vec<LayerScan>, LayerError> {
    let Access {
        store,
        jobs,
        observer,
    } = access;
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
