//! Pass 1: reads a layer once, from the first byte of its blob to the last. It keeps what later steps need: the
//! members, and the header and hash of each bytecode file.

use std::collections::HashMap;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use super::error::LayerErrorCause;
use super::read::read_layer;
use crate::deflate::BlockIndex;
use crate::limits::LayerAllowances;
use crate::oci::image::Layer;
use crate::oci::{BlobStore, Compression};
use crate::progress::Observer;
use crate::pyc::{Header, HeaderError, MarshalError, MarshalErrorKind, check_body};
use crate::tar::{self, Kind, Member};

/// The properties of one bytecode file.
#[derive(Debug, Clone)]
pub struct Bytecode {
    /// The header, or why it is invalid.
    pub header: Result<Header, HeaderError>,
    /// Whether the body is valid marshalled code. `Ok` if that is unknown.
    pub body: Result<(), MarshalError>,
    /// Identifies the content, to find identical files.
    pub contents: Contents,
}

/// Identifies the content of a bytecode file. Files with equal values are equal byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Contents {
    /// The bytes of the header; empty if it is invalid.
    pub header: Box<[u8]>,
    /// SHA-256 of the bytes after the header.
    pub body_sha256: [u8; 32],
}

/// The result of reading a layer.
#[derive(Debug)]
pub struct LayerScan {
    /// The descriptor and diff_id.
    pub layer: Layer,
    /// The blob's compression, recognized from the bytes.
    pub compression: Compression,
    /// The deflate blocks of a gzip blob; empty for others.
    pub blocks: BlockIndex,
    /// Bytes of the tar archive, including those after its end marker.
    pub uncompressed_bytes: u64,
    /// The members, in order.
    pub members: Vec<Member>,
    /// Raw headers of the members that a plan may change: bytecode and hardlinks. By the index of the member.
    pub raw_headers: HashMap<usize, Box<[u8]>>,
    /// The properties of each bytecode file, by the index of its member.
    pub bytecode: HashMap<usize, Bytecode>,
}

/// Larger bytecode files are not examined, and so stay. The largest known is a tenth of this.
const LARGEST_BYTECODE: u64 = 64 << 20;

/// Members that share one allocation for their names.
const SHARING: usize = 1024;

/// Reads a layer from the first byte to the last.
pub(super) fn scan_layer(
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
        // Before a final release, the layout of code objects changes between magic numbers.
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

/// Accepts a body that is too large to check, because nothing shows that it is wrong.
fn checked(body: Result<(), MarshalError>) -> Result<(), MarshalError> {
    match body {
        Err(error) if error.kind == MarshalErrorKind::TooMany => Ok(()),
        body => body,
    }
}
