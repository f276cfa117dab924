//! Trap 21: settings of the machine that runs the tests.

use std::process::Command;

use crate::support::tools::{run, tool_command};

const INNER: &str = "PYCULL_TEST_INNER";

/// Trap 21: PYTHONDONTWRITEBYTECODE may be set on the host. This test runs itself again with the variable set.
#[test]
fn an_interpreter_that_a_test_starts_writes_its_caches() {
    if std::env::var_os(INNER).is_some() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("m.py"), "x = 1\n").unwrap();
        let mut python = tool_command("python3");
        run(python
            .args(["-c", "import m"])
            .current_dir(directory.path()))
        .success();
        assert!(directory.path().join("__pycache__").is_dir());
        return;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args([
            "--exact",
            "traps::host::an_interpreter_that_a_test_starts_writes_its_caches",
        ])
        .env(INNER, "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = run(&mut again).success();
    assert!(output.text().contains("1 passed"), "{}", output.text());
}
