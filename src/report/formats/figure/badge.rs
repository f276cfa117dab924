//! A badge: the size of an image, and how much smaller or larger it became.

use crate::report::documents::document::Tone;
use crate::report::formats::markup::escaped;
use crate::report::model::CompareImage;
use crate::size;

const LABEL: &str = "image size";
const HEIGHT: u32 = 20;
/// Average width of a character in an 11-pixel font. Renderers fit the text to this width.
const CHAR_WIDTH: f64 = 6.1;
const MARGIN: f64 = 7.0;

/// A badge for a README or a wiki. It shows the compressed size after, and the difference.
pub fn badge(image: &CompareImage) -> String {
    let totals = &image.totals;
    let (before, after) = (totals.compressed_before, totals.compressed_after);
    let percent = size::percent(size::percent_more(before, after));
    let value = format!("{} ({percent})", size::bytes(after));
    let color = match Tone::of_difference(totals.compressed_difference) {
        Tone::Good => "#1f7a55",
        Tone::Plain => "#59636e",
        Tone::Bad => "#b3402a",
    };
    let name = escaped(&format!("{LABEL}: {value}"));
    let (left, right) = (width(LABEL), width(&value));
    let all = left + right;
    let texts = part(LABEL, 0.0) + &part(&value, left);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{all:.1}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{name}\">\n\
         <title>{name}</title>\n\
         <clipPath id=\"corners\"><rect width=\"{all:.1}\" height=\"{HEIGHT}\" rx=\"3\"/></clipPath>\n\
         <g clip-path=\"url(#corners)\"><rect width=\"{left:.1}\" height=\"{HEIGHT}\" fill=\"#3b424a\"/>\
         <rect x=\"{left:.1}\" width=\"{right:.1}\" height=\"{HEIGHT}\" fill=\"{color}\"/></g>\n\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">{texts}</g>\n</svg>\n"
    )
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * CHAR_WIDTH
}

fn width(text: &str) -> f64 {
    text_width(text) + 2.0 * MARGIN
}

fn part(text: &str, left: f64) -> String {
    let (x, length) = (left + MARGIN, text_width(text));
    let text = escaped(text);
    format!("<text x=\"{x:.1}\" y=\"14\" textLength=\"{length:.1}\">{text}</text>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_badge_says_the_size_and_whether_that_is_good() {
        let mut image = samples::compare().images.remove(0);
        let smaller = badge(&image);
        assert!(smaller.contains("aria-label=\"image size: 60.3 MB (-33.2 %)\""));
        assert!(smaller.contains(">60.3 MB (-33.2 %)</text>") && smaller.contains("#1f7a55"));
        image.totals.compressed_before = image.totals.compressed_after;
        image.totals.compressed_difference = 0;
        let same = badge(&image);
        assert!(same.contains("60.3 MB (0 %)") && same.contains("#59636e"));
        image.totals.compressed_before = 30_000_000;
        image.totals.compressed_difference = 30_300_512;
        let larger = badge(&image);
        assert!(larger.contains("(+101.0 %)") && larger.contains("#b3402a"));
    }
}
