//! `compare` shows how images differ in size from an earlier image.

use super::image_pairs::{self, Pair};
use super::{Input, Options, PipelineError, Stored, open, survey};
use crate::compare::{Comparison, Gates, Side, compare as compare_sides, compare_sizes};
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

/// What [`compare`] compares, and which limits apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompareOptions {
    /// Limits that every image after must meet.
    pub gates: Gates,
    /// Whether to read manifests and configs alone, and no layer.
    pub sizes_only: bool,
}

/// Compares the images in `before` with those in each of `afters`, platform by platform.
///
/// # Errors
/// [`PipelineError`] if an image cannot be read, or if a source has no platform in common with `before`.
pub fn compare(
    before: Input<'_>,
    afters: &[Input<'_>],
    compare: &CompareOptions,
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
    let reading = Reading {
        shared: &shared,
        sizes_only: compare.sizes_only,
        options,
    };
    // The outer loop is over platforms, so that each image of `before` is read only once and not kept in memory.
    let (mut images, mut refusals) = (Vec::new(), Vec::new());
    for old in before_root.images() {
        let both = paired.iter().zip(afters);
        let partners = both.filter_map(|(pairs, after)| Some((partner(pairs, old)?, *after)));
        let partners: Vec<_> = partners.collect();
        let compared = reading.compare((old, before), &partners)?;
        for (comparison, (_, after)) in compared.into_iter().zip(&partners) {
            let refused = compare.gates.refusals(&comparison);
            refusals.extend(describe::refusals(&comparison, after.reference, refused));
            images.push(describe::compare(comparison, after.reference));
        }
    }
    let references = afters.iter().map(|after| after.reference);
    let named: Vec<(&Node, &str)> = roots.iter().zip(references).collect();
    let unmatched = unmatched((&before_root, before.reference), &named, &paired);
    if !compare.gates.is_empty() {
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

/// An image in a source.
type Found<'a> = (&'a Image, Input<'a>);

/// How to read the images of a comparison.
struct Reading<'a> {
    shared: &'a SharedScans,
    sizes_only: bool,
    options: &'a Options<'a>,
}

impl Reading<'_> {
    /// Compares an image with each of its partners.
    fn compare(
        &self,
        before: Found<'_>,
        partners: &[Found<'_>],
    ) -> Result<Vec<Comparison>, PipelineError> {
        if self.sizes_only {
            let sizes = partners.iter().map(|(new, _)| compare_sizes(before.0, new));
            return Ok(sizes.collect());
        }
        if partners.is_empty() {
            return Ok(Vec::new());
        }
        let old = self.side(before)?;
        let compared = partners
            .iter()
            .map(|after| Ok(compare_sides(&old, &self.side(*after)?)));
        compared.collect()
    }

    fn side<'a>(&self, (image, input): Found<'a>) -> Result<Side<'a>, PipelineError> {
        let stored = Stored::with(input.source, self.shared);
        let inventory = survey(stored, image, false, self.options)?;
        Ok(Side::new(image, inventory))
    }
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
