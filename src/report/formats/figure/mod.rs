//! Figures as SVG. They need no other files, and adapt to light and dark colour schemes.

mod badge;
mod bench;
mod layers;

use std::fmt::Write;

use crate::report::formats::markup::escaped;

pub use badge::badge;
pub use bench::bench;
pub use layers::{compare, layers, minimize};

/// Sizes in SVG units: the whole figure, the margins left and right of the bars, a row, and a title's row.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 110.0;
const ROW: f64 = 26.0;
const TITLE: f64 = 44.0;

/// The style of every drawing: the exact text between its `<style>` tags.
pub(super) const STYLE: &str = "\
svg{font:14px system-ui,sans-serif;background:#fff}\
text{fill:#1b1f24}.title{font-weight:600}.with{fill:#2a7f62}.without{fill:#c8553d}.spread{stroke:#1b1f24}\
.other{fill:#aab4be}.level-0{fill:#2a9d6f}.level-1{fill:#7fc8a9}.level-2{fill:#b9dccb}\
@media(prefers-color-scheme:dark){svg{background:#14171a}text{fill:#e6e8ea}.with{fill:#4fb58f}\
.without{fill:#e07a5f}.spread{stroke:#e6e8ea}\
.other{fill:#4a525a}.level-0{fill:#23805b}.level-1{fill:#3f9d79}.level-2{fill:#5f8573}}";

fn drawing(name: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{name}\">\n<title>{name}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
    )
}

fn push_title(body: &mut String, title: &str, top: f64) {
    let y = top + TITLE - 16.0;
    let title = escaped(title);
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"16\" y=\"{y}\">{title}</text>"
    );
}

/// Adds text to a row. `x` and `anchor` place it horizontally.
fn push_text(body: &mut String, text: &str, x: f64, top: f64, anchor: &str) {
    let y = top + ROW / 2.0 + 5.0;
    let text = escaped(text);
    let _ = writeln!(
        body,
        "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn push_bar(body: &mut String, class: &str, x: f64, top: f64, width: f64) {
    let (y, height) = (top + 3.0, ROW - 6.0);
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\"/>"
    );
}

#[cfg(test)]
mod tests;
