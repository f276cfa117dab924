//! The command line as people and pipelines see it: exit codes, gates and pipes. Also checks that the examples in the
//! documents are what the binary prints.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::tools::{pycull_command, testdata};
use crate::support::{ImageBuilder, LayerBuilder, pycull, tool};

fn fedora() -> String {
    testdata("fedora-shaped.tar").display().to_string()
}

/// Writes the image that profile `default` makes.
fn write_small(directory: &Path) -> String {
    let small = directory.join("small.tar").display().to_string();
    pycull(["minimize", &fedora(), "--output", &small]).success();
    small
}

/// An image with a stale cache and a fresh one.
fn image_with_a_stale_cache(layout: &Path) {
    let stdlib = LayerBuilder::new().stdlib("usr/lib/python3.9");
    let layer = stdlib
        .module("usr/lib/python3.9", "fresh", "a = 1\n")
        .module("usr/lib/python3.9", "old", "b = 1\n");
    let upper = LayerBuilder::new()
        .mtime(1_700_000_000)
        .file("usr/lib/python3.9/old.py", "b = 2\n");
    ImageBuilder::of([layer, upper]).write(layout);
}

#[test]
fn denied_findings_fail_after_the_report() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    image_with_a_stale_cache(&image);
    let image = image.to_str().unwrap();
    let denied = pycull([
        "inspect",
        image,
        "--deny",
        "stale,malformed",
        "--format",
        "json",
    ]);
    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert_eq!(denied.json()["images"][0]["findings"][0]["kind"], "stale");
    assert!(denied.stderr.contains("stale"), "{}", denied.stderr);
    pycull(["inspect", image, "--deny", "malformed,hidden"]).success();
    pycull(["inspect", image, "--deny", "rotten"]).refused("rotten");
}

#[test]
fn growth_beyond_the_limit_fails() {
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small.tar").display().to_string();
    pycull([
        "minimize",
        &fedora(),
        "--output",
        &small,
        "--profile",
        "minimal",
    ])
    .success();
    pycull(["compare", &fedora(), &small, "--max-growth", "0"]).success();
    assert_eq!(
        pycull(["compare", &small, &fedora(), "--max-growth", "10%"]).code,
        Some(1)
    );
    pycull(["compare", &small, &fedora(), "--max-growth", "1MB"]).success();
    assert_eq!(
        pycull(["compare", &small, &fedora(), "--max-growth", "lots"]).code,
        Some(2)
    );
}

/// The output of a command in a terminal of this width. Colours are removed afterwards.
fn in_terminal(columns: u16, arguments: &[&str]) -> String {
    let pycull = env!("CARGO_BIN_EXE_pycull");
    let command = format!("stty cols {columns}; {pycull} {}", arguments.join(" "));
    let shown = tool(
        "script",
        ["--quiet", "--return", "--command", &command, "/dev/null"],
    );
    let shown = shown.text().replace("\r\n", "\n");
    assert!(shown.contains("\x1b["), "no terminal: {shown}");
    let (first, coloured) = shown.split_once("\x1b[").unwrap();
    let ends = coloured
        .split("\x1b[")
        .map(|part| part.split_once('m').unwrap().1);
    std::iter::once(first).chain(ends).collect()
}

#[test]
fn a_narrow_terminal_is_not_exceeded() {
    let directory = tempfile::tempdir().unwrap();
    let small = write_small(directory.path());
    let fixed = ["-v", "--no-progress"];
    for arguments in [
        vec!["inspect", &fedora(), "--advise"],
        vec!["minimize", &fedora(), "--dry-run"],
        vec!["compare", &fedora(), &small, &small],
        vec!["verify", &fedora(), &small, "--profile", "minimal"],
    ] {
        let arguments = [&arguments[..], &fixed].concat();
        let text = in_terminal(60, &arguments);
        let is_whole = |line: &&str| line.contains('`') || line.contains("sha256:");
        let lines = text.lines().filter(|line| !is_whole(line));
        // Headlines do not shorten image references.
        let lines = lines.filter(|line| !line.contains("linux/") && !line.starts_with('/'));
        let widest = lines.max_by_key(|line| line.chars().count()).unwrap();
        assert!(widest.chars().count() <= 60, "{widest}");
        assert!(text.lines().count() > 10, "{text}");
        let wide = in_terminal(200, &arguments);
        assert!(wide.lines().count() < text.lines().count(), "{arguments:?}");
    }
}

/// The badge in the documentation is one that pycull makes. UPDATE_EXAMPLES rewrites it.
#[test]
fn a_badge_is_of_one_image() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (small, badge) = (write_small(directory.path()), path("badge.svg"));
    pycull(["compare", &fedora(), &small, "--badge", &badge]).success();
    let drawn = fs::read_to_string(&badge).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/badge.svg");
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        fs::write(&kept, &drawn).unwrap();
    }
    assert_eq!(fs::read_to_string(kept).unwrap(), drawn);
    fs::remove_file(&badge).unwrap();
    let several = pycull(["compare", &fedora(), &small, &small, "--badge", &badge]);
    several.refused("one image");
    assert!(!Path::new(&badge).exists());
}

#[test]
fn a_gate_is_heard_though_badge_and_figure_fail() {
    let directory = tempfile::tempdir().unwrap();
    let small = write_small(directory.path());
    let nowhere = directory.path().join("none/it.svg").display().to_string();
    let (fedora, gate) = (fedora(), ["--max-size", "1"]);
    for (afters, option) in [
        (vec![&*small], "--badge"),
        (vec![&*small, &small], "--badge"),
        (vec![&*small], "--figure"),
    ] {
        let images = [&["compare", &*fedora], &afters[..]].concat();
        let output = pycull([&images[..], &gate, &[option, &nowhere]].concat());
        assert_eq!(output.code, Some(2), "{option}: {}", output.stderr);
        assert!(output.text().contains("compressed"), "{option}");
        let said = output.stderr.matches("more than --max-size").count();
        assert_eq!(said, afters.len(), "{option}: {}", output.stderr);
    }
}

/// pycull prints the report and the results of gates before the error, and does not overwrite an image.
#[test]
fn a_figure_replaces_only_a_figure() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (small, figure) = (write_small(directory.path()), path("figure.svg"));
    let image = fs::read(&small).unwrap();
    let draw = |file: &str| pycull(["compare", &fedora(), &small, "--figure", file]);
    for _ in 0..2 {
        draw(&figure).success();
    }
    let refused = draw(&small).refused("is not an SVG file");
    assert!(refused.text().contains("total"), "{}", refused.text());
    assert_eq!(fs::read(&small).unwrap(), image);
    draw("-").refused("to standard output");
    draw(&path("none/figure.svg")).refused("cannot write the figure");
}

/// The log of a CI service could take a line that an image controls for a command.
#[test]
fn names_of_an_image_begin_no_line_of_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let library = "usr/a\n::error::b\n/lib/python3.9";
    let layer = LayerBuilder::new()
        .stdlib(library)
        .module(library, "m", "a = 1\n");
    ImageBuilder::of([layer])
        .platform("linux", "x\n::error::c")
        .write(&image);
    let image = image.to_str().unwrap();
    for arguments in [
        &["compare", image, image, "--max-bytecode", "0"][..],
        &["inspect", image, "--platform", "linux/other"],
    ] {
        let said = pycull(arguments).stderr;
        assert!(said.contains("error::"), "{said}");
        assert!(
            !said.lines().any(|line| line.trim_start().starts_with("::")),
            "{said}"
        );
    }
}

#[test]
fn usage_errors_exit_with_two() {
    for arguments in [
        &["inspect"][..],
        &["minimize", "x"],
        &["frobnicate"],
        &["inspect", "x", "--jobs", "0"],
    ] {
        assert_eq!(pycull(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_name_of_an_image_is_no_path_and_the_ways_to_it_are_said() {
    let output = pycull(["inspect", "python:3.12"]).refused("cannot open `python:3.12`");
    for way in ["`docker://python:3.12`", "`containers-storage:python:3.12`"] {
        assert!(output.stderr.contains(way), "{}", output.stderr);
    }
}

/// Runs pycull with a closed pipe as standard output. Returns its exit code and standard error.
fn without_a_reader(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = pycull_command()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_closed_pipe_ends_quietly() {
    assert_eq!(
        without_a_reader(&["inspect", &fedora(), "--format", "json"]),
        (Some(0), String::new())
    );
    // An image that nothing reads was not written.
    let (code, _) = without_a_reader(&["minimize", &fedora(), "--output", "-"]);
    assert_eq!(code, Some(2));
}

#[test]
fn advice_counts_what_is_compiled_at_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let compiled = |arguments: &[&str]| {
        let report = pycull(
            ["inspect", image.to_str().unwrap(), "--format", "json"]
                .iter()
                .chain(arguments),
        );
        let choices = report.json()["images"][0]["advice"]["choices"].clone();
        let choices = choices.as_array().unwrap().iter();
        choices
            .map(|it| it["compiled_at_start"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    // Three of five modules have no cache, and one has a stale cache.
    image_with_a_stale_cache(&image);
    assert_eq!(compiled(&["--advise"]), [4, 5]);
    let stdlib = LayerBuilder::new().stdlib("usr/lib/python3.9");
    let layer = stdlib.module("usr/lib/python3.9", "fresh", "a = 1\n");
    // Existing caches are not used if Python looks elsewhere, or for caches of a level above 2.
    for variable in ["PYTHONPYCACHEPREFIX=/var/cache", "PYTHONOPTIMIZE=3"] {
        let config = serde_json::json!([variable]);
        let builder =
            ImageBuilder::of([layer.clone()]).edit_config(|it| it["config"]["Env"] = config);
        fs::remove_dir_all(&image).unwrap();
        builder.write(&image);
        assert_eq!(compiled(&["--advise"]), [4, 4], "{variable}");
        let text = pycull(["inspect", image.to_str().unwrap(), "--advise"]).success();
        let text = text.text();
        assert!(text.contains("never"), "{text}");
        assert!(text.contains("--profile minimal"), "{text}");
    }
}

#[test]
fn advice_counts_removed_bytes_as_minimize_does() {
    let library = "usr/lib/python3.9";
    let layer = LayerBuilder::new()
        .stdlib(library)
        .module(library, "m", "a = 1\n")
        .cache(library, "m", 1, "a = 1\n", "level 1")
        .hardlink(
            &format!("{library}/__pycache__/m.cpython-39.opt-2.pyc"),
            &format!("{library}/__pycache__/m.cpython-39.opt-1.pyc"),
        )
        .module(library, "old", "b = 1\n")
        .module(library, "older", "c = 1\n");
    // A whiteout that goes with what it deletes is not a cache, even if it has data.
    let upper = LayerBuilder::new()
        .file(&format!("{library}/.wh.old.py"), "")
        .file(
            &format!("{library}/__pycache__/.wh.old.cpython-39.pyc"),
            "x".repeat(600),
        )
        .mtime(1_700_000_000)
        .file(&format!("{library}/older.py"), "c = 2\n");
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    ImageBuilder::of([layer, upper]).write(&image);
    let image = image.to_str().unwrap();
    let report = pycull(["inspect", image, "--advise", "--format", "json"]).json();
    let choices = report["images"][0]["advice"]["choices"].clone();
    let choices = choices.as_array().unwrap();
    assert_eq!(choices.len(), 2);
    for choice in choices {
        let profile = choice["profile"].as_str().unwrap();
        let mut arguments = vec!["minimize", image, "--dry-run", "--profile", profile];
        if choice["recompiles"] == true {
            arguments.extend(["--set", "stale=compile"]);
        }
        arguments.extend(["--format", "json"]);
        let planned = pycull(arguments).success().json();
        let removed = &planned["images"][0]["removed"]["bytes"];
        assert!((1..600).contains(&removed.as_u64().unwrap()), "{removed}");
        assert_eq!(&choice["removed_bytes"], removed, "{profile}");
    }
}

/// If nothing reads the report, the exit code still tells the result of the gates.
#[test]
fn a_gate_is_heard_where_the_pipe_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (small, stale) = (write_small(directory.path()), path("stale"));
    image_with_a_stale_cache(Path::new(&stale));
    for arguments in [
        vec!["compare", &small, &fedora(), "--max-growth", "0"],
        vec!["inspect", &stale, "--deny", "stale"],
        vec!["verify", &small, &stale],
    ] {
        let (code, _) = without_a_reader(&arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
    }
}

#[test]
fn a_dry_run_lists_every_step_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    image_with_a_stale_cache(&image);
    let before = fs::read_dir(directory.path()).unwrap().count();
    let report = pycull([
        "minimize",
        image.to_str().unwrap(),
        "--dry-run",
        "--format",
        "json",
    ])
    .success()
    .json();
    let steps = report["images"][0]["steps"].as_array().unwrap().clone();
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert_eq!(
        steps[0]["path"],
        "usr/lib/python3.9/__pycache__/old.cpython-39.pyc"
    );
    assert!(
        steps[0]["reason"].as_str().unwrap().starts_with("stale: "),
        "{steps:?}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), before);
}

#[test]
fn a_dry_run_foretells_the_sizes_that_writing_gives() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out.tar").display().to_string();
    for profile in ["default", "minimal", "levels-0-1"] {
        let foretold = pycull([
            "minimize",
            &fedora(),
            "--dry-run",
            "--profile",
            profile,
            "--format",
            "json",
        ])
        .success()
        .json();
        let written = pycull([
            "minimize",
            &fedora(),
            "--output",
            &output,
            "--profile",
            profile,
            "--format",
            "json",
        ])
        .success()
        .json();
        let bytes = |report: &serde_json::Value| {
            report["images"][0]["after"]["uncompressed_bytes"]
                .as_u64()
                .unwrap()
        };
        assert_eq!(bytes(&foretold), bytes(&written), "{profile}");
    }
}

#[test]
fn profiles_are_listed_shown_and_checked() {
    let list = pycull(["profile", "list"]).success().text();
    for name in ["default", "minimal", "levels-0-1", "auto"] {
        assert!(list.contains(name), "{list}");
        let shown = pycull(["profile", "show", name]).success().text();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own.toml");
        fs::write(&file, shown).unwrap();
        pycull(["profile", "check", file.to_str().unwrap()]).success();
        fs::write(&file, "lvels = []\n").unwrap();
        let wrong = pycull(["profile", "check", file.to_str().unwrap()]);
        assert_eq!(wrong.code, Some(1));
        // A path that is missing or not a file cannot be checked.
        for other in ["none.toml", "."] {
            let other = directory.path().join(other);
            pycull(["profile", "check", other.to_str().unwrap()]).refused("cannot read");
        }
        assert!(
            wrong.stderr.contains("line 1") && wrong.stderr.contains("did you mean `levels`?"),
            "{}",
            wrong.stderr
        );
    }
}

#[test]
fn completions_and_the_manual_page_are_made() {
    assert!(
        pycull(["completions", "bash"])
            .success()
            .text()
            .contains("minimize")
    );
    assert!(pycull(["man"]).success().text().contains(".TH"));
}

#[test]
fn names_from_an_image_do_not_reach_the_terminal_raw() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let layer = LayerBuilder::new()
        .file("app/__pycache__/x\u{1b}[2J.cpython-39.pyc", "x")
        .file("app/y.py", "");
    ImageBuilder::of([layer]).write(&image);
    for format in ["text", "markdown", "json"] {
        let output =
            pycull(["inspect", image.to_str().unwrap(), "-v", "--format", format]).success();
        assert!(output.text().contains("[2J"), "{}", output.text());
        assert!(!output.stdout.contains(&0x1b), "{}", output.text());
    }
}
