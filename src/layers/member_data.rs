//! Reads the data of some members again after pass 1: sources to compile, an interpreter with its libraries, and
//! files whose content is compared.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::error::{LayerError, LayerErrorCause, layer_error};
use super::read::reread_layer;
use super::scan::LayerScan;
use crate::deflate::{SparseReader, discard};
use crate::oci::{BlobStore, Compression};
use crate::progress::Unobserved;
use crate::read_at::{ReadAt, ReadFrom};
use crate::rootfs::MemberId;
use crate::tar::{Member, TarError};

/// Calls `take` with the data of each wanted member, in the order of layers and members, until it breaks. Returns
/// what it broke with. Of gzip layers, only the parts around these members are decompressed.
///
/// The members must be regular files that are not sparse. Each one is in memory as a whole.
///
/// # Errors
/// [`LayerError`] if a layer cannot be read, or if a change of a compressed layer is noticed.
pub fn read_members<B>(
    store: &dyn BlobStore,
    layers: &[Arc<LayerScan>],
    wanted: &BTreeSet<MemberId>,
    take: Take<'_, B>,
) -> Result<ControlFlow<B>, LayerError> {
    for (layer, scan) in layers.iter().enumerate() {
        let ids = wanted.range(MemberId { layer, index: 0 }..);
        let members: Vec<(MemberId, &Member)> = ids
            .take_while(|id| id.layer == layer)
            .map(|id| (*id, &scan.members[id.index]))
            .collect();
        if members.is_empty() {
            continue;
        }
        let flow = read_layer(store, scan, &members, take)
            .map_err(|cause| layer_error(layer, &scan.layer, cause))?;
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Takes the data of a member.
type Take<'a, B> = &'a mut dyn FnMut(MemberId, Vec<u8>) -> ControlFlow<B>;

fn read_layer<B>(
    store: &dyn BlobStore,
    scan: &LayerScan,
    members: &[(MemberId, &Member)],
    take: Take<'_, B>,
) -> Result<ControlFlow<B>, LayerErrorCause> {
    let digest = scan.layer.descriptor.digest();
    if !scan.blocks.is_empty() {
        let bytes: Arc<dyn ReadAt> = Arc::new(store.open(digest)?);
        let mut reader = SparseReader::new(bytes, &scan.blocks);
        let skip = |reader: &mut SparseReader<'_>, bytes| reader.skip(bytes);
        return each(&mut reader, skip, members, take).map_err(LayerErrorCause::Decode);
    }
    if scan.compression == Compression::None {
        let blob = store.open(digest)?;
        for (id, member) in members {
            let mut data = ReadFrom::new(blob.clone(), member.data_offset());
            let data = read_exactly(&mut data, member.size).map_err(LayerErrorCause::Decode)?;
            let flow = take(*id, data);
            if flow.is_break() {
                return Ok(flow);
            }
        }
        return Ok(ControlFlow::Continue(()));
    }
    reread_layer(store, &scan.layer, &Unobserved, |mut stream| {
        let flow = each(&mut stream, discard, members, take);
        let flow = flow.map_err(TarError::Io)?;
        // The blob is only checked at its end.
        io::copy(&mut stream, &mut io::sink())?;
        Ok(flow)
    })
}

fn each<R: Read, B>(
    reader: &mut R,
    skip: impl Fn(&mut R, u64) -> io::Result<()>,
    members: &[(MemberId, &Member)],
    take: Take<'_, B>,
) -> io::Result<ControlFlow<B>> {
    let mut position = 0;
    for (id, member) in members {
        skip(reader, member.data_offset() - position)?;
        let data = read_exactly(reader, member.size)?;
        position = member.data_offset() + member.size;
        let flow = take(*id, data);
        if flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn read_exactly(reader: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut data = Vec::with_capacity(size.min(1 << 20) as usize);
    reader.take(size).read_to_end(&mut data)?;
    match data.len() as u64 == size {
        true => Ok(data),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
