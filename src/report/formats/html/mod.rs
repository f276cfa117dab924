//! Documents as HTML pages. A page is one file that opens from disk and loads nothing.
//!
//! All text from an image is escaped. If that ever fails, the page's own policy still prevents scripts and requests.

mod policy;
mod table;

use std::fmt::Write;

use crate::report::documents::document::{Block, Document};
use crate::report::formats::figure;
use crate::report::formats::markup::escaped as text;
use crate::report::model::{Area, AreaClass};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The figures for one section of a page.
#[derive(Debug, Clone, Default)]
pub struct Figures<'a> {
    /// A map of the bytes in the image.
    pub map: Option<&'a Area>,
    /// Figures as SVG.
    pub drawings: Vec<String>,
}

impl Figures<'_> {
    /// A single drawing, without a map.
    pub fn drawn(drawing: String) -> Self {
        Self {
            map: None,
            drawings: vec![drawing],
        }
    }
}

/// Renders the document as a page. `figures` has an entry for each headline, in order.
pub fn render(document: &Document, figures: &[Figures<'_>]) -> String {
    let mut body = String::new();
    let mut figures = figures.iter();
    for section in document.sections() {
        let is_outcome =
            |block: &&Block| matches!(block, Block::Headline { .. } | Block::Summary(_));
        let (outcome, others) = section.split_at(section.partition_point(is_outcome));
        outcome
            .iter()
            .for_each(|block| push_block(&mut body, block));
        if let Some(Block::Headline { .. }) = outcome.first() {
            push_figures(&mut body, figures.next());
        }
        others.iter().for_each(|block| push_block(&mut body, block));
    }
    let classes: Vec<&str> = AreaClass::ALL.map(AreaClass::title).to_vec();
    let classes = text(&serde_json::json!(classes).to_string());
    let title = text(title(document));
    let (style, script) = (format!("\n{STYLE}"), format!("\n{SCRIPT}"));
    let policy = policy::policy(&script, &[&style, figure::STYLE]);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{style}</style>\n</head>\n\
         <body data-classes=\"{classes}\">\n<main>\n{body}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )
}

fn title(document: &Document) -> &str {
    let names = document.blocks.iter().filter_map(|block| match block {
        Block::Headline { name, .. } => Some(&**name),
        _ => None,
    });
    names.into_iter().next().unwrap_or("pycull")
}

fn push_figures(body: &mut String, figures: Option<&Figures<'_>>) {
    let Some(figures) = figures else {
        return;
    };
    for drawing in &figures.drawings {
        let _ = writeln!(body, "<figure class=\"scroll\">{drawing}</figure>");
    }
    if let Some(map) = figures.map {
        push_map(body, map);
    }
}

fn push_map(body: &mut String, map: &Area) {
    // Only a tag can end a script element.
    let data = serde_json::to_string(map).unwrap_or_default();
    let data = data.replace('<', "\\u003c");
    let legend: String = AreaClass::ALL
        .iter()
        .map(|class| {
            format!(
                "<li><i class=\"c{}\"></i>{}</li>",
                *class as usize,
                class.title()
            )
        })
        .collect();
    let _ = writeln!(
        body,
        "<section class=\"map\">\n<h3>where the bytes are</h3>\n<nav aria-label=\"open areas\"></nav>\n\
         <div class=\"areas\" role=\"group\" aria-label=\"areas by size; Enter opens one, Escape closes it, arrows move\"></div>\n\
         <output class=\"said\" aria-live=\"polite\"></output>\n<ul class=\"legend\">{legend}</ul>\n\
         <script type=\"application/json\">{data}</script>\n</section>"
    );
}

/// The headline includes the first fact, which is the platform: it tells apart the images of one index.
fn headline(name: &str, facts: &[String]) -> String {
    let facts: Vec<String> = facts.iter().map(|fact| text(fact)).collect();
    let name = text(name);
    match facts.split_first() {
        None => format!("<h2>{name}</h2>"),
        Some((platform, [])) => format!("<h2>{name} <small>{platform}</small></h2>"),
        Some((platform, others)) => format!(
            "<h2>{name} <small>{platform}</small></h2>\n<p class=\"facts\">{}</p>",
            others.join(" · ")
        ),
    }
}

fn push_block(body: &mut String, block: &Block) {
    let line = match block {
        Block::Headline { name, facts } => headline(name, facts),
        Block::Line(line) => format!("<p>{}</p>", text(line)),
        Block::Summary(line) => format!("<p class=\"summary\">{}</p>", text(line)),
        Block::Note(note) => format!("<p class=\"note\">note: {}</p>", text(note)),
        Block::Warning(warning) => format!("<p class=\"warning\">warning: {}</p>", text(warning)),
        Block::Hint { command, effect } => {
            format!(
                "<p class=\"hint\">hint: <code>{}</code> {}</p>",
                text(command),
                text(effect)
            )
        }
        Block::Table(table) => return table::push(body, table),
    };
    body.push_str(&line);
    body.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::documents::document::{Cell, Column, Content, Table, Title, Tone};
    use crate::report::samples;

    fn area(name: &str, bytes: u64, children: Vec<Area>) -> Area {
        Area {
            name: name.to_owned(),
            bytes,
            files: 1,
            class: Some(AreaClass::LevelTwo),
            children,
        }
    }

    #[test]
    fn what_an_image_says_is_text() {
        let mut document = Document::default();
        let row = vec![
            Cell::path("a\"<b>&'\x1b"),
            Cell::number(1).tone(Tone::Bad),
            Cell::bar(1, 2),
        ];
        document.table(Table {
            columns: vec![Column::left("path"), Column::right("n"), Column::left("")],
            rows: vec![row],
            ..Table::default()
        });
        let page = render(&document, &[]);
        assert!(
            page.contains("<td class=\"path\">a&quot;&lt;b&gt;&amp;&#39;\\u{1b}</td>"),
            "{page}"
        );
        assert!(page.contains("<td class=\"number bad\">1</td>"));
        assert!(page.contains("aria-label=\"50 %\""));
    }

    #[test]
    fn no_part_of_a_document_is_markup() {
        const MARKUP: &str = "<i>&\"'";
        let hostile = || MARKUP.to_owned();
        let cells = || {
            let cell = Cell::path(MARKUP);
            let kinds = [
                Content::Path,
                Content::Code,
                Content::Command,
                Content::Word,
                Content::Prose,
            ];
            kinds
                .map(|content| Cell {
                    content,
                    ..cell.clone()
                })
                .to_vec()
        };
        let table = |is_detail, title| {
            Block::Table(Table {
                title,
                is_detail,
                columns: [Column::left(MARKUP); 5].to_vec(),
                rows: vec![cells()],
                total: cells(),
                more: Some(hostile()),
            })
        };
        let blocks = vec![
            Block::Headline {
                name: hostile(),
                facts: vec![hostile(), hostile()],
            },
            Block::Line(hostile()),
            Block::Summary(hostile()),
            Block::Note(hostile()),
            Block::Warning(hostile()),
            Block::Hint {
                command: hostile(),
                effect: hostile(),
            },
            table(false, Title::shown(MARKUP)),
            table(false, Title::Implied(MARKUP)),
            table(true, Title::shown(MARKUP)),
        ];
        let page = render(&Document { blocks }, &[]);
        assert!(!page.contains(MARKUP) && !page.contains("<i>&"), "{page}");
        // The text appears in the page's title, in the headline with its two facts, and in six texts of blocks. Each
        // table has it in its label, five headings, ten cells, and the line about rows left out. Two tables also show
        // it as their title.
        let shown = page.matches("&lt;i&gt;&amp;&quot;&#39;").count();
        assert_eq!(shown, 1 + 3 + 6 + 3 * 17 + 2, "{page}");
    }

    #[test]
    fn a_headline_tells_the_platform() {
        let facts = ["linux/arm64", "2 <layers>", "3 B"].map(str::to_owned);
        for (count, expected) in [
            (0, "<h2>a</h2>"),
            (1, "<h2>a <small>linux/arm64</small></h2>"),
            (
                3,
                "<h2>a <small>linux/arm64</small></h2>\n<p class=\"facts\">2 &lt;layers&gt; · 3 B</p>",
            ),
        ] {
            assert_eq!(headline("a", &facts[..count]), expected);
        }
    }

    #[test]
    fn details_are_folded_and_are_no_more_than_a_browser_can_take() {
        let mut document = Document::default();
        document.table(Table {
            title: Title::shown("<every> file"),
            is_detail: true,
            columns: vec![Column::left("path"), Column::right("size").ranks()],
            rows: (0..6000)
                .map(|bytes| vec![Cell::path(format!("file {bytes}")), Cell::bytes(bytes)])
                .collect(),
            ..Table::default()
        });
        let page = render(&document, &[]);
        let folded = "<details>\n<summary>&lt;every&gt; file (6000)</summary>";
        assert!(page.contains(folded), "{page}");
        assert!(page.contains("file 1000<") && !page.contains("file 999<"));
        assert!(page.contains("this table shows the largest 5000 of 6000 rows; JSON has all"));
    }

    #[test]
    fn a_map_is_data_that_no_name_can_end() {
        let map = area(
            "image",
            3,
            vec![area("</script><!--", 2, vec![]), area("b", 1, vec![])],
        );
        let document =
            crate::report::documents::inspect::document(&samples::inspect(), Default::default());
        let figures = Figures {
            map: Some(&map),
            drawings: vec!["<svg></svg>".to_owned()],
        };
        let page = render(&document, &[figures]);
        let (_, data) = page
            .split_once("<script type=\"application/json\">")
            .unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let part = |name, bytes| serde_json::json!([name, bytes, 1, 3]);
        let parts = [part("</script><!--", 2), part("b", 1)];
        assert_eq!(data, serde_json::json!(["image", 3, 1, 3, parts]));
        assert_eq!(page.matches("<svg>").count(), 1);
        assert!(
            !page.contains("http:") && !page.contains("https:"),
            "nothing is loaded"
        );
    }
}
