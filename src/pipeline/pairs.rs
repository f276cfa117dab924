//! Which image of one source is held against which of another.

use super::PipelineError;
use crate::oci::listing::listed;
use crate::oci::{Image, Node};

/// An image before and the image after.
pub(super) type Pair<'a> = (&'a Image, &'a Image);

/// Images of the same platform; two images alone are a pair whatever they are for. `reference` is that of the
/// one after.
///
/// # Errors
/// [`PipelineError::NothingToCompare`] where there is no pair.
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
