//! `pycull inspect`.

use pycull::pipeline::{self, InspectOptions};
use pycull::report::documents::inspect::document;
use pycull::report::formats::figure;
use pycull::report::formats::html::Figures;
use pycull::report::model::{FindingKind, InspectImage, InspectReport};

use super::Outcome;
use super::args::{Format, Inspect};
use super::image;
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Inspect, printer: &Printer) -> anyhow::Result<Outcome> {
    let settings = &printer.settings;
    let source = image::open(&args.image, image::SIZES, printer)?;
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let inspect = InspectOptions {
        map: settings.format == Format::Html,
        advice: args.advise,
    };
    let input = pipeline::Input {
        source: &source,
        reference: &args.image,
    };
    let report = pipeline::inspect(input, inspect, &options)?;
    bars.clear();
    let figures = || report.images.iter().map(figures_of).collect();
    printer.report(
        Stream::Out,
        &report,
        || document(&report, settings.detail),
        figures,
    )?;
    Ok(gate(&args.deny, &report, printer))
}

fn figures_of(image: &InspectImage) -> Figures<'_> {
    Figures {
        map: image.map.as_ref(),
        ..Figures::drawn(figure::layers(&image.layers))
    }
}

/// Prints the denied kinds of findings that the image has.
fn gate(denied: &[FindingKind], report: &InspectReport, printer: &Printer) -> Outcome {
    let count = |kind: FindingKind| {
        let findings = report.images.iter().flat_map(|image| &image.findings);
        findings.filter(|finding| finding.kind == kind).count()
    };
    let found: Vec<String> = FindingKind::ALL
        .into_iter()
        .filter(|kind| denied.contains(kind) && count(*kind) > 0)
        .map(|kind| format!("{} {}", count(kind), kind.name()))
        .collect();
    if found.is_empty() {
        return Outcome::Done;
    }
    printer.refusal(&format!("denied findings: {}", found.join(", ")));
    Outcome::Refused
}
