//! `minimize`: the plan, and an image with new layers by it.

mod planned;
mod work;

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
use planned::plan_image;
use work::Work;

/// What `minimize` is to do.
#[derive(Debug, Clone, Copy)]
pub struct MinimizeOptions<'a> {
    /// The profile.
    pub profile: &'a Profile,
    /// How rewritten layers are compressed.
    pub compression: CompressionSetting,
    /// Whether the report lists every step of the plan.
    pub steps: bool,
    /// How bytecode is compiled.
    pub compile: &'a CompileOptions<'a>,
}

/// How bytecode is compiled, where a profile does.
#[derive(Debug, Clone)]
pub struct CompileOptions<'a> {
    /// Where interpreters come from.
    pub interpreter: InterpreterOptions<'a>,
    /// Whether a source that does not compile is an error.
    pub strict: bool,
}

/// Reports what [`minimize`] would do, and writes nothing.
///
/// # Errors
/// [`PipelineError`] where the image cannot be read.
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

/// Where the new image goes.
pub struct Output<'a> {
    /// What takes it.
    pub sink: Box<dyn Sink + 'a>,
    /// What the user wrote.
    pub reference: &'a str,
}

/// Writes the image that the profile asks for.
///
/// # Errors
/// [`PipelineError`]; nothing is written then.
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
    let mut work = Work {
        source,
        family,
        staging: Staging::new(&*source.store, sink.staging()),
        replaced: Replacements::default(),
    };
    let mut images = Vec::new();
    for image in root.images() {
        images.push(work.image(image, minimize, options)?);
    }
    let (descriptor, rebuilt) =
        rebuild(&root, &work.replaced, family, &index_texts(source, &root)?);
    for index in &rebuilt.indexes {
        work.staging.add_document(index)?;
    }
    let blobs = work.staging.blobs_of(&descriptor)?;
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

/// The media types that the output's medium wants. An image that goes from one docker archive to another keeps its
/// own: docker writes both kinds. Directories of skopeo are read only.
fn family_of(output: Medium, input: Medium) -> Option<Family> {
    match (output, input) {
        (Medium::OciLayout | Medium::OciArchive, _) => Some(Family::Oci),
        (Medium::DockerArchive(_), Medium::DockerArchive(_)) | (Medium::Dir, _) => None,
        (Medium::DockerArchive(_), _) => Some(Family::Docker),
    }
}

/// The indexes at and below a node as they are written, by digest.
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
