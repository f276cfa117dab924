//! `pycull compare`.

use anyhow::bail;
use pycull::pipeline::{self, Input};
use pycull::report::documents::compare::{document, sections};
use pycull::report::formats::figure;
use pycull::report::formats::html::Figures;
use pycull::report::model::CompareReport;

use super::Outcome;
use super::args::Compare;
use super::image::{self, write_figure};
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Compare, printer: &Printer) -> anyhow::Result<Outcome> {
    image::check_references(std::iter::once(&args.before).chain(&args.after))?;
    let settings = &printer.settings;
    let source = image::open(&args.before, image::SIZES, printer)?;
    let before = Input {
        source: &source,
        reference: &args.before,
    };
    let mut sources = Vec::new();
    for reference in &args.after {
        sources.push(image::open(reference, image::SIZES, printer)?);
    }
    let references = args.after.iter().map(String::as_str);
    let input = |(source, reference)| Input { source, reference };
    let afters: Vec<Input<'_>> = sources.iter().zip(references).map(input).collect();
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let compared = pipeline::compare(before, &afters, &args.options(), &options)?;
    let report = &compared.report;
    bars.clear();
    let figures = || {
        let sections = sections(report, settings.detail).into_iter();
        let figures = sections.map(|images| match args.sizes {
            // The figure draws what is in the layers.
            true => Figures::default(),
            false => Figures::drawn(figure::compare(images)),
        });
        figures.collect()
    };
    printer.report(
        Stream::Out,
        report,
        || document(report, settings.detail),
        figures,
    )?;
    let outcome = gate(&compared.refusals, printer);
    if let Some(file) = &args.badge {
        write_figure(file, &badge(report)?)?;
    }
    if let Some(file) = &args.figure {
        write_figure(file, &figure::compare(&report.images))?;
    }
    Ok(outcome)
}

/// The badge of the compared image. Fails unless there is exactly one.
fn badge(report: &CompareReport) -> anyhow::Result<String> {
    match &*report.images {
        [image] => Ok(figure::badge(image)),
        images => bail!(
            "a badge shows one image, and this command compares {}; compare with one image only, and choose a platform with `--platform`",
            images.len()
        ),
    }
}

/// Prints the gates that images fail.
fn gate(refusals: &[String], printer: &Printer) -> Outcome {
    for refusal in refusals {
        printer.refusal(refusal);
    }
    match refusals.is_empty() {
        true => Outcome::Done,
        false => Outcome::Refused,
    }
}
