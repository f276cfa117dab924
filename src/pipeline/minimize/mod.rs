//! `minimize` plans the changes to an image, and writes an image with new layers.

mod left_out;
mod new_output;
mod planned;

use serde_json::Value;

use super::{Input, Options, PipelineError, Stored, open};
use crate::compile::InterpreterOptions;
use crate::oci::compression::CompressionSetting;
use crate::profile::Profile;
use crate::report::model::{MinimizeReport, ReplacedImage};
use crate::rewrite::index::Replacements;
use crate::rewrite::layer_uses::LayerUses;
use crate::rewrite::media::{compression_for, family_of};
use crate::rewrite::staging::Staging;
use crate::transport::{DockerForm, Medium, OutputImage, Sink};
use new_output::NewOutput;
use planned::plan_image;

/// Options of [`minimize`].
#[derive(Debug, Clone, Copy)]
pub struct MinimizeOptions<'a> {
    /// The bytecode that the new image has.
    pub profile: &'a Profile,
    /// Compression of rewritten layers.
    pub compression: CompressionSetting,
    /// Whether the report lists every step of the plan.
    pub steps: bool,
    /// Whether to refuse an image that has a signature. The new image has none.
    pub require_unsigned: bool,
    /// Options for profiles that compile bytecode.
    pub compile: &'a CompileOptions<'a>,
}

/// Options for compiling bytecode.
#[derive(Debug, Clone)]
pub struct CompileOptions<'a> {
    /// How to find and run interpreters.
    pub interpreter: InterpreterOptions<'a>,
    /// Whether a source that does not compile is an error.
    pub strict: bool,
}

/// Reports what [`minimize`] would do. Compiles nothing and writes nothing.
///
/// # Errors
/// [`PipelineError`] if the image cannot be read, or does not fit the profile.
pub fn plan_only(
    input: Input<'_>,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<MinimizeReport, PipelineError> {
    let root = open(input.source, options)?;
    if minimize.require_unsigned {
        left_out::require_unsigned(input, &root)?;
    }
    let mut images = Vec::new();
    for image in root.images() {
        let planned = plan_image(Stored::of(input.source), image, minimize, options)?;
        images.push(planned.report(minimize, None)?);
    }
    Ok(MinimizeReport::of(input.reference, images))
}

/// The destination of the new image.
pub struct Output<'a> {
    /// Receives the new image.
    pub sink: Box<dyn Sink + 'a>,
    /// The reference that the user wrote.
    pub reference: &'a str,
}

/// Writes an image with the bytecode that the profile asks for.
///
/// # Errors
/// [`PipelineError`]. The output is then unchanged.
pub fn minimize(
    input: Input<'_>,
    output: Output<'_>,
    minimize: &MinimizeOptions<'_>,
    options: &Options<'_>,
) -> Result<MinimizeReport, PipelineError> {
    let (source, sink) = (input.source, output.sink);
    let root = open(source, options)?;
    let lost = root.images_left_out(&*source.store);
    if !lost.is_empty() && sink.replaces(source) {
        return Err(PipelineError::PlatformsLost {
            output: output.reference.to_owned(),
            platforms: lost,
        });
    }
    if minimize.require_unsigned {
        left_out::require_unsigned(input, &root)?;
    }
    let minimize = &MinimizeOptions {
        compression: compression_for(sink.medium(), source, minimize.compression),
        ..*minimize
    };
    let mut new = NewOutput {
        source,
        early: sink.early(),
        uses: LayerUses::of(root.images().into_iter()),
        family: family_of(sink.medium(), source.medium),
        staging: Staging::new(&*source.store, sink.staging()),
        replaced: Replacements::default(),
    };
    let mut images = Vec::new();
    for image in root.images() {
        images.push(new.image(image, minimize, options)?);
    }
    let (descriptor, left_out) = new.finish(&root)?;
    let new = OutputImage {
        blobs: new.staging.blobs_of(&descriptor)?,
        root: descriptor,
        origin: digest_of(&source.root).to_owned(),
    };
    let form = sink.medium();
    let digest = match form {
        Medium::DockerArchive(DockerForm::Old) => None,
        _ => Some(digest_of(&new.root).to_owned()),
    };
    let committed = sink.commit(new, options.observer)?;
    Ok(MinimizeReport {
        output: Some(output.reference.to_owned()),
        output_form: Some(form.to_string()),
        output_digest: digest,
        dry_run: false,
        replaced: committed.replaced.map(|replaced| ReplacedImage {
            id: replaced.id,
            restore: replaced.restore,
        }),
        left_out,
        ..MinimizeReport::of(input.reference, images)
    })
}

/// The digest in a descriptor.
fn digest_of(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap_or_default()
}
