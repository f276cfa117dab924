//! What a plan changes in a layer, as edits to its tar stream.

use std::ops::Range;

use crate::deflate::Kept;
use crate::layers::LayerScan;
use crate::plan::{Action, LayerPlan};
use crate::tar::{self, HeaderError, NewMember};

/// A change to a stretch of the uncompressed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The bytes that go.
    pub range: Range<u64>,
    /// What comes in their place.
    pub replacement: Vec<Piece>,
}

impl Edit {
    /// Bytes that come in.
    pub(crate) fn added_bytes(&self) -> u64 {
        let length = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Earlier(range) | Piece::Compiled(range) => range.end - range.start,
        };
        self.replacement.iter().map(length).sum()
    }
}

/// Bytes that an edit puts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These.
    Bytes(Vec<u8>),
    /// Those of an earlier stretch of the same stream. No two that edits want may overlap, unless they
    /// are the same.
    Earlier(Range<u64>),
    /// Those of a stretch of the compiled bodies.
    Compiled(Range<u64>),
}

/// The edits that a plan means, in order, adjacent cuts joined; `added` comes after the last member.
///
/// # Errors
/// [`HeaderError`] where the headers of a member to be changed cannot be taken apart.
pub(crate) fn edits(
    scan: &LayerScan,
    plan: &LayerPlan,
    added: Vec<Piece>,
) -> Result<Vec<Edit>, HeaderError> {
    let mut edits: Vec<Edit> = Vec::with_capacity(plan.steps.len());
    for (index, step) in &plan.steps {
        let member = &scan.members[*index];
        let mut range = member.offset..member.end();
        let replacement = match &step.action {
            Action::Drop => implied_directories(plan, *index),
            Action::Promote { data, header } => {
                let source = &scan.members[*data];
                let (file, link) = (raw_headers(scan, *data)?, raw_headers(scan, *index)?);
                let mut bytes = tar::heir(file, link, &member.path)?;
                let changed = header.as_ref().map_or(&[][..], |header| &header.bytes);
                bytes.extend_from_slice(changed);
                vec![
                    Piece::Bytes(bytes),
                    Piece::Earlier(source.data_offset() + changed.len() as u64..source.end()),
                ]
            }
            Action::Header(header) => {
                range = member.data_offset()..member.data_offset() + header.len() as u64;
                vec![Piece::Bytes(header.clone())]
            }
            Action::Link { target } => vec![Piece::Bytes(tar::hardlink_to(
                raw_headers(scan, *index)?,
                target,
            )?)],
        };
        match edits.last_mut() {
            Some(last)
                if last.range.end == range.start
                    && replacement.is_empty()
                    && last.replacement.is_empty() =>
            {
                last.range.end = range.end;
            }
            _ => edits.push(Edit { range, replacement }),
        }
    }
    if !added.is_empty() {
        let end = scan.members.last().map_or(0, tar::Member::end);
        edits.push(Edit {
            range: end..end,
            replacement: added,
        });
    }
    Ok(edits)
}

/// The directories that come in the place of a member which goes.
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

/// What a stream of `length` bytes keeps in its order after the edits, and its length then.
pub(crate) fn kept(edits: &[Edit], length: u64) -> (Vec<Kept>, u64) {
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
        for piece in &edit.replacement {
            match piece {
                Piece::Bytes(bytes) => new += bytes.len() as u64,
                Piece::Compiled(range) => new += range.end - range.start,
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
        .ok_or(HeaderError::Extensions)
}
