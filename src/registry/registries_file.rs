//! One file of the format `registries.conf` (containers-registries.conf(5), version 2).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::image_name::is_host;
use super::registries_conf_error::RegistriesConfError;

/// A file. serde ignores the keys that pycull has no use for.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Document {
    pub(super) unqualified_search_registries: Option<Vec<String>>,
    #[serde(default)]
    pub(super) registry: Vec<RegistryTable>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, String>,
    /// The only table of version 1 of the format.
    registries: Option<toml::Table>,
}

/// The settings of one registry, or of some namespaces in it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct RegistryTable {
    /// What names start with. Not empty after [`parse`].
    pub(super) prefix: String,
    /// What replaces the prefix. Empty if names stay as they are.
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    pub(super) mirror: Vec<Mirror>,
}

/// Another place with images of a registry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Mirror {
    pub(super) location: String,
    #[serde(default)]
    pub(super) insecure: bool,
    #[serde(default)]
    pub(super) pull_from_mirror: MirrorUse,
}

/// The pulls that a mirror is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum MirrorUse {
    #[default]
    #[serde(alias = "")]
    All,
    DigestOnly,
    TagOnly,
}

impl MirrorUse {
    pub(super) fn permits(self, has_digest: bool) -> bool {
        match self {
            Self::All => true,
            Self::DigestOnly => has_digest,
            Self::TagOnly => !has_digest,
        }
    }
}

/// Parses a file.
///
/// # Errors
/// [`RegistriesConfError`] if it is malformed, or of version 1 of the format.
pub(super) fn parse(path: &Path, text: &str) -> Result<Document, RegistriesConfError> {
    let parsed: Result<Document, _> = toml::from_str(text);
    let mut document = parsed.map_err(|error| RegistriesConfError::Malformed {
        path: path.to_owned(),
        line: error.span().map(|span| line_of(text, span.start)),
        reason: error.message().to_owned(),
    })?;
    let old = document.registries.take();
    if old.is_some_and(|table| !table.is_empty()) {
        let path = path.to_owned();
        return Err(RegistriesConfError::VersionOne { path });
    }
    let tables = document.registry.into_iter().map(checked);
    let tables: Result<_, _> = tables.collect();
    document.registry = tables.map_err(|reason| malformed(path, reason))?;
    if let Some(hosts) = &mut document.unqualified_search_registries {
        *hosts = checked_hosts(hosts).map_err(|reason| malformed(path, reason))?;
    }
    Ok(document)
}

/// Completes and checks a table.
fn checked(mut table: RegistryTable) -> Result<RegistryTable, String> {
    for location in [&mut table.prefix, &mut table.location] {
        *location = trimmed(location)?;
    }
    for mirror in &mut table.mirror {
        mirror.location = trimmed(&mirror.location)?;
        if mirror.location.is_empty() {
            return Err("the `location` of a mirror is empty".to_owned());
        }
    }
    if table.prefix.is_empty() {
        table.prefix.clone_from(&table.location);
    }
    let prefix = &table.prefix;
    if prefix.is_empty() {
        return Err("a `[[registry]]` has neither `prefix` nor `location`".to_owned());
    }
    let is_wildcard = prefix.strip_prefix("*.").is_some_and(is_host);
    match prefix.contains('*') && !is_wildcard {
        true => Err(format!(
            "the `*` of prefix `{prefix}` must be in front of `.DOMAIN`, with nothing after it"
        )),
        false => Ok(table),
    }
}

/// A prefix or location without slashes at its end.
fn trimmed(location: &str) -> Result<String, String> {
    match location.contains("://") {
        true => Err(format!(
            "`{location}` must start with a host, without a scheme"
        )),
        false => Ok(location.trim_end_matches('/').to_owned()),
    }
}

/// The registries that short names may mean, each once.
fn checked_hosts(hosts: &[String]) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for host in hosts {
        let host = host.trim_end_matches('/');
        if !is_host(host) {
            return Err(format!(
                "`{host}` in `unqualified-search-registries` is not a valid host name"
            ));
        }
        if !found.iter().any(|other| other == host) {
            found.push(host.to_owned());
        }
    }
    Ok(found)
}

/// The text of a file; `None` if there is no such file.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, RegistriesConfError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_missing(error.kind()) => Ok(None),
        Err(source) => Err(RegistriesConfError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The configuration files of a directory, by name.
pub(super) fn drop_in_files(directory: &Path) -> Result<Vec<PathBuf>, RegistriesConfError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut files = match list() {
        Ok(files) => files,
        Err(error) if is_missing(error.kind()) => return Ok(Vec::new()),
        Err(source) => {
            let path = directory.to_owned();
            return Err(RegistriesConfError::Read { path, source });
        }
    };
    let is_conf = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "conf")
    };
    files.retain(|path| is_conf(path) && !path.is_dir());
    files.sort();
    Ok(files)
}

fn is_missing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The number of the line with the byte at `offset`, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    before.filter(|byte| *byte == b'\n').count() + 1
}

/// The error of a value in a file.
pub(super) fn malformed(path: &Path, reason: String) -> RegistriesConfError {
    RegistriesConfError::Malformed {
        path: path.to_owned(),
        line: None,
        reason,
    }
}
