//! Writes to an OCI layout, new or existing.

use std::path::{Path, PathBuf};

use super::form::set_oci_name;
use super::{Committed, Sink, names_root};
use crate::progress::Observer;
use crate::scratch::Scratch;
use crate::transport::error::TransportError;
use crate::transport::medium::Medium;
use crate::transport::output::OutputImage;
use crate::transport::reference::Selector;
use crate::transport::source::Source;
use crate::transport::{oci_layout_read, oci_layout_write};

/// Adds an image to a layout.
pub(super) struct LayoutSink {
    /// The directory of the layout, which may not exist yet.
    pub(super) path: PathBuf,
    pub(super) name: Option<Selector>,
    pub(super) staging: Scratch,
}

impl Sink for LayoutSink {
    fn medium(&self) -> Medium {
        Medium::OciLayout
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, source: &Source) -> bool {
        let index = oci_layout_read::read_index(&self.path).ok().flatten();
        names_root(index, self.name.as_ref(), source)
    }

    fn commit(
        self: Box<Self>,
        mut output: OutputImage,
        _observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        set_oci_name(&mut output.root, self.name.as_ref());
        match self.path.is_dir() {
            true => oci_layout_write::add(&self.path, self.staging.path(), &output)?,
            false => oci_layout_write::create_new(&self.path, self.staging.path(), &output)?,
        }
        Ok(Committed::default())
    }
}
