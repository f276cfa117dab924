//! Tables of the bytecode in two images: by level, by tree, and by module.

use crate::path;
use crate::report::Detail;
use crate::report::documents::document::{Cell, Column, Table, Title};
use crate::report::model::{
    CompareLevels, CompareModule, CompareTree, ComparedTree, Count, Levels,
};
use crate::size;

pub(super) fn level_table(levels: &CompareLevels) -> Table {
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
pub(super) fn tree_table(trees: &[CompareTree], detail: Detail) -> Table {
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

pub(super) fn module_table(modules: &[CompareModule], detail: Detail) -> Table {
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
