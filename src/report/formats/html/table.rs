//! Tables. Those with details are folded.

use std::fmt::Write;

use super::text;
use crate::report::documents::document::{Align, Cell, Column, Content, Table, Title, Tone};

/// Number of rows in a table: browsers are slow with many elements.
const MOST_ROWS: usize = 5000;

pub(super) fn push(body: &mut String, table: &Table) {
    let title = text(table.title.text());
    if table.is_detail {
        let count = table.rows.len();
        let _ = writeln!(body, "<details>\n<summary>{title} ({count})</summary>");
        push_rows(body, table, &title);
        body.push_str("</details>\n");
        return;
    }
    if let Title::Shown(_) = table.title {
        let _ = writeln!(body, "<h3>{title}</h3>");
    }
    push_rows(body, table, &title);
}

fn push_rows(body: &mut String, table: &Table, title: &str) {
    let _ = write!(
        body,
        "<div class=\"scroll\"><table aria-label=\"{title}\">\n<thead><tr>"
    );
    for column in &table.columns {
        let _ = write!(
            body,
            "<th scope=\"col\"{}>{}</th>",
            alignment(column.align),
            text(column.heading)
        );
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    let (rows, left_out) = table.most_important(MOST_ROWS);
    for row in rows {
        push_row(body, row, &table.columns);
    }
    body.push_str("</tbody>\n");
    if !table.total.is_empty() {
        body.push_str("<tfoot>\n");
        push_row(body, &table.total, &table.columns);
        body.push_str("</tfoot>\n");
    }
    body.push_str("</table></div>\n");
    for more in left_out.iter().chain(&table.more) {
        let _ = writeln!(body, "<p class=\"more\">{}</p>", text(more));
    }
}

fn push_row(body: &mut String, row: &[Cell], columns: &[Column]) {
    body.push_str("<tr>");
    for (cell, column) in row.iter().zip(columns) {
        push_cell(body, cell, column.align);
    }
    body.push_str("</tr>\n");
}

fn alignment(align: Align) -> &'static str {
    match align {
        Align::Left => "",
        Align::Right => " class=\"number\"",
    }
}

fn push_cell(body: &mut String, cell: &Cell, align: Align) {
    if let Content::Bar(share) = cell.content {
        let _ = write!(
            body,
            "<td><span class=\"bar\" role=\"img\" aria-label=\"{share} %\"><span style=\"width:{share}%\"></span></span></td>"
        );
        return;
    }
    let mut classes = Vec::new();
    if align == Align::Right {
        classes.push("number");
    }
    classes.extend(match cell.content {
        Content::Path => Some("path"),
        Content::Code => Some("code"),
        Content::Command => Some("command"),
        Content::Word | Content::Prose | Content::Bar(_) => None,
    });
    classes.extend(match cell.tone {
        Tone::Plain => None,
        Tone::Good => Some("good"),
        Tone::Bad => Some("bad"),
    });
    let classes = match classes.is_empty() {
        true => String::new(),
        false => format!(" class=\"{}\"", classes.join(" ")),
    };
    let _ = write!(body, "<td{classes}>{}</td>", text(&cell.text));
}
