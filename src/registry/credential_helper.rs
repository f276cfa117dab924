//! The programs that docker calls credential helpers: `docker-credential-NAME get` reads a server from standard input,
//! and prints JSON with a user name and a secret.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::login::{CredentialError, Login};

/// The user name with which a helper marks an identity token.
const TOKEN_USER: &str = "<token>";

/// The time that a helper may take. It may ask the user for a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often to check whether a helper that closed its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// Most bytes to read of what a helper prints. Tokens have a few thousand.
const MOST_OUTPUT: u64 = 1 << 20;

/// Most characters of a helper's message in an error.
const LONGEST_MESSAGE: usize = 200;

/// Parts of the messages with which helpers say that they have no credentials. The protocol has no other sign of it.
const NOT_FOUND: [&str; 4] = [
    "credentials not found",
    "no credentials",
    "could not be found in the keychain",
    "element not found",
];

/// How to run credential helpers.
pub(super) struct Programs {
    /// Directories to look in. `None` stands for the environment's `PATH`.
    pub(super) path: Option<OsString>,
    /// The time that a helper may take.
    pub(super) patience: Duration,
}

/// What a helper prints.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// What a program left behind.
struct Output {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Programs {
    /// Those that the user has.
    pub(super) fn installed() -> Self {
        Self {
            path: None,
            patience: PATIENCE,
        }
    }

    /// Asks a helper for the credentials of a server. `file` is the file that names the helper.
    ///
    /// # Errors
    /// [`CredentialError`] if the helper is missing, fails, or does not end in time.
    pub(super) fn ask(
        &self,
        helper: &str,
        server: &str,
        file: &Path,
    ) -> Result<Option<Login>, CredentialError> {
        let program = format!("docker-credential-{helper}");
        let failed = |reason: String| CredentialError::Helper {
            program: program.clone(),
            file: file.to_owned(),
            reason,
        };
        let output = match self.run(&program, server) {
            Ok(Some(output)) => output,
            Ok(None) => {
                return Err(failed(format!(
                    "it did not end within {} s",
                    self.patience.as_secs()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = file.to_owned();
                return Err(CredentialError::MissingHelper { program, file });
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        if output.status.success() {
            let answer: Option<Answer> = serde_json::from_slice(&output.stdout).ok();
            let answer = answer.ok_or_else(|| {
                failed("its answer is not JSON with a user name and a secret".to_owned())
            })?;
            return Ok(match answer.user.as_str() {
                TOKEN_USER => Login::identity_token(&answer.secret),
                user => Login::basic(user, &answer.secret),
            });
        }
        match has_none(&output) {
            true => Ok(None),
            false => Err(failed(message(&output))),
        }
    }

    /// Runs a program. `None` if it does not end in time.
    fn run(&self, program: &str, server: &str) -> io::Result<Option<Output>> {
        // A slash would make it a path, which is not looked for in `PATH`.
        if program.contains('/') {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut command = Command::new(program);
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper need not read the server: what it prints decides.
            let _ = writeln!(stdin, "{server}");
        }
        let output = wait(&mut child, Instant::now() + self.patience);
        if !matches!(output, Ok(Some(_))) {
            // The helper keeps its place in the terminal's process group, so that it can ask the user there. What it
            // started itself goes on.
            let _ = child.kill();
            let _ = child.wait();
        }
        output
    }
}

fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<Output>> {
    let stdout = read_aside(child.stdout.take());
    let stderr = read_aside(child.stderr.take());
    let left = || deadline.saturating_duration_since(Instant::now());
    let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(left()), stderr.recv_timeout(left()))
    else {
        return Ok(None);
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(Output {
                status,
                stdout,
                stderr,
            }));
        }
        if left().is_zero() {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Reads to the end on a thread of its own, which nobody waits for: another program may keep the pipe open.
fn read_aside(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MOST_OUTPUT).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Whether a failed helper says that it has no credentials for the server.
fn has_none(output: &Output) -> bool {
    [&output.stdout, &output.stderr].into_iter().any(|bytes| {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        NOT_FOUND.iter().any(|part| text.contains(part))
    })
}

/// The first line that a failed helper printed. Helpers print errors on standard output.
fn message(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    let mut lines = text.iter().flat_map(|text| text.lines());
    match lines.find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let visible = line.trim().chars().filter(|c| !c.is_control());
            visible.take(LONGEST_MESSAGE).collect()
        }
        None => format!("{}, without a message", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Helpers;
    use super::*;

    const FILE: &str = "/home/u/config.json";

    fn ask(script: &str) -> Result<Option<Login>, CredentialError> {
        let helpers = Helpers::new(&[("x", script)]);
        helpers.programs().ask("x", "q.io", Path::new(FILE))
    }

    fn reason(script: &str) -> String {
        match ask(script).unwrap_err() {
            CredentialError::Helper {
                program,
                file,
                reason,
            } => {
                assert_eq!(program, "docker-credential-x");
                assert_eq!(file, Path::new(FILE));
                reason
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_helper_prints_a_user_name_and_a_secret() {
        let login = ask(r#"echo '{"Username":"u","Secret":"p","ServerURL":"q.io","More":1}'"#);
        assert!(
            matches!(login.unwrap(), Some(Login::Basic { user, password }) if user == "u" && password == "p")
        );
        let login = ask(r#"echo '{"Username":"<token>","Secret":"t"}'"#).unwrap();
        assert_eq!(login, Some(Login::IdentityToken("t".to_owned())));
        let login = ask(r#"echo '{"Username":"","Secret":""}'"#).unwrap();
        assert_eq!(login, None);
    }

    #[test]
    fn the_server_comes_on_one_line_of_standard_input() {
        let login = ask(r#"printf '{"Username":"%s","Secret":"%s"}' "$(cat)" "$*""#).unwrap();
        let expected = Login::Basic {
            user: "q.io".to_owned(),
            password: "get".to_owned(),
        };
        assert_eq!(login, Some(expected));
    }

    #[test]
    fn messages_of_having_nothing_are_known() {
        for text in [
            "credentials not found in native keychain",
            "Error: Credentials not found.",
            "error getting credentials - err: exit status 1, out: `no credentials for q.io`",
            "The specified item could not be found in the keychain.",
        ] {
            assert_eq!(ask(&format!("echo '{text}'; exit 1")).unwrap(), None);
            assert_eq!(ask(&format!("echo '{text}' >&2; exit 1")).unwrap(), None);
        }
    }

    #[test]
    fn a_failure_has_the_first_line_of_the_message() {
        assert_eq!(reason("echo; echo ' one '; echo two; exit 2"), "one");
        assert_eq!(reason("echo out; echo err >&2; exit 2"), "out");
        assert_eq!(reason("echo err >&2; exit 2"), "err");
        assert_eq!(reason(r"printf 'a\033[1mb\007'; exit 2"), "a[1mb");
        assert_eq!(reason("exit 2"), "exit status: 2, without a message");
        assert_eq!(
            reason("kill -9 $$"),
            "signal: 9 (SIGKILL), without a message"
        );
        let long = reason("printf 'ä%.0s' $(seq 300); exit 2");
        assert_eq!(long, "ä".repeat(200));
    }

    #[test]
    fn an_answer_that_is_not_json_is_not_shown() {
        for script in ["echo s3cret", r#"echo '{"Secret":"s3cret"}'"#, "true"] {
            assert_eq!(
                reason(script),
                "its answer is not JSON with a user name and a secret"
            );
        }
    }

    #[test]
    fn a_helper_that_does_not_end_is_killed() {
        for script in [
            "exec sleep 20",
            // The shell ends at the signal, and what it started keeps the pipe open.
            "sleep 20",
            "sleep 20 & echo '{}'",
            "exec >&- 2>&-; exec sleep 20",
        ] {
            let helpers = Helpers::new(&[("x", script)]);
            let mut programs = helpers.programs();
            programs.patience = Duration::from_millis(300);
            let started = Instant::now();
            let error = programs
                .ask("x", "q.io", Path::new(FILE))
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with("failed: it did not end within 0 s"),
                "{error}"
            );
            assert!(started.elapsed() < Duration::from_secs(15), "{script}");
        }
    }

    #[test]
    fn a_name_with_a_slash_is_no_program() {
        let helpers = Helpers::new(&[("x", "true")]);
        let error = helpers
            .programs()
            .ask("x/../x", "q.io", Path::new(FILE))
            .unwrap_err();
        assert!(
            matches!(error, CredentialError::MissingHelper { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_program_that_cannot_run_is_not_a_missing_one() {
        let helpers = Helpers::new(&[]);
        std::fs::write(helpers.directory().join("docker-credential-x"), "").unwrap();
        let mut programs = helpers.programs();
        programs.path = Some(helpers.directory().into());
        let error = programs
            .ask("x", "q.io", Path::new(FILE))
            .unwrap_err()
            .to_string();
        assert!(error.contains("failed: Permission denied"), "{error}");
    }

    #[test]
    fn a_lot_of_output_blocks_nothing() {
        let error = reason("seq 100000 >&2; seq 100000; exit 1");
        assert_eq!(error, "1");
    }
}
