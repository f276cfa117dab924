//! What the verbs about images share.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use pycull::pipeline::Options;
use pycull::progress::Observer;
use pycull::transport::{Reference, Source, TransportError};

use super::settings::Settings;

/// Finds the image that a reference names, on standard input for `-`.
pub(crate) fn open(reference: &str) -> Result<Source, TransportError> {
    let reference: Reference = reference.parse()?;
    Source::open(&reference, io::stdin().lock())
}

/// Checks the images that one command reads: standard input holds one.
pub(crate) fn check_references<'a>(
    references: impl IntoIterator<Item = &'a String>,
) -> anyhow::Result<()> {
    if references.into_iter().filter(|it| *it == "-").count() > 1 {
        bail!("only one of the images can be on standard input");
    }
    Ok(())
}

/// Writes a figure for `--figure`.
pub(crate) fn write_figure(file: &Path, figure: &str) -> anyhow::Result<()> {
    std::fs::write(file, figure)
        .with_context(|| format!("cannot write the figure to {}", file.display()))
}

/// What the recipes are told.
pub(crate) fn options<'a>(settings: &Settings, observer: &'a dyn Observer) -> Options<'a> {
    Options {
        platform: settings.platform.clone(),
        jobs: settings.jobs,
        observer,
    }
}
