//! Snapshots of every command's document, as text of several widths and as markdown. They are in `snapshots/`.

use std::fmt::Write;

use crate::report::Detail;
use crate::report::documents::bench;
use crate::report::documents::compare;
use crate::report::documents::document::Document;
use crate::report::documents::inspect;
use crate::report::documents::minimize;
use crate::report::documents::verify;
use crate::report::formats::markdown;
use crate::report::formats::text::{Style, render};
use crate::report::samples;

fn documents() -> Vec<(&'static str, Document)> {
    use Detail::{All, Summary};
    vec![
        ("inspect", inspect::document(&samples::inspect(), Summary)),
        ("inspect_all", inspect::document(&samples::inspect(), All)),
        (
            "inspect_advised",
            inspect::document(&samples::inspect_advised(), Summary),
        ),
        (
            "inspect_without_python",
            inspect::document(&samples::inspect_without_python(), Summary),
        ),
        (
            "minimize",
            minimize::document(&samples::minimize(), Summary),
        ),
        (
            "minimize_dry_run",
            minimize::document(&samples::minimize_dry_run(), All),
        ),
        (
            "minimize_unchanged",
            minimize::document(&samples::minimize_unchanged(), Summary),
        ),
        ("compare", compare::document(&samples::compare(), Summary)),
        ("compare_all", compare::document(&samples::compare(), All)),
        (
            "compare_several",
            compare::document(&samples::compare_several(), Summary),
        ),
        (
            "compare_sizes",
            compare::document(&samples::compare_sizes(), Summary),
        ),
        (
            "compare_several_sizes",
            compare::document(&samples::compare_several_sizes(), Summary),
        ),
        (
            "verify_same",
            verify::document(&samples::verify_same(), Summary),
        ),
        (
            "verify_different",
            verify::document(&samples::verify_different(), Summary),
        ),
        ("bench", bench::document(&samples::bench(), Summary)),
    ]
}

fn text(document: &Document, width: Option<u16>) -> String {
    let color = false;
    render(document, Style { color, width })
}

/// Renders the document at 60, 80 and 120 columns and for a pipe. Omits a rendering that equals the previous one.
fn at_every_width(document: &Document) -> String {
    let mut all = String::new();
    let mut previous = String::new();
    for (name, width) in [
        ("60 columns", Some(60)),
        ("80 columns", Some(80)),
        ("120 columns", Some(120)),
        ("piped", None),
    ] {
        let text = text(document, width);
        let shown = if text == previous {
            "(the same)\n"
        } else {
            &text
        };
        let _ = write!(all, "=== {name}\n{shown}");
        previous = text;
    }
    all
}

#[test]
fn text_suits_the_terminal() {
    for (name, document) in documents() {
        insta::assert_snapshot!(format!("{name}_text"), at_every_width(&document));
    }
}

#[test]
fn streams_are_named() {
    let mut report = samples::minimize();
    report.reference = "-".to_owned();
    report.output = Some("-".to_owned());
    let text = text(&minimize::document(&report, Detail::Summary), None);
    assert!(
        text.starts_with("standard input → standard output  linux"),
        "{text}"
    );
}

/// Commands and digests stay whole, because people copy them.
#[test]
fn text_is_no_wider_than_the_terminal() {
    for (name, document) in documents() {
        for width in [60, 80, 120] {
            let text = text(&document, Some(width));
            let too_wide = text
                .lines()
                .filter(|line| line.chars().count() > usize::from(width))
                .filter(|line| !line.starts_with('`') && !line.contains("sha256:"));
            let too_wide: Vec<&str> = too_wide.collect();
            assert!(too_wide.is_empty(), "{name} at {width}: {too_wide:#?}");
        }
    }
}

#[test]
fn markdown_is_as_kept() {
    for (name, document) in documents() {
        insta::assert_snapshot!(format!("{name}_markdown"), markdown::render(&document));
    }
}
