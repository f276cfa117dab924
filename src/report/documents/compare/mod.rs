//! The document of `compare`: how the sizes of images differ from one image before.

mod bytecode;
mod columns;

use bytecode::{level_table, module_table, tree_table};
use columns::push_columns;

use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title};
use crate::report::model::{CompareImage, CompareLayer, CompareReport, ComparedLayer};
use crate::report::{Detail, PLAIN, input_name, is_plain};
use crate::size;

/// Returns the report as a document, with a section for each platform. For one image after, the section has all tables,
/// and the totals last. For several, it has a table with a column for each, and with [`Detail::All`] each has its own
/// section.
pub fn document(report: &CompareReport, detail: Detail) -> Document {
    let mut document = Document::default();
    for unmatched in &report.unmatched {
        document.push(Block::Warning(format!(
            "did not compare {}: {} has this platform, and {} does not",
            unmatched.platform,
            input_name(&unmatched.present_in),
            input_name(&unmatched.absent_from)
        )));
    }
    for section in sections(report, detail) {
        match section {
            [image] => push_image(&mut document, &report.before, image, detail),
            images => push_columns(&mut document, &report.before, images),
        }
    }
    document
}

/// The images of each headline in the document.
pub fn sections(report: &CompareReport, detail: Detail) -> Vec<&[CompareImage]> {
    let compared_alike = report.images.chunk_by(have_the_same_before);
    let mut sections = Vec::new();
    for images in compared_alike {
        sections.push(images);
        if images.len() > 1 && detail == Detail::All {
            sections.extend(images.chunks(1));
        }
    }
    sections
}

/// Compare the digests too: an index can hold two images of one platform.
fn have_the_same_before(a: &CompareImage, b: &CompareImage) -> bool {
    a.platform == b.platform && a.manifests.before == b.manifests.before
}

fn push_image(document: &mut Document, before: &str, image: &CompareImage, detail: Detail) {
    document.push(Block::Headline {
        name: format!("{} → {}", input_name(before), input_name(&image.after)),
        facts: vec![image.platform.clone()],
    });
    document.table(layer_table(image));
    document.table(level_table(&image.levels));
    document.table(tree_table(&image.trees, detail));
    document.table(module_table(&image.modules, detail));
    push_pull(document, image);
    push_compression(document, before, std::slice::from_ref(image));
    document.push(Block::Summary(summary(image)));
}

/// Adds a note if no layers are compressed, and a warning if only the layers of one side are.
fn push_compression(document: &mut Document, before: &str, images: &[CompareImage]) {
    let sides = |image: &CompareImage| {
        let totals = &image.totals;
        (
            is_plain(totals.compressed_before, totals.uncompressed_before),
            is_plain(totals.compressed_after, totals.uncompressed_after),
        )
    };
    if images.iter().all(|image| sides(image) == (true, true)) {
        document.push(Block::Note(PLAIN.to_owned()));
    }
    for image in images {
        let (before, after) = (input_name(before), input_name(&image.after));
        let (plain, other) = match sides(image) {
            (true, false) => (before, after),
            (false, true) => (after, before),
            _ => continue,
        };
        document.push(Block::Warning(format!(
            "cannot compare compressed sizes: the layers of {plain} are not compressed, and those of {other} are, at least in part"
        )));
    }
}

fn layer_table(image: &CompareImage) -> Table {
    let totals = &image.totals;
    let total = vec![
        Cell::word("total"),
        Cell::bytes(totals.compressed_before),
        Cell::bytes(totals.compressed_after),
        Cell::difference(totals.compressed_difference),
        Cell::bytes(totals.uncompressed_before),
        Cell::bytes(totals.uncompressed_after),
        Cell::difference(totals.uncompressed_difference),
    ];
    Table {
        title: Title::Implied("layers"),
        columns: vec![
            Column::right("layer"),
            Column::right("compressed"),
            Column::right("after"),
            Column::right("difference").ranks(),
            Column::right("unpacked").dispensable(1),
            Column::right("after").dispensable(1),
            Column::right("difference").dispensable(1),
        ],
        rows: image.layers.iter().map(layer_row).collect(),
        total,
        ..Table::default()
    }
}

fn layer_row(layer: &CompareLayer) -> Vec<Cell> {
    let bytes = |side: &Option<ComparedLayer>, of: fn(&ComparedLayer) -> u64| match side {
        Some(layer) => Cell::bytes(of(layer)),
        None => Cell::word("-"),
    };
    vec![
        Cell::word(layer_numbers(layer)),
        bytes(&layer.before, |layer| layer.compressed_bytes),
        bytes(&layer.after, |layer| layer.compressed_bytes),
        Cell::difference(layer.compressed_difference),
        bytes(&layer.before, |layer| layer.uncompressed_bytes),
        bytes(&layer.after, |layer| layer.uncompressed_bytes),
        Cell::difference(layer.uncompressed_difference),
    ]
}

/// A layer's number before and after, or one number if both are equal.
fn layer_numbers(layer: &CompareLayer) -> String {
    let number = |side: &Option<ComparedLayer>| {
        let layer = side.as_ref();
        layer.map_or_else(|| "-".to_owned(), |layer| layer.index.to_string())
    };
    let (before, after) = (number(&layer.before), number(&layer.after));
    match before == after {
        true => before,
        false => format!("{before} → {after}"),
    }
}

fn push_pull(document: &mut Document, image: &CompareImage) {
    document.push(Block::Line(format!(
        "pull size: {}, or {} on a host that has the old image",
        size::bytes(image.pull.cold_bytes),
        size::bytes(image.pull.warm_bytes)
    )));
}

fn summary(image: &CompareImage) -> String {
    let totals = &image.totals;
    let compressed = size::change_of(
        totals.compressed_before,
        totals.compressed_after,
        "compressed",
    );
    let unpacked = size::change_of(
        totals.uncompressed_before,
        totals.uncompressed_after,
        "unpacked",
    );
    format!("{compressed}, {unpacked}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn each_image_that_is_compressed_otherwise_is_warned_of() {
        let mut report = samples::compare_several();
        let plain = |image: &mut CompareImage, is_before: bool| {
            let totals = &mut image.totals;
            match is_before {
                true => totals.compressed_before = totals.uncompressed_before,
                false => totals.compressed_after = totals.uncompressed_after,
            }
        };
        let warnings = |report: &CompareReport| {
            let blocks = document(report, Detail::Summary).blocks;
            let warned = blocks.into_iter().filter_map(|block| match block {
                Block::Warning(text) => Some(text),
                _ => None,
            });
            warned.collect::<Vec<_>>()
        };
        plain(&mut report.images[1], false);
        let after = report.images[1].after.clone();
        let shown = warnings(&report);
        assert_eq!(shown.len(), 1, "{shown:?}");
        let start = format!(
            "cannot compare compressed sizes: the layers of {after} are not compressed, and those of {} are",
            report.before
        );
        assert!(shown[0].starts_with(&start), "{shown:?}");
        for image in &mut report.images {
            plain(image, true);
        }
        // All images but that one.
        let shown = warnings(&report);
        assert_eq!(shown.len(), report.images.len() - 1, "{shown:?}");
        let start = format!(
            "cannot compare compressed sizes: the layers of {} are not compressed",
            report.before
        );
        assert!(shown.iter().all(|it| it.starts_with(&start)), "{shown:?}");
    }

    #[test]
    fn in_detail_each_of_several_images_has_a_section() {
        let headlines = |report: &CompareReport, detail| {
            let blocks = document(report, detail).blocks;
            let is_headline = |block: &&Block| matches!(block, Block::Headline { .. });
            blocks.iter().filter(is_headline).count()
        };
        for (report, summary, all) in [
            (samples::compare(), 1, 1),
            (samples::compare_several(), 1, 6),
        ] {
            for (detail, expected) in [(Detail::Summary, summary), (Detail::All, all)] {
                assert_eq!(headlines(&report, detail), expected);
                assert_eq!(sections(&report, detail).len(), expected);
            }
        }
    }
}
