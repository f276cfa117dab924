//! Documents as text for people: aligned, coloured only for meaning, no wider than the terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement};

use super::document::{Align, Block, Cell, Content, Document, Table, Tone};
use super::printable;

/// How text is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether with colours.
    pub color: bool,
    /// The terminal's columns; `None` where it is no terminal: nothing is cut then.
    pub width: Option<u16>,
}

/// The document as text, each line ended.
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
        Block::Headline { name, facts } => {
            let name = painted(&printable(name), Paint::Strong, style);
            let facts = facts.iter().map(|fact| printable(fact).into_owned());
            let parts: Vec<String> = std::iter::once(name).chain(facts).collect();
            push_line(text, &parts.join("  "));
        }
        Block::Line(line) => push_line(text, &printable(line)),
        Block::Summary(line) => {
            let line = painted(&printable(line), Paint::Strong, style);
            push_line(text, &line);
        }
        Block::Table(table) => push_table(text, table, style),
        Block::Note(note) => push_line(text, &format!("note: {}", printable(note))),
        Block::Warning(warning) => {
            let label = painted("warning:", Paint::Warning, style);
            push_line(text, &format!("{label} {}", printable(warning)));
        }
        Block::Hint { command, effect } => {
            let (command, effect) = (printable(command), printable(effect));
            push_line(text, &format!("hint: `{command}` {effect}"));
        }
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

/// Columns between two columns of a table.
const GAP: u16 = 2;
/// A column is made no narrower than this, whatever the terminal.
const NARROWEST: u16 = 10;

fn push_table(text: &mut String, table: &Table, style: Style) {
    if let Some(title) = &table.title {
        push_line(text, &printable(title));
    }
    let widths = column_widths(table, style.width);
    let mut laid_out = lay_out(table, &widths);
    if style.color {
        laid_out.enforce_styling();
    } else {
        laid_out.force_no_tty();
    }
    for line in laid_out.lines() {
        push_line(text, line.trim_end());
    }
    if let Some(more) = &table.more {
        push_line(text, &printable(more));
    }
}

/// The width of every column: that of its content, and less where cells can give way and the
/// terminal is too narrow.
fn column_widths(table: &Table, terminal: Option<u16>) -> Vec<u16> {
    let unlimited = vec![u16::MAX; table.columns.len()];
    let mut widths = lay_out(table, &unlimited).column_max_content_widths();
    let Some(terminal) = terminal else {
        return widths;
    };
    let total = |widths: &[u16]| {
        let gaps = usize::from(GAP) * widths.len().saturating_sub(1);
        widths
            .iter()
            .map(|width| usize::from(*width))
            .sum::<usize>()
            + gaps
    };
    while total(&widths) > usize::from(terminal) {
        let widest = (0..widths.len())
            .filter(|column| widths[*column] > NARROWEST && gives_way(table, *column))
            .max_by_key(|column| widths[*column]);
        match widest {
            Some(column) => widths[column] -= 1,
            None => break,
        }
    }
    widths
}

fn gives_way(table: &Table, column: usize) -> bool {
    let cells = table.rows.iter().filter_map(|row| row.get(column));
    cells
        .map(|cell| cell.content)
        .any(|content| matches!(content, Content::Path | Content::Command | Content::Prose))
}

fn lay_out(table: &Table, widths: &[u16]) -> comfy_table::Table {
    let mut laid_out = comfy_table::Table::new();
    laid_out
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if table
        .columns
        .iter()
        .any(|column| !column.heading.is_empty())
    {
        laid_out.set_header(table.columns.iter().map(|column| column.heading));
    }
    for row in &table.rows {
        let cells = row.iter().zip(widths);
        laid_out.add_row(cells.map(|(cell, width)| styled(cell, *width)));
    }
    for (laid_out, column) in laid_out.column_iter_mut().zip(&table.columns) {
        laid_out.set_padding((0, GAP));
        laid_out.set_cell_alignment(match column.align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    laid_out
}

fn styled(cell: &Cell, width: u16) -> comfy_table::Cell {
    let text = printable(&cell.text);
    let text = match cell.content {
        Content::Path => cut_in_the_middle(&text, usize::from(width)),
        Content::Command => cut_at_the_end(&text, usize::from(width)),
        Content::Prose => wrapped(&text, usize::from(width)),
        Content::Word | Content::Code | Content::Bar(_) => text.into_owned(),
    };
    let styled = comfy_table::Cell::new(text);
    match cell.tone {
        Tone::Plain => styled,
        Tone::Good => styled.fg(Color::DarkGreen),
        Tone::Bad => styled.fg(Color::DarkRed).add_attribute(Attribute::Bold),
    }
}

/// What tells paths apart is their end: the file's name stays, and a third at most goes to the
/// start.
fn cut_in_the_middle(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let file_name = text
        .rfind('/')
        .map_or(0, |slash| text[slash..].chars().count());
    let head = kept.saturating_sub(file_name).min(kept / 3);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - (kept - head)).collect();
    format!("{start}…{end}")
}

fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn cut_at_the_end(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::document::Column;
    use super::*;

    fn sample() -> Document {
        let row = |path: &str, bytes: &str| vec![Cell::path(path), Cell::number(bytes)];
        let table = Table {
            title: None,
            columns: vec![Column::left("path"), Column::right("bytes")],
            more: None,
            rows: vec![
                row(
                    "usr/lib/python3.11/site-packages/very/deep/package",
                    "512 B",
                ),
                row("opt/\x1b[31mred", "1.0 MB"),
            ],
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
            title: None,
            columns: vec![Column::left("")],
            more: None,
            rows: vec![vec![Cell::word("-1 B").tone(Tone::Good)]],
        });
        let color = |color| render(&document, Style { color, width: None });
        assert!(color(true).contains('\x1b'));
        assert!(!color(false).contains('\x1b'));
    }
}
