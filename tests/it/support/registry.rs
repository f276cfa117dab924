//! A registry for tools that push and pull.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::tools::{run, tool_command};

/// A running registry. Dropping it ends the process.
pub struct Registry {
    process: Child,
    directory: PathBuf,
    pub address: String,
}

/// The user of a registry that asks for credentials.
pub const LOGIN: &str = "tester:secret";
/// The same, as a line of a file for HTTP basic authentication, with a bcrypt hash.
const PASSWORDS: &str = "tester:$2b$05$86oLVcxWa3fQE5LYCUhg3.2MjOuanlBnIEYx1vCoQvc3VRdIzLT5a\n";

/// A certificate for this machine, and the certificate of its authority.
pub struct Certificates {
    pub authority: PathBuf,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes them in a directory.
    pub fn make(directory: &Path) -> Self {
        let path = |name: &str| directory.join(name);
        let made = Self {
            authority: path("ca.crt"),
            chain: path("server.crt"),
            key: path("server.key"),
        };
        let openssl = |arguments: &str| {
            let words = arguments.split_whitespace();
            run(tool_command("openssl").current_dir(directory).args(words)).success();
        };
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        openssl(&format!(
            "req -x509 {new} -keyout ca.key -out ca.crt -days 3650 -subj /CN=authority"
        ));
        openssl(&format!(
            "req {new} -keyout server.key -out server.csr -subj /CN=registry"
        ));
        fs::write(
            path("extensions"),
            "subjectAltName=IP:127.0.0.1,DNS:localhost\n",
        )
        .unwrap();
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 3650 -extfile extensions",
        );
        made
    }
}

/// How a registry differs from one that anybody on this machine may use.
#[derive(Default)]
pub struct Guarded<'a> {
    pub certificates: Option<&'a Certificates>,
    /// Whether it asks for [`LOGIN`].
    pub wants_login: bool,
}

impl Registry {
    pub fn start(directory: &Path) -> Self {
        Self::guarded(directory, &Guarded::default())
    }

    pub fn guarded(directory: &Path, guarded: &Guarded<'_>) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let directory = directory.join("registry");
        let config = directory.with_extension("yml");
        let (root, log) = (directory.display(), "log: {level: error}");
        let tls = guarded.certificates.map_or_else(String::new, |made| {
            format!(
                ", tls: {{certificate: {}, key: {}}}",
                made.chain.display(),
                made.key.display()
            )
        });
        let passwords = directory.with_extension("htpasswd");
        fs::write(&passwords, PASSWORDS).unwrap();
        let auth = match guarded.wants_login {
            true => format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                passwords.display()
            ),
            false => String::new(),
        };
        let text = format!(
            "version: 0.1\n{log}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\nhttp: {{addr: '{address}'{tls}}}\n{auth}"
        );
        fs::write(&config, text).unwrap();
        let process = tool_command("docker-registry")
            .arg("serve")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            process,
            directory,
            address,
        };
        let is_up = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(&registry.address).is_ok()
        });
        assert!(is_up, "no registry at {}", registry.address);
        registry
    }

    /// The name of an image in the registry, as pycull and skopeo take it.
    pub fn image(&self, name: &str) -> String {
        format!("docker://{}/{name}", self.address)
    }

    /// The digest that a tag leads to; `None` if there is no such tag.
    pub fn tagged(&self, name: &str, tag: &str) -> Option<String> {
        let path =
            format!("docker/registry/v2/repositories/{name}/_manifests/tags/{tag}/current/link");
        fs::read_to_string(self.directory.join(path)).ok()
    }

    /// Unfinished uploads in the registry.
    pub fn uploads(&self, name: &str) -> usize {
        let path = format!("docker/registry/v2/repositories/{name}/_uploads");
        let uploads = fs::read_dir(self.directory.join(path))
            .into_iter()
            .flatten();
        // docker-registry forgets directories of uploads that it cancelled.
        let is_open = |upload: &fs::DirEntry| upload.path().join("startedat").exists();
        uploads.flatten().filter(is_open).count()
    }

    pub fn blobs(&self) -> Vec<Vec<u8>> {
        let mut pending = vec![self.directory.join("docker/registry/v2/blobs")];
        let mut blobs = Vec::new();
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(path).unwrap();
                pending.extend(entries.map(|entry| entry.unwrap().path()));
            } else {
                blobs.push(fs::read(path).unwrap());
            }
        }
        blobs
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
