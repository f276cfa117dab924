//! Names that could be commands to a CI service, escape sequences for a terminal, or markup for a browser. Every output
//! in every format must make them harmless.

use serde_json::json;

use crate::support::pyc::{STDLIB, cache_39};
use crate::support::{ImageBuilder, LayerBuilder, Output, pycull};

/// Parts of names. None has a slash, because a slash would end the name.
const NAMES: [&str; 16] = [
    "::add-mask::secret",
    "::set-output name=a::b",
    " ::warning::x",
    "##vso[task.setvariable variable=a]b",
    "##[command]x",
    "section_start:0:a\r\u{1b}[0Kb",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{9b}31m",
    "line\n::error::x",
    "line\r##[error]x",
    "\u{202e}cyp.tset",
    "<script>alert(1)<script>",
    "<img src=x onerror=alert(1)>",
    "a|b`c*d_e[f](g)&amp;h\"i'j",
    "\u{8}\u{0b}\u{0c}\u{7f}",
];

/// An image in which everything that has a name uses one of these.
fn image() -> ImageBuilder {
    let stale = cache_39(1, 1, b"stale");
    let layer = NAMES
        .iter()
        .fold(LayerBuilder::new().stdlib(STDLIB), |layer, name| {
            layer
                .file(&format!("{name}/__init__.py"), "# a\n")
                .file(
                    &format!("{name}/__pycache__/__init__.cpython-39.pyc"),
                    &stale,
                )
                .file(&format!("opt/{name}.py"), "# b\n")
                .file(
                    &format!("opt/__pycache__/{name}.cpython-39.pyc"),
                    "no bytecode",
                )
                .file(&format!("srv/{name}.pyc"), "no bytecode")
                .symlink(
                    &format!("links/{name}"),
                    &format!("/opt/__pycache__/{name}.cpython-39.pyc"),
                )
        });
    ImageBuilder::of([layer]).edit_config(|config| {
        config["variant"] = json!(NAMES[0]);
        config["os.version"] = json!(NAMES[3]);
        config["author"] = json!(NAMES[6]);
        config["history"][0] = json!({"created_by": NAMES.join(" "), "comment": NAMES[9]});
        config["config"]["Cmd"] = json!(NAMES);
        config["config"]["Env"] = json!(NAMES.map(|name| format!("A={name}")));
    })
}

#[track_caller]
fn is_harmless(what: &str, text: &str) {
    for (number, line) in text.lines().enumerate() {
        let place = format!("{what}, line {}: {line:?}", number + 1);
        assert!(!line.trim_start().starts_with("::"), "{place}");
        assert!(!line.contains("##vso[") && !line.contains("##["), "{place}");
        let is_harmful = |c: char| {
            c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!line.chars().any(is_harmful), "{place}");
    }
}

#[test]
fn no_output_is_a_command_an_escape_or_markup() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (before, after, other) = (place("before"), place("after"), place("other"));
    image().write(directory.path().join("before").as_path());
    ImageBuilder::of([LayerBuilder::new().stdlib(STDLIB)])
        .write(directory.path().join("other").as_path());
    pycull(["minimize", &before, "--output", &after]).success();
    let commands: [&[&str]; 7] = [
        &["inspect", &before],
        &["inspect", &before, "--advise", "--deny", "stale,malformed"],
        &["minimize", &before, "--dry-run"],
        &["minimize", &before, "--dry-run", "--profile", "minimal"],
        &["compare", &before, &after],
        &["verify", &before, &after],
        // The other image is entirely different, so every path is named.
        &["verify", &before, &other],
    ];
    for command in commands {
        for format in ["text", "json", "markdown", "html"] {
            let arguments = [command, &["--format", format, "--verbose"]].concat();
            let Output {
                code,
                stdout,
                stderr,
            } = pycull(&arguments);
            assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {stderr}");
            let text = String::from_utf8(stdout).unwrap();
            assert!(!text.is_empty());
            is_harmless(&format!("{arguments:?}"), &text);
            // Markdown may show them as code. tests/it/markdown.rs checks that they are not markup there.
            if format == "html" {
                let is_markup = |tag: &&str| text.contains(*tag);
                let found = ["<script>alert", "<img src=x"].into_iter().find(is_markup);
                assert_eq!(found, None, "{arguments:?}");
            }
            is_harmless(&format!("errors of {arguments:?}"), &stderr);
        }
    }
}

#[test]
fn no_error_is_a_command_or_an_escape() {
    let directory = tempfile::tempdir().unwrap();
    for (number, name) in NAMES.iter().enumerate() {
        let layout = directory.path().join(number.to_string());
        let layer = LayerBuilder::new().hardlink(name, &format!("no{name}"));
        ImageBuilder::of([layer]).tag(name).write(&layout);
        let output = pycull(["inspect", layout.to_str().unwrap()]);
        assert_eq!(output.code, Some(2), "{name:?}");
        is_harmless(name, &output.stderr);
        let reference = format!("oci:{}:{name}", layout.display());
        is_harmless(name, &pycull(["inspect", &reference]).stderr);
        let wrong = format!("oci:{}:other", layout.display());
        is_harmless(name, &pycull(["inspect", &wrong]).stderr);
    }
}
