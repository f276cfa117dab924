//! `pycull bench`.

use anyhow::Context;
use pycull::pipeline::{self, BenchOptions};
use pycull::report::bench::document;
use pycull::report::figure;

use super::Outcome;
use super::args::Bench;
use super::image;
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Bench, printer: &Printer) -> anyhow::Result<Outcome> {
    let settings = &printer.settings;
    let source = image::open(&args.image)?;
    let bench = BenchOptions {
        module: args.module.clone(),
        repeats: args.repeats,
        imports: args.import.clone(),
        rounds: args.rounds,
        helper: std::env::current_exe().context("cannot find pycull's own binary")?,
        sandbox: args.sandbox.mode(),
    };
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let report = pipeline::bench(&source, &args.image, &bench, &options)?;
    bars.clear();
    if let Some(file) = &args.figure {
        let written = std::fs::write(file, figure::bench(&report));
        written.with_context(|| format!("cannot write the figure to {}", file.display()))?;
    }
    printer.report(Stream::Out, &report, || document(&report, settings.detail))?;
    Ok(Outcome::Done)
}
