//! `verify` proves that two images differ in nothing but bytecode.

use super::image_pairs::{Pair, pairs, unpaired};
use super::{Input, Options, PipelineError, Stored, levels, open, survey_for};
use crate::describe;
use crate::layers::{SharedScans, check_read, hash_members};
use crate::profile::Policy;
use crate::profile::Profile;
use crate::report::model::{VerifyImage, VerifyReport};
use crate::verify::{Difference, Part, Side, verify as verify_sides, wanted_contents};

/// Compares the images of each platform that both sources have. With a profile, also checks that `after` matches it.
///
/// # Errors
/// [`PipelineError`] if an image cannot be read, if an engine could not extract it, or if there is no pair. A
/// difference is not an error.
pub fn verify(
    before: Input<'_>,
    after: Input<'_>,
    profile: Option<&Profile>,
    options: &Options<'_>,
) -> Result<VerifyReport, PipelineError> {
    let root = |side: Input<'_>| {
        open(side.source, options).map_err(|error| with_reference(side, error.into()))
    };
    let (before_root, after_root) = (root(before)?, root(after)?);
    let pairs = pairs(&before_root, &after_root, after.reference)?;
    let mut images = Vec::new();
    for pair in &pairs {
        images.push(verify_pair(before, after, *pair, profile, options)?);
    }
    Ok(VerifyReport {
        schema: "pycull.verify/1",
        before: before.reference.to_owned(),
        after: after.reference.to_owned(),
        profile: profile.map(|profile| profile.name.clone()),
        images,
        unmatched: [&before_root, &after_root]
            .into_iter()
            .flat_map(|root| unpaired(root, &pairs))
            .map(|image| image.platform.to_string())
            .collect(),
    })
}

/// Adds the reference of the image to an error.
fn with_reference(side: Input<'_>, source: PipelineError) -> PipelineError {
    PipelineError::OneOfTwo {
        reference: side.reference.to_owned(),
        source: Box::new(source),
    }
}

fn verify_pair(
    before: Input<'_>,
    after: Input<'_>,
    (old_image, new_image): Pair<'_>,
    profile: Option<&Profile>,
    options: &Options<'_>,
) -> Result<VerifyImage, PipelineError> {
    let shared = SharedScans::of_images([old_image, new_image]);
    // Another repository may lack a layer, or have a damaged one. So what it has is read.
    let is_one_repository = before.source.is_beside(after.source);
    let read = |side: Input<'_>, image| {
        let stored = match is_one_repository {
            true => Stored::with(side.source, &shared),
            false => Stored::of(side.source),
        };
        survey_for(stored, image, profile, false, options)
            .map_err(|error| with_reference(side, error))
    };
    let (old, new) = (read(before, old_image)?, read(after, new_image)?);
    let levels = profile
        .map(|profile| levels(profile, old_image, &old))
        .transpose();
    let levels = levels.map_err(|error| with_reference(before, error))?;
    let policy = profile.zip(levels.as_deref());
    let policy = policy.map(|(profile, levels)| Policy { profile, levels });
    let old = Side::new(old_image, &old);
    let new = Side::new(new_image, &new);
    let [old_wanted, new_wanted] = wanted_contents(&old, &new);
    let hash = |input: Input<'_>, side: &Side<'_>, wanted| {
        let access = options.access(&*input.source.store);
        let hashes = hash_members(access, &side.inventory().layers, wanted);
        let hashes = hashes.map_err(PipelineError::of_layer(side.image));
        hashes.map_err(|error| with_reference(input, error))
    };
    let old_contents = hash(before, &old, &old_wanted)?;
    let new_contents = hash(after, &new, &new_wanted)?;
    let contents = (&*old_contents, &*new_contents);
    let mut verification = verify_sides(&old, &new, contents, policy.as_ref());
    verification.differences.extend(new_violation(&old, &new));
    Ok(describe::verify(new_image, verification))
}

/// A rule for valid images that `after` violates and `before` does not.
fn new_violation(before: &Side<'_>, after: &Side<'_>) -> Option<Difference> {
    let check = |side: &Side<'_>| check_read(side.image, &side.inventory().layers).err();
    let violation = check(after).filter(|_| check(before).is_none())?;
    Some(Difference {
        part: Part::Manifest,
        path: b"/layers".to_vec(),
        what: violation.to_string(),
    })
}
