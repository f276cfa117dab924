//! Certificates and keys for a registry (containers-certs.d(5)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files that count for a registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// Certificates of authorities to trust in addition to those of the system.
    pub(super) roots: Vec<PathBuf>,
    /// The certificate that shows who the user is, and its key. A connection can present one only: the first by name.
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

/// Finds the files for a host. The first of the directories that has an entry for the host counts, even if that is
/// empty.
///
/// # Errors
/// [`CertificatesError`] if an entry cannot be read, or if a certificate or key has no counterpart.
pub(crate) fn find(
    directories: &[PathBuf],
    host_and_port: &str,
) -> Result<CertificateFiles, CertificatesError> {
    for directory in directories {
        let directory = directory.join(host_and_port);
        match list(&directory) {
            Ok(files) => return sort(&directory, &files),
            Err(error) if is_skipped(error.kind()) => {}
            Err(source) => {
                return Err(CertificatesError::Read {
                    path: directory,
                    source,
                });
            }
        }
    }
    Ok(CertificateFiles::default())
}

/// Reads a directory that the user chose, for any host.
///
/// # Errors
/// Those of [`find`]. A directory that does not exist is an error too.
pub(crate) fn read(directory: &Path) -> Result<CertificateFiles, CertificatesError> {
    let files = list(directory).map_err(|source| CertificatesError::Read {
        path: directory.to_owned(),
        source,
    })?;
    sort(directory, &files)
}

/// docker keeps its directory closed to ordinary users, who connect without it.
fn is_skipped(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(kind, NotFound | NotADirectory | PermissionDenied)
}

/// The files in a directory by name. A link to a missing file does not count.
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        files.push(entry?.path());
    }
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

fn sort(directory: &Path, files: &[PathBuf]) -> Result<CertificateFiles, CertificatesError> {
    let mut found = CertificateFiles::default();
    for file in files {
        let counterpart = match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                found.roots.push(file.clone());
                continue;
            }
            Some("cert") => file.with_extension("key"),
            Some("key") => file.with_extension("cert"),
            _ => continue,
        };
        if !files.contains(&counterpart) {
            return Err(CertificatesError::Unpaired {
                directory: directory.to_owned(),
                present: file_name(file),
                missing: file_name(&counterpart),
            });
        }
        if counterpart
            .extension()
            .is_some_and(|extension| extension == "key")
        {
            found
                .client
                .get_or_insert_with(|| (file.clone(), counterpart));
        }
    }
    Ok(found)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The certificates for a registry could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// The directory cannot be read.
    #[error("cannot read the certificates in `{}`", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A client's certificate has no key, or a key has no certificate.
    #[error("`{}` has `{present}`, but not `{missing}`", directory.display())]
    Unpaired {
        /// The directory.
        directory: PathBuf,
        /// The file that is there.
        present: String,
        /// The file that is missing.
        missing: String,
    },
}

impl CertificatesError {
    /// What the user can do about the error, if there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Unpaired {
                present, missing, ..
            } => Some(match present.strip_suffix(".cert") {
                Some(stem) => format!(
                    "add `{missing}`, or rename `{present}` to `{stem}.crt` if it is the certificate of an authority"
                ),
                None => format!("add `{missing}`, or remove `{present}`"),
            }),
            Self::Read { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        directory
    }

    #[test]
    fn files_are_sorted_by_their_extension() {
        let names = [
            "b.crt",
            "a.crt",
            "y.cert",
            "y.key",
            "x.cert",
            "x.key",
            "notes.txt",
            "README",
            ".cert",
        ];
        let directory = directory(&names);
        let path = |name: &str| directory.path().join(name);
        let found = read(directory.path()).unwrap();
        assert_eq!(found.roots, [path("a.crt"), path("b.crt")]);
        assert_eq!(found.client, Some((path("x.cert"), path("x.key"))));
    }

    #[test]
    fn a_stem_may_contain_dots() {
        let directory = directory(&["a.b.cert", "a.b.key", "a.c.crt"]);
        let found = read(directory.path()).unwrap();
        assert_eq!(found.client.unwrap().1, directory.path().join("a.b.key"));
    }

    #[test]
    fn the_first_entry_of_the_host_and_port_counts() {
        let first = directory(&["q.io:5000/ca.crt", "a-file"]);
        let second = directory(&[
            "q.io:5000/other.crt",
            "q.io/ca.crt",
            "[::1]:80/ca.crt",
            "a-file/ca.crt",
        ]);
        let missing = first.path().join("missing");
        let all = [missing, first.path().to_owned(), second.path().to_owned()];
        let roots = |host: &str| find(&all, host).unwrap().roots;
        assert_eq!(roots("q.io:5000"), [first.path().join("q.io:5000/ca.crt")]);
        assert_eq!(roots("q.io"), [second.path().join("q.io/ca.crt")]);
        assert_eq!(roots("[::1]:80"), [second.path().join("[::1]:80/ca.crt")]);
        assert_eq!(roots("a-file"), [second.path().join("a-file/ca.crt")]);
        assert_eq!(find(&all, "other.io").unwrap(), CertificateFiles::default());
        assert_eq!(find(&[], "q.io").unwrap(), CertificateFiles::default());
        fs::create_dir(first.path().join("q.io")).unwrap();
        assert!(roots("q.io").is_empty());
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_and_the_reverse() {
        let host = directory(&["q.io/client.cert", "q.io/ca.crt"]);
        let error = find(&[host.path().to_owned()], "q.io").unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("q.io` has `client.cert`, but not `client.key`"),
            "{text}"
        );
        assert!(error.hint().unwrap().contains("`client.crt`"));
        let error = read(directory(&["a.key", "b.cert"]).path()).unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("has `a.key`, but not `a.cert`"), "{text}");
        assert_eq!(error.hint().unwrap(), "add `a.cert`, or remove `a.key`");
    }

    #[test]
    fn links_to_missing_files_and_directories_do_not_count() {
        let directory = directory(&["c.crt/file", "ca.crt"]);
        std::os::unix::fs::symlink("gone", directory.path().join("b.crt")).unwrap();
        std::os::unix::fs::symlink("ca.crt", directory.path().join("d.crt")).unwrap();
        let roots = read(directory.path()).unwrap().roots;
        let names: Vec<String> = roots.iter().map(|path| file_name(path)).collect();
        assert_eq!(names, ["ca.crt", "d.crt"]);
    }

    #[test]
    fn a_chosen_directory_must_exist() {
        let error = read(Path::new("/nonexistent/certs")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the certificates in `/nonexistent/certs`"
        );
    }
}
