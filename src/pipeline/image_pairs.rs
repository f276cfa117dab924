//! Pairs the images of two sources by platform.

use super::PipelineError;
use crate::oci::listing::listed;
use crate::oci::{Image, Node};

/// An image of the first source and the corresponding image of the second.
pub(super) type Pair<'a> = (&'a Image, &'a Image);

/// Pairs images of the same platform. If both sources have only one image, these are a pair whatever their platforms.
/// `reference` is that of `after`.
///
/// # Errors
/// [`PipelineError::NothingToCompare`] if there is no pair.
pub(super) fn pairs<'a>(
    before: &'a Node,
    after: &'a Node,
    reference: &str,
) -> Result<Vec<Pair<'a>>, PipelineError> {
    let (old, new) = (before.images(), after.images());
    if let ([old], [new]) = (&old[..], &new[..]) {
        return Ok(vec![(old, new)]);
    }
    let mut left = new;
    let pairs: Vec<Pair<'a>> = old
        .into_iter()
        .filter_map(|image| {
            let found = left
                .iter()
                .position(|other| other.platform == image.platform)?;
            Some((image, left.remove(found)))
        })
        .collect();
    match pairs.is_empty() {
        false => Ok(pairs),
        true => Err(PipelineError::NothingToCompare {
            before: platforms(before),
            after: platforms(after),
            reference: reference.to_owned(),
        }),
    }
}

fn platforms(root: &Node) -> String {
    let images = root.images();
    let platforms = images.iter().map(|image| image.platform.to_string());
    listed(&platforms.collect::<Vec<_>>())
}

/// The images of a source that are in no pair.
pub(super) fn unpaired<'a>(root: &'a Node, pairs: &[Pair<'_>]) -> impl Iterator<Item = &'a Image> {
    let images = root.images().into_iter();
    images.filter(|image| {
        !pairs
            .iter()
            .any(|(old, new)| std::ptr::eq(*old, *image) || std::ptr::eq(*new, *image))
    })
}
