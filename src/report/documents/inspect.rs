//! The document of `inspect`: the bytecode in an image.

mod advice;
mod findings;
mod hint;

use std::cmp::Reverse;

use crate::path;
use crate::report::documents::document::{
    Block, Cell, Column, Document, Table, Title, Tone, short_digest,
};
use crate::report::model::{
    Count, InspectImage, InspectLayer, InspectReport, InspectTree, SituationName, SituationRow,
    TreeKind,
};
use crate::report::{Detail, PLAIN, input_name, is_plain};
use crate::size;

/// Returns the report as a document, with a section for each platform. The suggested command comes last.
pub fn document(report: &InspectReport, detail: Detail) -> Document {
    let mut document = Document::default();
    for image in &report.images {
        push_image(&mut document, &report.reference, image, detail);
    }
    let advised = advice::hint(report);
    document
        .blocks
        .extend(advised.or_else(|| hint::block(report)));
    document
}

fn push_image(document: &mut Document, reference: &str, image: &InspectImage, detail: Detail) {
    document.push(headline(reference, image));
    push_trees(document, image, detail);
    document.table(layer_table(image, detail));
    if is_plain(image.compressed_bytes, image.uncompressed_bytes) {
        document.push(Block::Note(PLAIN.to_owned()));
    }
    push_situations(document, image, detail);
    findings::push(document, &image.findings, detail);
    for note in &image.notes {
        document.push(Block::Note(note.clone()));
    }
    if let Some(advice) = &image.advice {
        advice::push(document, advice);
    }
}

fn headline(reference: &str, image: &InspectImage) -> Block {
    let layers = match image.layers.len() {
        1 => "1 layer".to_owned(),
        count => format!("{count} layers"),
    };
    let sizes = format!(
        "{} compressed, {} unpacked",
        size::bytes(image.compressed_bytes),
        size::bytes(image.uncompressed_bytes)
    );
    Block::Headline {
        name: input_name(reference).to_owned(),
        facts: vec![image.platform.clone(), layers, sizes],
    }
}

/// Number of trees that a summary lists.
const LISTED_TREES: usize = 8;
/// A summary lists a tree without bytecode only if it is a standard library or has at least this many sources.
const FEW_SOURCES: u64 = 20;

fn push_trees(document: &mut Document, image: &InspectImage, detail: Detail) {
    if image.trees.is_empty() {
        document.line("no Python found");
        return;
    }
    let is_listed = |tree: &&InspectTree| {
        detail == Detail::All
            || is_stdlib(tree)
            || has_bytecode(tree)
            || tree.sources.files >= FEW_SOURCES
    };
    let trees = by_importance(&image.trees).into_iter();
    let (mut listed, mut left_out): (Vec<_>, Vec<_>) = trees.partition(is_listed);
    if detail == Detail::Summary && listed.len() > LISTED_TREES {
        left_out.extend(listed.split_off(LISTED_TREES));
    }
    document.table(Table {
        more: more_trees(&left_out),
        ..tree_table(&listed)
    });
}

fn more_trees(left_out: &[&InspectTree]) -> Option<String> {
    let with = left_out.iter().filter(|tree| has_bytecode(tree)).count();
    let without = left_out.len() - with;
    let what = match (with, without) {
        (0, 0) => return None,
        (_, 0) => format!("{with} more with caches"),
        (0, _) => format!("{without} more without caches"),
        _ => format!("{with} more with caches, {without} without"),
    };
    Some(format!("and {what}; -v lists all"))
}

/// Sorts trees: standard libraries first, then by the size of their bytecode, largest first.
fn by_importance(trees: &[InspectTree]) -> Vec<&InspectTree> {
    let mut trees: Vec<&InspectTree> = trees.iter().collect();
    trees.sort_by_key(|tree| (!is_stdlib(tree), Reverse(bytecode(tree).bytes)));
    trees
}

fn is_stdlib(tree: &InspectTree) -> bool {
    tree.kind == TreeKind::Stdlib
}

fn has_bytecode(tree: &InspectTree) -> bool {
    bytecode(tree).files > 0
}

fn bytecode(tree: &InspectTree) -> Count {
    let counts = tree.levels.values().chain([&tree.sourceless]);
    counts.fold(Count::default(), |sum, count| Count {
        files: sum.files + count.files,
        bytes: sum.bytes + count.bytes,
    })
}

fn tree_table(trees: &[&InspectTree]) -> Table {
    let row = |tree: &&InspectTree| {
        let cache_tag = tree.cache_tag.as_deref().unwrap_or("-");
        vec![
            Cell::word(tree.python.as_deref().unwrap_or("?")),
            Cell::path(path::or_root(&tree.path)),
            Cell::word(tree.kind.name()),
            Cell::word(cache_tag),
            Cell::number(tree.sources.files),
            Cell::number(bytecode(tree).files),
        ]
    };
    Table {
        title: Title::Implied("trees"),
        columns: vec![
            Column::left("python"),
            Column::left("tree"),
            Column::left("kind"),
            Column::left("cache tag").dispensable(1),
            Column::right("sources"),
            Column::right("bytecode"),
        ],
        rows: trees.iter().map(row).collect(),
        ..Table::default()
    }
}

fn layer_table(image: &InspectImage, detail: Detail) -> Table {
    let has_history = image.layers.iter().any(|layer| layer.created_by.is_some());
    let mut columns = vec![
        Column::right("layer"),
        Column::left("digest").dispensable(2),
        Column::right("compressed").ranks(),
        Column::right("unpacked"),
        Column::right("level 0"),
        Column::right("level 1"),
        Column::right("level 2"),
    ];
    if has_history {
        columns.push(Column::left("made by").dispensable(1));
    }
    let row = |layer: &InspectLayer| {
        let mut row = vec![
            Cell::number(layer.index),
            Cell::code(short_digest(&layer.digest)),
            Cell::bytes(layer.compressed_bytes),
            Cell::bytes(layer.uncompressed_bytes),
        ];
        row.extend(["0", "1", "2"].map(|level| level_cell(layer.levels.get(level))));
        if has_history {
            let command = layer.created_by.as_deref().unwrap_or_default();
            row.push(Cell::command(made_by(command, detail)));
        }
        row
    };
    Table {
        title: Title::Implied("layers"),
        is_detail: true,
        columns,
        rows: image.layers.iter().map(row).collect(),
        ..Table::default()
    }
}

fn level_cell(count: Option<&Count>) -> Cell {
    match count {
        Some(count) if count.files > 0 => Cell::bytes(count.bytes),
        _ => Cell::word("-"),
    }
}

/// Number of characters that a summary shows of a command, in a terminal of any width.
const COMMAND_CHARS: usize = 60;

/// Strips what every builder adds around a command in the history.
fn made_by(created_by: &str, detail: Detail) -> String {
    const PREFIXES: [&str; 5] = [
        "RUN ",
        "/bin/sh -c #(nop) ",
        "/bin/sh -c #(nop)",
        "/bin/sh -c ",
        "-c ",
    ];
    let mut command = created_by.trim().trim_end_matches("# buildkit");
    for prefix in PREFIXES {
        command = command.strip_prefix(prefix).unwrap_or(command).trim();
    }
    let words: Vec<&str> = command.split_whitespace().collect();
    let command = words.join(" ");
    if detail == Detail::All || command.chars().count() <= COMMAND_CHARS {
        return command;
    }
    let start: String = command.chars().take(COMMAND_CHARS - 1).collect();
    format!("{}…", start.trim_end())
}

/// Number of trees for which a summary shows a size table.
const TREE_TABLES: usize = 3;

/// A summary shows a tree's size table only if the tree has at least one part in this many of all bytecode.
const SMALLEST_PART: u64 = 50;

fn push_situations(document: &mut Document, image: &InspectImage, detail: Detail) {
    if image.situations.iter().all(|row| row.difference_bytes == 0) {
        return;
    }
    document.table(situation_table("the whole image", &image.situations));
    match image.hidden_bytes() {
        0 => {}
        bytes => document.line(format!(
            "not counted here: {} of caches that a later layer hides",
            size::bytes(bytes)
        )),
    }
    let trees = by_importance(&image.trees);
    let with_bytecode: Vec<_> = trees.iter().filter(|tree| has_bytecode(tree)).collect();
    let all: u64 = with_bytecode.iter().map(|tree| bytecode(tree).bytes).sum();
    let is_large =
        |tree: &&&&InspectTree| bytecode(tree).bytes.saturating_mul(SMALLEST_PART) >= all;
    let shown = match detail {
        Detail::Summary => with_bytecode
            .iter()
            .take(TREE_TABLES)
            .take_while(is_large)
            .count(),
        Detail::All => with_bytecode.len(),
    };
    for tree in &with_bytecode[..shown] {
        document.table(Table {
            is_detail: true,
            ..situation_table(path::or_root(&tree.path), &tree.situations)
        });
    }
    let more = with_bytecode.len() - shown;
    if more > 0 {
        document.line(format!("and {more} more with caches; -v shows all"));
    }
}

fn situation_table(title: &str, situations: &[SituationRow]) -> Table {
    let largest = situations.iter().map(|row| row.bytes).max().unwrap_or(0);
    let row = |row: &SituationRow| {
        let tone = Tone::of_difference(row.difference_bytes);
        let (difference, percent) = match row.name {
            SituationName::StatusQuo => (Cell::empty(), Cell::empty()),
            _ => (
                Cell::difference(row.difference_bytes),
                Cell::word(size::percent(row.difference_percent)).tone(tone),
            ),
        };
        vec![
            Cell::word(situation_title(row.name)),
            Cell::bytes(row.bytes),
            difference,
            percent,
            Cell::bar(row.bytes, largest),
        ]
    };
    Table {
        title: Title::shown(title),
        columns: vec![
            Column::left("situation"),
            Column::right("size"),
            Column::right("difference"),
            Column::right("%"),
            Column::left("").dispensable(1),
        ],
        rows: situations.iter().map(row).collect(),
        ..Table::default()
    }
}

fn situation_title(name: SituationName) -> &'static str {
    match name {
        SituationName::StatusQuo => "status quo",
        SituationName::LevelZero => "level 0 only",
        SituationName::NoCache => "no cache",
        SituationName::LevelsZeroOne => "levels 0 and 1",
        SituationName::LevelsZeroOneUnlinked => "levels 0 and 1, not linked",
        SituationName::AllUnlinked => "all levels, not linked",
        SituationName::Sourceless => "level 0 in place of sources",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::formats::text::{Style, render};
    use crate::report::samples;

    fn at_80_columns(detail: Detail) -> String {
        let style = Style {
            color: false,
            width: Some(80),
        };
        render(&document(&samples::inspect(), detail), style)
    }

    #[test]
    fn verbose_lists_every_tree_and_finding() {
        let document = document(&samples::inspect(), Detail::All);
        let text = render(&document, Style::default());
        for path in [
            "srv/tiny",
            "usr/lib/python3.11/__pycache__/re.cpython-311.pyc",
        ] {
            assert!(text.contains(path), "{path}: {text}");
        }
        assert!(!at_80_columns(Detail::Summary).contains("srv/tiny"));
    }

    #[test]
    fn a_summary_counts_the_trees_that_it_leaves_out() {
        let mut image = samples::inspect().images.remove(0);
        let [full, bare] = [true, false].map(|is_full| {
            let mut trees = image.trees.iter();
            let tree = trees.find(|tree| has_bytecode(tree) == is_full);
            tree.unwrap().clone()
        });
        image.trees = vec![full; LISTED_TREES + 3];
        image.trees.extend(vec![bare; 5]);
        let lines = |detail| {
            let mut document = Document::default();
            push_trees(&mut document, &image, detail);
            render(&document, Style::default())
        };
        let summary = lines(Detail::Summary);
        assert!(
            summary.contains("and 3 more with caches, 5 without"),
            "{summary}"
        );
        assert!(!lines(Detail::All).contains("more with"));
    }

    #[test]
    fn commands_lose_what_every_builder_writes_around_them() {
        let made_by = |command| made_by(command, Detail::Summary);
        assert_eq!(made_by("/bin/sh -c #(nop)  CMD [\"sh\"]"), "CMD [\"sh\"]");
        assert_eq!(made_by("/bin/sh -c apt-get  update"), "apt-get update");
        assert_eq!(
            made_by("RUN /bin/sh -c pip install x # buildkit"),
            "pip install x"
        );
        assert_eq!(made_by("COPY . /app # buildkit"), "COPY . /app");
        assert_eq!(made_by(&"x".repeat(99)).chars().count(), COMMAND_CHARS);
    }
}
