//! `compare`: how images differ in size from one before.

use super::pairs::{self, Pair};
use super::{Options, PipelineError, open, survey};
use crate::compare::{Gates, Side, compare as compare_sides};
use crate::describe;
use crate::oci::{Image, Node};
use crate::report::input_name;
use crate::report::model::{CompareReport, CompareSide, UnmatchedPlatform};
use crate::transport::Source;

/// What `compare` found.
#[derive(Debug)]
pub struct Compared {
    /// How the images differ.
    pub report: CompareReport,
    /// What they do not keep to of the gates, and those against which no gate can be held.
    pub refusals: Vec<String>,
}

/// Compares the images of the source before with those of each source after, platform by platform.
/// Each source comes with its reference as the user wrote it.
///
/// # Errors
/// [`PipelineError`] where an image cannot be read, or a source after has none to compare.
pub fn compare(
    before: (&Source, &str),
    afters: &[(&Source, &str)],
    gates: &Gates,
    options: &Options<'_>,
) -> Result<Compared, PipelineError> {
    let before_root = open(before.0, options)?;
    let mut roots = Vec::new();
    for (source, _) in afters {
        roots.push(open(source, options)?);
    }
    let paired = pair_up(&before_root, &roots, afters)?;
    // By platform, so that the image before is read once and not kept.
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
        let old_side = Side::new(old, survey(&*before.0.store, old, false, options)?);
        for (new, (source, reference)) in partners {
            let new_side = Side::new(new, survey(&*source.store, new, false, options)?);
            let comparison = compare_sides(&old_side, &new_side);
            let name = format!("{} ({})", input_name(reference), comparison.platform);
            let failures = gates.failures(&comparison).into_iter();
            refusals.extend(failures.map(|failure| format!("{name} {failure}")));
            images.push(describe::compare(comparison, reference));
        }
    }
    let references = afters.iter().map(|(_, reference)| *reference);
    let named: Vec<(&Node, &str)> = roots.iter().zip(references).collect();
    let unmatched = unmatched((&before_root, before.1), &named, &paired);
    if !gates.is_empty() {
        refusals.extend(unmatched.iter().map(no_gate));
    }
    let report = CompareReport {
        schema: "pycull.compare/1",
        before: before.1.to_owned(),
        after: afters.first().map_or("", |after| after.1).to_owned(),
        images,
        unmatched,
    };
    Ok(Compared { report, refusals })
}

fn no_gate(unmatched: &UnmatchedPlatform) -> String {
    format!(
        "no gate can be held against {}: {} has it, and {} lacks it",
        unmatched.platform,
        input_name(&unmatched.present_in),
        input_name(&unmatched.absent_from)
    )
}

/// The pairs that each source after makes with the one before.
fn pair_up<'a>(
    before: &'a Node,
    roots: &'a [Node],
    afters: &[(&Source, &str)],
) -> Result<Vec<Vec<Pair<'a>>>, PipelineError> {
    let both = roots.iter().zip(afters);
    both.map(|(root, (_, reference))| pairs::pairs(before, root, reference))
        .collect()
}

fn partner<'a>(pairs: &[Pair<'a>], image: &Image) -> Option<&'a Image> {
    let found = pairs.iter().find(|(old, _)| std::ptr::eq(*old, image));
    found.map(|(_, new)| *new)
}

/// Platforms that the image before or one after has and the other lacks, each once.
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
            unmatched.extend(pairs::unpaired(root, pairs).map(|image| UnmatchedPlatform {
                platform: image.platform.to_string(),
                present_in: reference.to_owned(),
                absent_from: other.to_owned(),
                side,
            }));
        }
    }
    unmatched
}
