//! How to reach registries: what arguments and the environment say. The places are those of podman, skopeo and docker.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueHint;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use pycull::registry::{AuthFile, Login, Proxies, ProxySetting, RegistrySettings, SILENCE};

use super::environment::{path, variable};

/// How to reach registries.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArgs {
    /// File with credentials [default: podman's file, then docker's]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) authfile: Option<PathBuf>,
    /// Credentials for the registry. Other users of this machine can see them: prefer `podman login`
    #[arg(long, global = true, value_name = "USER:PASSWORD", value_parser = LoginParser, conflicts_with = "authfile")]
    pub(crate) creds: Option<Login>,
    /// Directory with the CA certificate (`*.crt`) and client certificate (`*.cert`, `*.key`) for every registry
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cert_dir: Option<PathBuf>,
    /// Require HTTPS and a valid certificate [default: true, except for a registry on this machine]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) tls_verify: Option<bool>,
    /// Close a connection that sends almost no data for this many seconds [default: 60]
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) network_timeout: Option<u16>,
}

/// Parses credentials. Unlike clap's own errors, its errors do not show the value, which may be a password.
#[derive(Clone)]
struct LoginParser;

impl TypedValueParser for LoginParser {
    type Value = Login;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Login, clap::Error> {
        let login = value.to_str().and_then(|text| Login::parse(text).ok());
        login.ok_or_else(|| {
            let message = "`--creds` must have the form USER:PASSWORD, and neither may be empty\n";
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Settings for registries, from arguments first and then from the environment.
pub(crate) fn settings(args: &RegistryArgs, jobs: usize) -> RegistrySettings {
    let home = path("HOME").filter(|home| home.is_absolute());
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let config = path("XDG_CONFIG_HOME");
    let config = config
        .or_else(|| below_home(".config"))
        .map(|it| it.join("containers"));
    let own = |name: &str| config.as_ref().map(|config| config.join(name));
    let system = |path: &str| Some(PathBuf::from(path));
    let some = |paths: &[Option<PathBuf>]| paths.iter().flatten().cloned().collect::<Vec<_>>();
    let conf = path("CONTAINERS_REGISTRIES_CONF");
    RegistrySettings {
        login: args.creds.clone(),
        auth_files: auth_files(args, config.as_deref(), home.as_deref()),
        chosen_auth_file: chosen_auth_file(args),
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
            https: proxy("HTTPS_PROXY").or_else(|| proxy("https_proxy")),
            http: proxy("HTTP_PROXY").or_else(|| proxy("http_proxy")),
            exceptions: variable("NO_PROXY")
                .or_else(|| variable("no_proxy"))
                .unwrap_or_default(),
        },
        silence: Duration::from_secs(args.network_timeout.unwrap_or(SILENCE).into()),
        jobs,
        ..RegistrySettings::default()
    }
}

fn proxy(name: &'static str) -> Option<ProxySetting> {
    let address = variable(name)?;
    Some(ProxySetting {
        address,
        variable: name,
    })
}

/// The file with credentials that the user chose instead of the usual ones.
fn chosen_auth_file(args: &RegistryArgs) -> Option<PathBuf> {
    let chosen = args.authfile.clone();
    chosen.or_else(|| path("REGISTRY_AUTH_FILE"))
}

/// The files with credentials, as containers-auth.json(5) orders them.
fn auth_files(args: &RegistryArgs, config: Option<&Path>, home: Option<&Path>) -> Vec<AuthFile> {
    if let Some(path) = chosen_auth_file(args) {
        let is_required = args.authfile.is_some();
        return vec![AuthFile { path, is_required }];
    }
    let below_run = match path("XDG_RUNTIME_DIR") {
        Some(directory) => directory.join("containers/auth.json"),
        None => {
            let user = rustix::process::getuid().as_raw();
            format!("/run/containers/{user}/auth.json").into()
        }
    };
    let docker = path("DOCKER_CONFIG");
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
