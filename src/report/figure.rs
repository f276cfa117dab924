//! Figures as SVG: they stand alone, know a light and a dark scheme, and load nothing.

use std::fmt::Write;

use super::bench::{caches, imports_title, reloads, seconds};
use super::model::{BenchReport, BenchRow};
use super::printable;

/// Units of SVG.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 110.0;
const ROW: f64 = 26.0;
const TITLE: f64 = 44.0;

const STYLE: &str = "\
svg{font:14px system-ui,sans-serif;background:#fff}\
text{fill:#1b1f24}.title{font-weight:600}.with{fill:#2a7f62}.without{fill:#c8553d}.spread{stroke:#1b1f24}\
@media(prefers-color-scheme:dark){svg{background:#14171a}text{fill:#e6e8ea}.with{fill:#4fb58f}\
.without{fill:#e07a5f}.spread{stroke:#e6e8ea}}";

/// What `bench` measured, as bars: one chart for each table, longer is slower. The line at a bar's end goes from
/// the quickest run to the slowest.
pub fn bench(report: &BenchReport) -> String {
    let mut charts = Vec::new();
    for image in &report.images {
        for tree in &image.trees {
            charts.push((reloads(tree), &*tree.rows));
        }
        for imports in &image.imports {
            let title = imports_title(&imports.python, &imports.modules);
            charts.push((title, &*imports.rows));
        }
    }
    let mut body = String::new();
    let mut top = 0.0;
    for (title, rows) in charts {
        push_chart(&mut body, &title, rows, top);
        top += TITLE + ROW * rows.len() as f64;
    }
    let height = top + 16.0;
    let name = escaped(&format!("import speed of {}", report.reference));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn push_chart(body: &mut String, title: &str, rows: &[BenchRow], top: f64) {
    let longest = rows.iter().map(|row| row.highest_real_seconds);
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    let width = |seconds: f64| seconds / longest * (WIDTH - LEFT - RIGHT);
    let title = escaped(title);
    let y = top + TITLE - 16.0;
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"16\" y=\"{y}\">{title}</text>"
    );
    for (index, row) in rows.iter().enumerate() {
        let y = top + TITLE + ROW * index as f64;
        let (class, level) = (caches(row), &row.level);
        let middle = y + ROW / 2.0;
        let baseline = middle + 5.0;
        let bar = width(row.real_seconds);
        let (low, high) = (
            width(row.lowest_real_seconds),
            width(row.highest_real_seconds),
        );
        let label_x = LEFT - 12.0;
        let _ = writeln!(
            body,
            "<text x=\"{label_x}\" y=\"{baseline}\" text-anchor=\"end\">level {level}, {class} caches</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{:.1}\"/>\
             <path class=\"spread\" d=\"M{:.1} {middle}H{:.1}\"/>\
             <text x=\"{:.1}\" y=\"{baseline}\">{}</text>",
            y + 3.0,
            ROW - 6.0,
            LEFT + low,
            LEFT + high,
            LEFT + high.max(bar) + 8.0,
            seconds(row.real_seconds),
        );
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_figure_has_a_bar_for_each_row_and_no_markup_of_the_image() {
        let figure = bench(&samples::bench());
        assert_eq!(figure.matches("<rect").count(), 12);
        assert!(figure.contains("import speed of app&lt;&amp;&gt;.tar"));
        assert!(figure.contains("536 ms"));
        // The longest bar's slowest run ends where the figures begin, and all others before.
        let longest = format!("H{:.1}\"", WIDTH - RIGHT);
        assert_eq!(figure.matches(&longest).count(), 6, "{figure}");
    }

    #[test]
    fn nothing_measured_is_an_empty_figure() {
        let mut report = samples::bench();
        report.images.clear();
        assert_eq!(bench(&report).matches("<rect").count(), 0);
    }
}
