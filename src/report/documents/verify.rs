//! The document of `verify`: whether only bytecode differs between two images.

use crate::path;
use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{Verdict, VerifyDifference, VerifyImage, VerifyReport};
use crate::report::{Detail, input_name};
use crate::size;

/// Returns the report as a document, with a section for each platform. The verdict comes last in it.
pub fn document(report: &VerifyReport, detail: Detail) -> Document {
    let mut document = Document::default();
    if !report.unmatched.is_empty() {
        document.push(Block::Warning(format!(
            "only one of the images has {}",
            report.unmatched.join(", ")
        )));
    }
    for image in &report.images {
        let profile = report.profile.iter().map(|name| format!("profile {name}"));
        document.push(Block::Headline {
            name: format!(
                "{} → {}",
                input_name(&report.before),
                input_name(&report.after)
            ),
            facts: std::iter::once(image.platform.clone())
                .chain(profile)
                .collect(),
        });
        document.table(difference_table(&image.differences, detail));
        document.line(compared(image));
        document.line(caches(image));
        document.blocks.extend(missing(image));
        document.push(Block::Summary(verdict(image)));
    }
    document
}

/// Number of differences that a summary lists.
const LISTED: usize = 10;

fn difference_table(differences: &[VerifyDifference], detail: Detail) -> Table {
    let listed = match detail {
        Detail::Summary => differences.len().min(LISTED),
        Detail::All => differences.len(),
    };
    let more = differences.len() - listed;
    Table {
        title: Title::Implied("differences"),
        columns: vec![
            Column::left("in"),
            Column::left("path"),
            Column::left("difference"),
        ],
        rows: differences[..listed].iter().map(row).collect(),
        more: (more > 0).then(|| format!("and {more} more; -v lists all")),
        ..Table::default()
    }
}

fn row(difference: &VerifyDifference) -> Vec<Cell> {
    vec![
        Cell::word(difference.part.name()),
        Cell::path(path::or_root(&difference.path)),
        Cell::prose(&difference.what).tone(Tone::Bad),
    ]
}

fn compared(image: &VerifyImage) -> String {
    format!(
        "compared {} paths and {} of content",
        image.checked.paths,
        size::bytes(image.checked.bytes)
    )
}

fn caches(image: &VerifyImage) -> String {
    let caches = &image.caches;
    let counts = format!(
        "visible caches: {} removed, {} added, {} changed",
        caches.removed, caches.added, caches.changed
    );
    match caches.missing {
        Some(missing) => format!("{counts}, {missing} missing"),
        None => counts,
    }
}

/// Notes the number of missing caches. Only compiling can tell whether their sources compile.
fn missing(image: &VerifyImage) -> Option<Block> {
    let missing = image.caches.missing.filter(|missing| *missing > 0)?;
    let (caches, they) = match missing {
        1 => ("cache", "its source compiles"),
        _ => ("caches", "their sources compile"),
    };
    Some(Block::Note(format!(
        "AFTER lacks {missing} {caches} that the profile asks for; verify does not know whether {they}"
    )))
}

fn verdict(image: &VerifyImage) -> String {
    match (image.verdict, image.differences.len()) {
        (Verdict::Same, _) => "same: nothing but bytecode differs".to_owned(),
        (Verdict::Different, 1) => "different: 1 difference that is not allowed".to_owned(),
        (Verdict::Different, count) => {
            format!("different: {count} differences that are not allowed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::formats::text::{Style, render};
    use crate::report::samples;

    const STYLE: Style = Style {
        color: false,
        width: Some(80),
    };

    #[test]
    fn caches_that_a_profile_compiles_and_are_not_there_are_told() {
        for (missing, expected) in [
            (None, None),
            (Some(0), None),
            (Some(1), Some("lacks 1 cache that")),
            (Some(7), Some("lacks 7 caches that")),
        ] {
            let mut report = samples::verify_same();
            report.images[0].caches.missing = missing;
            let text = render(&document(&report, Detail::Summary), STYLE);
            assert_eq!(text.contains("lacks"), expected.is_some(), "{text}");
            assert!(expected.is_none_or(|it| text.contains(it)), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut_unless_all_is_asked_for() {
        let mut report = samples::verify_different();
        let one = report.images[0].differences[0].clone();
        report.images[0].differences = vec![one; 25];
        let text = |detail| render(&document(&report, detail), STYLE);
        assert!(text(Detail::Summary).contains("and 15 more; -v lists all"));
        assert_eq!(text(Detail::All).matches("libssl.so.3").count(), 25);
    }
}
