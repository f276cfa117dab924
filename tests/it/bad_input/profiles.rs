//! Profiles that are too large, or that come from devices and pipes.

use std::fs;

use crate::support::cost::measured;
use crate::support::tools::{run, tool_command};
use crate::support::{pycull, tool};

const MOST: usize = 1 << 20;

#[test]
fn a_profile_without_end_is_refused() {
    for arguments in [
        &["minimize", "app", "--output", "out", "-p", "/dev/zero"][..],
        &["verify", "app", "out", "-p", "/dev/zero"],
        &["profile", "check", "/dev/zero"],
    ] {
        let measured = measured(arguments);
        let output = measured.output.refused("`/dev/zero` is larger than 1 MiB");
        assert!(output.stderr.contains("hint: `pycull profile show"));
        assert!(measured.memory < 100 << 20, "{}", measured.memory);
    }
}

#[test]
fn a_profile_may_be_a_mebibyte_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.toml");
    let check = |bytes: usize| {
        fs::write(&path, "#".repeat(bytes)).unwrap();
        pycull(["profile", "check", path.to_str().unwrap()])
    };
    check(MOST).success();
    check(MOST + 1).refused("is larger than 1 MiB");
    fs::write(&path, b"description = \"\xff\"").unwrap();
    pycull(["profile", "check", path.to_str().unwrap()]).refused("cannot read profile");
}

#[test]
fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.toml");
    let path = path.to_str().unwrap();
    tool("mkfifo", [path]).success();
    pycull(["profile", "check", path]).refused("nothing writes to this pipe");
}

#[test]
fn a_profile_from_a_pipe_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    tool("mkfifo", [&pipe]).success();
    for script in [
        // The text comes in two parts, the first one late.
        "\"$0\" profile check <(sleep 0.2; printf 'stale = '; sleep 0.2; echo '\"keep\"')",
        "echo 'levels = [0]' | \"$0\" profile check /dev/stdin",
        "(sleep 0.2; echo 'levels = [0]' > \"$1\") & \"$0\" profile check \"$1\"",
        // More bytes than a pipe holds.
        "\"$0\" profile check <(yes '# comment' | head -n 50000)",
    ] {
        let mut bash = tool_command("bash");
        bash.args(["-c", script, env!("CARGO_BIN_EXE_pycull")]);
        run(bash.arg(&pipe)).success();
    }
    let mut bash = tool_command("bash");
    let script = "\"$0\" profile check <(yes '# comment')";
    run(bash.args(["-c", script, env!("CARGO_BIN_EXE_pycull")])).refused("is larger than 1 MiB");
}
