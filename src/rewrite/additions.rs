//! Members that pycull adds to layers.

use std::collections::BTreeMap;

use super::edits::Piece;
use super::spool::Spool;
use crate::read_at::ReadAt;

/// Members to add to the layers of an image.
#[derive(Default)]
pub(crate) struct Additions<'a> {
    /// Additions to existing layers, by the index of the layer.
    pub layers: BTreeMap<usize, Vec<Piece>>,
    /// The members of a new layer above all others.
    pub appended: Vec<Piece>,
    /// The bytes of every [`Piece::Spooled`]; `None` if there is no such piece.
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
