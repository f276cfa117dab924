//! Images in the store of podman or docker, through the engine's own commands. So contexts, remote hosts and rootless
//! stores work as the user has set them up.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::error::TransportError;
use super::transports::{Engine, Transport};
use crate::scratch::Scratch;

/// Most bytes of an engine's messages to keep.
const MOST_MESSAGES: u64 = 64 << 10;

impl Engine {
    /// The engine's program.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    /// The kind of archive in which the engine saves an image. podman converts an image that is not of this kind, and
    /// an OCI image has no health check.
    pub(super) fn saves_as(self, name: &str) -> Result<Transport, TransportError> {
        if self == Self::Docker {
            return Ok(Transport::DockerArchive);
        }
        let format = "{{.ManifestType}}";
        let kind = self.output(&["image", "inspect", "--format", format, name])?;
        Ok(match kind.contains("docker") {
            true => Transport::DockerArchive,
            false => Transport::OciArchive,
        })
    }

    /// The arguments that save an image to standard output. `compresses` says whether to compress the layers, which only
    /// podman can, and only in an OCI archive.
    pub(super) fn save(self, name: &str, form: Transport, compresses: bool) -> Vec<String> {
        let mut arguments = vec!["save".to_owned()];
        if self == Self::Podman {
            arguments.extend(["--format".to_owned(), form.name().to_owned()]);
        }
        if form == Transport::OciArchive && !compresses {
            arguments.push("--uncompressed".to_owned());
        }
        arguments.push(name.to_owned());
        arguments
    }

    /// The ID of the image with this name; `None` if there is none, or if the engine does not say.
    pub(super) fn id(self, name: &str) -> Option<String> {
        let id = self
            .output(&["image", "inspect", "--format", "{{.Id}}", name])
            .ok()?;
        let id = id.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// A directory for the engine's temporary files, in the place that the engine would use. podman leaves its files when
    /// a signal ends it. docker writes none.
    fn scratch(self) -> Option<Scratch> {
        if self == Self::Docker {
            return None;
        }
        let place = self.output(&["info", "--format", "{{.Store.ImageCopyTmpDir}}"]);
        let place = place.ok()?;
        let place = Path::new(place.trim());
        // A podman on another host uses a directory of that host.
        place.is_absolute().then(|| Scratch::at(place).ok())?
    }

    /// Runs a command to its end. Returns what it printed.
    fn output(self, arguments: &[&str]) -> Result<String, TransportError> {
        let output = Command::new(self.program())
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let output = output.map_err(|error| self.cannot_start(error))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(self.failed(arguments[0], &output.stderr)),
        }
    }

    fn cannot_start(self, source: io::Error) -> TransportError {
        TransportError::NoEngine {
            program: self.program(),
            source,
        }
    }

    fn failed(self, command: &str, messages: &[u8]) -> TransportError {
        let text = String::from_utf8_lossy(messages);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        TransportError::Engine {
            command: format!("{} {command}", self.program()),
            message: last.unwrap_or("it printed no message").to_owned(),
        }
    }
}

/// A command of an engine that runs beside pycull. Dropping it ends the command.
pub(super) struct Running {
    engine: Engine,
    command: String,
    child: Child,
    messages: Option<JoinHandle<Vec<u8>>>,
    /// Goes after the command has ended.
    _scratch: Option<Scratch>,
}

impl Running {
    /// Starts a command. `stdin` and `stdout` say what to connect to pipes.
    pub(super) fn start(
        engine: Engine,
        arguments: &[String],
        (stdin, stdout): (Stdio, Stdio),
    ) -> Result<Self, TransportError> {
        let scratch = engine.scratch();
        let mut command = Command::new(engine.program());
        if let Some(scratch) = &scratch {
            command.env("TMPDIR", scratch.path());
        }
        command.args(arguments).stdin(stdin).stdout(stdout);
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|error| engine.cannot_start(error))?;
        let messages = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut kept = Vec::new();
                // A command that prints more than that must not wait for pycull.
                let _ = stderr.by_ref().take(MOST_MESSAGES).read_to_end(&mut kept);
                let _ = io::copy(&mut stderr, &mut io::sink());
                kept
            })
        });
        Ok(Self {
            engine,
            command: arguments.first().cloned().unwrap_or_default(),
            child,
            messages,
            _scratch: scratch,
        })
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for the end. Returns the command's error if it failed.
    pub(super) fn finish(mut self) -> Result<(), TransportError> {
        let status = self.child.wait();
        let messages = self.messages.take().and_then(|thread| thread.join().ok());
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(self
                .engine
                .failed(&self.command, &messages.unwrap_or_default())),
            Err(error) => Err(self.engine.cannot_start(error)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_an_engine_are_the_reason_of_a_failure() {
        for (messages, expected) in [
            ("", "it printed no message"),
            ("  \n\n", "it printed no message"),
            (
                "a warning\n Error: no such image \n\n",
                "Error: no such image",
            ),
        ] {
            match Engine::Podman.failed("load", messages.as_bytes()) {
                TransportError::Engine { command, message } => {
                    assert_eq!((&*command, &*message), ("podman load", expected));
                }
                other => panic!("{other}"),
            }
        }
    }
}
