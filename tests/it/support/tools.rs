//! Runs pycull and the real tools that it is compared with.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::schema;

/// The output of a finished command.
pub struct Output {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Output {
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Standard output as JSON. A report of pycull is checked against its schema.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let document = serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}\n{}", self.text()));
        schema::assert_valid(&document);
        document
    }

    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "stderr: {}\nstdout: {}",
            self.stderr,
            String::from_utf8_lossy(&self.stdout)
        );
        self
    }

    /// Checks that the command failed because of bad input: exit code 2, and an error that contains `needle`.
    #[track_caller]
    pub fn refused(self, needle: &str) -> Self {
        assert_eq!(self.code, Some(2), "stderr: {}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let message = self.stderr.trim_start_matches("error: ");
        assert!(!message.starts_with(char::is_uppercase), "{}", self.stderr);
        assert!(
            self.stderr.contains(needle),
            "`{needle}` is not in: {}",
            self.stderr
        );
        self
    }
}

/// The pycull binary that was built for this test.
pub fn pycull_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_pycull"))
}

/// Runs pycull.
pub fn pycull<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    run(pycull_command().args(arguments))
}

/// Runs a tool that the tests need. If it is missing, fails with how to install it.
pub fn tool<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    run(tool_command(name).args(arguments))
}

/// A command for a tool that the tests need.
pub fn tool_command(name: &str) -> Command {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    });
    assert!(
        found,
        "the test needs `{name}`, which is not installed; run `.ci/setup-tests`"
    );
    let mut command = Command::new(name);
    // Some build hosts set this variable. An interpreter would then write no caches.
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    command
}

pub fn run(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A file of testdata.
pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

/// The layout of a real image.
pub fn real_image(name: &str) -> PathBuf {
    let directory = std::env::var_os("PYCULL_IMAGES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/images"),
        PathBuf::from,
    );
    let image = directory.join(name);
    assert!(
        image.join("index.json").is_file(),
        "the test needs the real image {}; run `tests/images/build`",
        image.display()
    );
    image
}
