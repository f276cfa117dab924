//! Names of annotations that the image specification defines (annotations.md).

/// The digest of the image that an image is based on.
pub(crate) const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// The name of the image that an image is based on.
pub(crate) const BASE_NAME: &str = "org.opencontainers.image.base.name";
