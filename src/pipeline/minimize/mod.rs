//! `minimize` plans the changes to an image, and writes an image with new layers.

mod new_output;
mod planned;

use std::collections::HashMap;

use serde_json::Value;

use super::{Input, Options, PipelineError, open};
use crate::compile::InterpreterOptions;
use crate::oci::compression::CompressionSetting;
use crate::oci::image::typed_descriptor;
use crate::oci::media_type::Family;
use crate::oci::{ImageError, Node, read_document};
use crate::profile::Profile;
use crate::report::model::{LeftOut, LeftOutKind, MinimizeReport};
use crate::rewrite::index::{LeftOutArtifact, Replacements, rebuild};
use crate::rewrite::staging::Staging;
use crate::transport::{Medium, OutputImage, Sink, Source};
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
    let mut images = Vec::new();
    for image in root.images() {
        let planned = plan_image(input.source, image, minimize, options)?;
        images.push(planned.report(minimize, None)?);
    }
    Ok(MinimizeReport {
        schema: "pycull.minimize/1",
        reference: input.reference.to_owned(),
        output: None,
        output_form: None,
        dry_run: true,
        images,
        left_out: Vec::new(),
    })
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
    let family = family_of(sink.medium(), source.medium);
    let mut new = NewOutput {
        source,
        early: sink.early(),
        family,
        staging: Staging::new(&*source.store, sink.staging()),
        replaced: Replacements::default(),
    };
    let mut images = Vec::new();
    for image in root.images() {
        images.push(new.image(image, minimize, options)?);
    }
    let (descriptor, rebuilt) = rebuild(&root, &new.replaced, family, &index_texts(source, &root)?);
    for index in &rebuilt.indexes {
        new.staging.add_document(index)?;
    }
    let blobs = new.staging.blobs_of(&descriptor)?;
    let form = sink.medium().to_string();
    sink.commit(
        OutputImage {
            root: descriptor,
            origin: source.root["digest"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            blobs,
        },
        options.observer,
    )?;
    Ok(MinimizeReport {
        schema: "pycull.minimize/1",
        reference: input.reference.to_owned(),
        output: Some(output.reference.to_owned()),
        output_form: Some(form),
        dry_run: false,
        images,
        left_out: rebuilt.left_out.iter().map(left_out).collect(),
    })
}

/// The family of media types for the output; `None` if images keep their own. Docker writes both families, so an image
/// that goes from one docker archive to another keeps its own. So does one that goes to a registry, which takes both.
/// pycull does not write skopeo's directories.
fn family_of(output: Medium, input: Medium) -> Option<Family> {
    match (output, input) {
        (Medium::OciLayout | Medium::OciArchive, _) => Some(Family::Oci),
        (Medium::DockerArchive(_), Medium::DockerArchive(_)) => None,
        (Medium::Registry | Medium::Dir, _) => None,
        (Medium::DockerArchive(_), _) => Some(Family::Docker),
    }
}

/// The original texts of the indexes at and below a node, by digest.
fn index_texts(source: &Source, root: &Node) -> Result<HashMap<String, Vec<u8>>, ImageError> {
    let mut texts = HashMap::new();
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        if let Node::Index(index) = node {
            let descriptor = typed_descriptor(&index.descriptor)?;
            let text = read_document(&*source.store, &descriptor, "index")?;
            texts.insert(descriptor.digest().to_string(), text);
            pending.extend(&index.children);
        }
    }
    Ok(texts)
}

fn left_out(artifact: &LeftOutArtifact) -> LeftOut {
    let text = |pointer: &str| {
        artifact
            .descriptor
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let is_attestation = text("/annotations/vnd.docker.reference.type").is_some();
    LeftOut {
        manifest_digest: text("/digest").unwrap_or_default(),
        subject: artifact.subject.clone(),
        kind: match is_attestation {
            true => LeftOutKind::Attestation,
            false => LeftOutKind::Artifact,
        },
    }
}
