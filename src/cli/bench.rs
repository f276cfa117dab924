//! `pycull bench`.

use anyhow::Context;
use pycull::bench::BenchOptions;
use pycull::pipeline;
use pycull::report::documents::bench::document;
use pycull::report::formats::figure;
use pycull::report::formats::html::Figures;

use super::Outcome;
use super::args::Bench;
use super::image::{self, write_figure};
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Bench, printer: &Printer) -> anyhow::Result<Outcome> {
    let settings = &printer.settings;
    let source = image::open(&args.image, image::CONTENT, printer)?;
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
    let input = pipeline::Input {
        source: &source,
        reference: &args.image,
    };
    let report = pipeline::bench(input, &bench, &options)?;
    bars.clear();
    let images = report.images.iter();
    let figures = images.map(|image| Figures::drawn(figure::bench(std::slice::from_ref(image))));
    printer.report(
        Stream::Out,
        &report,
        || document(&report, settings.detail),
        || figures.collect(),
    )?;
    if let Some(file) = &args.figure {
        write_figure(file, &figure::bench(&report.images))?;
    }
    Ok(Outcome::Done)
}
