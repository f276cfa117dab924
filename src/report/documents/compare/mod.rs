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
    if let Some(levels) = &image.levels {
        document.table(level_table(levels));
    }
    if let Some(trees) = &image.trees {
        document.table(tree_table(trees, detail));
    }
    if let Some(modules) = &image.modules {
        document.table(module_table(modules, detail));
    }
    push_pull(document, image);
    push_compression(document, before, std::slice::from_ref(image));
    document.push(Block::Summary(summary(image)));
}

/// Adds a note if no layers are compressed, and a warning if only the layers of one side are.
fn push_compression(document: &mut Document, before: &str, images: &[CompareImage]) {
    if images.iter().all(|image| plain_sides(image) == [true; 2]) {
        document.push(Block::Note(PLAIN.to_owned()));
    }
    for image in images {
        let (before, after) = (input_name(before), input_name(&image.after));
        let (plain, other) = match plain_sides(image) {
            [true, false] => (before, after),
            [false, true] => (after, before),
            _ => continue,
        };
        document.push(Block::Warning(format!(
            "cannot compare compressed sizes: the layers of {plain} are not compressed, and those of {other} are, at least in part"
        )));
    }
}

/// Whether all layers before and all layers after are uncompressed.
fn plain_sides(image: &CompareImage) -> [bool; 2] {
    let totals = &image.totals;
    let side = |compressed, unpacked, layer: fn(&CompareLayer) -> Option<&ComparedLayer>| {
        let mut layers = image.layers.iter().filter_map(layer).peekable();
        match unpacked {
            Some(unpacked) => is_plain(compressed, unpacked),
            // Without the layers there are only their media types.
            None => layers.peek().is_some() && layers.all(|it| it.media_type.ends_with(".tar")),
        }
    };
    [
        side(totals.compressed_before, totals.uncompressed_before, |it| {
            it.before.as_ref()
        }),
        side(totals.compressed_after, totals.uncompressed_after, |it| {
            it.after.as_ref()
        }),
    ]
}

fn layer_table(image: &CompareImage) -> Table {
    let totals = &image.totals;
    let mut columns = vec![
        Column::right("layer"),
        Column::right("compressed"),
        Column::right("after"),
        Column::right("difference").ranks(),
    ];
    let mut total = vec![
        Cell::word("total"),
        Cell::bytes(totals.compressed_before),
        Cell::bytes(totals.compressed_after),
        Cell::difference(totals.compressed_difference),
    ];
    if let (Some(before), Some(after), Some(difference)) = (
        totals.uncompressed_before,
        totals.uncompressed_after,
        totals.uncompressed_difference,
    ) {
        let unpacked = ["unpacked", "after", "difference"].map(Column::right);
        columns.extend(unpacked.map(|column| column.dispensable(1)));
        total.extend([
            Cell::bytes(before),
            Cell::bytes(after),
            Cell::difference(difference),
        ]);
    }
    Table {
        title: Title::Implied("layers"),
        columns,
        rows: image.layers.iter().map(layer_row).collect(),
        total,
        ..Table::default()
    }
}

fn layer_row(layer: &CompareLayer) -> Vec<Cell> {
    let bytes = |side: &Option<ComparedLayer>, of: fn(&ComparedLayer) -> Option<u64>| {
        let bytes = side.as_ref().and_then(of);
        bytes.map_or(Cell::word("-"), Cell::bytes)
    };
    let compressed = |side| bytes(side, |layer| Some(layer.compressed_bytes));
    let unpacked = |side| bytes(side, |layer| layer.uncompressed_bytes);
    let mut row = vec![
        Cell::word(layer_numbers(layer)),
        compressed(&layer.before),
        compressed(&layer.after),
        Cell::difference(layer.compressed_difference),
    ];
    if let Some(difference) = layer.uncompressed_difference {
        row.extend([
            unpacked(&layer.before),
            unpacked(&layer.after),
            Cell::difference(difference),
        ]);
    }
    row
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
    match totals.uncompressed_before.zip(totals.uncompressed_after) {
        Some((before, after)) => {
            let unpacked = size::change_of(before, after, "unpacked");
            format!("{compressed}, {unpacked}")
        }
        None => compressed,
    }
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
                true => totals.compressed_before = totals.uncompressed_before.unwrap(),
                false => totals.compressed_after = totals.uncompressed_after.unwrap(),
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
    #[test]
    fn sizes_alone_make_one_table_without_unpacked_bytes() {
        let names = |report: &CompareReport| {
            let blocks = document(report, Detail::All).blocks;
            let tables = blocks.into_iter().filter_map(|block| match block {
                Block::Table(table) => Some(table),
                _ => None,
            });
            let headings = tables.map(|table| table.columns.iter().map(|it| it.heading).collect());
            headings.collect::<Vec<Vec<_>>>()
        };
        assert_eq!(names(&samples::compare()).len(), 4);
        assert_eq!(
            names(&samples::compare_sizes()),
            [["layer", "compressed", "after", "difference"]]
        );
    }

    #[test]
    fn sizes_alone_know_uncompressed_layers_by_their_media_type() {
        let mut report = samples::compare_sizes();
        let messages = |report: &CompareReport| {
            let blocks = document(report, Detail::Summary).blocks;
            let is_wanted = |block: &&Block| match block {
                Block::Warning(text) => text.starts_with("cannot compare compressed sizes"),
                Block::Note(text) => text == PLAIN,
                _ => false,
            };
            blocks.iter().filter(is_wanted).cloned().collect::<Vec<_>>()
        };
        assert_eq!(messages(&report), []);
        for pair in &mut report.images[0].layers {
            let after = pair.after.as_mut().unwrap();
            after.media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
        }
        assert!(matches!(&messages(&report)[..], [Block::Warning(_)]));
        let before = report.images[0].layers[0].before.as_mut().unwrap();
        before.media_type = "application/vnd.docker.image.rootfs.diff.tar".to_owned();
        assert!(matches!(&messages(&report)[..], [Block::Note(_)]));
    }
}
