//! Names and credential helpers for tests.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::credential_helper::Programs;
use super::image_name::{ImageName, ImageNameError, on_docker_hub};

/// A name, where short names are those of Docker Hub.
pub(super) fn name(text: &str) -> ImageName {
    let resolve = |short: &str| Ok::<_, ImageNameError>(on_docker_hub(short));
    ImageName::parse::<ImageNameError, _>(text, &resolve).unwrap()
}

/// A directory of credential helpers, each a shell script.
pub(super) struct Helpers(tempfile::TempDir);

impl Helpers {
    /// Writes helpers with these names and scripts.
    pub(super) fn new(scripts: &[(&str, &str)]) -> Self {
        let helpers = Self(tempfile::tempdir().unwrap());
        for (name, script) in scripts {
            let path = helpers
                .directory()
                .join(format!("docker-credential-{name}"));
            write_program(&path, &format!("#!/bin/sh\n{script}\n"));
        }
        helpers
    }

    pub(super) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Finds the helpers, and the programs that they need.
    pub(super) fn programs(&self) -> Programs {
        let mut path = OsString::from(self.directory());
        path.push(":/usr/bin:/bin");
        Programs {
            path: Some(path),
            patience: Duration::from_secs(60),
        }
    }
}

/// Writes an executable file from another process. If this process wrote it, a child of another test could hold it open
/// for writing, and Linux would refuse to run it.
fn write_program(path: &Path, text: &str) {
    let mut command = Command::new("sh");
    command
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}
