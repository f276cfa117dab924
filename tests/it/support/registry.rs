//! A registry for tools that push and pull.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::tools::tool_command;

/// A running registry. Dropping it ends the process.
pub struct Registry {
    process: Child,
    directory: PathBuf,
    pub address: String,
}

impl Registry {
    pub fn start(directory: &Path) -> Self {
        // A port that was free a moment ago.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = port.local_addr().unwrap().to_string();
        drop(port);
        let directory = directory.join("registry");
        let config = directory.with_extension("yml");
        let (root, log) = (directory.display(), "log: {level: error}");
        let text = format!(
            "version: 0.1\n{log}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\nhttp: {{addr: '{address}'}}\n"
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
