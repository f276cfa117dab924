//! Lays out tables for a width. First cells that can be cut become narrower, then dispensable columns are left out.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, CellAlignment, Color, ContentArrangement};

use super::fit::{cut_at_the_end, cut_in_the_middle, width, wrapped};
use super::{Style, push_line, push_lines};
use crate::report::documents::document::{Align, Cell, Column, Content, Table, Title, Tone};
use crate::report::printable;

/// Number of blank columns between two columns of a table.
const GAP: usize = 2;
/// Columns are left out before other columns become narrower than this.
const READABLE: usize = 20;
/// Columns never become narrower than this, in a terminal of any width.
const NARROWEST: usize = 10;
/// Maximum width of a column that can be cut, even in a pipe: every row is as wide as the widest.
const WIDEST: usize = 400;

pub(super) fn push(text: &mut String, table: &Table, style: Style) {
    if let Title::Shown(title) = &table.title {
        push_lines(text, &printable(title), style);
    }
    let columns = fit(table, style.width.map(usize::from));
    let mut laid_out = lay_out(table, &columns);
    if style.color {
        laid_out.enforce_styling();
    } else {
        laid_out.force_no_tty();
    }
    for line in laid_out.lines() {
        push_line(text, line.trim_end());
    }
    let shown = |index: usize| columns.iter().any(|column| column.index == index);
    let hidden = table.columns.iter().enumerate();
    let hidden: Vec<&str> = hidden
        .filter(|(index, column)| !shown(*index) && !column.heading.is_empty())
        .map(|(_, column)| column.heading)
        .collect();
    if !hidden.is_empty() {
        let hidden = hidden.join(", ");
        push_lines(
            text,
            &format!("(a wider terminal also shows: {hidden})"),
            style,
        );
    }
    if let Some(more) = &table.more {
        push_lines(text, &printable(more), style);
    }
}

/// A column that is shown.
struct Shown {
    index: usize,
    width: usize,
    /// Whether the cells can be cut or wrapped.
    gives_way: bool,
    dispensable: u8,
}

/// Chooses the columns to show and their widths. A column is as wide as its content if that fits.
fn fit(table: &Table, terminal: Option<usize>) -> Vec<Shown> {
    let columns = table.columns.iter().enumerate();
    let mut columns: Vec<Shown> = columns
        .map(|(index, column)| measure(table, index, column))
        .collect();
    let Some(terminal) = terminal else {
        return columns;
    };
    narrow(&mut columns, terminal, READABLE);
    while total(&columns) > terminal {
        let most = columns.iter().map(|column| column.dispensable).max();
        match most {
            Some(most) if most > 0 => columns.retain(|column| column.dispensable < most),
            _ => break,
        }
    }
    narrow(&mut columns, terminal, NARROWEST);
    columns
}

fn measure(table: &Table, index: usize, column: &Column) -> Shown {
    let cells = || rows(table).filter_map(|row| row.get(index));
    let shown = |text: &str| width(&printable(text));
    let widest = cells().map(|cell| shown(&cell.text)).max().unwrap_or(0);
    let gives_way = cells().any(|cell| gives_way(cell.content));
    let widest = if gives_way {
        widest.min(WIDEST)
    } else {
        widest
    };
    Shown {
        index,
        width: widest.max(shown(column.heading)),
        gives_way,
        dispensable: column.dispensable,
    }
}

fn gives_way(content: Content) -> bool {
    matches!(content, Content::Path | Content::Command | Content::Prose)
}

fn rows(table: &Table) -> impl Iterator<Item = &Vec<Cell>> {
    let total = Some(&table.total).filter(|total| !total.is_empty());
    table.rows.iter().chain(total)
}

fn total(columns: &[Shown]) -> usize {
    let widths: usize = columns.iter().map(|column| column.width).sum();
    widths + GAP * columns.len().saturating_sub(1)
}

/// Narrows the widest columns that can be cut until all columns fit, or until none is wider than `narrowest`.
fn narrow(columns: &mut [Shown], terminal: usize, narrowest: usize) {
    while total(columns) > terminal {
        let widest = columns
            .iter_mut()
            .filter(|column| column.gives_way && column.width > narrowest)
            .max_by_key(|column| column.width);
        match widest {
            Some(column) => column.width -= 1,
            None => break,
        }
    }
}

fn lay_out(table: &Table, columns: &[Shown]) -> comfy_table::Table {
    let mut laid_out = comfy_table::Table::new();
    laid_out
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    let headings = || columns.iter().map(|column| &table.columns[column.index]);
    if headings().any(|column| !column.heading.is_empty()) {
        laid_out.set_header(headings().map(|column| column.heading));
    }
    for row in rows(table) {
        let cells = columns.iter().filter_map(|column| {
            let cell = row.get(column.index)?;
            Some(styled(cell, column.width))
        });
        laid_out.add_row(cells);
    }
    let last = columns.len().saturating_sub(1);
    for (index, (laid_out, column)) in laid_out.column_iter_mut().zip(headings()).enumerate() {
        // The last column has no padding: in colour, `trim_end` would not remove it.
        let gap = if index == last { 0 } else { GAP as u16 };
        laid_out.set_padding((0, gap));
        laid_out.set_cell_alignment(match column.align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
    }
    laid_out
}

fn styled(cell: &Cell, width: usize) -> comfy_table::Cell {
    let text = printable(&cell.text);
    let text = match cell.content {
        Content::Path => cut_in_the_middle(&text, width),
        Content::Command => cut_at_the_end(&text, width),
        Content::Prose => {
            let words = text.split(' ').map(|word| cut_in_the_middle(word, width));
            wrapped(&words.collect::<Vec<_>>().join(" "), width)
        }
        Content::Word | Content::Code | Content::Bar(_) => text.into_owned(),
    };
    let styled = comfy_table::Cell::new(text);
    match cell.tone {
        Tone::Plain => styled,
        Tone::Good => styled.fg(Color::DarkGreen),
        Tone::Bad => styled.fg(Color::DarkRed).add_attribute(Attribute::Bold),
    }
}
