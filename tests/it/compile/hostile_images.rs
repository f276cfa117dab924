//! Images whose interpreter is a hostile program. pycull reports what it did, and leaves neither files nor processes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::crafted::with_interpreter;
use crate::support::Output;
use crate::support::tool;
use crate::support::tools::{pycull_command, tool_command};

/// More sources than workers that may die.
const SOURCES: usize = 24;
/// Maximum memory of pycull, in KiB.
const LIMIT: u64 = 100 << 10;

/// A C program that acts like a worker for Python 3.11 until it gets a job.
const READY: &str = r#"
    #include <stdio.h>
    #include <string.h>
    #include <unistd.h>
    static char zeros[1 << 16], job[1 << 16];
    static void begin(char *more) {
        char text[] = "pycull-worker-1\n\247\r\r\n\003\013\013cpython-311";
        strcat(strcpy(job, text), more);
        write(1, job, strlen(job));
    }
    static void flood(void) {
        for (long left = 10L << 30; left > 0; left -= sizeof zeros)
            if (write(1, zeros, sizeof zeros) < 0) _exit(9);
    }
"#;

/// Processes whose command line contains this text.
fn processes(marker: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        // Some processes end meanwhile.
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(marker))
        .collect()
}

/// The peak memory of a running process, in KiB.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Waits for pycull to end, and checks its memory. Also returns whether processes with the marker were seen: one that
/// pycull stops at once may come and go between two looks.
fn watched(mut child: Child, marker: &str) -> (Output, bool) {
    let (mut were_there, mut memory) = (false, 0);
    while child.try_wait().unwrap().is_none() {
        were_there |= !processes(marker).is_empty();
        memory = memory.max(peak(&child).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!((1..LIMIT).contains(&memory), "{memory} KiB");
    let output = child.wait_with_output().unwrap();
    let output = Output {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    (output, were_there)
}

fn names(directory: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// Checks that pycull refuses an image with this interpreter and message, and leaves no output, temporary file or
/// process. Returns whether the interpreter was seen while it ran.
#[track_caller]
fn leaves_nothing(program: &str, message: &str) -> bool {
    let directory = tempdir().unwrap();
    let [image, output, temporary] =
        ["image", "out", "temporary"].map(|name| directory.path().join(name));
    with_interpreter(program, SOURCES).write(&image);
    fs::create_dir(&temporary).unwrap();
    let mut command = pycull_command();
    command
        .env("TMPDIR", &temporary)
        .args(["minimize", image.to_str().unwrap(), "--strict"])
        .args(["--set", "missing=compile", "--no-cache"])
        .args(["--output", output.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // The interpreter is unpacked in this directory, which the sandbox's command line names.
    let marker = temporary.to_str().unwrap();
    let (refused, were_there) = watched(command.spawn().unwrap(), marker);
    refused.refused(message);
    assert_eq!(
        names(directory.path()),
        ["image", "temporary"].map(OsString::from).into()
    );
    assert_eq!(names(&temporary), BTreeSet::new());
    // The first process of a namespace ends later than the process that started it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !processes(marker).is_empty() {
        assert!(Instant::now() < deadline, "{:?}", processes(marker));
        std::thread::sleep(Duration::from_millis(10));
    }
    were_there
}

/// This takes 30 s, as long as an interpreter may take to start.
#[test]
fn an_interpreter_that_sleeps_for_ever_is_stopped() {
    let sleep = "#include <unistd.h>\nint main(void) { for (;;) sleep(1000); }";
    assert!(leaves_nothing(
        sleep,
        "does not start: it did not answer within 30 s"
    ));
}

#[test]
fn an_interpreter_that_writes_ten_gib_to_its_pipe_is_stopped() {
    let unasked = r#"int main(void) { begin("more than it was asked for"); flood(); }"#;
    leaves_nothing(
        &format!("{READY}{unasked}"),
        "the interpreter failed 20 times; the last time: pycull stopped it: it answered before pycull sent a source",
    );
    let announced = r#"
        int main(void) {
            begin("");
            read(0, job, sizeof job);
            write(1, "\000\377\377\377\377", 5);
            flood();
        }"#;
    leaves_nothing(
        &format!("{READY}{announced}"),
        "pycull stopped it: its answer is larger than any valid one",
    );
}

#[test]
fn an_interpreter_that_forges_frames_is_told_apart() {
    let answers = [
        (
            r"\007\003\000\000\000abc",
            8,
            "pycull stopped it: its answer is malformed",
        ),
        (
            r"\001\377\377\377\377abc",
            8,
            "pycull stopped it: its answer is larger than any valid one",
        ),
        (r"\000\003\000\000\000ab", 7, "it exited with code 0"),
        (
            r"\000\003\000\000\000abc",
            8,
            "sources that do not compile: 27; the first is `usr/lib/python3.11/encodings/__init__.py`: \
             the interpreter's answer is not bytecode",
        ),
    ];
    for (frame, length, message) in answers {
        let answer = format!(
            "int main(void) {{ begin(\"\"); while (read(0, job, sizeof job) > 0) {{ write(1, \"{frame}\", {length}); if ({length} == 7) return 0; }} }}"
        );
        leaves_nothing(&format!("{READY}{answer}"), message);
    }
    let greeting = r#"int main(void) { write(1, "pycull-worker-2\n\247\r\r\n\003\013\003tag", 26); sleep(60); }"#;
    leaves_nothing(
        &format!("{READY}{greeting}"),
        "does not start: pycull stopped it: it does not speak the protocol of a worker",
    );
}

/// When a signal ends or kills pycull, all processes that it started end soon.
#[test]
fn no_process_outlives_pycull() {
    let spinning = format!("{READY}int main(void) {{ begin(\"\"); for (;;); }}");
    for (signal, extra) in [
        ("TERM", &[][..]),
        ("INT", &[]),
        ("KILL", &[]),
        ("KILL", &["--sandbox", "off"]),
    ] {
        let directory = tempdir().unwrap();
        let [image, temporary] = ["image", "temporary"].map(|name| directory.path().join(name));
        with_interpreter(&spinning, SOURCES).write(&image);
        fs::create_dir(&temporary).unwrap();
        // A shell without job control starts background processes with INT ignored.
        let mut pycull = tool_command("env")
            .arg("--default-signal=TERM,INT")
            .arg(env!("CARGO_BIN_EXE_pycull"))
            .args([
                "minimize",
                image.to_str().unwrap(),
                "--set",
                "missing=compile",
                "--no-cache",
            ])
            .args(["--output", directory.path().join("out").to_str().unwrap()])
            .args(extra)
            .env("TMPDIR", &temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The interpreter is unpacked in this directory, which the sandbox's command line names.
        let marker = temporary.to_str().unwrap();
        let is_spinning = || {
            processes(marker)
                .iter()
                .any(|line| line.contains("root/bin/python"))
        };
        wait_until(Duration::from_secs(60), is_spinning);
        tool("kill", ["-s", signal, &pycull.id().to_string()]).success();
        pycull.wait().unwrap();
        // A busy machine is slow.
        wait_until(Duration::from_secs(20), || processes(marker).is_empty());
    }
}

#[track_caller]
fn wait_until(time: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {time:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
