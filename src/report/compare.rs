//! How images differ in size from one before, as a document.

use super::Detail;
use super::document::{Block, Cell, Column, Document, Table, Tone};
use super::model::{
    CompareImage, CompareLayer, CompareLevels, CompareModule, CompareReport, CompareTree,
    ComparedLayer, ComparedTree, Count, Levels,
};
use super::size;

/// The report as a document: a section for each platform. Of one image after it has all tables, the
/// totals last in it; of several a column for each, and in detail a section for each too.
pub fn document(report: &CompareReport, detail: Detail) -> Document {
    let mut document = Document::default();
    if !report.unmatched.is_empty() {
        document.push(Block::Warning(format!(
            "not all of the images have {}",
            report.unmatched.join(", ")
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

/// The images that each headline of the document is about.
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

/// An index can hold two images of one platform.
fn have_the_same_before(a: &CompareImage, b: &CompareImage) -> bool {
    let before = |image: &CompareImage| {
        let totals = &image.totals;
        (totals.compressed_before, totals.uncompressed_before)
    };
    a.platform == b.platform && before(a) == before(b) && a.levels.before == b.levels.before
}

fn push_image(document: &mut Document, before: &str, image: &CompareImage, detail: Detail) {
    document.push(Block::Headline {
        name: format!("{before} → {}", image.after),
        facts: vec![image.platform.clone()],
    });
    document.table(layer_table(image));
    document.table(level_table(&image.levels));
    document.table(tree_table(&image.trees, detail));
    document.table(module_table(&image.modules, detail));
    push_pull(document, image);
    document.push(Block::Summary(summary(image)));
}

/// Most images after in one table: with the image before they fit 80 columns.
const COLUMNS: usize = 4;

fn push_columns(document: &mut Document, before: &str, images: &[CompareImage]) {
    let platform = images.first().map(|image| image.platform.clone());
    document.push(Block::Headline {
        name: format!("{before} → {} images", images.len()),
        facts: platform.into_iter().collect(),
    });
    for images in images.chunks(COLUMNS) {
        document.table(column_table(before, images));
    }
}

/// A figure of an image before and after.
type Figure = fn(&CompareImage) -> (u64, u64);

/// The figures of a table with a column for each image; where it is useful, with their difference.
const FIGURES: [(&str, bool, Figure); 6] = [
    ("compressed", true, |image| {
        let totals = &image.totals;
        (totals.compressed_before, totals.compressed_after)
    }),
    ("unpacked", true, |image| {
        let totals = &image.totals;
        (totals.uncompressed_before, totals.uncompressed_after)
    }),
    ("level 0", false, |image| level_bytes(image, "0")),
    ("level 1", false, |image| level_bytes(image, "1")),
    ("level 2", false, |image| level_bytes(image, "2")),
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

fn level_bytes(image: &CompareImage, level: &str) -> (u64, u64) {
    let bytes = |levels: &Levels| levels.get(level).map_or(0, |count| count.bytes);
    (bytes(&image.levels.before), bytes(&image.levels.after))
}

fn column_table(before: &str, images: &[CompareImage]) -> Table {
    let names = images.iter().map(|image| Cell::path(&image.after));
    let mut rows = vec![row_of("image", Cell::path(before), names)];
    for (name, with_difference, figure) in FIGURES {
        rows.extend(figure_rows(name, with_difference, figure, images));
    }
    let pull = |name, bytes: fn(&CompareImage) -> u64| {
        let cells = images
            .iter()
            .map(|image| Cell::word(size::bytes(bytes(image))));
        row_of(name, Cell::word("-"), cells)
    };
    rows.push(pull("cold pull", |image| image.pull.cold_bytes));
    rows.push(pull("warm pull", |image| image.pull.warm_bytes));
    let mut columns = vec![Column::left(""), Column::right("before")];
    columns.extend(images.iter().map(|_| Column::right("after")));
    Table {
        title: None,
        columns,
        rows,
        more: None,
    }
}

/// The rows of one figure; that of the image before is the same for all.
fn figure_rows(
    name: &str,
    with_difference: bool,
    figure: Figure,
    images: &[CompareImage],
) -> Vec<Vec<Cell>> {
    let before = images.first().map_or(0, |image| figure(image).0);
    let more = |image| size::bytes_more(before, figure(image).1);
    let sizes = images.iter().map(|image| {
        let cell = Cell::word(size::bytes(figure(image).1));
        cell.tone(Tone::of_difference(more(image)))
    });
    let mut rows = vec![row_of(name, Cell::word(size::bytes(before)), sizes)];
    if with_difference {
        let differences = images.iter().map(|image| difference(more(image)));
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
        let count = |side: &Levels| side.get(level).copied().unwrap_or_default();
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

/// A tree as people read it.
pub(super) fn tree_name(tree: &CompareTree) -> &str {
    match tree.path.as_deref() {
        Some("") => "/",
        Some(path) => path,
        None => "no tree",
    }
}

/// A row for each kind of file in a tree, as far as it differs; in detail all of them.
fn tree_table(trees: &[CompareTree], detail: Detail) -> Table {
    let row = |tree: &CompareTree, what: &str, before: Count, after: Count| {
        let is_there = before != Count::default() || after != Count::default();
        let is_wanted = match detail {
            Detail::Summary => before.bytes != after.bytes,
            Detail::All => is_there,
        };
        is_wanted.then(|| {
            vec![
                Cell::path(tree_name(tree)),
                Cell::word(tree.python.as_deref().unwrap_or("?")),
                Cell::word(what),
                Cell::word(size::bytes(before.bytes)),
                Cell::word(size::bytes(after.bytes)),
                difference(size::bytes_more(before.bytes, after.bytes)),
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
        title: None,
        columns: vec![
            Column::left("tree"),
            Column::left("python"),
            Column::left("files"),
            Column::right("before"),
            Column::right("after"),
            Column::right("difference"),
        ],
        rows: rows.flatten().collect(),
        more: None,
    }
}

/// Most modules that a summary lists.
const LISTED_MODULES: usize = 10;

fn module_table(modules: &[CompareModule], detail: Detail) -> Table {
    let listed = match detail {
        Detail::Summary => modules.len().min(LISTED_MODULES),
        Detail::All => modules.len(),
    };
    let row = |module: &CompareModule| {
        vec![
            Cell::path(&module.path),
            Cell::word(size::bytes(module.before_bytes)),
            Cell::word(size::bytes(module.after_bytes)),
            difference(module.difference_bytes),
        ]
    };
    let more = modules.len() - listed;
    Table {
        title: None,
        columns: vec![
            Column::left("modules that changed most"),
            Column::right("before"),
            Column::right("after"),
            Column::right("difference"),
        ],
        rows: modules[..listed].iter().map(row).collect(),
        more: (more > 0).then(|| format!("-v lists {more} more")),
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

    fn text(report: &CompareReport, width: Option<u16>, detail: Detail) -> String {
        let color = false;
        render(&document(report, detail), Style { color, width })
    }

    fn summary_at(width: Option<u16>) -> String {
        text(&samples::compare(), width, Detail::Summary)
    }

    fn several_at(width: Option<u16>) -> String {
        text(&samples::compare_several(), width, Detail::Summary)
    }

    #[test]
    fn images_are_side_by_side() {
        insta::assert_snapshot!(summary_at(Some(80)), @r"
        warning: not all of the images have linux/arm64/v8

        app.tar → app-small.tar  linux/amd64

        layer  compressed    after  difference  unpacked     after  difference
            1     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB
        - → 2           -    512 B      +512 B         -    1.5 kB     +1.5 kB
        total     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB

        bytecode  files    size  after    size  difference
        level 0     600  9.0 MB    600  9.0 MB         0 B
        level 1     600  8.0 MB      0     0 B     -8.0 MB

        tree                           python  files      before  after  difference
        no tree                        ?       level 0     900 B    0 B      -900 B
        usr/lib/python3.11             3.11    level 1    7.5 MB    0 B     -7.5 MB
        usr/lib/python3/dist-packages  3.11    level 1  500.0 kB    0 B   -500.0 kB

        modules that changed most                            before    after  difference
        usr/lib/python3.…/email/_header_value_parser_0.py  400.0 kB  90.0 kB   -310.0 kB
        usr/lib/python3.…/email/_header_value_parser_1.py  390.0 kB  90.0 kB   -300.0 kB
        usr/lib/python3.…/email/_header_value_parser_2.py  380.0 kB  90.0 kB   -290.0 kB
        usr/lib/python3.…/email/_header_value_parser_3.py  370.0 kB  90.0 kB   -280.0 kB
        usr/lib/python3.…/email/_header_value_parser_4.py  360.0 kB  90.0 kB   -270.0 kB
        usr/lib/python3.…/email/_header_value_parser_5.py  350.0 kB  90.0 kB   -260.0 kB
        usr/lib/python3.…/email/_header_value_parser_6.py  340.0 kB  90.0 kB   -250.0 kB
        usr/lib/python3.…/email/_header_value_parser_7.py  330.0 kB  90.0 kB   -240.0 kB
        usr/lib/python3.…/email/_header_value_parser_8.py  320.0 kB  90.0 kB   -230.0 kB
        usr/lib/python3.…/email/_header_value_parser_9.py  310.0 kB  90.0 kB   -220.0 kB
        -v lists 2 more

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)
        ");
        insta::assert_snapshot!(summary_at(Some(60)), @r"
        warning: not all of the images have linux/arm64/v8

        app.tar → app-small.tar  linux/amd64

        layer  compressed    after  difference  unpacked     after  difference
            1     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB
        - → 2           -    512 B      +512 B         -    1.5 kB     +1.5 kB
        total     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB

        bytecode  files    size  after    size  difference
        level 0     600  9.0 MB    600  9.0 MB         0 B
        level 1     600  8.0 MB      0     0 B     -8.0 MB

        tree            python  files      before  after  difference
        no tree         ?       level 0     900 B    0 B      -900 B
        us…/python3.11  3.11    level 1    7.5 MB    0 B     -7.5 MB
        …dist-packages  3.11    level 1  500.0 kB    0 B   -500.0 kB

        modules that changed most        before    after  difference
        us…/_header_value_parser_0.py  400.0 kB  90.0 kB   -310.0 kB
        us…/_header_value_parser_1.py  390.0 kB  90.0 kB   -300.0 kB
        us…/_header_value_parser_2.py  380.0 kB  90.0 kB   -290.0 kB
        us…/_header_value_parser_3.py  370.0 kB  90.0 kB   -280.0 kB
        us…/_header_value_parser_4.py  360.0 kB  90.0 kB   -270.0 kB
        us…/_header_value_parser_5.py  350.0 kB  90.0 kB   -260.0 kB
        us…/_header_value_parser_6.py  340.0 kB  90.0 kB   -250.0 kB
        us…/_header_value_parser_7.py  330.0 kB  90.0 kB   -240.0 kB
        us…/_header_value_parser_8.py  320.0 kB  90.0 kB   -230.0 kB
        us…/_header_value_parser_9.py  310.0 kB  90.0 kB   -220.0 kB
        -v lists 2 more

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)
        ");
        insta::assert_snapshot!(summary_at(Some(120)), @r"
        warning: not all of the images have linux/arm64/v8

        app.tar → app-small.tar  linux/amd64

        layer  compressed    after  difference  unpacked     after  difference
            1     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB
        - → 2           -    512 B      +512 B         -    1.5 kB     +1.5 kB
        total     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB

        bytecode  files    size  after    size  difference
        level 0     600  9.0 MB    600  9.0 MB         0 B
        level 1     600  8.0 MB      0     0 B     -8.0 MB

        tree                           python  files      before  after  difference
        no tree                        ?       level 0     900 B    0 B      -900 B
        usr/lib/python3.11             3.11    level 1    7.5 MB    0 B     -7.5 MB
        usr/lib/python3/dist-packages  3.11    level 1  500.0 kB    0 B   -500.0 kB

        modules that changed most                             before    after  difference
        usr/lib/python3.11/email/_header_value_parser_0.py  400.0 kB  90.0 kB   -310.0 kB
        usr/lib/python3.11/email/_header_value_parser_1.py  390.0 kB  90.0 kB   -300.0 kB
        usr/lib/python3.11/email/_header_value_parser_2.py  380.0 kB  90.0 kB   -290.0 kB
        usr/lib/python3.11/email/_header_value_parser_3.py  370.0 kB  90.0 kB   -280.0 kB
        usr/lib/python3.11/email/_header_value_parser_4.py  360.0 kB  90.0 kB   -270.0 kB
        usr/lib/python3.11/email/_header_value_parser_5.py  350.0 kB  90.0 kB   -260.0 kB
        usr/lib/python3.11/email/_header_value_parser_6.py  340.0 kB  90.0 kB   -250.0 kB
        usr/lib/python3.11/email/_header_value_parser_7.py  330.0 kB  90.0 kB   -240.0 kB
        usr/lib/python3.11/email/_header_value_parser_8.py  320.0 kB  90.0 kB   -230.0 kB
        usr/lib/python3.11/email/_header_value_parser_9.py  310.0 kB  90.0 kB   -220.0 kB
        -v lists 2 more

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)
        ");
        assert_eq!(summary_at(None), summary_at(Some(120)));
    }

    #[test]
    fn in_detail_trees_are_whole() {
        let text = text(&samples::compare(), None, Detail::All);
        insta::assert_snapshot!(text, @r"
        warning: not all of the images have linux/arm64/v8

        app.tar → app-small.tar  linux/amd64

        layer  compressed    after  difference  unpacked     after  difference
            1     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB
        - → 2           -    512 B      +512 B         -    1.5 kB     +1.5 kB
        total     90.3 MB  60.3 MB    -30.0 MB  270.9 MB  180.9 MB    -90.0 MB

        bytecode  files    size  after    size  difference
        level 0     600  9.0 MB    600  9.0 MB         0 B
        level 1     600  8.0 MB      0     0 B     -8.0 MB

        tree                           python  files      before    after  difference
        no tree                        ?       level 0     900 B      0 B      -900 B
        usr/lib/python3.11             3.11    sources   12.0 MB  12.0 MB         0 B
        usr/lib/python3.11             3.11    level 0    8.0 MB   8.0 MB         0 B
        usr/lib/python3.11             3.11    level 1    7.5 MB      0 B     -7.5 MB
        usr/lib/python3/dist-packages  3.11    sources    1.5 MB   1.5 MB         0 B
        usr/lib/python3/dist-packages  3.11    level 0    1.0 MB   1.0 MB         0 B
        usr/lib/python3/dist-packages  3.11    level 1  500.0 kB      0 B   -500.0 kB

        modules that changed most                              before    after  difference
        usr/lib/python3.11/email/_header_value_parser_0.py   400.0 kB  90.0 kB   -310.0 kB
        usr/lib/python3.11/email/_header_value_parser_1.py   390.0 kB  90.0 kB   -300.0 kB
        usr/lib/python3.11/email/_header_value_parser_2.py   380.0 kB  90.0 kB   -290.0 kB
        usr/lib/python3.11/email/_header_value_parser_3.py   370.0 kB  90.0 kB   -280.0 kB
        usr/lib/python3.11/email/_header_value_parser_4.py   360.0 kB  90.0 kB   -270.0 kB
        usr/lib/python3.11/email/_header_value_parser_5.py   350.0 kB  90.0 kB   -260.0 kB
        usr/lib/python3.11/email/_header_value_parser_6.py   340.0 kB  90.0 kB   -250.0 kB
        usr/lib/python3.11/email/_header_value_parser_7.py   330.0 kB  90.0 kB   -240.0 kB
        usr/lib/python3.11/email/_header_value_parser_8.py   320.0 kB  90.0 kB   -230.0 kB
        usr/lib/python3.11/email/_header_value_parser_9.py   310.0 kB  90.0 kB   -220.0 kB
        usr/lib/python3.11/email/_header_value_parser_10.py  300.0 kB  90.0 kB   -210.0 kB
        usr/lib/python3.11/email/_header_value_parser_11.py  290.0 kB  90.0 kB   -200.0 kB

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)
        ");
    }

    #[test]
    fn of_several_images_each_has_a_column() {
        insta::assert_snapshot!(several_at(Some(80)), @r"
        app.tar → 5 images  linux/amd64

                      before          after                    after     after     after
        image        app.tar  app-small.tar  oci:bui…/app:levels-0-1     b.tar     c.tar
        compressed   90.3 MB        60.3 MB                  60.3 MB   60.3 MB   60.3 MB
        difference                 -30.0 MB                 -30.0 MB  -30.0 MB  -30.0 MB
        unpacked    270.9 MB       180.9 MB                 180.9 MB  180.9 MB  180.9 MB
        difference                 -90.0 MB                 -90.0 MB  -90.0 MB  -90.0 MB
        level 0       9.0 MB         9.0 MB                   9.0 MB    9.0 MB    9.0 MB
        level 1       8.0 MB            0 B                      0 B       0 B       0 B
        level 2          0 B            0 B                      0 B       0 B       0 B
        sources      13.5 MB        13.5 MB                  13.5 MB   13.5 MB   13.5 MB
        cold pull          -        60.3 MB                  60.3 MB   60.3 MB   60.3 MB
        warm pull          -         2.5 kB                   2.5 kB    2.5 kB    2.5 kB

                      before     after
        image        app.tar     d.tar
        compressed   90.3 MB   60.3 MB
        difference            -30.0 MB
        unpacked    270.9 MB  180.9 MB
        difference            -90.0 MB
        level 0       9.0 MB    9.0 MB
        level 1       8.0 MB       0 B
        level 2          0 B       0 B
        sources      13.5 MB   13.5 MB
        cold pull          -   60.3 MB
        warm pull          -    2.5 kB
        ");
        insta::assert_snapshot!(several_at(Some(60)), @r"
        app.tar → 5 images  linux/amd64

                      before       after       after     after     after
        image        app.tar  app…ll.tar  …evels-0-1     b.tar     c.tar
        compressed   90.3 MB     60.3 MB     60.3 MB   60.3 MB   60.3 MB
        difference              -30.0 MB    -30.0 MB  -30.0 MB  -30.0 MB
        unpacked    270.9 MB    180.9 MB    180.9 MB  180.9 MB  180.9 MB
        difference              -90.0 MB    -90.0 MB  -90.0 MB  -90.0 MB
        level 0       9.0 MB      9.0 MB      9.0 MB    9.0 MB    9.0 MB
        level 1       8.0 MB         0 B         0 B       0 B       0 B
        level 2          0 B         0 B         0 B       0 B       0 B
        sources      13.5 MB     13.5 MB     13.5 MB   13.5 MB   13.5 MB
        cold pull          -     60.3 MB     60.3 MB   60.3 MB   60.3 MB
        warm pull          -      2.5 kB      2.5 kB    2.5 kB    2.5 kB

                      before     after
        image        app.tar     d.tar
        compressed   90.3 MB   60.3 MB
        difference            -30.0 MB
        unpacked    270.9 MB  180.9 MB
        difference            -90.0 MB
        level 0       9.0 MB    9.0 MB
        level 1       8.0 MB       0 B
        level 2          0 B       0 B
        sources      13.5 MB   13.5 MB
        cold pull          -   60.3 MB
        warm pull          -    2.5 kB
        ");
        insta::assert_snapshot!(several_at(Some(120)), @r"
        app.tar → 5 images  linux/amd64

                      before          after                     after     after     after
        image        app.tar  app-small.tar  oci:build/app:levels-0-1     b.tar     c.tar
        compressed   90.3 MB        60.3 MB                   60.3 MB   60.3 MB   60.3 MB
        difference                 -30.0 MB                  -30.0 MB  -30.0 MB  -30.0 MB
        unpacked    270.9 MB       180.9 MB                  180.9 MB  180.9 MB  180.9 MB
        difference                 -90.0 MB                  -90.0 MB  -90.0 MB  -90.0 MB
        level 0       9.0 MB         9.0 MB                    9.0 MB    9.0 MB    9.0 MB
        level 1       8.0 MB            0 B                       0 B       0 B       0 B
        level 2          0 B            0 B                       0 B       0 B       0 B
        sources      13.5 MB        13.5 MB                   13.5 MB   13.5 MB   13.5 MB
        cold pull          -        60.3 MB                   60.3 MB   60.3 MB   60.3 MB
        warm pull          -         2.5 kB                    2.5 kB    2.5 kB    2.5 kB

                      before     after
        image        app.tar     d.tar
        compressed   90.3 MB   60.3 MB
        difference            -30.0 MB
        unpacked    270.9 MB  180.9 MB
        difference            -90.0 MB
        level 0       9.0 MB    9.0 MB
        level 1       8.0 MB       0 B
        level 2          0 B       0 B
        sources      13.5 MB   13.5 MB
        cold pull          -   60.3 MB
        warm pull          -    2.5 kB
        ");
        insta::assert_snapshot!(several_at(None), @r"
        app.tar → 5 images  linux/amd64

                      before          after                     after     after     after
        image        app.tar  app-small.tar  oci:build/app:levels-0-1     b.tar     c.tar
        compressed   90.3 MB        60.3 MB                   60.3 MB   60.3 MB   60.3 MB
        difference                 -30.0 MB                  -30.0 MB  -30.0 MB  -30.0 MB
        unpacked    270.9 MB       180.9 MB                  180.9 MB  180.9 MB  180.9 MB
        difference                 -90.0 MB                  -90.0 MB  -90.0 MB  -90.0 MB
        level 0       9.0 MB         9.0 MB                    9.0 MB    9.0 MB    9.0 MB
        level 1       8.0 MB            0 B                       0 B       0 B       0 B
        level 2          0 B            0 B                       0 B       0 B       0 B
        sources      13.5 MB        13.5 MB                   13.5 MB   13.5 MB   13.5 MB
        cold pull          -        60.3 MB                   60.3 MB   60.3 MB   60.3 MB
        warm pull          -         2.5 kB                    2.5 kB    2.5 kB    2.5 kB

                      before     after
        image        app.tar     d.tar
        compressed   90.3 MB   60.3 MB
        difference            -30.0 MB
        unpacked    270.9 MB  180.9 MB
        difference            -90.0 MB
        level 0       9.0 MB    9.0 MB
        level 1       8.0 MB       0 B
        level 2          0 B       0 B
        sources      13.5 MB   13.5 MB
        cold pull          -   60.3 MB
        warm pull          -    2.5 kB
        ");
    }

    #[test]
    fn in_detail_each_of_several_images_has_a_section() {
        let report = samples::compare_several();
        let headlines = |detail| {
            let blocks = document(&report, detail).blocks;
            let is_headline = |block: &&Block| matches!(block, Block::Headline { .. });
            blocks.iter().filter(is_headline).count()
        };
        for (detail, expected) in [(Detail::Summary, 1), (Detail::All, 6)] {
            assert_eq!(headlines(detail), expected);
            assert_eq!(sections(&report, detail).len(), expected);
        }
    }

    #[test]
    fn a_narrow_terminal_is_not_exceeded() {
        for text in [summary_at(Some(80)), several_at(Some(80))] {
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{text}");
        }
    }

    #[test]
    fn markdown_has_the_same_tables() {
        let document = document(&samples::compare(), Detail::Summary);
        insta::assert_snapshot!(markdown::render(&document), @r"
        > **warning:** not all of the images have linux/arm64/v8

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

        | tree | python | files | before | after | difference |
        | --- | --- | --- | ---: | ---: | ---: |
        | `no tree` | ? | level 0 | 900 B | 0 B | -900 B |
        | `usr/lib/python3.11` | 3.11 | level 1 | 7.5 MB | 0 B | -7.5 MB |
        | `usr/lib/python3/dist-packages` | 3.11 | level 1 | 500.0 kB | 0 B | -500.0 kB |

        | modules that changed most | before | after | difference |
        | --- | ---: | ---: | ---: |
        | `usr/lib/python3.11/email/_header_value_parser_0.py` | 400.0 kB | 90.0 kB | -310.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_1.py` | 390.0 kB | 90.0 kB | -300.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_2.py` | 380.0 kB | 90.0 kB | -290.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_3.py` | 370.0 kB | 90.0 kB | -280.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_4.py` | 360.0 kB | 90.0 kB | -270.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_5.py` | 350.0 kB | 90.0 kB | -260.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_6.py` | 340.0 kB | 90.0 kB | -250.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_7.py` | 330.0 kB | 90.0 kB | -240.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_8.py` | 320.0 kB | 90.0 kB | -230.0 kB |
        | `usr/lib/python3.11/email/_header_value_parser_9.py` | 310.0 kB | 90.0 kB | -220.0 kB |

        -v lists 2 more

        a pull of the image after fetches 60.3 MB, or 2.5 kB where the image before is

        **90.3 MB → 60.3 MB compressed (-33.2 %), 270.9 MB → 180.9 MB unpacked (-33.2 %)**
        ");
    }
}
