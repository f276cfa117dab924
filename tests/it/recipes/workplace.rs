//! The environment for a job's scripts: a directory, variables independent of this machine, and a registry that asks for
//! credentials.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::registry::{Guarded, LOGIN, Registry};
use crate::support::tools::{Output, run, testdata, tool_command};

pub struct Workplace {
    directory: tempfile::TempDir,
    registry: Registry,
}

impl Workplace {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let guarded = Guarded {
            wants_login: true,
            ..Guarded::default()
        };
        let registry = Registry::guarded(directory.path(), &guarded);
        let home = directory.path().join("home/.config/containers");
        fs::create_dir_all(&home).unwrap();
        let insecure = format!(
            "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
            registry.address
        );
        fs::write(home.join("registries.conf"), insecure).unwrap();
        let place = Self {
            directory,
            registry,
        };
        place.log_in(&place.path().join("auth.json"));
        // The recipes do without skopeo. The tests use it to look at the results.
        let no_skopeo = place.make("no-skopeo").join("skopeo");
        fs::write(
            &no_skopeo,
            "#!/bin/sh\necho 'there is no skopeo' >&2\nexit 127\n",
        )
        .unwrap();
        fs::set_permissions(&no_skopeo, fs::Permissions::from_mode(0o755)).unwrap();
        place
    }

    /// Writes a file with the credentials of the registry.
    pub fn log_in(&self, file: &Path) {
        let auth = data_encoding::BASE64.encode(LOGIN.as_bytes());
        let text = format!(
            r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
            self.registry()
        );
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory.
    pub fn make(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// The name of an image in the registry.
    pub fn name(&self, image: &str) -> String {
        format!("{}/{image}", self.registry.address)
    }

    /// The address of the registry.
    pub fn registry(&self) -> &str {
        &self.registry.address
    }

    /// A command with the tools that the recipes use, pycull and pycull-gate among them.
    pub fn command(&self, program: &str) -> Command {
        let mut command = tool_command(program);
        let pycull = Path::new(env!("CARGO_BIN_EXE_pycull")).parent().unwrap();
        let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci");
        let before = std::env::var_os("PATH").unwrap_or_default();
        let path = [pycull.to_owned(), recipes]
            .into_iter()
            .chain(std::env::split_paths(&before));
        command
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.path().join("home"))
            .env("REGISTRY_AUTH_FILE", self.path().join("auth.json"));
        command
    }

    /// Runs a script as a file in a directory, with the given interpreter. It has no credentials but those that it finds
    /// itself.
    pub fn script(
        &self,
        interpreter: &[&str],
        script: &str,
        directory: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Output {
        let file = self.path().join("script");
        fs::write(&file, script).unwrap();
        for tool in ["curl", "jq"] {
            tool_command(tool);
        }
        let mut command = self.command(interpreter[0]);
        let path = command.get_envs().find(|(name, _)| *name == "PATH");
        let path = path.and_then(|(_, value)| value).unwrap().to_owned();
        let path =
            std::iter::once(self.path().join("no-skopeo")).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).unwrap();
        let temporary = self.path().join("temporary");
        fs::create_dir_all(&temporary).unwrap();
        let output = run(command
            .env_remove("REGISTRY_AUTH_FILE")
            .env("PATH", path)
            .env("TMPDIR", &temporary)
            .args(&interpreter[1..])
            .arg(file)
            .current_dir(directory)
            .envs(environment));
        // No file with credentials remains, and no other temporary file.
        let left = fs::read_dir(&temporary).unwrap();
        let left: Vec<PathBuf> = left.map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
        output
    }

    /// Pushes an image of testdata to the registry, unchanged or minimized.
    pub fn push(&self, image: &str, name: &str, profile: Option<&str>) {
        let mut from = testdata(image).display().to_string();
        if let Some(profile) = profile {
            let small = self.path().join(format!("{profile}.tar"));
            crate::support::scene::minimize(&testdata(image), &small, &["--profile", profile]);
            from = small.display().to_string();
        }
        let (from, to) = (
            format!("oci-archive:{from}"),
            format!("docker://{}", self.name(name)),
        );
        run(self.command("skopeo").args(["copy", "--quiet", &from, &to])).success();
    }

    /// The digest of an image's manifest in the registry. `None` if the image is not there.
    pub fn digest(&self, name: &str) -> Option<String> {
        let image = format!("docker://{}", self.name(name));
        let output =
            run(self
                .command("skopeo")
                .args(["inspect", "--format", "{{.Digest}}", &image]));
        (output.code == Some(0)).then(|| output.text().trim().to_owned())
    }

    /// The digest of the image in an OCI archive.
    pub fn digest_in(&self, archive: &Path) -> String {
        let index = run(tool_command("tar")
            .arg("-xOf")
            .arg(archive)
            .arg("index.json"));
        let index = index.success().json();
        index["manifests"][0]["digest"].as_str().unwrap().to_owned()
    }
}
