//! Which layers are needed more than once.

use std::collections::{HashMap, HashSet};

use crate::oci::{Digest, Image};

/// How often the images that are still to be written have each layer.
pub(super) struct LayerUses(HashMap<Digest, usize>);

impl LayerUses {
    /// Counts the layers of these images.
    pub(super) fn of(images: &[&Image]) -> Self {
        let mut uses = HashMap::new();
        for digest in images.iter().flat_map(|image| digests(image)) {
            *uses.entry(digest.clone()).or_default() += 1;
        }
        Self(uses)
    }

    /// Takes out an image that is written next. Returns those of its layers that a later image has too, or that it has
    /// twice itself.
    pub(super) fn needed_after(&mut self, image: &Image) -> HashSet<Digest> {
        let (mut seen, mut needed) = (HashSet::new(), HashSet::new());
        for digest in digests(image) {
            if let Some(left) = self.0.get_mut(digest) {
                *left -= 1;
            }
            if !seen.insert(digest) {
                needed.insert(digest.clone());
            }
        }
        let later = seen.into_iter();
        needed.extend(
            later
                .filter(|it| self.0.get(it).is_some_and(|left| *left > 0))
                .cloned(),
        );
        needed
    }
}

fn digests(image: &Image) -> impl Iterator<Item = &Digest> {
    image.layers.iter().map(|layer| layer.descriptor.digest())
}
