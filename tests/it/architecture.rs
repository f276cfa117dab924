//! Checks the table of modules in docs/architecture.md against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The modules that each module uses, according to the document's table.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let names = |cell: &str| -> BTreeSet<String> {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    text.lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let module = names(cells[0]).pop_first().unwrap();
            (module, names(cells[2]))
        })
        .collect()
}

/// The modules that a module's files mention after `crate::`.
fn used(module: &str) -> BTreeSet<String> {
    let directory = root().join("src").join(module);
    let files = if directory.is_dir() {
        rust_files(&directory)
    } else {
        vec![directory.with_extension("rs")]
    };
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        // Tests may use any module.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
        {
            for path in line.split("crate::").skip(1) {
                let name: String = path
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                used.insert(name);
            }
        }
    }
    used.remove(module);
    used
}

fn is_module(name: &str) -> bool {
    let path = root().join("src").join(name);
    path.is_dir() || path.with_extension("rs").is_file()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("testing.rs")
        {
            files.push(path);
        }
    }
    files
}

#[test]
fn modules_use_only_what_the_architecture_says() {
    let documented = documented();
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: Vec<&str> = library
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .filter_map(|name| name.strip_suffix(';'))
        .collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules.into_iter().filter(|module| *module != "pipeline") {
        let expected = documented
            .get(module)
            .unwrap_or_else(|| panic!("docs/architecture.md has no row for `{module}`"));
        assert_eq!(
            &used(module),
            expected,
            "of `{module}`: the code (left) and docs/architecture.md (right) differ"
        );
    }
}

/// Data flows one way: a module only uses modules above it in the table.
#[test]
fn no_module_uses_one_that_comes_after_it() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut above = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let Some(module) = line.split('`').nth(1) else {
            continue;
        };
        let used = documented().remove(module).unwrap_or_default();
        if ["pipeline", "cli"].contains(&module) || !is_module(module) {
            continue;
        }
        let later: Vec<&String> = used.difference(&above).collect();
        assert!(later.is_empty(), "`{module}` uses {later:?}");
        above.insert(module.to_owned());
    }
    assert!(above.len() > 10, "{above:?}");
}

#[test]
fn only_the_command_line_prints_or_reads_the_environment() {
    let mut offenders = Vec::new();
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_command_line =
            file.starts_with(root().join("src/cli")) || file.ends_with("src/main.rs");
        if !is_command_line
            && ["env::var", "println!", "eprintln!"]
                .iter()
                .any(|needle| code.contains(needle))
        {
            offenders.push(file);
        }
    }
    assert_eq!(offenders, Vec::<PathBuf>::new());
}

#[test]
fn pure_modules_do_no_input_or_output() {
    for module in [
        "pyc",
        "rootfs",
        "entrypoint",
        "inventory",
        "plan",
        "advice",
        "compare",
        "verify",
        "describe",
        "report",
    ] {
        for file in rust_files(&root().join("src").join(module)) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for needle in ["std::fs", "std::net", "std::process", "File::"] {
                assert!(!code.contains(needle), "{} has {needle}", file.display());
            }
        }
    }
}

/// `tools/figures` reports figures that exceed their limits.
#[test]
fn functions_files_and_circles_are_within_their_bounds() {
    let mut figures = std::process::Command::new(root().join("tools/figures"));
    crate::support::tools::run(figures.arg("--check")).success();
}
