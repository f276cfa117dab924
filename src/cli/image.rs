//! Functions that several commands share.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, bail};
use pycull::pipeline::Options;
use pycull::progress::Observer;
use pycull::registry::Keeping;
use pycull::transport::{Opening, Reading, Reference, Source, TransportError};

use super::printer::Printer;
use super::settings::Settings;

/// For commands that read each layer once, and show its size.
pub(crate) const SIZES: Reading = Reading {
    keeping: Keeping::Nothing,
    compressed: true,
};

/// For commands that need only what the layers contain.
pub(crate) const CONTENT: Reading = Reading {
    keeping: Keeping::All,
    compressed: false,
};

/// For commands that read layers more than once, and compare how images are stored.
pub(crate) const WHOLE: Reading = Reading {
    keeping: Keeping::All,
    compressed: true,
};

/// Finds the image that a reference names; `-` is standard input. Prints warnings about how the image is stored.
pub(crate) fn open(
    reference: &str,
    reading: Reading,
    printer: &Printer,
) -> Result<Source, TransportError> {
    let reference: Reference = reference.parse()?;
    let opening = Opening {
        platform: printer.settings.platform.as_ref(),
        registries: &printer.settings.registries,
        reading,
    };
    let source = Source::open_for(&reference, opening, io::stdin().lock())?;
    for warning in &source.warnings {
        printer.warning(&format!("{reference}: {warning}"));
    }
    Ok(source)
}

/// Fails if several of a command's images are on standard input.
pub(crate) fn check_references<'a>(
    references: impl IntoIterator<Item = &'a String>,
) -> anyhow::Result<()> {
    if references.into_iter().filter(|it| *it == "-").count() > 1 {
        bail!("only one of the images can be on standard input");
    }
    Ok(())
}

/// Writes a figure to a file. Replaces an existing file only if it is a figure, because it could be an image.
pub(crate) fn write_figure(file: &Path, figure: &str) -> anyhow::Result<()> {
    let name = file.display();
    if file.as_os_str() == "-" {
        bail!("cannot write a figure to standard output; name a file");
    }
    if file.is_file() && !is_figure(file).with_context(|| format!("cannot read `{name}`"))? {
        bail!("`{name}` is not an SVG file; pycull does not replace it");
    }
    std::fs::write(file, figure).with_context(|| format!("cannot write the figure to `{name}`"))
}

fn is_figure(file: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(file)?.take(4).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == b"<svg")
}

/// The options for the pipeline.
pub(crate) fn options<'a>(settings: &Settings, observer: &'a dyn Observer) -> Options<'a> {
    Options {
        platform: settings.platform.clone(),
        jobs: settings.jobs,
        limits: settings.limits,
        observer,
    }
}
