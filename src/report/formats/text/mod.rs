//! Documents as text for people: aligned, coloured only for meaning, and no wider than the terminal.

mod fit;
mod table;

use crate::report::documents::document::{Block, Document};
use crate::report::printable;

/// The style of text output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colours.
    pub color: bool,
    /// Width of the terminal in columns. `None` if the output is not a terminal: then nothing is cut.
    pub width: Option<u16>,
}

/// Renders the document as text. Every line ends with a newline.
pub fn render(document: &Document, style: Style) -> String {
    let mut text = String::new();
    let mut previous = None;
    for block in &document.blocks {
        if previous.is_some_and(|previous| stands_apart(previous, block)) {
            text.push('\n');
        }
        push_block(&mut text, block, style);
        previous = Some(block);
    }
    text
}

/// Whether a blank line goes between two blocks.
fn stands_apart(previous: &Block, block: &Block) -> bool {
    use Block::{Headline, Hint, Summary, Table};
    match (previous, block) {
        (Table(_), _) | (_, Table(_) | Headline { .. }) => true,
        (Hint { .. } | Summary(_), _) => false,
        (_, Hint { .. } | Summary(_)) => true,
        _ => false,
    }
}

fn push_block(text: &mut String, block: &Block, style: Style) {
    match block {
        Block::Headline { name, facts } => push_headline(text, name, facts, style),
        Block::Line(line) => push_lines(text, &printable(line), style),
        Block::Summary(line) => {
            let line = fitted(&printable(line), style);
            push_line(text, &painted(&line, Paint::Strong, style));
        }
        Block::Table(table) => table::push(text, table, style),
        Block::Note(note) => push_lines(text, &format!("note: {}", printable(note)), style),
        Block::Warning(warning) => {
            let label = "warning:";
            let line = fitted(&format!("{label} {}", printable(warning)), style);
            let rest = line.strip_prefix(label).unwrap_or_default();
            let label = painted(label, Paint::Warning, style);
            push_line(text, &format!("{label}{rest}"));
        }
        Block::Hint { command, effect } => push_hint(text, command, effect, style),
    }
}

/// Adds the name, and as many facts as fit beside it.
fn push_headline(text: &mut String, name: &str, facts: &[String], style: Style) {
    let printable: Vec<_> = std::iter::once(name)
        .chain(facts.iter().map(String::as_str))
        .map(printable)
        .collect();
    let width = style.width.map_or(usize::MAX, usize::from);
    let lines = fit::joined(printable.iter().map(|part| &**part), "  ", width);
    let name = &*printable[0];
    let rest = lines.strip_prefix(name).unwrap_or_default();
    push_line(text, &(painted(name, Paint::Strong, style) + rest));
}

/// Adds a hint. The command is never broken, so that people can copy it.
fn push_hint(text: &mut String, command: &str, effect: &str, style: Style) {
    let (command, effect) = (printable(command), printable(effect));
    let command = format!("`{command}`");
    let words = ["hint:", &command].into_iter().chain(effect.split(' '));
    let width = style.width.map_or(usize::MAX, usize::from);
    push_line(text, &fit::joined(words, " ", width));
}

/// Adds prose, wrapped to the width of the terminal.
fn push_lines(text: &mut String, line: &str, style: Style) {
    push_line(text, &fitted(line, style));
}

fn fitted(line: &str, style: Style) -> String {
    match style.width {
        Some(width) => fit::wrapped(line, usize::from(width)),
        None => line.to_owned(),
    }
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

enum Paint {
    Strong,
    Warning,
}

fn painted(text: &str, paint: Paint, style: Style) -> String {
    let code = match paint {
        Paint::Strong => 1,
        Paint::Warning => 33,
    };
    match style.color {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::document::{Cell, Column, Table, Tone};

    fn sample() -> Document {
        let row = |path: &str, bytes: &str| vec![Cell::path(path), Cell::number(bytes)];
        let table = Table {
            columns: vec![Column::left("path"), Column::right("bytes")],
            rows: vec![
                row(
                    "usr/lib/python3.11/site-packages/very/deep/package",
                    "512 B",
                ),
                row("opt/\x1b[31mred", "1.0 MB"),
            ],
            ..Table::default()
        };
        let mut document = Document::default();
        document.line("hello\x07");
        document.table(table);
        document
    }

    #[test]
    fn a_piped_table_is_whole_and_escaped() {
        insta::assert_snapshot!(render(&sample(), Style::default()), @r"
        hello\u{7}

        path                                                 bytes
        usr/lib/python3.11/site-packages/very/deep/package   512 B
        opt/\u{1b}[31mred                                   1.0 MB
        ");
    }

    #[test]
    fn one_long_path_does_not_widen_every_row() {
        let mut document = Document::default();
        let rows =
            ["a".to_owned(), "b".repeat(4000)].map(|path| vec![Cell::path(path), Cell::number(1)]);
        document.table(Table {
            columns: vec![Column::left("path"), Column::right("number")],
            rows: rows.to_vec(),
            ..Table::default()
        });
        let text = render(&document, Style::default());
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(408));
    }

    #[test]
    fn a_narrow_terminal_cuts_paths_in_the_middle() {
        let style = Style {
            color: false,
            width: Some(30),
        };
        let text = render(&sample(), style);
        assert!(text.contains("usr/lib…y/deep/package   512 B"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 30));
    }

    #[test]
    fn colour_is_there_only_where_asked_for() {
        let mut document = sample();
        document.table(Table {
            columns: vec![Column::left("")],
            rows: vec![vec![Cell::word("-1 B").tone(Tone::Good)]],
            ..Table::default()
        });
        let color = |color| render(&document, Style { color, width: None });
        assert!(color(true).contains('\x1b'));
        assert!(!color(false).contains('\x1b'));
    }
}
