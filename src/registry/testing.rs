//! Names, credential helpers and a small registry for tests.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::certificates::CertificateFiles;
use super::credential_helper::Programs;
use super::http::{Connecting, Security};
use super::image_name::{ImageName, ImageNameError, on_docker_hub};
use super::repository::Repository;
use super::session::Session;
use super::settings::Proxies;
use crate::parallel::lock;

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

/// A repository that has these bytes as every blob, and the offsets from which it was asked for them.
pub(super) fn repository_of_one_blob(bytes: Vec<u8>) -> (Arc<Repository>, Arc<Mutex<Vec<u64>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let bytes = Arc::new(bytes);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (bytes, log) = (Arc::clone(&bytes), Arc::clone(&log));
            // A client that has enough ends the connection.
            thread::spawn(move || answer(&client, &bytes, &log));
        }
    });
    let connecting = Connecting {
        security: Security {
            may_be_plain: true,
            accepts_any_certificate: false,
        },
        certificates: CertificateFiles::default(),
        proxies: &Proxies::default(),
        auth_file: None,
        silence: Duration::from_secs(30),
    };
    let session = Session::begin(&host, None, &connecting).unwrap();
    let repository = Repository::new(Arc::new(session), "app".to_owned(), "app".to_owned());
    (Arc::new(repository), asked)
}

/// Answers one request.
fn answer(mut client: &TcpStream, bytes: &[u8], asked: &Mutex<Vec<u64>>) -> io::Result<()> {
    let lines = BufReader::new(client).lines();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    if !head.first().is_some_and(|line| line.contains("/blobs/")) {
        let found = head.first().is_some_and(|line| line.contains("/v2/"));
        let answer: &[u8] = if found {
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        } else {
            b""
        };
        return client.write_all(answer);
    }
    let range = head.iter().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    let from: u64 = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    lock(asked).push(from);
    let (last, left) = (bytes.len() - 1, bytes.len() as u64 - from);
    let status = match from {
        0 => "200 OK".to_owned(),
        _ => format!(
            "206 Partial Content\r\nContent-Range: bytes {from}-{last}/{}",
            bytes.len()
        ),
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Length: {left}\r\nConnection: close\r\n\r\n"
    )?;
    client.write_all(&bytes[from as usize..])
}
