//! Tables, either whole or reduced to their most important rows.

use std::fmt::Write;

use super::escape::{code_in_cell, escaped, escaped_in_html};
use crate::report::documents::document::{Align, Cell, Content, Table, Title};

/// Tables with more rows are folded.
const OPEN_ROWS: usize = 25;

/// Renders the table with at most `most` rows.
pub(super) fn render(table: &Table, most: usize) -> String {
    let rows = rows(table, most);
    if table.is_detail || table.rows.len() > OPEN_ROWS {
        let title = escaped_in_html(table.title.text());
        return format!("<details>\n<summary>{title}</summary>\n\n{rows}\n</details>\n");
    }
    match &table.title {
        Title::Shown(title) => format!("### {}\n\n{rows}", escaped(title)),
        Title::Implied(_) => rows,
    }
}

fn rows(table: &Table, most: usize) -> String {
    let mut text = String::new();
    push_row(
        &mut text,
        table.columns.iter().map(|column| escaped(column.heading)),
    );
    let rules = table.columns.iter().map(|column| match column.align {
        Align::Left => "---".to_owned(),
        Align::Right => "---:".to_owned(),
    });
    push_row(&mut text, rules);
    let (rows, left_out) = table.most_important(most);
    for row in rows {
        push_row(&mut text, row.iter().map(cell));
    }
    if !table.total.is_empty() {
        push_row(&mut text, table.total.iter().map(strong));
    }
    for more in left_out.iter().chain(&table.more) {
        let _ = writeln!(text, "\n{}", escaped(more));
    }
    text
}

fn push_row(text: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn strong(of: &Cell) -> String {
    match cell(of) {
        text if text.is_empty() => text,
        text => format!("**{text}**"),
    }
}

fn cell(cell: &Cell) -> String {
    match cell.content {
        Content::Code | Content::Path | Content::Command => code_in_cell(&cell.text),
        Content::Word | Content::Prose | Content::Bar(_) => escaped(&cell.text),
    }
}
