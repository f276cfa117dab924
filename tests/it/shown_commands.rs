//! Every command that the documents show, run as it stands.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::engines::Podman;
use crate::support::registry::Registry;
use crate::support::tools::{Output, real_image, run, testdata, tool};

/// Words that begin a command which other tests or CI run, each with who does.
const RUN_ELSEWHERE: [(&str, &str); 14] = [
    (".ci/test", "runs this test"),
    (
        "cargo install --path .",
        "takes minutes; the Containerfile of docs/ci does it",
    ),
    ("cargo install --locked", "installs another project's tool"),
    ("cargo test", "CI runs all of them"),
    ("cargo mutants", "takes hours"),
    ("cargo +nightly fuzz", "needs another compiler"),
    ("rustup", "fetches another compiler"),
    ("PYCULL_LAYER=", "is a benchmark"),
    ("docker build", "needs the reader's application"),
    (
        "pycull minimize docker-daemon:",
        "needs docker's daemon; tests/it/engines.rs starts one",
    ),
    (
        "podman build",
        "tests/it/recipes checks what the Containerfile builds",
    ),
    ("podman push", "needs a registry of the reader's"),
    ("podman-build-small", "tests/it/recipes runs it"),
    ("just ", "is the name of another command"),
];

/// What stands for programs that the documents start besides pycull: the real ones run in tests/it/engines.rs.
const PRELUDE: &str = r#"
podman() {
    case $* in
        save*) cat app.tar ;;
        load) cat >loaded.tar && test -s loaded.tar ;;
        run*)
            while [ $# -gt 0 ] && [ "$1" != pycull ]; do shift; done
            "$@"
            ;;
        *) echo "unknown: $*" >&2 && return 2 ;;
    esac
}
docker() { podman "$@"; }
cargo() { shift 3 && pycull "$@"; }
"#;

/// A command as a document shows it.
struct Shown {
    /// The document, below the repository.
    document: PathBuf,
    command: String,
    /// The lines of output that follow it.
    output: Vec<String>,
}

/// The commands in the `sh` blocks of a document, and those after `$ ` in its `text` blocks.
fn commands(document: &Path, text: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut language = None;
    for line in text.lines() {
        let command = match (line.strip_prefix("```"), language) {
            (Some(_), Some(_)) => {
                language = None;
                continue;
            }
            (Some(name), None) => {
                language = Some(name);
                continue;
            }
            (None, Some("sh")) => line,
            (None, Some("text")) => match line.strip_prefix("$ ") {
                Some(command) => command,
                None => {
                    let last = found.last_mut().filter(|_| !line.is_empty() && line != "…");
                    last.into_iter()
                        .for_each(|it| it.output.push(line.to_owned()));
                    continue;
                }
            },
            _ => continue,
        };
        found.push(Shown {
            document: document.to_owned(),
            command: command
                .split("  #")
                .next()
                .unwrap_or(command)
                .trim()
                .to_owned(),
            output: Vec::new(),
        });
    }
    found
}

fn all_commands() -> Vec<Shown> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = tool("git", ["-C", root.to_str().unwrap(), "ls-files", "*.md"]).success();
    let mut found = Vec::new();
    for document in listed.text().lines().map(Path::new) {
        let text = fs::read_to_string(root.join(document)).unwrap();
        found.extend(commands(document, &text));
    }
    found
}

/// The images that the documents speak of, each by its name.
fn prepare(directory: &Path) {
    let layout = real_image("py3.11");
    let archive = directory.join("app.tar");
    tool(
        "tar",
        [
            "-C",
            layout.to_str().unwrap(),
            "-cf",
            archive.to_str().unwrap(),
            ".",
        ],
    )
    .success();
    fs::hard_link(&archive, directory.join("main.tar")).unwrap();
    for name in ["base.tar", "default.tar", "minimal.tar", "levels-0-1.tar"] {
        fs::copy(testdata("fedora-shaped.tar"), directory.join(name)).unwrap();
    }
    let [from, to] = ["oci-archive:base.tar", "oci:layout:v1"];
    run(Command::new("skopeo")
        .args(["copy", from, to])
        .current_dir(directory))
    .success();
    std::os::unix::fs::symlink(testdata(""), directory.join("testdata")).unwrap();
}

/// What the commands use besides files: a registry with the image `app:v1`, and podman's store with `localhost/app`.
struct Services {
    registry: Registry,
    podman: Podman,
}

impl Services {
    fn start(directory: &Path) -> Self {
        let services = Self {
            registry: Registry::start(directory),
            podman: Podman::new(),
        };
        let layout = directory.join("podman-app");
        let copy = format!("oci:{}:latest", layout.display());
        run(Command::new("skopeo")
            .args(["copy", "oci-archive:base.tar", &copy])
            .current_dir(directory))
        .success();
        let from = format!("oci:{}", layout.display());
        let to = services.registry.image("app:v1");
        tool(
            "skopeo",
            ["copy", "--quiet", "--dest-tls-verify=false", &from, &to],
        )
        .success();
        services.podman.take(&layout, "localhost/app");
        services
    }
}

fn run_in(directory: &Path, services: &Services, command: &str) -> Output {
    let command = command.replace("registry.example.com", &services.registry.address);
    let program = Path::new(env!("CARGO_BIN_EXE_pycull")).parent().unwrap();
    let paths = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    run(services
        .podman
        .environment(&mut bash)
        .args(["-c", &format!("set -o pipefail\n{PRELUDE}\n{command}")])
        .env("PATH", paths)
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .current_dir(directory))
}

/// Gates and checks may say no: with the images of this test, that is right as well.
fn may_say_no(command: &str) -> bool {
    ["--deny", "--max-"]
        .iter()
        .any(|gate| command.contains(gate))
}

#[test]
fn every_command_that_a_document_shows_works() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path());
    let services = Services::start(directory.path());
    let mut ran = 0;
    let mut elsewhere = BTreeSet::new();
    for shown in all_commands() {
        let Shown {
            document,
            command,
            output,
        } = &shown;
        let document = document.display();
        if let Some(place) = RUN_ELSEWHERE
            .iter()
            .position(|(start, _)| command.starts_with(start))
        {
            elsewhere.insert(place);
            continue;
        }
        if command.is_empty() {
            continue;
        }
        assert!(
            command.contains("pycull ") || command.starts_with("cargo run --release -- "),
            "{document} shows a command that this test does not know: {command}"
        );
        let done = run_in(directory.path(), &services, command);
        let is_right = done.code == Some(0) || (done.code == Some(1) && may_say_no(command));
        assert!(
            is_right,
            "{document}: {command}: {:?}\n{}",
            done.code, done.stderr
        );
        let printed = [
            String::from_utf8_lossy(&done.stdout),
            done.stderr.as_str().into(),
        ]
        .concat();
        let mut printed = printed.lines();
        for line in output {
            assert!(
                printed.any(|it| it == line),
                "{document} shows a line that `{command}` does not print there: {line}"
            );
        }
        ran += 1;
    }
    assert!(ran >= 15, "only {ran} commands were found");
    assert_eq!(
        elsewhere.len(),
        RUN_ELSEWHERE.len(),
        "some are in no document: {elsewhere:?}"
    );
}

#[test]
fn commands_are_found_in_blocks_with_the_output_after_them() {
    let text = "```sh\na  # why\n```\n\nb\n\n```text\n$ c | d\nout\n\n…\n```\n```toml\n$ e\n```\n";
    let found = commands(Path::new("x.md"), text);
    let found: Vec<_> = found.iter().map(|it| (&*it.command, &*it.output)).collect();
    assert_eq!(found, [("a", &[][..]), ("c | d", &["out".to_owned()])]);
}
