//! A table with a column for each image after.

use super::push_compression;
use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::input_name;
use crate::report::model::{CompareImage, CompareLevels, CompareTree, ComparedTree, level_bytes};
use crate::size;

/// Number of images after in one table. With the image before, these fit 60 columns.
const COLUMNS: usize = 3;

pub(super) fn push_columns(document: &mut Document, before: &str, images: &[CompareImage]) {
    let platform = images.first().map(|image| image.platform.clone());
    document.push(Block::Headline {
        name: format!("{} → {} images", input_name(before), images.len()),
        facts: platform.into_iter().collect(),
    });
    for images in images.chunks(COLUMNS) {
        document.table(column_table(before, images));
    }
    push_compression(document, before, images);
}

/// Reads one figure of both images: before, then after. None if only the layers tell it, and pycull did not read them.
type Figure = fn(&CompareImage) -> Option<(u64, u64)>;

/// The rows of a table that has a column for each image. The flag says whether the row also shows the difference.
const FIGURES: [(&str, bool, Figure); 6] = [
    ("compressed", true, |image| {
        let totals = &image.totals;
        Some((totals.compressed_before, totals.compressed_after))
    }),
    ("unpacked", true, |image| {
        let totals = &image.totals;
        totals.uncompressed_before.zip(totals.uncompressed_after)
    }),
    ("level 0", false, |image| both_level_bytes(image, "0")),
    ("level 1", false, |image| both_level_bytes(image, "1")),
    ("level 2", false, |image| both_level_bytes(image, "2")),
    ("sources", false, |image| {
        let trees = image.trees.as_ref()?;
        let sum = |side: fn(&CompareTree) -> &ComparedTree| {
            trees.iter().map(|tree| side(tree).sources.bytes).sum()
        };
        Some((sum(|tree| &tree.before), sum(|tree| &tree.after)))
    }),
];

fn both_level_bytes(image: &CompareImage, level: &str) -> Option<(u64, u64)> {
    let CompareLevels { before, after } = image.levels.as_ref()?;
    Some((level_bytes(before, level), level_bytes(after, level)))
}

fn column_table(before: &str, images: &[CompareImage]) -> Table {
    let names = images
        .iter()
        .map(|image| Cell::path(input_name(&image.after)));
    let mut rows = vec![row_of("image", Cell::path(input_name(before)), names)];
    for (name, with_difference, figure) in FIGURES {
        rows.extend(figure_rows(name, with_difference, figure, images));
    }
    let pull = |name, bytes: fn(&CompareImage) -> u64| {
        let cells = images.iter().map(|image| Cell::bytes(bytes(image)));
        row_of(name, Cell::word("-"), cells)
    };
    rows.push(pull("cold pull", |image| image.pull.cold_bytes));
    rows.push(pull("warm pull", |image| image.pull.warm_bytes));
    let mut columns = vec![Column::left(""), Column::right("before")];
    columns.extend(images.iter().map(|_| Column::right("after")));
    Table {
        title: Title::Implied("images"),
        columns,
        rows,
        ..Table::default()
    }
}

/// The rows of one figure. All images have the same value before.
fn figure_rows(
    name: &str,
    with_difference: bool,
    figure: Figure,
    images: &[CompareImage],
) -> Vec<Vec<Cell>> {
    let values: Option<Vec<(u64, u64)>> = images.iter().map(figure).collect();
    let Some(values) = values else {
        return Vec::new();
    };
    let before = values.first().map_or(0, |(before, _)| *before);
    let differences = || {
        let values = values.iter();
        values.map(|(_, after)| size::bytes_more(before, *after))
    };
    let sizes = values.iter().zip(differences());
    let sizes = sizes.map(|((_, after), more)| Cell::bytes(*after).tone(Tone::of_difference(more)));
    let mut rows = vec![row_of(name, Cell::bytes(before), sizes)];
    if with_difference {
        let differences = differences().map(Cell::difference);
        rows.push(row_of("difference", Cell::empty(), differences));
    }
    rows
}

fn row_of(name: &str, before: Cell, afters: impl Iterator<Item = Cell>) -> Vec<Cell> {
    [Cell::word(name), before]
        .into_iter()
        .chain(afters)
        .collect()
}
