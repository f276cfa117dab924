//! Writes an archive to a pipe, a device or standard output. Bytes that were written cannot be taken back.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::form::{ArchiveForm, Observed};
use super::{Committed, Sink};
use crate::progress::Observer;
use crate::scratch::Scratch;
use crate::transport::error::TransportError;
use crate::transport::medium::Medium;
use crate::transport::output::OutputImage;
use crate::transport::source::Source;

/// Writes an archive to a stream.
pub(super) struct StreamSink<'a> {
    to: To<'a>,
    form: ArchiveForm,
    staging: Scratch,
}

enum To<'a> {
    Special(PathBuf),
    Stdout(Box<dyn Write + 'a>),
}

impl<'a> StreamSink<'a> {
    /// A sink that writes to a pipe or device.
    pub(super) fn special(path: PathBuf, form: ArchiveForm, staging: Scratch) -> Self {
        let to = To::Special(path);
        Self { to, form, staging }
    }

    /// A sink that writes to standard output.
    pub(super) fn stdout(stdout: impl Write + 'a, form: ArchiveForm, staging: Scratch) -> Self {
        let to = To::Stdout(Box::new(stdout));
        Self { to, form, staging }
    }
}

impl Sink for StreamSink<'_> {
    fn medium(&self) -> Medium {
        self.form.medium
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, _source: &Source) -> bool {
        false
    }

    fn commit(
        mut self: Box<Self>,
        mut output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        let form = &self.form;
        form.set_name(&mut output.root);
        match &mut self.to {
            To::Special(path) => {
                let file = File::options().write(true).open(&*path);
                let file = file.map_err(TransportError::io("write", path))?;
                let observed = Observed::begin(file, &output, 0, observer);
                form.write(&output, None, observed, path)?;
            }
            To::Stdout(stdout) => {
                let observed = Observed::begin(stdout, &output, 0, observer);
                form.write(&output, None, observed, Path::new("-"))?;
            }
        }
        Ok(Committed::default())
    }
}
