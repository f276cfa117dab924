//! `pycull compare`.

use std::cmp::Reverse;

use anyhow::bail;
use pycull::pipeline;
use pycull::report::compare::{document, sections};
use pycull::report::figure;
use pycull::report::html::Figures;
use pycull::report::model::{CompareImage, CompareLayer, CompareReport};
use pycull::report::size;

use super::Outcome;
use super::args::Compare;
use super::image::{self, write_figure};
use super::limit::Limit;
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Compare, printer: &Printer) -> anyhow::Result<Outcome> {
    let references = std::iter::once(&args.before).chain(&args.after);
    if references.filter(|reference| *reference == "-").count() > 1 {
        bail!("only one of the images can be on standard input");
    }
    let settings = &printer.settings;
    let before = image::open(&args.before)?;
    let mut sources = Vec::new();
    for reference in &args.after {
        sources.push(image::open(reference)?);
    }
    let afters: Vec<_> = sources
        .iter()
        .zip(args.after.iter().map(String::as_str))
        .collect();
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let report = pipeline::compare((&before, &args.before), &afters, &options)?;
    bars.clear();
    if let Some(file) = &args.figure {
        write_figure(file, &figure::compare(&report.images))?;
    }
    let figures = || {
        let sections = sections(&report, settings.detail).into_iter();
        let figures = sections.map(|images| Figures {
            map: None,
            drawings: vec![figure::compare(images)],
        });
        figures.collect()
    };
    printer.report(
        Stream::Out,
        &report,
        || document(&report, settings.detail),
        figures,
    )?;
    Ok(args
        .max_growth
        .map_or(Outcome::Done, |limit| gate(limit, &report, printer)))
}

/// Says which images grew by more than the limit.
fn gate(limit: Limit, report: &CompareReport, printer: &Printer) -> Outcome {
    let mut outcome = Outcome::Done;
    for image in &report.images {
        if let Some(message) = excess(limit, image) {
            printer.refusal(&message);
            outcome = Outcome::Refused;
        }
    }
    outcome
}

/// Most layers that a refusal names.
const NAMED_LAYERS: usize = 3;

fn excess(limit: Limit, image: &CompareImage) -> Option<String> {
    let totals = &image.totals;
    let most = limit.most(totals.compressed_before);
    let over = totals
        .compressed_after
        .checked_sub(most)
        .filter(|over| *over > 0)?;
    let percent = size::percent_more(totals.compressed_before, totals.compressed_after);
    let mut grown: Vec<(usize, &CompareLayer)> = image
        .layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| layer.compressed_difference > 0)
        .collect();
    grown.sort_by_key(|(_, layer)| Reverse(layer.compressed_difference));
    let layers: Vec<String> = grown
        .iter()
        .take(NAMED_LAYERS)
        .map(|(index, layer)| {
            let grown = size::difference(layer.compressed_difference);
            format!("layer {} {grown}", index + 1)
        })
        .collect();
    Some(format!(
        "{} grew by {} ({}) compressed, {} more than {limit}: {}",
        image.platform,
        size::bytes(totals.compressed_difference.unsigned_abs()),
        size::percent(percent),
        size::bytes(over),
        layers.join(", ")
    ))
}
