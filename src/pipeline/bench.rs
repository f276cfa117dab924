//! `bench` measures how fast the interpreters of an image import modules, with and without caches.

use super::{Input, Options, PipelineError, Stored, open, survey};
use crate::bench::{BenchOptions, Libraries};
use crate::describe;
use crate::report::model::BenchReport;

/// Measures every standard library of every image in the source.
///
/// # Errors
/// [`PipelineError`] if an image cannot be read, or if nothing in any image can be measured. If something can be
/// measured, the report has a warning for each failure.
pub fn bench(
    input: Input<'_>,
    bench: &BenchOptions,
    options: &Options<'_>,
) -> Result<BenchReport, PipelineError> {
    let root = open(input.source, options)?;
    let mut images = Vec::new();
    let (mut first_failure, mut has_figures) = (None, false);
    for image in root.images() {
        let inventory = survey(Stored::of(input.source), image, false, options)?;
        let libraries = Libraries {
            access: options.access(&*input.source.store),
            inventory: &inventory,
            bench,
            time: options.limits.time(),
        };
        let platform = image.platform.to_string();
        let (measurements, result) = libraries.measure();
        match result {
            Ok(()) => has_figures = true,
            Err(failure) => {
                first_failure.get_or_insert(PipelineError::Bench {
                    platform: platform.clone(),
                    source: Box::new(failure),
                });
            }
        }
        images.push(describe::bench(platform, measurements, bench));
    }
    match first_failure.filter(|_| !has_figures) {
        Some(failure) => Err(failure),
        None => Ok(BenchReport {
            schema: "pycull.bench/1",
            reference: input.reference.to_owned(),
            images,
        }),
    }
}
