//! Turns the plan for a layer into edits to its tar stream.

use std::borrow::Cow;
use std::ops::Range;

use crate::deflate::Kept;
use crate::layers::LayerScan;
use crate::plan::{Action, LayerPlan, NewHeader, Patch};
use crate::tar::{self, HeaderError, NewMember, TarError};

/// Replaces a stretch of the uncompressed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit<'a> {
    /// The bytes to remove.
    pub range: Range<u64>,
    /// The bytes to insert in their place.
    pub replacement: Cow<'a, [Piece]>,
}

/// Bytes that an edit inserts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// New bytes.
    Bytes(Vec<u8>),
    /// An earlier stretch of the same stream. Two such stretches must not overlap, unless they are equal.
    Earlier(Range<u64>),
    /// A stretch of a [`Spool`](super::spool::Spool).
    Spooled(Range<u64>),
}

/// Returns the edits for a plan, sorted, with adjacent cuts joined. `added` comes after the last member.
///
/// # Errors
/// [`TarError::Header`] if the headers of a member to change cannot be parsed.
pub(crate) fn edits<'a>(
    scan: &LayerScan,
    plan: &LayerPlan,
    added: &'a [Piece],
) -> Result<Vec<Edit<'a>>, TarError> {
    let mut edits: Vec<Edit<'_>> = Vec::with_capacity(plan.steps.len());
    for (index, step) in &plan.steps {
        let member = &scan.members[*index];
        let header_error = |source| TarError::Header {
            offset: member.offset,
            source,
        };
        let replacement = match &step.action {
            Action::Patch(patches) => {
                edits.extend(patched(scan, *index, patches).map_err(header_error)?);
                continue;
            }
            Action::Drop => implied_directories(plan, *index),
            Action::Promote {
                data,
                between,
                header,
            } => {
                let links = between.iter().chain([index]).copied();
                promoted(scan, *data, links, header.as_ref()).map_err(header_error)?
            }
            Action::Link { target } => linked(scan, *index, target).map_err(header_error)?,
        };
        let range = member.offset..member.end();
        match edits.last_mut() {
            Some(last)
                if last.range.end == range.start
                    && replacement.is_empty()
                    && last.replacement.is_empty() =>
            {
                last.range.end = range.end;
            }
            _ => edits.push(Edit {
                range,
                replacement: replacement.into(),
            }),
        }
    }
    if !added.is_empty() {
        let end = scan.members.last().map_or(0, tar::Member::end);
        edits.push(Edit {
            range: end..end,
            replacement: added.into(),
        });
    }
    Ok(edits)
}

/// Turns a member into a hardlink.
fn linked(scan: &LayerScan, index: usize, target: &[u8]) -> Result<Vec<Piece>, HeaderError> {
    let headers = tar::hardlink_to(raw_headers(scan, index)?, target)?;
    Ok(vec![Piece::Bytes(headers)])
}

/// The file that a hardlink becomes, with the data of a member that goes. `links` are the hardlinks that give it their
/// headers, in order; the last one is the one that stays.
fn promoted(
    scan: &LayerScan,
    data: usize,
    links: impl Iterator<Item = usize>,
    header: Option<&NewHeader>,
) -> Result<Vec<Piece>, HeaderError> {
    let mut bytes = raw_headers(scan, data)?.to_vec();
    for link in links {
        bytes = tar::heir(&bytes, raw_headers(scan, link)?, &scan.members[link].path)?;
    }
    let changed = header.map_or(&[][..], |header| &header.bytes);
    bytes.extend_from_slice(changed);
    let source = &scan.members[data];
    Ok(vec![
        Piece::Bytes(bytes),
        Piece::Earlier(source.data_offset() + changed.len() as u64..source.end()),
    ])
}

/// Changes the data of a member. If the size changes, its headers and padding change too.
fn patched(
    scan: &LayerScan,
    index: usize,
    patches: &[Patch],
) -> Result<Vec<Edit<'static>>, HeaderError> {
    let member = &scan.members[index];
    let start = member.data_offset();
    let edit = |range: Range<u64>, bytes: Vec<u8>| Edit {
        range,
        replacement: vec![Piece::Bytes(bytes)].into(),
    };
    let in_place = patches.iter().map(|patch| {
        let range = start + patch.range.start..start + patch.range.end;
        edit(range, patch.bytes.clone())
    });
    let old = member.stored_bytes();
    let new = Patch::size_after(patches, old);
    if new == old {
        return Ok(in_place.collect());
    }
    if member.is_sparse() {
        return Err(HeaderError::Sparse);
    }
    let headers = tar::resized(raw_headers(scan, index)?, new)?;
    let padding = new.next_multiple_of(tar::BLOCK) - new;
    let mut edits = vec![edit(member.offset..start, headers)];
    edits.extend(in_place);
    edits.push(edit(start + old..member.end(), vec![0; padding as usize]));
    Ok(edits)
}

/// The directories to write in place of a member that goes.
fn implied_directories(plan: &LayerPlan, index: usize) -> Vec<Piece> {
    let paths = plan.implied.get(&index).into_iter().flatten();
    let headers: Vec<u8> = paths
        .flat_map(|path| tar::new_headers(&NewMember::implied_directory(path)))
        .collect();
    match headers.is_empty() {
        true => Vec::new(),
        false => vec![Piece::Bytes(headers)],
    }
}

/// Returns the stretches that a stream of `length` bytes keeps after the edits, in their new order, and the new length.
pub(crate) fn kept(edits: &[Edit<'_>], length: u64) -> (Vec<Kept>, u64) {
    let mut kept = Vec::with_capacity(edits.len() + 1);
    let (mut old, mut new) = (0, 0);
    let mut keep = |range: Range<u64>, new: &mut u64| {
        let bytes = range.end - range.start;
        if bytes > 0 {
            kept.push(Kept {
                old: range,
                new_start: *new,
            });
        }
        *new += bytes;
    };
    for edit in edits {
        keep(old..edit.range.start, &mut new);
        for piece in edit.replacement.iter() {
            match piece {
                Piece::Bytes(bytes) => new += bytes.len() as u64,
                Piece::Spooled(range) => new += range.end - range.start,
                Piece::Earlier(range) => keep(range.clone(), &mut new),
            }
        }
        old = edit.range.end;
    }
    keep(old..length, &mut new);
    (kept, new)
}

fn raw_headers(scan: &LayerScan, index: usize) -> Result<&[u8], HeaderError> {
    scan.raw_headers
        .get(&index)
        .map(|raw| &**raw)
        .ok_or(HeaderError::NotKept)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;
    use crate::deflate::BlockIndex;
    use crate::oci::digest::sha256_digest;
    use crate::oci::{Compression, image::Layer};
    use crate::plan::{Reason, Step};
    use crate::rewrite::apply::{Output, Whole, apply};
    use crate::tar::Reader;

    /// An archive of three files. `data` is the data of the second one.
    fn archive(data: &[u8]) -> Vec<u8> {
        let mut archive = ::tar::Builder::new(Vec::new());
        for (name, data) in [("a", &b"first"[..]), ("b", data), ("c", b"last")] {
            let mut header = ::tar::Header::new_ustar();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, data).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn scan(archive: &[u8]) -> LayerScan {
        let descriptor = serde_json::json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": sha256_digest(archive).as_ref(),
            "size": archive.len(),
        });
        let mut members = Vec::new();
        let mut raw_headers = HashMap::new();
        let mut reader = Reader::new(archive);
        while let Some(member) = reader.next_member().unwrap() {
            raw_headers.insert(members.len(), reader.raw_headers().into());
            members.push(member);
        }
        LayerScan {
            layer: Layer {
                descriptor: serde_json::from_value(descriptor).unwrap(),
                diff_id: sha256_digest(archive),
            },
            compression: Compression::None,
            blocks: BlockIndex::default(),
            uncompressed_bytes: archive.len() as u64,
            members,
            raw_headers,
            bytecode: HashMap::new(),
        }
    }

    impl Output for Vec<u8> {
        fn unneeded(&mut self) -> std::io::Result<u64> {
            Ok(0)
        }

        fn skip(&mut self, _: u64) -> std::io::Result<()> {
            unreachable!("every byte is needed")
        }
    }

    /// The archive after patches to its second file.
    fn patched(archive: &[u8], patches: &[(Range<u64>, &[u8])]) -> Vec<u8> {
        let patches = patches.iter().map(|(range, bytes)| Patch {
            range: range.clone(),
            bytes: bytes.to_vec(),
        });
        let step = Step {
            path: b"b".to_vec(),
            action: Action::Patch(patches.collect()),
            reason: Reason::HashMismatch,
        };
        let plan = LayerPlan {
            steps: BTreeMap::from([(1, step)]),
            ..LayerPlan::default()
        };
        let edits = edits(&scan(archive), &plan, &[]).unwrap();
        let length = archive.len() as u64;
        let mut output = Vec::new();
        apply(
            &mut Whole(archive),
            length,
            &edits,
            &Vec::new(),
            &mut output,
        )
        .unwrap();
        assert_eq!(kept(&edits, length).1, output.len() as u64);
        output
    }

    #[test]
    fn patches_of_the_same_length_change_their_bytes_alone() {
        let old = archive(b"0123456789");
        let new = patched(&old, &[(0..2, b"ab"), (2..3, b"c"), (9..10, b"z")]);
        assert_eq!(new, archive(b"abc345678z"));
    }

    #[test]
    fn a_member_may_get_other_data_of_another_size() {
        let sizes = [0, 1, 511, 512, 513, 5000];
        for old in sizes {
            let old_data = vec![b'x'; old];
            for new in sizes {
                let new_data = vec![b'y'; new];
                let found = patched(&archive(&old_data), &[(0..old as u64, &new_data)]);
                assert_eq!(found, archive(&new_data), "from {old} to {new} bytes");
            }
        }
    }

    #[test]
    fn data_may_come_between_data_and_at_its_end() {
        let old = archive(b"0123456789");
        let new = patched(&old, &[(5..5, b"--"), (7..9, b""), (10..10, b"end")]);
        assert_eq!(new, archive(b"01234--569end"));
    }
}
