//! The document of `bench`: import times.

use super::confined;
use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{BenchImage, BenchImports, BenchReport, BenchRow, BenchTree};
use crate::report::{Detail, input_name};

/// Returns the report as a document. Each image has its tables, then its summary.
pub fn document(report: &BenchReport, detail: Detail) -> Document {
    let mut document = Document::default();
    for image in &report.images {
        document.push(Block::Headline {
            name: input_name(&report.reference).to_owned(),
            facts: vec![image.platform.clone()],
        });
        for tree in &image.trees {
            push_interpreter(&mut document, tree, detail);
            document.table(table(reloads(tree), &tree.rows));
        }
        for imports in &image.imports {
            let title = imports_title(imports);
            document.table(table(title, &imports.rows));
        }
        for warning in &image.warnings {
            document.push(Block::Warning(warning.clone()));
        }
        push_summary(&mut document, image);
    }
    document
}

fn push_interpreter(document: &mut Document, tree: &BenchTree, detail: Detail) {
    let BenchTree {
        python,
        interpreter,
        path,
        ..
    } = tree;
    document.line(format!("Python {python}: {interpreter} with {path}"));
    if detail == Detail::All {
        document.line(confined(&tree.sandbox));
    }
    document.line(match tree.rounds {
        1 => "one run each".to_owned(),
        rounds => format!("medians of {rounds} runs each"),
    });
}

pub(in crate::report) fn reloads(tree: &BenchTree) -> String {
    format!("{}: {} reloads of {}", tree.path, tree.repeats, tree.module)
}

pub(in crate::report) fn imports_title(imports: &BenchImports) -> String {
    format!(
        "{}: start and import {}",
        imports.path,
        imports.modules.join(", ")
    )
}

/// `with` or `without`: whether the row's runs had caches.
pub(in crate::report) fn caches(row: &BenchRow) -> &'static str {
    if row.cached { "with" } else { "without" }
}

fn table(title: String, rows: &[BenchRow]) -> Table {
    let with_caches = |level: u8| {
        let cached = rows.iter().find(|row| row.cached && row.level == level);
        cached.map_or(0.0, |row| row.real_seconds)
    };
    let cells = |row: &BenchRow| {
        let ratio = match row.cached {
            true => String::new(),
            false => times(row.real_seconds, with_caches(row.level)),
        };
        vec![
            Cell::word(format!("level {}", row.level)),
            Cell::word(caches(row)),
            Cell::word(seconds(row.user_seconds)),
            Cell::word(seconds(row.sys_seconds)),
            Cell::word(seconds(row.lowest_real_seconds)),
            Cell::word(seconds(row.highest_real_seconds)),
            Cell::word(seconds(row.real_seconds)),
            Cell::word(ratio).tone(Tone::Bad),
        ]
    };
    Table {
        title: Title::Shown(title),
        columns: vec![
            Column::left("bytecode"),
            Column::left("caches"),
            Column::right("user"),
            Column::right("sys"),
            Column::right("lowest").dispensable(1),
            Column::right("highest").dispensable(1),
            Column::right("real"),
            Column::right("ratio"),
        ],
        rows: rows.iter().map(cells).collect(),
        ..Table::default()
    }
}

fn push_summary(document: &mut Document, image: &BenchImage) {
    for tree in &image.trees {
        document.push(Block::Summary(format!(
            "{}: without caches, {} takes {:.1} times as long to reload",
            tree.path, tree.module, tree.ratio
        )));
    }
    for imports in &image.imports {
        document.push(Block::Summary(format!(
            "{}: without caches, starting and importing {} takes {:.1} times as long",
            imports.path,
            imports.modules.join(", "),
            imports.ratio
        )));
    }
}

fn times(seconds: f64, of: f64) -> String {
    match of > 0.0 {
        true => format!("{:.1}", seconds / of),
        false => "-".to_owned(),
    }
}

/// A duration with three significant digits and a unit that fits its size.
pub(in crate::report) fn seconds(seconds: f64) -> String {
    let (number, unit) = match seconds {
        ..0.9995 => (seconds * 1e3, "ms"),
        _ => (seconds, "s"),
    };
    let decimals = match number {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_that_count() {
        let shown = [
            0.000_123_4,
            0.009_996,
            0.0288,
            0.099_96,
            0.536,
            0.9996,
            12.34,
            260.554,
        ]
        .map(seconds);
        assert_eq!(
            shown,
            [
                "0.12 ms", "10.0 ms", "28.8 ms", "100 ms", "536 ms", "1.00 s", "12.3 s", "261 s"
            ]
        );
    }
}
