//! The document of `compare`: how the sizes of images differ from one image before.

use crate::path;
use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{
    CompareImage, CompareLayer, CompareLevels, CompareModule, CompareReport, CompareTree,
    ComparedLayer, ComparedTree, Count, Levels, level_bytes,
};
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

/// Number of images after in one table. With the image before, these fit 60 columns.
const COLUMNS: usize = 3;

fn push_columns(document: &mut Document, before: &str, images: &[CompareImage]) {
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

/// Reads one figure of both images: before, then after.
type Figure = fn(&CompareImage) -> (u64, u64);

/// The rows of a table that has a column for each image. The flag says whether the row also shows the difference.
const FIGURES: [(&str, bool, Figure); 6] = [
    ("compressed", true, |image| {
        let totals = &image.totals;
        (totals.compressed_before, totals.compressed_after)
    }),
    ("unpacked", true, |image| {
        let totals = &image.totals;
        (totals.uncompressed_before, totals.uncompressed_after)
    }),
    ("level 0", false, |image| both_level_bytes(image, "0")),
    ("level 1", false, |image| both_level_bytes(image, "1")),
    ("level 2", false, |image| both_level_bytes(image, "2")),
    ("sources", false, |image| {
        let sum = |side: fn(&CompareTree) -> &ComparedTree| {
            image
                .trees
                .iter()
                .map(|tree| side(tree).sources.bytes)
                .sum()
        };
        (sum(|tree| &tree.before), sum(|tree| &tree.after))
    }),
];

fn both_level_bytes(image: &CompareImage, level: &str) -> (u64, u64) {
    let CompareLevels { before, after } = &image.levels;
    (level_bytes(before, level), level_bytes(after, level))
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
    let before = images.first().map_or(0, |image| figure(image).0);
    let more = |image| size::bytes_more(before, figure(image).1);
    let sizes = images.iter().map(|image| {
        let cell = Cell::bytes(figure(image).1);
        cell.tone(Tone::of_difference(more(image)))
    });
    let mut rows = vec![row_of(name, Cell::bytes(before), sizes)];
    if with_difference {
        let differences = images.iter().map(|image| Cell::difference(more(image)));
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

fn level_table(levels: &CompareLevels) -> Table {
    let row = |level: &str| {
        let count = |side: &Levels| side.get(level).copied().unwrap_or_default();
        let (before, after) = (count(&levels.before), count(&levels.after));
        if before == after && before == Count::default() {
            return None;
        }
        Some(vec![
            Cell::word(format!("level {level}")),
            Cell::number(before.files),
            Cell::bytes(before.bytes),
            Cell::number(after.files),
            Cell::bytes(after.bytes),
            Cell::difference(size::bytes_more(before.bytes, after.bytes)),
        ])
    };
    Table {
        title: Title::Implied("bytecode by level"),
        columns: vec![
            Column::left("bytecode"),
            Column::right("files"),
            Column::right("size"),
            Column::right("after"),
            Column::right("size"),
            Column::right("difference"),
        ],
        rows: ["0", "1", "2"].into_iter().filter_map(row).collect(),
        ..Table::default()
    }
}

/// The name for files outside all visible trees.
const NO_TREE: &str = "no tree";

fn tree_cell(tree: &CompareTree) -> Cell {
    match &tree.path {
        Some(path) => Cell::path(path::or_root(path)),
        None => Cell::word(NO_TREE),
    }
}

/// A row for each kind of file in a tree. With [`Detail::All`] all kinds that exist have a row, else only those that
/// differ in size.
fn tree_table(trees: &[CompareTree], detail: Detail) -> Table {
    let row = |tree: &CompareTree, what: &str, before: Count, after: Count| {
        let is_there = before != Count::default() || after != Count::default();
        let is_wanted = match detail {
            Detail::Summary => before.bytes != after.bytes,
            Detail::All => is_there,
        };
        is_wanted.then(|| {
            vec![
                tree_cell(tree),
                Cell::word(tree.python.as_deref().unwrap_or("?")),
                Cell::word(what),
                Cell::bytes(before.bytes),
                Cell::bytes(after.bytes),
                Cell::difference(size::bytes_more(before.bytes, after.bytes)),
            ]
        })
    };
    let rows = trees.iter().flat_map(|tree| {
        let (before, after) = (&tree.before, &tree.after);
        let level = |level: &str| {
            let count = |side: &ComparedTree| side.levels.get(level).copied().unwrap_or_default();
            row(tree, &format!("level {level}"), count(before), count(after))
        };
        [
            row(tree, "sources", before.sources, after.sources),
            level("0"),
            level("1"),
            level("2"),
            row(tree, "sourceless", before.sourceless, after.sourceless),
        ]
    });
    Table {
        title: Title::Implied("trees"),
        is_detail: true,
        columns: vec![
            Column::left("tree"),
            Column::left("python").dispensable(1),
            Column::left("files"),
            Column::right("before"),
            Column::right("after"),
            Column::right("difference").ranks(),
        ],
        rows: rows.flatten().collect(),
        ..Table::default()
    }
}

/// Number of modules that a summary lists.
const LISTED_MODULES: usize = 10;

fn module_table(modules: &[CompareModule], detail: Detail) -> Table {
    let listed = match detail {
        Detail::Summary => modules.len().min(LISTED_MODULES),
        Detail::All => modules.len(),
    };
    let row = |module: &CompareModule| {
        vec![
            Cell::path(&module.path),
            Cell::bytes(module.before_bytes),
            Cell::bytes(module.after_bytes),
            Cell::difference(module.difference_bytes),
        ]
    };
    let more = modules.len() - listed;
    Table {
        title: Title::Implied("modules that changed most"),
        is_detail: true,
        columns: vec![
            Column::left("modules that changed most"),
            Column::right("before"),
            Column::right("after"),
            Column::right("difference").ranks(),
        ],
        rows: modules[..listed].iter().map(row).collect(),
        more: (more > 0).then(|| format!("-v lists {more} more")),
        ..Table::default()
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
