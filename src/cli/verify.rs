//! `pycull verify`.

use pycull::pipeline::{self, Input};
use pycull::profile::load;
use pycull::report::documents::verify::document;

use super::Outcome;
use super::args::Verify;
use super::image;
use super::printer::{Printer, Stream};
use super::progress::Bars;

pub(crate) fn run(args: &Verify, printer: &Printer) -> anyhow::Result<Outcome> {
    image::check_references([&args.before, &args.after])?;
    let settings = &printer.settings;
    let profile = args.profile.as_ref().map(|name| load(name, &args.set));
    let profile = profile.transpose()?;
    let (before, after) = (
        image::open(&args.before, image::WHOLE, printer)?,
        image::open(&args.after, image::WHOLE, printer)?,
    );
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let before = Input {
        source: &before,
        reference: &args.before,
    };
    let after = Input {
        source: &after,
        reference: &args.after,
    };
    let report = pipeline::verify(before, after, profile.as_ref(), &options)?;
    bars.clear();
    printer.report(
        Stream::Out,
        &report,
        || document(&report, settings.detail),
        Vec::new,
    )?;
    for platform in &report.unmatched {
        printer.refusal(&format!("only one of the images has {platform}"));
    }
    Ok(match report.is_same() {
        true => Outcome::Done,
        false => Outcome::Refused,
    })
}
