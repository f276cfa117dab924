//! Turns measurements into the report of `bench`.

use crate::bench::{BenchOptions, Measured, Measurements, Sample, Timing};
use crate::path;
use crate::pyc::Level;
use crate::report::model::{BenchImage, BenchImports, BenchRow, BenchTree};

/// Makes the report for one platform.
pub(crate) fn bench(
    platform: String,
    measurements: Measurements,
    options: &BenchOptions,
) -> BenchImage {
    let libraries = measurements.libraries.iter();
    let imported = libraries.clone().filter(|it| !it.imports.is_empty());
    BenchImage {
        platform,
        trees: libraries.map(|it| tree(it, options)).collect(),
        imports: imported.map(|it| imports(it, options)).collect(),
        warnings: measurements.warnings,
    }
}

fn tree(measured: &Measured, options: &BenchOptions) -> BenchTree {
    let (rows, ratio) = rows(&measured.reload);
    BenchTree {
        path: path::text(&measured.path),
        python: measured.interpreter.version.to_string(),
        interpreter: measured.interpreter.path.clone(),
        sandbox: measured.interpreter.sandbox.clone(),
        module: options.module.clone(),
        repeats: options.repeats,
        rounds: options.rounds,
        rows,
        ratio,
    }
}

fn imports(measured: &Measured, options: &BenchOptions) -> BenchImports {
    let (rows, ratio) = rows(&measured.imports);
    BenchImports {
        path: path::text(&measured.path),
        python: measured.interpreter.version.to_string(),
        modules: options.imports.clone(),
        rounds: options.rounds,
        rows,
        ratio,
    }
}

/// Returns a row for every level with and without caches. Also returns the time without caches divided by the time with
/// caches, at level 0.
fn rows(timings: &[Timing]) -> (Vec<BenchRow>, f64) {
    let rows: Vec<BenchRow> = timings.iter().map(row).collect();
    let (cached, bare) = (rows[0].real_seconds, rows[Level::ALL.len()].real_seconds);
    (rows, rounded(bare / cached.max(1e-9), 100.0))
}

fn row(timing: &Timing) -> BenchRow {
    let sorted = |of: fn(&Sample) -> f64| {
        let mut times: Vec<f64> = timing.samples.iter().map(of).collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    };
    let (real, user, system) = (
        sorted(|it| it.real),
        sorted(|it| it.user),
        sorted(|it| it.system),
    );
    let microseconds = |time: f64| rounded(time, 1e6);
    BenchRow {
        level: timing.level.index() as u8,
        cached: timing.is_cached,
        real_seconds: microseconds(median(&real)),
        user_seconds: microseconds(median(&user)),
        sys_seconds: microseconds(median(&system)),
        lowest_real_seconds: microseconds(real[0]),
        highest_real_seconds: microseconds(real[real.len() - 1]),
    }
}

/// The median of sorted numbers. There must be at least one.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    }
}

fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_of_medians_and_extremes() {
        let sample = |real| Sample {
            real,
            user: real / 2.0,
            system: 0.125,
        };
        let row = row(&Timing {
            level: Level::One,
            is_cached: true,
            samples: [5.0, 1.0, 2.0, 400.0].map(sample).to_vec(),
        });
        assert_eq!((row.level, row.cached), (1, true));
        assert_eq!((row.real_seconds, row.user_seconds), (3.5, 1.75));
        assert_eq!(row.sys_seconds, 0.125);
        assert_eq!(row.lowest_real_seconds, 1.0);
        assert_eq!(row.highest_real_seconds, 400.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    }
}
