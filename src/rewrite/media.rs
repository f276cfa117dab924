//! What the medium of the output decides: media types, and the compression of new layers.

use crate::oci::CompressionSetting;
use crate::oci::media_type::Family;
use crate::transport::{DockerForm, Medium, Source};

/// The compression of layers that go to a medium.
pub(crate) fn compression_for(
    output: Medium,
    source: &Source,
    asked: CompressionSetting,
) -> CompressionSetting {
    match (output, asked) {
        (Medium::Registry, CompressionSetting::Keep) if !source.is_remote() => {
            CompressionSetting::Pack
        }
        _ => asked,
    }
}

/// The family of media types for the output; `None` if images keep their own. Docker writes both families, so an image
/// that goes from one docker archive to another keeps its own. So does one that goes to a registry, which takes both. An
/// old docker archive has no types, but holds an image in Docker's format, such as one with a health check. pycull does
/// not write skopeo's directories.
pub(crate) fn family_of(output: Medium, input: Medium) -> Option<Family> {
    match (output, input) {
        (Medium::OciLayout | Medium::OciArchive, _) => Some(Family::Oci),
        (Medium::DockerArchive(_), Medium::DockerArchive(_)) => None,
        (Medium::Registry, Medium::DockerArchive(DockerForm::Old)) => Some(Family::Docker),
        (Medium::Registry | Medium::Dir, _) => None,
        (Medium::DockerArchive(_), _) => Some(Family::Docker),
    }
}
