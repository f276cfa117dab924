//! Registries that ask for credentials and use certificates.

use std::fs;
use std::path::Path;

use super::{image, pycull_at};
use crate::support::engines::Podman;
use crate::support::registry::{Certificates, Guarded, LOGIN, Registry};
use crate::support::tools::{Output, run, tool, tool_command};

/// A registry with TLS and a password, with an image. The home directory knows its certificate.
struct Guardhouse {
    directory: tempfile::TempDir,
    registry: Registry,
}

impl Guardhouse {
    fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(directory.path());
        let guarded = Guarded {
            certificates: Some(&certificates),
            wants_login: true,
        };
        let registry = Registry::guarded(directory.path(), &guarded);
        let house = Self {
            directory,
            registry,
        };
        let home = house
            .home()
            .join(".config/containers/certs.d")
            .join(&house.registry.address);
        fs::create_dir_all(&home).unwrap();
        fs::copy(&certificates.authority, home.join("ca.crt")).unwrap();
        let layout = house.directory.path().join("layout");
        image("app").write(&layout);
        let from = format!("oci:{}", layout.display());
        let arguments = [
            "copy",
            "--quiet",
            "--dest-cert-dir",
            home.to_str().unwrap(),
            "--dest-creds",
            LOGIN,
        ];
        tool(
            "skopeo",
            arguments
                .into_iter()
                .chain([from.as_str(), &house.image("v1")]),
        )
        .success();
        house
    }

    fn home(&self) -> std::path::PathBuf {
        self.directory.path().join("home")
    }

    fn certificates(&self) -> std::path::PathBuf {
        self.home()
            .join(".config/containers/certs.d")
            .join(&self.registry.address)
    }

    fn image(&self, tag: &str) -> String {
        self.registry.image(&format!("team/app:{tag}"))
    }

    fn pycull(&self, arguments: &[&str]) -> Output {
        pycull_at(&self.home(), arguments)
    }

    /// Writes a file with credentials.
    fn logged_in(&self, path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let auth = data_encoding::BASE64.encode(LOGIN.as_bytes());
        let text = format!(
            r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#,
            self.registry.address
        );
        fs::write(path, text).unwrap();
    }
}

#[test]
fn without_credentials_the_way_to_them_is_said() {
    let house = Guardhouse::open();
    let refused = house.pycull(&["inspect", &house.image("v1")]);
    let refused = refused.refused("requires credentials");
    let hint = format!(
        "hint: log in first: `podman login {}`",
        house.registry.address
    );
    assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    let wrong = house.pycull(&["inspect", &house.image("v1"), "--creds", "tester:wrong"]);
    let wrong = wrong.refused("refused the credentials");
    assert!(!wrong.stderr.contains("wrong"), "{}", wrong.stderr);
}

/// Without the file in the command, the user would log in for other tools only.
#[test]
fn the_way_to_credentials_names_the_file_that_the_user_chose() {
    let house = Guardhouse::open();
    fs::create_dir_all(house.home()).unwrap();
    let file = house.directory.path().join("my auth.json");
    fs::write(&file, "{}").unwrap();
    let file = file.to_str().unwrap();
    let address = &house.registry.address;
    let login = format!("`podman login --authfile '{file}' {address}`\n");
    let image = house.image("v1");
    let chosen = house.pycull(&["inspect", &image, "--authfile", file]);
    let mut command = super::command(&house.home());
    command.args(["inspect", &image]);
    let by_variable = run(command.env("REGISTRY_AUTH_FILE", file));
    for refused in [chosen, by_variable] {
        let stderr = refused.refused("requires credentials").stderr;
        assert!(
            stderr.contains(&format!("hint: log in first: {login}")),
            "{stderr}"
        );
    }
    let with_login = format!("docker://me:secret@{address}/team/app");
    let refused = house.pycull(&["inspect", &with_login, "--authfile", file]);
    let stderr = refused.refused("contains credentials").stderr;
    assert!(stderr.contains(&login), "{stderr}");
}

#[test]
fn an_unknown_certificate_is_refused_unless_the_user_trusts_it() {
    let house = Guardhouse::open();
    fs::remove_dir_all(house.certificates()).unwrap();
    let arguments = [
        "inspect",
        &house.image("v1"),
        "--creds",
        LOGIN,
        "--tls-verify=true",
    ];
    let refused = house
        .pycull(&arguments)
        .refused("the connection to `127.0.0.1:");
    assert!(
        refused.stderr.contains("certs.d/127.0.0.1:"),
        "{}",
        refused.stderr
    );
    let arguments = [
        "inspect",
        &house.image("v1"),
        "--creds",
        LOGIN,
        "--tls-verify=false",
    ];
    house.pycull(&arguments).success();
    let directory = house.directory.path().join("certificates");
    fs::create_dir(&directory).unwrap();
    fs::copy(
        house.directory.path().join("ca.crt"),
        directory.join("any.crt"),
    )
    .unwrap();
    let directory = directory.to_str().unwrap();
    let arguments = [
        "inspect",
        &house.image("v1"),
        "--creds",
        LOGIN,
        "--cert-dir",
        directory,
    ];
    house.pycull(&arguments).success();
}

#[test]
fn the_credentials_of_podman_and_of_docker_serve() {
    let house = Guardhouse::open();
    for path in [
        ".config/containers/auth.json",
        ".docker/config.json",
        "elsewhere.json",
    ] {
        let path = house.home().join(path);
        house.logged_in(&path);
        let name = house.image("v1");
        let mut arguments = vec!["inspect", &name];
        let explicit = path.to_str().unwrap();
        if path.ends_with("elsewhere.json") {
            arguments.extend(["--authfile", explicit]);
        }
        house.pycull(&arguments).success();
        fs::remove_file(&path).unwrap();
    }
    let missing = house.pycull(&["inspect", &house.image("v1"), "--authfile", "gone.json"]);
    missing.refused("gone.json");
}

/// The whole way: pull, minimize and push, then podman pulls the image and runs Python in it.
#[test]
fn podman_runs_what_pycull_pushed() {
    let house = Guardhouse::open();
    house.logged_in(&house.home().join(".config/containers/auth.json"));
    let real = crate::support::tools::real_image("py3.11");
    let certificates = house.certificates();
    let certificates = certificates.to_str().unwrap();
    let (from, to) = (
        house.registry.image("team/python:v1"),
        house.registry.image("team/python:small"),
    );
    let layout = format!("oci:{}", real.display());
    let copy = [
        "copy",
        "--quiet",
        "--dest-cert-dir",
        certificates,
        "--dest-creds",
        LOGIN,
        &layout,
        &from,
    ];
    tool("skopeo", copy).success();
    house
        .pycull(&["minimize", &from, "--output", &to])
        .success();
    let inspect = ["inspect", "--cert-dir", certificates, "--creds", LOGIN, &to];
    tool("skopeo", inspect).success();
    let podman = Podman::new();
    let name = to.strip_prefix("docker://").unwrap();
    let mut pull = tool_command("podman");
    podman.environment(&mut pull);
    run(pull.args([
        "pull",
        "--quiet",
        "--cert-dir",
        certificates,
        "--creds",
        LOGIN,
        name,
    ]))
    .success();
    let found = podman.run(
        name,
        &["python3", "-c", "import json; print(json.dumps('yes'))"],
    );
    assert_eq!(found.success().text().trim(), "\"yes\"");
}

/// What registries.conf says of one repository is not said of another one on the same registry.
#[test]
fn trust_in_one_repository_is_not_trust_in_its_registry() {
    let house = Guardhouse::open();
    fs::remove_dir_all(house.certificates()).unwrap();
    let containers = house.home().join(".config/containers");
    let prefix = format!("{}/team", house.registry.address);
    let conf = format!("[[registry]]\nprefix = \"{prefix}\"\ninsecure = true\n");
    fs::write(containers.join("registries.conf"), conf).unwrap();
    let minimize = |to: &str| {
        let to = house.registry.image(to);
        let from = house.image("v1");
        house.pycull(&["minimize", &from, "--output", &to, "--creds", LOGIN])
    };
    minimize("team/app:small").success();
    minimize("prod/app:small").refused("the connection to `127.0.0.1:");
}

#[test]
fn credentials_of_the_wrong_form_are_not_repeated() {
    let home = tempfile::tempdir().unwrap();
    for wrong in ["hunter2", ":hunter2", "hunter2:"] {
        let refused = pycull_at(
            home.path(),
            &["inspect", "docker://a.example/b", "--creds", wrong],
        );
        let refused = refused.refused("must have the form USER:PASSWORD");
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    }
}
