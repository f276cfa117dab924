//! Charts of what `bench` measured.

use std::fmt::Write;

use super::{LEFT, RIGHT, ROW, TITLE, WIDTH, drawing, push_bar, push_text, push_title};
use crate::report::documents::bench::{caches, imports_title, reloads, seconds};
use crate::report::model::{BenchImage, BenchRow};

/// Draws a bar chart for each table. Longer is slower. The line at the end of a bar spans the fastest to the slowest
/// run.
pub fn bench(images: &[BenchImage]) -> String {
    let mut charts = Vec::new();
    for image in images {
        for tree in &image.trees {
            charts.push((reloads(tree), &*tree.rows));
        }
        for imports in &image.imports {
            let title = imports_title(imports);
            charts.push((title, &*imports.rows));
        }
    }
    let mut body = String::new();
    let mut top = 0.0;
    for (title, rows) in charts {
        push_chart(&mut body, &title, rows, top);
        top += TITLE + ROW * rows.len() as f64;
    }
    drawing("import speed", top + 16.0, &body)
}

fn push_chart(body: &mut String, title: &str, rows: &[BenchRow], top: f64) {
    let longest = rows.iter().map(|row| row.highest_real_seconds);
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    let width = |seconds: f64| seconds / longest * (WIDTH - LEFT - RIGHT);
    push_title(body, title, top);
    for (index, row) in rows.iter().enumerate() {
        let top = top + TITLE + ROW * index as f64;
        let class = caches(row);
        let label = format!("level {}, {class} caches", row.level);
        push_text(body, &label, LEFT - 12.0, top, "end");
        push_bar(body, class, LEFT, top, width(row.real_seconds));
        let low = LEFT + width(row.lowest_real_seconds);
        let high = LEFT + width(row.highest_real_seconds);
        let middle = top + ROW / 2.0;
        let _ = writeln!(
            body,
            "<path class=\"spread\" d=\"M{low:.1} {middle}H{high:.1}\"/>"
        );
        push_text(body, &seconds(row.real_seconds), high + 8.0, top, "start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_figure_has_a_bar_for_each_row() {
        let figure = bench(&samples::bench().images);
        assert_eq!(figure.matches("<rect").count(), 12);
        assert!(figure.contains("536 ms"));
        // The slowest run of the longest bars ends at the column of the figures.
        let longest = format!("H{:.1}\"", WIDTH - RIGHT);
        assert_eq!(figure.matches(&longest).count(), 6, "{figure}");
    }

    #[test]
    fn nothing_measured_is_an_empty_figure() {
        assert_eq!(bench(&[]).matches("<rect").count(), 0);
    }
}
