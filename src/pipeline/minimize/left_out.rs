//! Manifests that are about the old image, and are not part of the new one.

use serde_json::Value;

use crate::oci::Node;
use crate::pipeline::{Input, PipelineError};
use crate::registry::ReferrerKind;
use crate::report::model::{LeftOut, LeftOutKind};
use crate::rewrite::index::LeftOutArtifact;
use crate::transport::Source;

/// An artifact in an index.
pub(super) fn artifact(artifact: &LeftOutArtifact) -> LeftOut {
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

/// What refers to these manifests in the registry that they are in.
///
/// # Errors
/// [`PipelineError::Transport`] if the registry cannot be asked.
pub(super) fn referrers<'a>(
    source: &Source,
    manifests: impl Iterator<Item = &'a str>,
) -> Result<Vec<LeftOut>, PipelineError> {
    let mut found = Vec::new();
    for manifest in manifests {
        for referrer in source.referrers(manifest)? {
            found.push(LeftOut {
                manifest_digest: referrer.digest,
                subject: Some(manifest.to_owned()),
                kind: match referrer.kind {
                    ReferrerKind::Signature => LeftOutKind::Signature,
                    ReferrerKind::Attestation => LeftOutKind::Attestation,
                    ReferrerKind::Sbom => LeftOutKind::Sbom,
                    ReferrerKind::Other => LeftOutKind::Artifact,
                },
            });
        }
    }
    Ok(found)
}

/// Fails if the image has a signature, because the new image will have none.
///
/// # Errors
/// [`PipelineError::Signed`], or [`PipelineError::Transport`] if the registry cannot be asked.
pub(super) fn require_unsigned(input: Input<'_>, root: &Node) -> Result<(), PipelineError> {
    let own = input.source.root["digest"].as_str();
    let images = root.images();
    let images = images.iter().map(|image| image.manifest_digest());
    let images = images.filter(|digest| Some(*digest) != own);
    let all = referrers(input.source, own.into_iter().chain(images))?;
    let signature = all.iter().find(|it| it.kind == LeftOutKind::Signature);
    match signature {
        Some(signature) => Err(PipelineError::Signed {
            reference: input.reference.to_owned(),
            signature: signature.manifest_digest.clone(),
        }),
        None => Ok(()),
    }
}
