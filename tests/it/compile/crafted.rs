//! Images made by hand, compiled with Debian 12's Python 3.11.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::support::scene::{Minimized, minimize};
use crate::support::tools::{pycull, run, tool_command};
use crate::support::{ImageBuilder, LayerBuilder, Layout, minimized};

pub const LIBRARY: &str = "usr/lib/python3.11";
pub const PYTHON: [&str; 3] = ["--python", "/usr/bin/python3.11", "--no-cache"];
const SOURCE: &str = "def f():\n    'doc'\n    assert True\n";
pub const MTIME: u64 = 1_700_000_000;

pub fn cache(module: &str, level: &str) -> String {
    format!("{LIBRARY}/__pycache__/{module}.cpython-311{level}.pyc")
}

pub fn library() -> LayerBuilder {
    LayerBuilder::new().mtime(MTIME).stdlib(LIBRARY)
}

fn compiled(image: &ImageBuilder, settings: &[&str]) -> Minimized {
    let settings: Vec<&str> = settings.iter().flat_map(|it| ["--set", it]).collect();
    minimized(image, &[&PYTHON[..], &settings].concat())
}

/// The cache that py_compile makes for a source at this path, with this modification time.
pub fn py_compile(source: &str, path: &str, mtime: u64) -> Vec<u8> {
    let directory = tempdir().unwrap();
    let file = directory.path().join("m.py");
    std::fs::write(&file, source).unwrap();
    let script = "import importlib._bootstrap_external as b, sys\n\
                  data = open(sys.argv[1], 'rb').read()\n\
                  code = compile(data, sys.argv[2], 'exec', dont_inherit=True)\n\
                  cache = b._code_to_timestamp_pyc(code, int(sys.argv[3]), len(data))\n\
                  open(sys.argv[1], 'wb').write(cache)";
    run(Command::new("/usr/bin/python3.11")
        .args(["-c", script])
        .args([file.to_str().unwrap(), path, &mtime.to_string()]))
    .success();
    std::fs::read(&file).unwrap()
}

fn compiled_counts(done: &Minimized) -> (u64, u64) {
    let compiled = &done.image()["compiled"];
    let number = |key: &str| compiled[key].as_u64().unwrap();
    (number("files"), number("failed"))
}

/// Trap 25: names with dots.
#[test]
fn modules_with_dots_in_their_names_are_compiled_as_compileall_compiles_them() {
    let layer = library()
        .file("app/gunicorn.conf.py", SOURCE)
        .file("app/.py", SOURCE);
    let done = compiled(&ImageBuilder::of([layer]), &["missing=compile"]);
    let unpacked = done.unpacked();
    assert!(unpacked.has("app/__pycache__/gunicorn.conf.cpython-311.pyc"));
    // A file named only `.py` is not a module.
    assert!(!unpacked.has("app/__pycache__/.cpython-311.pyc"));
    assert!(!unpacked.has("app/__pycache__/py.cpython-311.pyc"));
}

#[test]
fn a_script_in_bin_is_compiled_only_if_it_has_a_cache_that_is_stale() {
    let stale = py_compile(SOURCE, "/app/bin/tool.py", MTIME - 1);
    let layer = library()
        .file("app/bin/tool.py", SOURCE)
        .file("app/bin/__pycache__/tool.cpython-311.pyc", stale)
        .file("app/bin/other.py", SOURCE);
    let done = compiled(
        &ImageBuilder::of([layer]),
        &["stale=compile", "missing=compile"],
    );
    let unpacked = done.unpacked();
    let fresh = py_compile(SOURCE, "/app/bin/tool.py", MTIME);
    let found = unpacked.read("app/bin/__pycache__/tool.cpython-311.pyc");
    assert_eq!(found[..16], fresh[..16]);
    assert!(!unpacked.has("app/bin/__pycache__/other.cpython-311.pyc"));
}

#[test]
fn a_source_that_does_not_compile_is_reported_and_with_strict_an_error() {
    let layer = library()
        .file(&format!("{LIBRARY}/good.py"), SOURCE)
        .file(&format!("{LIBRARY}/bad.py"), "def\n");
    let image = ImageBuilder::of([layer]);
    let done = compiled(&image, &["missing=compile"]);
    assert_eq!(compiled_counts(&done), (4, 1));
    let failure = &done.image()["compiled"]["failures"][0];
    assert_eq!(failure["path"], format!("{LIBRARY}/bad.py"));
    let detail = failure["detail"].as_str().unwrap();
    assert!(detail.starts_with("SyntaxError"), "{detail}");
    assert!(!done.unpacked().has(&cache("bad", "")));
    let verified = pycull([
        "verify",
        done.before.0.to_str().unwrap(),
        done.after.0.to_str().unwrap(),
        "--profile=default",
        "--set=missing=compile",
        "--format=json",
    ]);
    let verified = verified.success().json()["images"][0]["caches"].clone();
    assert_eq!(
        (&verified["added"], &verified["missing"]),
        (&json!(4), &json!(1))
    );
    // pycull has nothing to do for its own output.
    let again = tempdir().unwrap();
    let arguments = [&PYTHON[..], &["--set", "missing=compile"]].concat();
    let report = minimize(&done.after.0, &again.path().join("again"), &arguments);
    let digests = |side: &str| report["images"][0][side]["manifest_digest"].clone();
    assert_eq!(digests("before"), digests("after"));

    let output = again.path().join("strict");
    let fixed = ["minimize", done.before.0.to_str().unwrap(), "--strict"];
    let rest = ["--output", output.to_str().unwrap()];
    let strict = pycull([&fixed[..], &rest, &arguments].concat());
    let strict = strict.refused("sources that do not compile: 1;");
    assert!(!output.exists());
    // The hint works as it stands.
    let setting = strict.stderr.split("--set '").nth(1).unwrap();
    let hinted = ["--set", setting.split('\'').next().unwrap()];
    pycull([&fixed[..], &rest, &arguments, &hinted].concat()).success();
}

#[test]
fn what_is_new_is_owned_and_readable_as_its_source_and_linked_where_levels_are_the_same() {
    let label = "system_u:object_r:lib_t:s0";
    let layer = library()
        .member(LIBRARY, tar::EntryType::Directory, 0o750, "", b"")
        .pax("SCHILY.xattr.security.selinux", label)
        .pax("SCHILY.xattr.security.ima", "of the source")
        .pax("SCHILY.xattr.user.note", "of the source")
        .mode(0o755)
        .file(&format!("{LIBRARY}/plain.py"), "x = 1\n");
    let done = compiled(
        &ImageBuilder::of([layer]),
        &["missing=compile", "levels=[0,1,2]"],
    );
    assert_eq!(done.actions(), ["kept", "appended"]);
    let members = done.after.members(1);
    let find = |path: &str| {
        members
            .iter()
            .find(|it| it.path.trim_end_matches('/') == path)
    };
    let directory = find(&format!("{LIBRARY}/__pycache__")).unwrap();
    assert_eq!(
        (directory.kind, directory.mode),
        (tar::EntryType::Directory, 0o750)
    );
    let above = find(LIBRARY).unwrap();
    assert_eq!((above.kind, above.mode), (tar::EntryType::Directory, 0o750));
    let zero = find(&cache("plain", "")).unwrap();
    assert_eq!((zero.kind, zero.mode), (tar::EntryType::Regular, 0o644));
    for level in [".opt-1", ".opt-2"] {
        let link = find(&cache("plain", level)).unwrap();
        assert_eq!(link.kind, tar::EntryType::Link);
    }
    let stored = done.after.layer_tar(1);
    let stored = String::from_utf8_lossy(&stored);
    assert!(stored.contains(&format!("SCHILY.xattr.security.selinux={label}")));
    // Attributes of the source, for example a signature, are not copied to its caches.
    assert!(!stored.contains("of the source"), "{stored}");
    let history = done.after.config()["history"].clone();
    let last = history.as_array().map(|list| list.last().cloned());
    assert!(
        matches!(last, None | Some(Some(Value::Object(_)))),
        "{last:?}"
    );
}

#[test]
fn a_stale_cache_that_holds_the_same_code_gets_its_header_mended_alone() {
    let path = format!("/{LIBRARY}/m.py");
    let old = py_compile(SOURCE, &path, MTIME - 5);
    let other = py_compile("x = 2\n", &path, MTIME - 5);
    let image = |stale: &[u8]| {
        let layer = library()
            .file(&format!("{LIBRARY}/m.py"), SOURCE)
            .file(&cache("m", ""), stale);
        ImageBuilder::of([layer])
    };
    let done = compiled(&image(&old), &["stale=compile"]);
    assert_eq!(done.actions(), ["rewritten"]);
    assert_eq!(compiled_counts(&done), (0, 0));
    let mended = py_compile(SOURCE, &path, MTIME);
    assert_eq!(done.unpacked().read(&cache("m", "")), mended);

    let done = compiled(&image(&other), &["stale=compile"]);
    assert_eq!(done.actions(), ["rewritten", "appended"]);
    assert_eq!(compiled_counts(&done), (1, 0));
    let found = done.unpacked().read(&cache("m", ""));
    assert_eq!(found[..16], mended[..16]);
    assert_ne!(found, other);
}

#[test]
fn compiled_caches_go_to_their_sources_layer_where_nothing_above_hides_them() {
    let below = library().file(&format!("{LIBRARY}/m.py"), SOURCE);
    let above = LayerBuilder::new()
        .mtime(MTIME)
        .file(&format!("{LIBRARY}/n.py"), SOURCE);
    let settings = ["missing=compile", "placement=source"];
    let done = compiled(&ImageBuilder::of([below, above]), &settings);
    assert_eq!(done.actions(), ["rewritten", "rewritten"]);
    assert!(done.after.names(0).contains(&cache("m", "")));
    assert!(done.after.names(1).contains(&cache("n", "")));
    assert!(done.unpacked().has(&cache("m", "")));

    let below = library().file(&format!("{LIBRARY}/m.py"), SOURCE);
    let whiteout = LayerBuilder::new().whiteout(&format!("{LIBRARY}/__pycache__"));
    let done = compiled(&ImageBuilder::of([below, whiteout]), &settings);
    assert_eq!(done.actions(), ["rewritten", "kept", "appended"]);
    assert!(done.unpacked().has(&cache("m", "")));
}

/// Trap 70: docker accepts 125 layers at most, overlayfs 127.
#[test]
fn an_image_with_as_many_layers_as_engines_mount_gets_its_caches_in_the_topmost() {
    for (layers, after) in [(124, 125), (125, 125), (126, 126), (127, 127), (128, 128)] {
        let base = library()
            .directory(LIBRARY)
            .file(&format!("{LIBRARY}/m.py"), SOURCE);
        let more = (1..layers).map(|number| LayerBuilder::new().file(&format!("etc/{number}"), ""));
        let image = ImageBuilder::of([base].into_iter().chain(more));
        let directory = tempdir().unwrap();
        let [before, full, again] =
            ["before", "full", "again"].map(|name| directory.path().join(name));
        image.write(&before);
        let arguments = [&PYTHON[..], &["--set", "missing=compile"]].concat();
        minimize(&before, &full, &arguments);
        let layout = Layout::new(&full);
        assert_eq!(layout.layer_count(), after);
        let names = layout.names(after - 1);
        assert!(names.contains(&cache("m", "")), "{names:?}");
        // Engines take the metadata of a directory from the upper layer.
        assert!(names.contains(&format!("{LIBRARY}/")), "{names:?}");
        let images = [&before, &full].map(|path| path.to_str().unwrap());
        pycull(["verify", images[0], images[1]]).success();
        minimize(&full, &again, &arguments);
        assert_eq!(
            Layout::new(&again).manifest_digest(),
            layout.manifest_digest()
        );
    }
}

#[test]
fn an_image_without_an_interpreter_says_so_and_what_to_do() {
    let image = ImageBuilder::of([library()]);
    refused(&image, &[], "no interpreter for Python 3.11");
    refused(&image, &[], "--python");
    refused(&image, &["--python", "/nowhere/python"], "/nowhere/python");
    refused(&image, &["--python", "/bin/true"], "/bin/true");
    let older = ImageBuilder::of([LayerBuilder::new().stdlib("usr/lib/python3.9")]);
    refused(&older, &PYTHON[..2], "is Python 3.11");
}

/// Checks that compiling missing caches fails with this message and without an output.
#[track_caller]
fn refused(image: &ImageBuilder, arguments: &[&str], message: &str) {
    let directory = tempdir().unwrap();
    let [input, output] = ["image", "out"].map(|name| directory.path().join(name));
    image.write(&input);
    let [input, to] = [&input, &output].map(|path| path.to_str().unwrap());
    let fixed = ["minimize", input, "--set", "missing=compile"];
    let rest = ["--no-cache", "--output", to];
    pycull([&fixed[..], &rest, arguments].concat()).refused(message);
    assert!(!output.exists());
}

#[test]
fn a_dry_run_compiles_nothing_and_says_what_it_would() {
    let directory = tempdir().unwrap();
    let image = directory.path().join("image");
    ImageBuilder::of([library()]).write(&image);
    let arguments = [
        "minimize",
        image.to_str().unwrap(),
        "--dry-run",
        "--profile",
        "all",
    ];
    let report = pycull([&arguments[..], &["--format", "json"]].concat());
    let report = report.success().json();
    let compiled = &report["images"][0]["compiled"];
    assert_eq!(
        (&compiled["files"], &compiled["bytes"]),
        (&json!(9), &json!(0))
    );
    let text = pycull(arguments).success().text();
    assert!(text.contains("would compile: 9 caches"), "{text}");
}

/// An image with a statically linked program as its interpreter. It has `sources` modules besides the files of a
/// standard library.
pub fn with_interpreter(program: &str, sources: usize) -> ImageBuilder {
    let directory = tempdir().unwrap();
    let [source, binary] = ["program.c", "program"].map(|name| directory.path().join(name));
    std::fs::write(&source, program).unwrap();
    run(tool_command("gcc")
        .args(["-static", "-o", binary.to_str().unwrap()])
        .arg(&source))
    .success();
    let layer = (0..sources).fold(library(), |layer, number| {
        layer.file(&format!("{LIBRARY}/m{number}.py"), SOURCE)
    });
    let program = std::fs::read(&binary).unwrap();
    ImageBuilder::of([layer.mode(0o755).file("usr/bin/python3.11", program)])
}

#[track_caller]
fn hostile_interpreter(program: &str, message: &str) {
    refused(&with_interpreter(program, 1), &[], message);
}

#[test]
fn a_hostile_interpreter_reads_and_writes_nothing_and_is_told_apart() {
    let tries = r#"
        #include <errno.h>
        #include <fcntl.h>
        #include <stdio.h>
        int main(void) {
            int shadow = open("/etc/shadow", O_RDONLY) < 0 ? errno : 0;
            int written = open("/tmp/pycull-was-here", O_WRONLY | O_CREAT, 0600) < 0 ? errno : 0;
            fprintf(stderr, "shadow %d written %d", shadow != 0, written != 0);
            return 3;
        }"#;
    hostile_interpreter(
        tries,
        "exited with code 3; its error output: shadow 1 written 1",
    );
    assert!(!Path::new("/tmp/pycull-was-here").exists());
    let socket =
        "#include <sys/socket.h>\nint main(void) { socket(AF_INET, SOCK_STREAM, 0); for (;;); }";
    hostile_interpreter(socket, "a system call that a compiler does not need");
    let fork = "#include <unistd.h>\nint main(void) { for (;;) fork(); }";
    hostile_interpreter(fork, "a system call that a compiler does not need");
    let flood = "#include <stdio.h>\nint main(void) { for (;;) puts(\"flood\"); }";
    hostile_interpreter(flood, "it does not speak the protocol of a worker");
    let memory = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int main(void) {
            fprintf(stderr, "got %d", malloc(64ul << 30) != NULL);
            return 4;
        }"#;
    hostile_interpreter(memory, "exited with code 4; its error output: got 0");
}
