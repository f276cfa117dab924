//! What arguments and the environment say about registries. The places are those of podman, skopeo and docker.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pycull::registry::{AuthFile, Proxies, RegistrySettings, SILENCE};

use super::args::RegistryArgs;

/// Settings for registries, from arguments first and then from the environment.
pub(crate) fn settings(args: &RegistryArgs, jobs: usize) -> RegistrySettings {
    let home = variable("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config
        .or_else(|| below_home(".config"))
        .map(|it| it.join("containers"));
    let own = |name: &str| config.as_ref().map(|config| config.join(name));
    let system = |path: &str| Some(PathBuf::from(path));
    let some = |paths: &[Option<PathBuf>]| paths.iter().flatten().cloned().collect::<Vec<_>>();
    let conf = variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
    RegistrySettings {
        login: args.creds.clone(),
        auth_files: auth_files(args, config.as_deref(), home.as_deref()),
        tls_verify: args.tls_verify,
        certificate_directory: args.cert_dir.clone(),
        certificates_by_host: some(&[
            own("certs.d"),
            system("/etc/containers/certs.d"),
            system("/etc/docker/certs.d"),
        ]),
        registries_conf: some(&[
            conf,
            own("registries.conf"),
            system("/etc/containers/registries.conf"),
            system("/usr/share/containers/registries.conf"),
        ]),
        registries_conf_directories: match own("registries.conf").is_some_and(|it| it.is_file()) {
            // The user's own file stands in place of the system's files.
            true => some(&[own("registries.conf.d")]),
            false => some(&[
                system("/etc/containers/registries.conf.d"),
                own("registries.conf.d"),
            ]),
        },
        proxies: Proxies {
            https: variable("HTTPS_PROXY").or_else(|| variable("https_proxy")),
            http: variable("HTTP_PROXY").or_else(|| variable("http_proxy")),
            exceptions: variable("NO_PROXY")
                .or_else(|| variable("no_proxy"))
                .unwrap_or_default(),
        },
        silence: Duration::from_secs(args.network_timeout.unwrap_or(SILENCE).into()),
        jobs,
    }
}

/// A variable of the environment; `None` if it is empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The files with credentials, as containers-auth.json(5) orders them.
fn auth_files(args: &RegistryArgs, config: Option<&Path>, home: Option<&Path>) -> Vec<AuthFile> {
    let chosen = args.authfile.clone();
    let chosen = chosen.or_else(|| variable("REGISTRY_AUTH_FILE").map(PathBuf::from));
    if let Some(path) = chosen {
        let is_required = args.authfile.is_some();
        return vec![AuthFile { path, is_required }];
    }
    let below_run = match variable("XDG_RUNTIME_DIR") {
        Some(directory) => Path::new(&directory).join("containers/auth.json"),
        None => {
            let user = rustix::process::getuid().as_raw();
            format!("/run/containers/{user}/auth.json").into()
        }
    };
    let docker = variable("DOCKER_CONFIG").map(PathBuf::from);
    let docker = docker.or_else(|| home.map(|home| home.join(".docker")));
    let paths = [
        Some(below_run),
        config.map(|config| config.join("auth.json")),
        docker.map(|docker| docker.join("config.json")),
    ];
    let paths = paths.into_iter().flatten();
    paths
        .map(|path| AuthFile {
            path,
            is_required: false,
        })
        .collect()
}
