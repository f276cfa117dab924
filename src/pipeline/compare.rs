//! `compare` shows how images differ in size from an earlier image.

use super::image_pairs::{self, Pair};
use super::{Input, Options, PipelineError, Stored, open, survey};
use crate::compare::{Gates, Side, compare as compare_sides};
use crate::describe;
use crate::layers::SharedScans;
use crate::oci::{Image, Node};
use crate::report::model::{CompareReport, CompareSide, UnmatchedPlatform};

/// The result of [`compare`].
#[derive(Debug)]
pub struct Compared {
    /// The differences between the images.
    pub report: CompareReport,
    /// Violated gates, and platforms to which no gate can be applied.
    pub refusals: Vec<String>,
}

/// Compares the images in `before` with those in each of `afters`, platform by platform.
///
/// # Errors
/// [`PipelineError`] if an image cannot be read, or if a source has no platform in common with `before`.
pub fn compare(
    before: Input<'_>,
    afters: &[Input<'_>],
    gates: &Gates,
    options: &Options<'_>,
) -> Result<Compared, PipelineError> {
    let before_root = open(before.source, options)?;
    let mut roots = Vec::new();
    for after in afters {
        roots.push(open(after.source, options)?);
    }
    let paired = pair_up(&before_root, &roots, afters)?;
    let all = std::iter::once(&before_root).chain(&roots);
    let shared = SharedScans::of_images(all.flat_map(Node::images));
    // The outer loop is over platforms, so that each image of `before` is read only once and not kept in memory.
    let (mut images, mut refusals) = (Vec::new(), Vec::new());
    for old in before_root.images() {
        let partners: Vec<_> = paired
            .iter()
            .zip(afters)
            .filter_map(|(pairs, after)| Some((partner(pairs, old)?, after)))
            .collect();
        if partners.is_empty() {
            continue;
        }
        let old_side = Side::new(
            old,
            survey(Stored::with(before.source, &shared), old, false, options)?,
        );
        for (new, after) in partners {
            let Input { source, reference } = *after;
            let new_side = Side::new(
                new,
                survey(Stored::with(source, &shared), new, false, options)?,
            );
            let comparison = compare_sides(&old_side, &new_side);
            let refused = gates.refusals(&comparison);
            refusals.extend(describe::refusals(&comparison, reference, refused));
            images.push(describe::compare(comparison, reference));
        }
    }
    let references = afters.iter().map(|after| after.reference);
    let named: Vec<(&Node, &str)> = roots.iter().zip(references).collect();
    let unmatched = unmatched((&before_root, before.reference), &named, &paired);
    if !gates.is_empty() {
        refusals.extend(unmatched.iter().map(describe::no_gate));
    }
    let report = CompareReport {
        schema: "pycull.compare/1",
        before: before.reference.to_owned(),
        after: afters
            .first()
            .map_or("", |after| after.reference)
            .to_owned(),
        images,
        unmatched,
    };
    Ok(Compared { report, refusals })
}

/// The pairs of images of `before` and each other source.
fn pair_up<'a>(
    before: &'a Node,
    roots: &'a [Node],
    afters: &[Input<'_>],
) -> Result<Vec<Vec<Pair<'a>>>, PipelineError> {
    let both = roots.iter().zip(afters);
    both.map(|(root, after)| image_pairs::pairs(before, root, after.reference))
        .collect()
}

fn partner<'a>(pairs: &[Pair<'a>], image: &Image) -> Option<&'a Image> {
    let found = pairs.iter().find(|(old, _)| std::ptr::eq(*old, image));
    found.map(|(_, new)| *new)
}

/// For each of the other sources, the platforms that only it or only `before` has.
fn unmatched(
    before: (&Node, &str),
    afters: &[(&Node, &str)],
    paired: &[Vec<Pair<'_>>],
) -> Vec<UnmatchedPlatform> {
    let mut unmatched = Vec::new();
    for (after, pairs) in afters.iter().zip(paired) {
        let sides = [
            (before, after.1, CompareSide::Before),
            (*after, before.1, CompareSide::After),
        ];
        for ((root, reference), other, side) in sides {
            unmatched.extend(
                image_pairs::unpaired(root, pairs).map(|image| UnmatchedPlatform {
                    platform: image.platform.to_string(),
                    present_in: reference.to_owned(),
                    absent_from: other.to_owned(),
                    side,
                }),
            );
        }
    }
    unmatched
}
