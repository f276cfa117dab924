//! The transports that references name: files and directories, and the stores of engines.

/// The prefix of images in registries.
pub(super) const REGISTRY: &str = "docker";

/// The name of a medium before a reference's first colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `oci`: a directory in the OCI image layout.
    Oci,
    /// `oci-archive`: a tar file of an OCI image layout.
    OciArchive,
    /// `docker-archive`: a tar file in the format of `docker save`.
    DockerArchive,
    /// `dir`: a directory with one image, in skopeo's format.
    Dir,
}

impl Transport {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::Dir => "dir",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Oci, Self::OciArchive, Self::DockerArchive, Self::Dir]
            .into_iter()
            .find(|transport| transport.name() == name)
    }
}

/// An engine that stores images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// podman, whose store is `containers-storage`.
    Podman,
    /// docker, whose store is `docker-daemon`.
    Docker,
}

impl Engine {
    /// The name of the transport in references.
    pub(super) const fn transport(self) -> &'static str {
        match self {
            Self::Podman => "containers-storage",
            Self::Docker => "docker-daemon",
        }
    }

    pub(super) fn from_transport(name: &str) -> Option<Self> {
        let mut all = [Self::Podman, Self::Docker].into_iter();
        all.find(|engine| engine.transport() == name)
    }
}
