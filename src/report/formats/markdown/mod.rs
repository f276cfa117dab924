//! Documents as GitHub-flavoured markdown, for a comment or a job summary.
//!
//! The most important block comes first, details are folded, and the length is limited. Text from an image is escaped:
//! it cannot break a table or add markup, links or mentions.

mod escape;
mod table;

use crate::report::documents::document::{Block, Document};
use escape::{code, escaped};

/// Maximum size of a report in bytes. A GitHub comment holds 65 536 characters, and other text may surround the report.
pub const LIMIT: usize = 60 * 1024;

/// Renders the document as markdown. If it is too long, tables keep only their most important rows. If it is still too
/// long, blocks that do not fit are left out.
pub fn render(document: &Document) -> String {
    let blocks: Vec<&Block> = document.sections().into_iter().flatten().collect();
    for most_rows in [usize::MAX, 300, 100, 30, 10, 3] {
        let text = join(blocks.iter().map(|it| block(it, most_rows)));
        if text.len() <= LIMIT {
            return text;
        }
    }
    cut(&blocks)
}

fn join(blocks: impl Iterator<Item = String>) -> String {
    blocks.collect::<Vec<_>>().join("\n")
}

/// Keeps the blocks that fit, and adds a note about the others.
fn cut(blocks: &[&Block]) -> String {
    let left_out =
        |count: usize| format!("> **note:** this report leaves out {count} parts; JSON has all\n");
    let mut room = LIMIT - left_out(blocks.len()).len();
    let mut kept = Vec::new();
    for it in blocks {
        let text = block(it, 3);
        // The block is followed by an empty line.
        if let Some(left) = room.checked_sub(text.len() + 1) {
            room = left;
            kept.push(text);
        }
    }
    let more = left_out(blocks.len() - kept.len());
    join(kept.into_iter().chain([more]))
}

fn block(block: &Block, most_rows: usize) -> String {
    match block {
        Block::Headline { name, facts } => {
            let facts: Vec<String> = facts.iter().map(|fact| escaped(fact)).collect();
            format!("## {}\n\n{}", code(name), paragraph(&facts.join(", ")))
        }
        Block::Line(line) => paragraph(&escaped(line)),
        Block::Table(rows) => table::render(rows, most_rows),
        Block::Note(note) => format!("> **note:** {}\n", escaped(note)),
        Block::Warning(warning) => format!("> **warning:** {}\n", escaped(warning)),
        Block::Hint { command, effect } => {
            format!("> **hint:** {} {}\n", code(command), escaped(effect))
        }
        Block::Summary(line) => format!("**{}**\n", escaped(line)),
    }
}

/// A line by itself. Escapes its start if it would be a list item, a rule, or a command to the service that shows it,
/// such as `/close` on GitLab.
fn paragraph(escaped: &str) -> String {
    let digits = escaped.chars().take_while(char::is_ascii_digit).count();
    let rest = &escaped[digits..];
    let is_command = digits == 0 && rest.starts_with(['-', '+', '=', '/']);
    let is_item = digits > 0 && rest.starts_with(['.', ')']);
    match is_command || is_item {
        true => format!("{}\\{rest}\n", &escaped[..digits]),
        false => format!("{escaped}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::document::{Cell, Column, Table, Title};

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
        document.line("from <script> @team *x* https://a.b www.c.d #12 &#64;");
        document.table(Table {
            title: Title::shown("</summary>@a"),
            is_detail: true,
            ..table.clone()
        });
        document.table(table);
        insta::assert_snapshot!(render(&document), @r"
        from &lt;script&gt; <span>@</span>team \*x\* https&#58;//a.b www&#46;c.d <span>#</span>12 <span>&amp;</span><span>#</span>64;

        <details>
        <summary>&lt;/summary&gt;<span>@</span>a</summary>

        | path | bytes |
        | --- | ---: |
        | `usr/__pycache__/a.pyc` | 1 |
        | ``a\|b`<img src=x>\nc`` | 2 |
        | `@team/<b>` | 3 |

        </details>

        | path | bytes |
        | --- | ---: |
        | `usr/__pycache__/a.pyc` | 1 |
        | ``a\|b`<img src=x>\nc`` | 2 |
        | `@team/<b>` | 3 |
        ");
    }

    /// A table with a row for each size in bytes.
    fn table(sizes: impl IntoIterator<Item = u64>) -> Table {
        let row = |bytes: u64| vec![Cell::path(format!("file of {bytes}")), Cell::bytes(bytes)];
        Table {
            title: Title::shown("files"),
            columns: vec![Column::left("path"), Column::right("size").ranks()],
            rows: sizes.into_iter().map(row).collect(),
            total: vec![Cell::word("total"), Cell::word("all")],
            ..Table::default()
        }
    }

    #[test]
    fn a_long_table_is_folded_and_a_longer_one_keeps_its_largest_rows() {
        let render_of = |count: u64| {
            let mut document = Document::default();
            document.table(table((0..count).map(|number| number * 7919 % count)));
            render(&document)
        };
        let rows = |text: &str| text.lines().filter(|line| line.starts_with("| `")).count();
        let (short, long, longer) = (render_of(25), render_of(26), render_of(10_000));
        assert!(short.starts_with("### files\n") && !short.contains("<details>"));
        assert!(
            long.starts_with("<details>\n<summary>files</summary>\n\n|"),
            "{long}"
        );
        assert_eq!((rows(&short), rows(&long), rows(&longer)), (25, 26, 300));
        assert!(longer.len() <= LIMIT && longer.contains("| **total** | **all** |"));
        assert!(
            longer.contains("\nthis table shows the largest 300 of 10000 rows; JSON has all\n"),
            "{longer}"
        );
        let first = longer.lines().find(|line| line.starts_with("| `"));
        assert_eq!(first, Some("| `file of 9999` | 10.0 kB |"));
    }

    #[test]
    fn a_report_never_exceeds_the_limit() {
        let mut document = Document::default();
        for number in 0..2000 {
            document.push(Block::Warning(format!("{number}: {}", "x".repeat(500))));
            document.table(table(0..40));
        }
        let text = render(&document);
        assert!(
            text.len() <= LIMIT && text.len() > LIMIT - 1000,
            "{}",
            text.len()
        );
        assert!(
            text.starts_with("> **warning:** 0: x"),
            "the first parts stay"
        );
        let shown = text.matches("**warning:**").count() + text.matches("<details>").count();
        let note = format!(
            "> **note:** this report leaves out {} parts; JSON has all\n",
            4000 - shown
        );
        assert!(text.ends_with(&note), "{note}");

        // A very long name cannot push out other blocks.
        let mut document = Document::default();
        document.line("x".repeat(LIMIT + 1));
        document.line("the end");
        let text = render(&document);
        assert!(
            text.len() < 2000 && text.ends_with("x…\n\nthe end\n"),
            "{text}"
        );
    }

    #[test]
    fn a_line_is_no_list_no_rule_and_no_command() {
        let mut document = Document::default();
        document.line("- a");
        document.line("===");
        document.line("1. x");
        document.push(Block::Headline {
            name: "a`b".to_owned(),
            facts: vec!["/close".to_owned()],
        });
        let expected = "\\- a\n\n\\===\n\n1\\. x\n\n## ``a`b``\n\n\\/close\n";
        assert_eq!(render(&document), expected);
    }

    #[test]
    fn the_summary_is_under_its_headline() {
        let headline = |name: &str| Block::Headline {
            name: name.to_owned(),
            facts: vec![],
        };
        let mut document = Document::default();
        for name in ["a", "b"] {
            document.push(headline(name));
            document.line(format!("line of {name}"));
            document.push(Block::Summary(format!("summary of {name}")));
        }
        let text = render(&document);
        let at = |needle: &str| text.find(needle).unwrap();
        assert!(at("summary of a") < at("line of a") && at("line of a") < at("## `b`"));
        assert!(at("## `b`") < at("summary of b") && at("summary of b") < at("line of b"));
    }
}
