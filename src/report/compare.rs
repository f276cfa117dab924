//! How two images differ in size, as a document.

use super::document::{Block, Cell, Column, Document, Table, Tone};
use super::model::{
    CompareImage, CompareLayer, CompareLevels, CompareReport, ComparedLayer, Count,
};
use super::size;

/// The report as a document: a section for each platform, the totals last in it.
pub fn document(report: &CompareReport) -> Document {
    let mut document = Document::default();
    if !report.unmatched.is_empty() {
        document.push(Block::Warning(format!(
            "only one of the images has {}",
            report.unmatched.join(", ")
        )));
    }
    for image in &report.images {
        document.push(Block::Headline {
            name: format!("{} → {}", report.before, report.after),
            facts: vec![image.platform.clone()],
        });
        document.table(layer_table(image));
        document.table(level_table(&image.levels));
        push_pull(&mut document, image);
        document.push(Block::Summary(summary(image)));
    }
    document
}

fn layer_table(image: &CompareImage) -> Table {
    let mut rows: Vec<_> = image.layers.iter().map(layer_row).collect();
    let totals = &image.totals;
    rows.push(vec![
        Cell::word("total"),
        Cell::word(size::bytes(totals.compressed_before)),
        Cell::word(size::bytes(totals.compressed_after)),
        difference(totals.compressed_difference),
        Cell::word(size::bytes(totals.uncompressed_before)),
        Cell::word(size::bytes(totals.uncompressed_after)),
        difference(totals.uncompressed_difference),
    ]);
    Table {
        title: None,
        columns: vec![
            Column::right("layer"),
            Column::right("compressed"),
            Column::right("after"),
            Column::right("difference"),
            Column::right("unpacked"),
            Column::right("after"),
            Column::right("difference"),
        ],
        rows,
        more: None,
    }
}

fn layer_row(layer: &CompareLayer) -> Vec<Cell> {
    let bytes = |side: &Option<ComparedLayer>, of: fn(&ComparedLayer) -> u64| match side {
        Some(layer) => Cell::word(size::bytes(of(layer))),
        None => Cell::word("-"),
    };
    vec![
        Cell::word(layer_numbers(layer)),
        bytes(&layer.before, |layer| layer.compressed_bytes),
        bytes(&layer.after, |layer| layer.compressed_bytes),
        difference(layer.compressed_difference),
        bytes(&layer.before, |layer| layer.uncompressed_bytes),
        bytes(&layer.after, |layer| layer.uncompressed_bytes),
        difference(layer.uncompressed_difference),
    ]
}

/// A layer's number before and after, once where it is the same.
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

fn difference(bytes: i64) -> Cell {
    Cell::word(size::difference(bytes)).tone(Tone::of_difference(bytes))
}

fn level_table(levels: &CompareLevels) -> Table {
    let row = |level: &str| {
        let count = |side: &super::model::Levels| side.get(level).copied().unwrap_or_default();
        let (before, after) = (count(&levels.before), count(&levels.after));
        if before == after && before == Count::default() {
            return None;
        }
        Some(vec![
            Cell::word(format!("level {level}")),
            Cell::number(before.files),
            Cell::word(size::bytes(before.bytes)),
            Cell::number(after.files),
            Cell::word(size::bytes(after.bytes)),
            difference(size::bytes_more(before.bytes, after.bytes)),
        ])
    };
    Table {
        title: None,
        columns: vec![
            Column::left("bytecode"),
            Column::right("files"),
            Column::right("size"),
            Column::right("after"),
            Column::right("size"),
            Column::right("difference"),
        ],
        rows: ["0", "1", "2"].into_iter().filter_map(row).collect(),
        more: None,
    }
}

fn push_pull(document: &mut Document, image: &CompareImage) {
    document.push(Block::Line(format!(
        "a pull of the image after fetches {}, or {} where the image before is",
        size::bytes(image.pull.cold_bytes),
        size::bytes(image.pull.warm_bytes)
    )));
}

fn summary(image: &CompareImage) -> String {
    let totals = &image.totals;
    let change = |before, after, what| {
        let percent = size::percent(size::percent_more(before, after));
        format!("{} {what} ({percent})", size::change(before, after))
    };
    format!(
        "{}, {}",
        change(
            totals.compressed_before,
            totals.compressed_after,
            "compressed"
        ),
        change(
            totals.uncompressed_before,
            totals.uncompressed_after,
            "unpacked"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::text::{Style, render};
    use super::super::{markdown, samples};
    use super::*;

    #[test]
    fn images_are_side_by_side() {
        let document = document(&samples::compare());
        let style = Style {
            color: false,
            width: Some(80),
        };
        insta::assert_snapshot!(render(&document, style), @r"
        warning: only one of the images has linux/arm64/v8

        app.tar → app-small.tar  linux/amd64

        layer  compressed    after  difference  unpacked     after  difference
            1     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB
        - → 2           -    512 B      +512 B         -    1.5 kB     +1.5 kB
        total     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB

        bytecode  files    size  after    size  difference
        level 0     600  9.0 MB    600  9.0 MB         0 B
        level 1     600  8.0 MB      0     0 B     -8.0 MB

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)
        ");
        insta::assert_snapshot!(markdown::render(&document), @r"
        > **warning:** only one of the images has linux/arm64/v8

        ## `app.tar → app-small.tar`

        linux/amd64

        | layer | compressed | after | difference | unpacked | after | difference |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 1 | 90.3 MB | 60.3 MB | -30.0 MB | 270.9 MB | 180.9 MB | -90.0 MB |
        | - → 2 | - | 512 B | +512 B | - | 1.5 kB | +1.5 kB |
        | total | 90.3 MB | 60.3 MB | -30.0 MB | 270.9 MB | 180.9 MB | -90.0 MB |

        | bytecode | files | size | after | size | difference |
        | --- | ---: | ---: | ---: | ---: | ---: |
        | level 0 | 600 | 9.0 MB | 600 | 9.0 MB | 0 B |
        | level 1 | 600 | 8.0 MB | 0 | 0 B | -8.0 MB |

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        **90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)**
        ");
    }
}
