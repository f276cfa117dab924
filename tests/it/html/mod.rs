//! The page of `inspect --format html`, opened in a real browser.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::support::tools::{pycull, real_image, run, testdata, tool_command};
use crate::support::{ImageBuilder, LayerBuilder};

fn write_page(image: &Path, page: &Path) {
    let output = pycull(["inspect", image.to_str().unwrap(), "--format", "html"]).success();
    fs::write(page, output.stdout).unwrap();
}

/// The map in a page: areas as arrays of name, bytes, files, class and parts.
fn map_of(page: &Path) -> Value {
    let page = fs::read_to_string(page).unwrap();
    let (_, data) = page
        .split_once("<script type=\"application/json\">")
        .unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

/// Runs drive.py on the pages, and returns what it sees.
fn look(pages: &[&Path]) -> Vec<Value> {
    for tool in ["chromium", "chromedriver"] {
        tool_command(tool);
    }
    // Debian's Python, which has Debian's selenium.
    let mut python = tool_command("/usr/bin/python3");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/html/drive.py");
    let seen = run(python.arg(script).args(pages)).success().json();
    seen.as_array().unwrap().clone()
}

#[track_caller]
fn number(seen: &Value, pointer: &str) -> f64 {
    let number = seen.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_else(|| panic!("no {pointer} in {seen:#}"))
}

#[track_caller]
fn assert_works(seen: &Value) {
    assert_eq!(seen["console"], serde_json::json!([]), "{seen:#}");
    assert_eq!(seen["requests"], serde_json::json!([]), "{seen:#}");
    assert_eq!(seen["pwned"], Value::Null);
    for state in ["start", "clicked", "entered", "deepest"] {
        let of = |key: &str| number(seen, &format!("/{state}/{key}"));
        assert_eq!(of("shown"), of("top"), "{state}: {seen:#}");
        assert!((of("covered") - 1.0).abs() < 0.001, "{state}: {seen:#}");
    }
    assert_eq!(number(seen, "/start/leaves"), number(seen, "/start/root"));
    let crumbs = ["start", "clicked", "closed", "entered"]
        .map(|state| number(seen, &format!("/{state}/crumbs")));
    assert_eq!(crumbs, [1.0, 2.0, 1.0, 2.0], "{seen:#}");
    for state in ["closed", "moved", "entered"] {
        let focused = seen[state]["focused"].as_str().unwrap();
        assert!(focused.starts_with("area"), "{state}: {seen:#}");
        let (said, label) = (&seen[state]["said"], &seen[state]["label"]);
        let name = label.as_str().unwrap().split(',').next().unwrap();
        assert!(said.as_str().unwrap().contains(name), "{state}: {seen:#}");
    }
    assert_ne!(seen["hovered"]["said"], seen["start"]["said"]);
    assert_eq!(number(seen, "/drawn"), 1.0, "{seen:#}");
    assert_keeps_its_focus(&seen["resized"]);
    let printed = serde_json::json!({ "tools": ["none"], "colors": ["exact"] });
    assert_eq!(seen["printed"], printed, "{seen:#}");
    for filter in seen["filters"].as_array().unwrap() {
        assert_eq!(
            (&filter[1], &filter[2]),
            (&Value::from(0), &filter[0]),
            "{seen:#}"
        );
    }
}

/// Checks the states before and after the window is resized.
#[track_caller]
fn assert_keeps_its_focus(seen: &Value) {
    let [before, after] = [&seen[0], &seen[1]];
    assert_ne!(before["width"], after["width"], "{seen:#}");
    let focused = after["focused"].as_str().unwrap();
    assert!(focused.starts_with("area"), "{seen:#}");
    assert_eq!(before["label"], after["label"], "{seen:#}");
}

/// Explores the page for an image of one layer, and checks that it works.
#[track_caller]
fn explored(layer: LayerBuilder) -> Value {
    let directory = tempdir().unwrap();
    let [image, page] = ["image", "page.html"].map(|name| directory.path().join(name));
    ImageBuilder::of([layer]).write(&image);
    write_page(&image, &page);
    let seen = look(&[&page]).remove(0);
    assert_works(&seen);
    seen
}

#[test]
fn a_page_of_a_real_image_can_be_explored() {
    let directory = tempdir().unwrap();
    let pages = ["real", "fedora"].map(|name| directory.path().join(format!("{name}.html")));
    write_page(&real_image("py3.11"), &pages[0]);
    write_page(&testdata("fedora-shaped.tar"), &pages[1]);
    for seen in look(&[&pages[0], &pages[1]]) {
        assert_works(&seen);
    }
}

#[test]
fn findings_can_be_chosen_by_kind() {
    let directory = tempdir().unwrap();
    let library = "usr/lib/python3.11";
    let mut layer = LayerBuilder::new().stdlib(library);
    for number in 0..9 {
        let cache = |name: &str| format!("{library}/__pycache__/{name}{number}.cpython-311.pyc");
        let source = format!("{library}/broken{number}.py");
        layer = layer
            .file(&source, "")
            .file(&cache("broken"), "x")
            .file(&cache("orphan"), "x");
    }
    let image = directory.path().join("image");
    ImageBuilder::of([layer]).write(&image);
    let page = directory.path().join("page.html");
    write_page(&image, &page);
    let report = pycull(["inspect", image.to_str().unwrap(), "--format", "json"]).json();
    let findings = report["images"][0]["findings"].as_array().unwrap().clone();
    let seen = &look(&[&page])[0];
    assert_works(seen);
    let kinds = seen["kinds"][0].as_array().unwrap();
    assert!(kinds.len() >= 3, "{kinds:?}");
    let mut all = 0;
    for chosen in kinds {
        let rows = chosen[1].as_array().unwrap();
        let kind = rows[0].as_str().unwrap();
        assert!(rows.iter().all(|row| row == kind), "{chosen}");
        let count = findings.iter().filter(|it| it["kind"] == kind).count();
        assert_eq!(rows.len(), count);
        assert_eq!(chosen[0], format!("{kind} ({count})"));
        all += count;
    }
    assert_eq!(all, findings.len());
}

#[test]
fn a_file_below_a_directory_that_is_a_symlink_lies_in_the_tree_that_it_is_in() {
    let directory = tempdir().unwrap();
    let base = LayerBuilder::new()
        .stdlib("usr/lib/python3.11")
        .symlink("lib", "usr/lib");
    let update = LayerBuilder::new().file("lib/python3.11/added.py", "x = 1\n");
    let image = directory.path().join("image");
    ImageBuilder::of([base, update]).write(&image);
    let page = directory.path().join("page.html");
    write_page(&image, &page);
    let map = map_of(&page);
    let layers = map[4].as_array().unwrap();
    let update = layers.iter().find(|it| it[0] == "layer 2").unwrap();
    assert_eq!(update[4][0][0], "usr/lib/python3.11", "{update}");
    assert_eq!(update[4][0][4][0][4][0][4][0][0], "added.py", "{update}");
}

#[test]
fn names_of_an_image_are_no_markup() {
    let directory = tempdir().unwrap();
    let library = "usr/lib/python3.11/site-packages";
    let mut layer = LayerBuilder::new();
    for name in [
        "</script><script>window.pwned=1</script>.py",
        "\"><img src=x onerror=window.pwned=1>.py",
        "<!--<script>.py",
        "a\u{2028}b.py",
        "a\u{202e}yp.py",
        "__pycache__/<b>x.cpython-311.pyc",
    ] {
        layer = layer.file(&format!("{library}/{name}"), "x = 1\n");
    }
    let image = directory.path().join("image");
    ImageBuilder::of([layer]).write(&image);
    let page = directory.path().join("<i>.html");
    write_page(&image, &page);
    let text = fs::read_to_string(&page).unwrap();
    assert!(!text.contains(['\u{2028}', '\u{202e}']), "{text}");
    assert!(text.contains("a\\\\u{202e}yp.py"), "{text}");
    for seen in look(&[&page]) {
        assert_works(&seen);
        assert_eq!(number(&seen, "/start/count"), 6.0);
    }
}

/// The content of all elements of that name without attributes.
fn elements<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let parts = page.split(&*start).skip(1);
    parts
        .map(|part| part.split_once(&*end).unwrap().0)
        .collect()
}

/// The hash source of a text in a policy, computed without pycull's code.
fn hash_source(text: &str) -> String {
    let script = "import base64, hashlib, sys\n\
                  digest = hashlib.sha256(sys.argv[1].encode()).digest()\n\
                  print(\"'sha256-%s'\" % base64.b64encode(digest).decode())";
    let mut python = tool_command("/usr/bin/python3");
    let hash = run(python.args(["-c", script, text])).success().text();
    hash.trim().to_owned()
}

#[test]
fn the_policy_of_a_page_names_its_script_and_styles_alone() {
    let directory = tempdir().unwrap();
    let small = directory.path().join("small").display().to_string();
    let image = testdata("fedora-shaped.tar").display().to_string();
    pycull(["minimize", &image, "--output", &small]).success();
    let commands = [&["inspect", &*image][..], &["compare", &image, &small]];
    for command in commands {
        let page = pycull([command, &["--format", "html"]].concat())
            .success()
            .text();
        let (_, policy) = page
            .split_once("http-equiv=\"Content-Security-Policy\" content=\"")
            .unwrap();
        let (policy, _) = policy.split_once('"').unwrap();
        let sources = |name: &str| {
            let mut directives = policy.split("; ").map(|it| it.split(' '));
            let found = directives.find_map(|mut it| (it.next() == Some(name)).then_some(it));
            found.unwrap().collect::<Vec<_>>()
        };
        assert_eq!(sources("default-src"), ["'none'"]);
        let scripts = elements(&page, "script");
        assert_eq!(scripts.len(), 1);
        assert_eq!(sources("script-src"), [hash_source(scripts[0])]);
        // The style of the page, and that of the drawing in it.
        let styles = elements(&page, "style");
        let hashes: Vec<String> = styles.into_iter().map(hash_source).collect();
        assert_eq!(sources("style-src-elem"), hashes);
    }
}

#[test]
fn no_script_runs_but_the_pages_own() {
    let directory = tempdir().unwrap();
    let page = directory.path().join("page.html");
    write_page(&testdata("fedora-shaped.tar"), &page);
    let text = fs::read_to_string(&page).unwrap();
    for markup in [
        "<script>window.pwned=1</script>",
        "<img src=data: onerror=window.pwned=1>",
        "<a id=it href=javascript:window.pwned=1></a><script>document.getElementById('it').click()</script>",
        "<style>.map { display: none }</style>",
    ] {
        fs::write(&page, text.replace("<main>", &format!("<main>{markup}"))).unwrap();
        let seen = look(&[&page]).remove(0);
        assert_eq!(seen["pwned"], Value::Null, "{markup}");
        let console = seen["console"].to_string();
        assert!(
            console.contains("Content Security Policy"),
            "{markup}: {console}"
        );
        assert_eq!(number(&seen, "/start/shown"), number(&seen, "/start/top"));
        assert!(number(&seen, "/start/width") > 0.0, "{markup}");
    }
}

#[test]
fn of_a_package_with_very_many_files_the_smallest_are_one_area() {
    let mut layer = LayerBuilder::new();
    for number in 0..3000 {
        let path = format!("usr/lib/python3.11/site-packages/package/module{number}.py");
        layer = layer.file(&path, "x".repeat(1 + number));
    }
    let seen = &explored(layer);
    let labels = seen["deepest"]["labels"].as_array().unwrap();
    assert_eq!(number(seen, "/deepest/elements"), 1000.0);
    // The sizes of these files are 1 to 2001 bytes.
    assert_eq!(labels[0], "2001 more, 2.0 MB");
    assert_eq!(labels[1], "package/module2999.py, 3.0 kB");
}

/// benches/run measures the speed. Here other tests run at the same time.
#[test]
fn a_page_of_fifty_thousand_files_can_be_explored() {
    let mut layer = LayerBuilder::new();
    for number in 0..50_000 {
        let (package, module) = (number / 100, number % 100);
        let path = format!("usr/lib/python3.11/site-packages/package{package}/module{module}.py");
        layer = layer.file(&path, "x".repeat(1 + number % 1000));
    }
    let seen = &explored(layer);
    assert_eq!(number(seen, "/start/count"), 50_000.0);
}
