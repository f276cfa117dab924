//! What layers get beside what they have.

use std::collections::BTreeMap;

use super::edits::Piece;
use super::spool::Spool;
use crate::read_at::ReadAt;

/// Members that layers get beside their own.
#[derive(Default)]
pub(crate) struct Additions<'a> {
    /// By the index of the layer.
    pub layers: BTreeMap<usize, Vec<Piece>>,
    /// Those of a new layer above all others.
    pub appended: Vec<Piece>,
    /// What [`Piece::Spooled`] speaks of; `None` if no piece does.
    pub spool: Option<&'a Spool>,
}

impl Additions<'_> {
    pub(super) fn of_layer(&self, layer: usize) -> &[Piece] {
        self.layers.get(&layer).map_or(&[], Vec::as_slice)
    }

    pub(super) fn spool(&self) -> &dyn ReadAt {
        match self.spool {
            Some(spool) => spool,
            None => const { &Vec::new() },
        }
    }
}
