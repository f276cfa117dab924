//! Documents as GitHub-flavoured markdown. Whatever comes from an image is escaped: it can neither
//! break a table nor bring markup, links or mentions.

use std::fmt::Write;

use super::document::{Align, Block, Cell, Content, Document, Table, Title};
use super::printable;

/// The document as markdown.
pub fn render(document: &Document) -> String {
    let blocks: Vec<String> = document.blocks.iter().map(block).collect();
    blocks.join("\n")
}

fn block(block: &Block) -> String {
    match block {
        Block::Headline { name, facts } => {
            let facts: Vec<String> = facts.iter().map(|fact| escaped(fact)).collect();
            format!("## {}\n\n{}\n", code(name), facts.join(", "))
        }
        Block::Line(line) => format!("{}\n", escaped(line)),
        Block::Table(rows) => table(rows),
        Block::Note(note) => format!("> **note:** {}\n", escaped(note)),
        Block::Warning(warning) => format!("> **warning:** {}\n", escaped(warning)),
        Block::Hint { command, effect } => {
            format!("> **hint:** {} {}\n", code(command), escaped(effect))
        }
        Block::Summary(line) => format!("**{}**\n", escaped(line)),
    }
}

fn table(table: &Table) -> String {
    let mut text = String::new();
    if let Title::Shown(title) = &table.title {
        let _ = writeln!(text, "### {}\n", escaped(title));
    }
    let headings = table.columns.iter().map(|column| escaped(column.heading));
    push_row(&mut text, headings);
    let rules = table.columns.iter().map(|column| match column.align {
        Align::Left => "---".to_owned(),
        Align::Right => "---:".to_owned(),
    });
    push_row(&mut text, rules);
    let total = Some(&table.total).filter(|total| !total.is_empty());
    for row in table.rows.iter().chain(total) {
        push_row(&mut text, row.iter().map(cell));
    }
    if let Some(more) = &table.more {
        let _ = writeln!(text, "\n{}", escaped(more));
    }
    text
}

fn push_row(text: &mut String, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn cell(cell: &Cell) -> String {
    match cell.content {
        Content::Code | Content::Path | Content::Command => code(&cell.text),
        Content::Word | Content::Prose | Content::Bar(_) => escaped(&cell.text),
    }
}

/// A code span, in which nothing is a mention or a link. What could end it, or the table cell that
/// it stands in, makes it plain text instead.
fn code(text: &str) -> String {
    let text = printable(text);
    match text.contains(['`', '\\', '|']) {
        _ if text.trim().is_empty() => String::new(),
        true => escaped(&text),
        false => format!("`{text}`"),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '`' | '\\' | '*' | '_' | '[' | ']' | '#' | '~' => escaped.extend(['\\', c]),
            // GitHub makes links and mentions of plain text, backslash or not.
            '@' => escaped.push_str("<span>@</span>"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::document::Column;
    use super::*;

    #[test]
    fn hostile_paths_stay_in_their_cells() {
        let table = Table {
            columns: vec![Column::left("path"), Column::right("bytes")],
            rows: vec![
                vec![Cell::path("usr/__pycache__/a.pyc"), Cell::number(1)],
                vec![Cell::path("a|b`<img src=x>\nc"), Cell::number(2)],
                vec![Cell::path("@team/<b>"), Cell::number(3)],
            ],
            ..Table::default()
        };
        let mut document = Document::default();
        document.line("from <script> @team *x*");
        document.table(table);
        insta::assert_snapshot!(render(&document), @r"
        from &lt;script&gt; <span>@</span>team \*x\*

        | path | bytes |
        | --- | ---: |
        | `usr/__pycache__/a.pyc` | 1 |
        | a\|b\`&lt;img src=x&gt;\\nc | 2 |
        | `@team/<b>` | 3 |
        ");
    }
}
