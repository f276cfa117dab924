//! Markdown as GitHub shows it, rendered by cmark-gfm, the parser of this dialect.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::tools::{Output, pycull_command, run, tool};
use crate::support::{ImageBuilder, LayerBuilder, pycull};

/// Maximum size of a comment in bytes.
const LIMIT: usize = 60 * 1024;

/// The HTML that GitHub's renderer makes, before GitHub removes forbidden elements.
fn html_of(markdown: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.md");
    fs::write(&file, markdown).unwrap();
    let extensions = ["table", "autolink", "strikethrough", "tasklist"];
    let extensions = extensions.iter().flat_map(|name| ["-e", *name]);
    let arguments = ["--unsafe"].into_iter().chain(extensions);
    let arguments = arguments.chain([file.to_str().unwrap()]);
    tool("cmark-gfm", arguments).success().text()
}

/// The text of every cell of every table, row by row.
fn tables(html: &str) -> Vec<Vec<Vec<String>>> {
    let tables = html.split("<table>").skip(1);
    let rows = |table: &str| {
        let table = table.split("</table>").next().unwrap();
        let rows = table.split("<tr>").skip(1);
        rows.map(cells).collect()
    };
    tables.map(rows).collect()
}

fn cells(row: &str) -> Vec<String> {
    let (row, _) = row.split_once("</tr>").unwrap();
    let cells = row.split("</td>").flat_map(|it| it.split("</th>"));
    let cells = cells.filter(|cell| cell.contains("<t"));
    let content = |cell: &str| {
        let (_, content) = cell.split_once("<t").unwrap();
        let (_, content) = content.split_once('>').unwrap();
        text_of(content)
    };
    cells.map(content).collect()
}

/// The text of inline HTML. Elements that pycull does not write remain, so that a comparison fails.
fn text_of(html: &str) -> String {
    let mut text = html.to_owned();
    for element in ["code", "span", "strong", "p"] {
        text = text.replace(&format!("<{element}>"), "");
        text = text.replace(&format!("</{element}>"), "");
    }
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, character);
    }
    text
}

/// Renders markdown, and checks what must hold for any report.
#[track_caller]
fn assert_renders(markdown: &str) -> String {
    assert!(markdown.len() < LIMIT, "{} bytes", markdown.len());
    let is_command = |line: &str| line.trim_start().starts_with('/');
    assert!(!markdown.lines().any(is_command), "for GitLab: {markdown}");
    let html = html_of(markdown);
    for unwanted in [
        "<a ", "<img", "<script", "<li>", "<hr", "<del>", "<pre>", "<em>", "<h1>",
    ] {
        assert!(!html.contains(unwanted), "{unwanted}: {html}");
    }
    assert_refers_to_nothing(&html);
    let count = |needle: &str| html.matches(needle).count();
    assert_eq!(count("<details>"), count("</details>"));
    assert_eq!(count("<details>"), count("<summary>"));
    // A malformed table would be shown as its source text.
    let rules = markdown.lines().filter(|line| line.starts_with("| ---"));
    assert_eq!(tables(&html).len(), rules.count(), "{html}");
    assert!(!html.contains("---"), "{html}");
    for table in tables(&html) {
        let columns = table[0].len();
        for row in &table {
            assert_eq!(row.len(), columns, "{row:?}");
        }
    }
    html
}

/// Checks for text that GitHub and GitLab turn into links although cmark-gfm leaves it: mentions, issues, labels,
/// formulas and emoji.
#[track_caller]
fn assert_refers_to_nothing(html: &str) {
    let (mut code, mut texts) = (false, Vec::new());
    for piece in html.split('<') {
        let (element, text) = piece.split_once('>').unwrap_or(("", piece));
        match element {
            "code" => code = true,
            "/code" => code = false,
            _ => {}
        }
        if !code {
            texts.push(text_of(text));
        }
    }
    for text in texts {
        let pairs = text.chars().zip(text.chars().skip(1));
        for (c, next) in pairs {
            let refers = "@#!$%^~&:".contains(c) && next.is_alphanumeric();
            assert!(!refers, "{c}{next} in {text:?}");
        }
        assert!(!text.contains("GH-"), "{text:?}");
    }
}

/// Names with a meaning in markdown, in HTML or on GitHub.
const HOSTILE: [&str; 12] = [
    "a|b",
    "c`d|e",
    "</details><script>x<",
    "<img src=x>",
    "@team",
    "#12",
    "*f* _g_ ~~h~~",
    "[i](j)",
    "https:\\k",
    "GH-12|!1 %1 &1 $5 ^a ~b :tada:",
    "x\\|@y",
    "`&amp;&#64;",
];

struct Images {
    _directory: TempDir,
    before: String,
    after: String,
}

/// An image with this many layers, and the output of minimize.
fn images(layers: usize) -> Images {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (before, after) = (path("before @a #1 www.b.c"), path("after|`<b>"));
    let layer = |number: usize| {
        let stdlib = format!("usr/lib/python3.{}", number % 4 + 9);
        let layer = LayerBuilder::new().stdlib(&stdlib);
        let name = HOSTILE[number % HOSTILE.len()].replace('/', "");
        let layer = layer.module_of_three(&stdlib, &format!("{name}{number}"));
        // Not a cache, but it has the name of one.
        layer.file(&format!("{stdlib}/__pycache__/{name}.cpython-39.pyc"), "x")
    };
    let image = ImageBuilder::of((0..layers).map(layer)).platform("/close @a", "1. x");
    let image = image.edit_config(|config| {
        let history = (0..layers).map(|number| {
            let command = format!(
                "RUN {} # www.l.m https://l.m a@b.c",
                HOSTILE[number % HOSTILE.len()]
            );
            serde_json::json!({ "created_by": command })
        });
        config["history"] = history.collect();
    });
    image.write(Path::new(&before));
    minimized(&before, &after);
    Images {
        _directory: directory,
        before,
        after,
    }
}

fn minimized(before: &str, after: &str) {
    let output = format!("oci:{after}:x");
    pycull([
        "minimize",
        before,
        "--output",
        &output,
        "--profile",
        "minimal",
    ])
    .success();
}

impl Images {
    /// All commands whose output mentions the images.
    fn commands(&self) -> Vec<Vec<&str>> {
        let (before, after) = (&*self.before, &*self.after);
        vec![
            vec!["inspect", before],
            vec!["inspect", before, "-v", "--advise"],
            vec!["minimize", before, "--dry-run", "-v"],
            vec!["compare", before, after],
            vec!["compare", before, after, "-v"],
            vec!["compare", before, after, before, after, "-v"],
            vec!["verify", before, after],
            vec!["verify", after, before, "-v"],
        ]
    }
}

fn markdown(arguments: &[&str]) -> Output {
    run(pycull_command()
        .args(arguments)
        .args(["--format", "markdown"]))
}

#[test]
fn reports_of_one_layer_and_of_a_hundred_render_as_they_are_meant() {
    for layers in [1, 100] {
        let images = images(layers);
        for arguments in images.commands() {
            let report = markdown(&arguments).text();
            assert!(report.starts_with("## "), "{arguments:?}: {report}");
            assert_renders(&report);
        }
    }
}

/// The table with this first heading.
#[track_caller]
fn table<'a>(tables: &'a [Vec<Vec<String>>], heading: &str) -> &'a [Vec<String>] {
    let table = tables.iter().find(|table| table[0][0] == heading);
    &table.unwrap_or_else(|| panic!("no {heading}: {tables:#?}"))[1..]
}

#[test]
fn a_hundred_layers_are_rows_of_a_folded_table() {
    let images = images(100);
    let report = markdown(&["compare", &images.before, &images.after]).text();
    let html = assert_renders(&report);
    let tables = tables(&html);
    let rows = table(&tables, "layer");
    // Dropped layers have no counterpart in the image after.
    assert_eq!(rows.len(), 101);
    assert_eq!(rows[100][0], "total");
    let details: Vec<&str> = html.split("<details>").skip(1).collect();
    let folded = details
        .iter()
        .find(|it| it.starts_with("\n<summary>layers</summary>"));
    let folded = folded.unwrap().split("</details>").next().unwrap();
    assert_eq!(
        folded.matches("<tr>").count(),
        102,
        "with the headings: {folded}"
    );
    // The summary comes first.
    let summary = html.find("<strong>").unwrap();
    assert!(summary < html.find("<table>").unwrap(), "{html}");
}

#[test]
fn names_are_shown_as_they_are() {
    let images = images(HOSTILE.len());
    let report = markdown(&["inspect", &images.before, "-v"]).text();
    let tables = tables(&assert_renders(&report));
    let inspected = pycull(["inspect", &images.before, "--format", "json"]).json();
    let findings = inspected["images"][0]["findings"]
        .as_array()
        .unwrap()
        .clone();
    let expected: Vec<&str> = findings
        .iter()
        .map(|it| it["path"].as_str().unwrap())
        .collect();
    assert!(expected.len() >= HOSTILE.len(), "{findings:#?}");
    let every = tables
        .iter()
        .find(|table| table[0].contains(&"file".to_owned()));
    let mut shown: Vec<&str> = every.unwrap()[1..].iter().map(|row| &*row[3]).collect();
    shown.sort_unstable();
    let mut expected = expected;
    expected.sort_unstable();
    assert_eq!(shown, expected);
    let layers = table(&tables, "layer");
    for (row, name) in layers.iter().zip(HOSTILE) {
        assert_eq!(
            row.last().unwrap(),
            &format!("{name} # www.l.m https://l.m a@b.c")
        );
    }
}

#[test]
fn what_is_too_long_keeps_what_is_largest() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let stdlib = "usr/lib/python3.9";
    let mut layer = LayerBuilder::new().stdlib(stdlib);
    let sizes: Vec<usize> = (0..2000).map(|number| number * 7919 % 2000).collect();
    for size in &sizes {
        let path = format!("{stdlib}/__pycache__/m{size}.cpython-39.pyc");
        layer = layer.file(&path, "x".repeat(*size));
    }
    ImageBuilder::of([layer]).write(&image);
    let report = markdown(&["inspect", image.to_str().unwrap(), "-v"]).text();
    let html = assert_renders(&report);
    let tables = tables(&html);
    let every = tables
        .iter()
        .find(|table| table[0].contains(&"file".to_owned()));
    let every = &every.unwrap()[1..];
    assert_eq!(every.len(), 300);
    for (row, size) in every.iter().zip((0..2000).rev()) {
        let path = format!("{stdlib}/__pycache__/m{size}.cpython-39.pyc");
        assert_eq!(row[3], path);
    }
    assert!(
        html.contains("this table shows the largest 300 of 2003 rows; JSON has all"),
        "{html}"
    );
}

/// The documents of all commands that the unit tests keep as snapshots.
#[test]
fn kept_documents_render() {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/formats/snapshots");
    let kept: Vec<PathBuf> = fs::read_dir(snapshots)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with("_markdown.snap"))
        .collect();
    assert!(kept.len() >= 13, "{kept:?}");
    for path in kept {
        let kept = fs::read_to_string(&path).unwrap();
        let (_, markdown) = kept
            .strip_prefix("---\n")
            .unwrap()
            .split_once("\n---\n")
            .unwrap();
        assert_renders(markdown);
    }
}
