//! Which layers are needed more than once.

use std::collections::{HashMap, HashSet};

use crate::oci::{Digest, Image};

/// The layers that are needed after the image that is written.
#[derive(Default)]
pub(crate) struct LayerUses {
    /// How often the images that are still to be written have each layer.
    to_come: HashMap<Digest, usize>,
    /// Layers that the output has as they are.
    kept: HashSet<Digest>,
}

impl LayerUses {
    /// Counts the layers of images.
    pub(crate) fn of<'a>(images: impl Iterator<Item = &'a Image>) -> Self {
        let mut uses = Self::default();
        images.flat_map(digests).for_each(|layer| uses.add(layer));
        uses
    }

    fn add(&mut self, layer: &Digest) {
        *self.to_come.entry(layer.clone()).or_default() += 1;
    }

    /// Takes out an image that is written next. Returns those of its layers that are needed after it.
    pub(crate) fn needed_after(&mut self, image: &Image) -> HashSet<Digest> {
        self.needed_after_layers(&digests(image).collect::<Vec<_>>())
    }

    fn needed_after_layers(&mut self, layers: &[&Digest]) -> HashSet<Digest> {
        let (mut seen, mut needed) = (HashSet::new(), HashSet::new());
        for layer in layers {
            if let Some(left) = self.to_come.get_mut(layer) {
                *left -= 1;
            }
            // An image can have a layer twice.
            if !seen.insert(*layer) {
                needed.insert((*layer).clone());
            }
        }
        let is_needed = |layer: &&Digest| {
            self.kept.contains(layer) || self.to_come.get(layer).is_some_and(|left| *left > 0)
        };
        needed.extend(seen.into_iter().filter(is_needed).cloned());
        needed
    }

    /// Notes a layer that the output has as it is.
    pub(crate) fn keep(&mut self, layer: &Digest) {
        self.kept.insert(layer.clone());
    }
}

fn digests(image: &Image) -> impl Iterator<Item = &Digest> {
    image.layers.iter().map(|layer| layer.descriptor.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::sha256_digest;

    #[test]
    fn a_layer_is_needed_until_its_last_use() {
        let [base, app, twice] = [b"1", b"2", b"3"].map(|bytes| sha256_digest(bytes));
        let mut uses = LayerUses::default();
        for layer in [&base, &twice, &twice, &base, &app] {
            uses.add(layer);
        }
        let needed = uses.needed_after_layers(&[&base, &twice, &twice]);
        assert_eq!(needed, HashSet::from([base.clone(), twice]));
        assert_eq!(uses.needed_after_layers(&[&base, &app]), HashSet::new());
    }

    #[test]
    fn a_layer_that_the_output_keeps_is_needed() {
        let base = sha256_digest(b"1");
        let mut uses = LayerUses::default();
        uses.add(&base);
        uses.add(&base);
        uses.needed_after_layers(&[&base]);
        uses.keep(&base);
        assert_eq!(uses.needed_after_layers(&[&base]), HashSet::from([base]));
    }
}
