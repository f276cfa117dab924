//! `pycull minimize`.

use std::io::{self, IsTerminal};

use anyhow::bail;
use pycull::pipeline::{self, MinimizeOptions};
use pycull::report::Detail;
use pycull::report::minimize::document;
use pycull::transport::{Reference, Source, Target};

use super::Outcome;
use super::args::Minimize;
use super::image;
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Minimize, printer: &Printer) -> anyhow::Result<Outcome> {
    let settings = &printer.settings;
    // What can fail at once comes before what takes long.
    let profile = pycull::profile::load(&args.profile, &args.set)?;
    let source = image::open(&args.image)?;
    let minimize = MinimizeOptions {
        profile: &profile,
        compression: args.compression,
        steps: settings.detail == Detail::All || args.dry_run,
    };
    let output = args.output.as_deref().filter(|_| !args.dry_run);
    let target = output.map(|output| prepare(output, &source)).transpose()?;
    let stream = match &target {
        Some(target) if target.is_stream() => Stream::Err,
        _ => Stream::Out,
    };
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let report = match (output, target) {
        (Some(output), Some(target)) => pipeline::minimize(
            &source,
            &args.image,
            target,
            output,
            &mut io::stdout().lock(),
            &minimize,
            &options,
        )?,
        _ => pipeline::plan_only(&source, &args.image, &minimize, &options)?,
    };
    bars.clear();
    printer.report(stream, &report, || document(&report, settings.detail))?;
    Ok(Outcome::Done)
}

/// Checks the output before any long work.
fn prepare(output: &str, source: &Source) -> anyhow::Result<Target> {
    let reference: Reference = output.parse()?;
    let target = Target::prepare(&reference, source)?;
    if target.is_stream() && io::stdout().is_terminal() {
        bail!("standard output is a terminal; an image is written to a file or pipe");
    }
    Ok(target)
}
