//! User names and passwords for registries: the files of podman and docker (containers-auth.json(5)).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::error::Category;

use super::credential_helper::Programs;
use super::image_name::{ImageName, is_docker_hub};
use super::login::{CredentialError, Login, host_of, one_docker_hub};

/// The address under which docker keeps credentials for Docker Hub.
const DOCKER_HUB_ADDRESS: &str = "https://index.docker.io/v1/";

/// A file with credentials, in the format of podman's `auth.json` and docker's `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is an error if the file is missing.
    pub is_required: bool,
}

/// Finds credentials for an image, in the first file that has some.
///
/// # Errors
/// [`CredentialError`] if a file cannot be read or is malformed, or if a credential helper fails.
pub(crate) fn find(files: &[AuthFile], name: &ImageName) -> Result<Option<Login>, CredentialError> {
    find_with(files, name, &Programs::installed())
}

fn find_with(
    files: &[AuthFile],
    name: &ImageName,
    programs: &Programs,
) -> Result<Option<Login>, CredentialError> {
    for file in files {
        let Some(text) = read(file, name)? else {
            continue;
        };
        let found = Contents::parse(&file.path, &text)?.login(name, &file.path, programs)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn read(file: &AuthFile, name: &ImageName) -> Result<Option<String>, CredentialError> {
    let path = file.path.clone();
    let source = match fs::read_to_string(&path) {
        Ok(text) => return Ok(Some(text)),
        Err(source) => source,
    };
    let is_missing = matches!(
        source.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    );
    match (is_missing, file.is_required) {
        (true, false) => Ok(None),
        (true, true) => Err(CredentialError::MissingFile {
            path,
            host: name.host.clone(),
        }),
        (false, _) => Err(CredentialError::Read { path, source }),
    }
}

/// A file. docker and podman keep other things there too.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Contents {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

/// What a file has for a registry or a namespace. docker leaves an empty entry for what is in a helper.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Contents {
    /// An error never has the text of the parser, which may quote a secret.
    fn parse(path: &Path, text: &str) -> Result<Self, CredentialError> {
        // An empty file, such as `/dev/null`, is how people ask for no credentials.
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| CredentialError::Malformed {
            path: path.to_owned(),
            line: error.line(),
            reason: match error.classify() {
                Category::Data => "a value has the wrong type",
                Category::Eof => "the file ends too early",
                Category::Syntax | Category::Io => "it is not JSON",
            },
        })
    }

    /// A helper of the registry goes before all entries, as in podman. If it has no credentials, neither has the file.
    fn login(
        &self,
        name: &ImageName,
        path: &Path,
        programs: &Programs,
    ) -> Result<Option<Login>, CredentialError> {
        let keys = keys(name);
        if let Some(helpers) = &self.helpers
            && let Some((key, helper)) = matching(helpers, &keys).next()
        {
            return programs.ask(helper, key, path);
        }
        for (key, entry) in self.auths.iter().flat_map(|auths| matching(auths, &keys)) {
            let login = entry.as_ref().map(Entry::login).transpose();
            let login = login.map_err(|reason| CredentialError::BadEntry {
                path: path.to_owned(),
                key: key.to_owned(),
                reason,
            })?;
            if let Some(login) = login.flatten() {
                return Ok(Some(login));
            }
        }
        match self.store.as_deref().filter(|store| !store.is_empty()) {
            Some(store) => programs.ask(store, server(name), path),
            None => Ok(None),
        }
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        if let Some(login) = Login::identity_token(&given(&self.identity_token)) {
            return Ok(Some(login));
        }
        let auth = given(&self.auth);
        if auth.trim().is_empty() {
            return Ok(Login::basic(&given(&self.username), &given(&self.password)));
        }
        let decoded = BASE64.decode(auth.trim().as_bytes());
        let decoded = decoded.map_err(|_| "its `auth` is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "its `auth` is not UTF-8 text")?;
        let parts = decoded.split_once(':');
        let (user, password) = parts.ok_or("its `auth` has no colon between user and password")?;
        // Old versions of docker filled the text up with zeros.
        Ok(Login::basic(user, password.trim_matches('\0')))
    }
}

/// The keys that may stand for a repository, from the repository itself to its host.
fn keys(name: &ImageName) -> Vec<String> {
    let mut key = name.without_version();
    let mut all = Vec::new();
    while let Some(slash) = key.rfind('/') {
        all.push(key.clone());
        key.truncate(slash);
    }
    all.push(key);
    all
}

/// The entries for keys, best first. Those whose key is an address come last, and count for the host alone.
fn matching<'a, T>(
    entries: &'a BTreeMap<String, T>,
    keys: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a T)> {
    let exact = keys.iter().filter_map(|key| entries.get_key_value(key));
    let host = keys.last().map(|host| one_docker_hub(host));
    let others = entries.iter().filter(move |(key, _)| {
        !keys.contains(key) && host.is_some_and(|host| one_docker_hub(host_of(key)) == host)
    });
    exact
        .chain(others)
        .map(|(key, entry)| (key.as_str(), entry))
}

/// What to ask a helper for that is not for a single registry.
fn server(name: &ImageName) -> &str {
    match is_docker_hub(&name.host) {
        true => DOCKER_HUB_ADDRESS,
        false => &name.host,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::testing::{Helpers, name};
    use super::*;

    fn basic(user: &str, password: &str) -> Login {
        Login::basic(user, password).unwrap()
    }

    /// Looks for an image in one file with this text.
    fn found(text: &str, image: &str) -> Result<Option<Login>, CredentialError> {
        found_with(text, image, &Helpers::new(&[]).programs())
    }

    fn found_with(
        text: &str,
        image: &str,
        programs: &Programs,
    ) -> Result<Option<Login>, CredentialError> {
        let path = Path::new("/home/u/auth.json");
        Contents::parse(path, text)?.login(&name(image), path, programs)
    }

    /// A file with an entry for each key. The user name is the key, without colons.
    fn auths(keys: &[&str]) -> String {
        let entry = |key: &&str| {
            let user = key.replace(':', "");
            let auth = BASE64.encode(format!("{user}:pass:word").as_bytes());
            format!(r#""{key}": {{"auth": "{auth}"}}"#)
        };
        let entries: Vec<String> = keys.iter().map(entry).collect();
        format!(r#"{{"auths": {{{}}}}}"#, entries.join(","))
    }

    #[test]
    fn the_most_specific_key_counts() {
        let keys = [
            "q.io",
            "q.io/ns",
            "q.io/ns/app",
            "q.io:5000",
            "docker.io/ns",
        ];
        let text = auths(&keys);
        for (image, user) in [
            ("q.io/app", Some("q.io")),
            ("q.io/nsx/app", Some("q.io")),
            ("q.io/ns/other:1", Some("q.io/ns")),
            ("q.io/ns/app:1", Some("q.io/ns/app")),
            ("q.io/ns/app/x", Some("q.io/ns/app")),
            ("q.io:5000/ns/app", Some("q.io5000")),
            ("ns/app", Some("docker.io/ns")),
            ("app", None),
            ("r.io/ns/app", None),
        ] {
            let expected = user.map(|user| basic(user, "pass:word"));
            assert_eq!(found(&text, image).unwrap(), expected, "{image}");
        }
    }

    #[test]
    fn addresses_of_older_versions_count_for_the_host() {
        for key in [
            "https://index.docker.io/v1/",
            "http://index.docker.io/v1/",
            "index.docker.io/v1/",
            "index.docker.io",
            "registry-1.docker.io",
            "https://docker.io",
            "docker.io",
        ] {
            let login = found(&auths(&[key]), "ns/app").unwrap();
            assert!(login.is_some(), "{key}");
            assert_eq!(found(&auths(&[key]), "q.io/app").unwrap(), None);
        }
        for key in [
            "https://q.io:80/v1/",
            "http://q.io:80",
            "q.io:80/v2/",
            "q.io:80/",
        ] {
            let login = found(&auths(&[key]), "q.io:80/ns/app").unwrap();
            assert!(login.is_some(), "{key}");
            assert_eq!(found(&auths(&[key]), "q.io/ns/app").unwrap(), None);
        }
        assert_eq!(found(&auths(&["q.io/v1"]), "q.io/app").unwrap(), None);
        let both = auths(&["https://q.io/v1/", "q.io"]);
        assert_eq!(
            found(&both, "q.io/a").unwrap(),
            Some(basic("q.io", "pass:word"))
        );
    }

    #[test]
    fn an_entry_has_its_credentials_in_one_of_three_forms() {
        let entry = |entry: &str| {
            let text = format!(r#"{{"auths": {{"q.io": {entry}}}}}"#);
            found(&text, "q.io/app").unwrap()
        };
        // `user:word`, alone and filled up with zeros.
        for auth in ["dXNlcjp3b3Jk", "dXNlcjp3b3JkAAA=", r" dXNlcjp3b3Jk\n"] {
            let login = entry(&format!(r#"{{"auth": "{auth}", "email": "x"}}"#));
            assert_eq!(login, Some(basic("user", "word")));
        }
        let login = entry(r#"{"username": "user", "password": "wo:rd"}"#);
        assert_eq!(login, Some(basic("user", "wo:rd")));
        let token = Some(Login::IdentityToken("t".to_owned()));
        assert_eq!(entry(r#"{"identitytoken": "t"}"#), token);
        assert_eq!(
            entry(r#"{"auth": "MDAwOg==", "identitytoken": "t"}"#),
            token
        );
        for empty in [
            "{}",
            "null",
            r#"{"auth": ""}"#,
            r#"{"auth": null, "identitytoken": ""}"#,
            r#"{"username": "user"}"#,
            r#"{"auth": "dXNlcjo="}"#,
        ] {
            assert_eq!(entry(empty), None, "{empty}");
        }
    }

    #[test]
    fn an_empty_entry_gives_way_to_a_less_specific_one() {
        let text = r#"{"auths": {"q.io/ns": {}, "q.io": {}, "https://q.io": {"auth": "dTpw"}}}"#;
        assert_eq!(found(text, "q.io/ns/app").unwrap(), Some(basic("u", "p")));
    }

    #[test]
    fn files_without_credentials_are_fine() {
        for text in [
            "",
            "\n",
            "{}",
            r#"{"auths": {}}"#,
            r#"{"auths": null, "credHelpers": null, "credsStore": ""}"#,
            r#"{"HttpHeaders": {"a": "b"}, "psFormat": "x"}"#,
        ] {
            assert_eq!(found(text, "q.io/app").unwrap(), None, "{text}");
        }
    }

    #[test]
    fn files_count_in_their_order_and_need_not_exist() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: Option<String>| {
            let path = directory.path().join(name);
            if let Some(text) = text {
                fs::write(&path, text).unwrap();
            }
            AuthFile {
                path,
                is_required: false,
            }
        };
        let files = [
            file("missing", None),
            file("one", Some(auths(&["one.io", "https://both.io"]))),
            file("two", Some(auths(&["two.io", "both.io/ns"]))),
        ];
        let user = |image: &str| match find(&files, &name(image)).unwrap() {
            Some(Login::Basic { user, .. }) => user,
            other => panic!("{other:?}"),
        };
        assert_eq!(user("one.io/a"), "one.io");
        assert_eq!(user("two.io/a"), "two.io");
        assert_eq!(user("both.io/ns/a"), "https//both.io");
        assert_eq!(find(&files, &name("other.io/a")).unwrap(), None);
        assert_eq!(find(&[], &name("one.io/a")).unwrap(), None);
    }

    #[test]
    fn a_file_that_the_user_chose_must_exist() {
        let file = AuthFile {
            path: "/nonexistent/my auth.json".into(),
            is_required: true,
        };
        let error = find(&[file], &name("q.io:5000/a")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read credentials from `/nonexistent/my auth.json`: there is no such file"
        );
        assert_eq!(
            error.hint().unwrap(),
            "log in first: `podman login --authfile '/nonexistent/my auth.json' q.io:5000`"
        );
        let directory = AuthFile {
            path: "/".into(),
            is_required: false,
        };
        let error = find(&[directory], &name("q.io/a")).unwrap_err();
        assert!(matches!(error, CredentialError::Read { .. }), "{error}");
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line_and_without_its_contents() {
        for (text, line) in [
            ("{\n\"auths\": {\"q.io\": \"s3cret\"}}", 2),
            ("{\n\n\"auths\": {\"q.io\": {\"auth\": [\"s3cret\"]}}}", 3),
            ("{\"auths\": {\"q.io\": {\"auth\": \"s3cret\"\n\n", 3),
            ("{\"auths\": s3cret}", 1),
            ("s3cret", 1),
        ] {
            let error = found(text, "q.io/app").unwrap_err();
            let all = format!("{error} {error:?}");
            assert!(!all.contains("s3cret"), "{all}");
            let start = format!("`/home/u/auth.json` is malformed at line {line}: ");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_malformed_entry_is_named_by_its_key() {
        for auth in ["!s3cret", "czNjcmV0", "/w=="] {
            let text = format!(r#"{{"auths": {{"https://q.io": {{"auth": "{auth}"}}}}}}"#);
            let error = found(&text, "q.io/app").unwrap_err();
            let start = "the entry `https://q.io` of `/home/u/auth.json` is malformed: its `auth` ";
            assert!(error.to_string().starts_with(start), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"));
            assert!(error.hint().unwrap().ends_with(" q.io`"));
            assert_eq!(found(&text, "r.io/app").unwrap(), None);
        }
    }

    /// Answers with the server as the user name.
    const ECHO: &str = r#"read -r server; printf '{"ServerURL":"x","Username":"%s","Secret":"%s"}' "$server" "$1""#;

    #[test]
    fn helpers_of_a_registry_go_before_entries_and_those_before_the_store() {
        let helpers = Helpers::new(&[
            ("echo", ECHO),
            (
                "token",
                r#"echo '{"ServerURL":"","Username":"<token>","Secret":"t"}'"#,
            ),
            (
                "none",
                "echo 'credentials not found in native keychain'; exit 1",
            ),
        ]);
        let text = r#"{
            "auths": {"q.io/ns": {"auth": "dTpw"}, "r.io": {"auth": "dTpw"}, "s.io": {}},
            "credHelpers": {"q.io": "echo", "https://t.io": "token", "u.io": "none"},
            "credsStore": "echo"
        }"#;
        let login = |image: &str| found_with(text, image, &helpers.programs()).unwrap();
        assert_eq!(login("q.io/ns/app"), Some(basic("q.io", "get")));
        assert_eq!(login("r.io/app"), Some(basic("u", "p")));
        assert_eq!(login("s.io/app"), Some(basic("s.io", "get")));
        assert_eq!(
            login("t.io/app"),
            Some(Login::IdentityToken("t".to_owned()))
        );
        assert_eq!(login("u.io/app"), None);
        assert_eq!(
            login("app"),
            Some(basic("https://index.docker.io/v1/", "get"))
        );
    }

    #[test]
    fn a_helper_of_docker_hub_is_asked_for_the_key_that_names_it() {
        let helpers = Helpers::new(&[("echo", ECHO)]);
        for key in [
            "docker.io",
            "index.docker.io",
            "https://index.docker.io/v1/",
        ] {
            let text = format!(r#"{{"credHelpers": {{"{key}": "echo"}}}}"#);
            let login = found_with(&text, "app", &helpers.programs()).unwrap();
            assert_eq!(login, Some(basic(key, "get")));
        }
    }

    #[test]
    fn a_file_whose_helper_has_nothing_gives_way_to_the_next_file() {
        let helpers = Helpers::new(&[("none", "echo 'No credentials' >&2; exit 3")]);
        let directory = tempfile::tempdir().unwrap();
        let texts = [
            r#"{"auths": {"q.io": {"auth": "b25lOnA="}}, "credHelpers": {"q.io": "none"}}"#,
            r#"{"credsStore": "none"}"#,
            r#"{"auths": {"q.io": {"auth": "dHdvOnA="}}}"#,
        ];
        let files = [0, 1, 2].map(|index| {
            let path = directory.path().join(index.to_string());
            fs::write(&path, texts[index]).unwrap();
            AuthFile {
                path,
                is_required: true,
            }
        });
        let login = find_with(&files, &name("q.io/app"), &helpers.programs());
        assert_eq!(login.unwrap(), Some(basic("two", "p")));
    }

    #[test]
    fn a_missing_or_failing_helper_is_an_error() {
        let helpers = Helpers::new(&[
            ("bad", "echo; echo 'cannot reach the vault'; exit 1"),
            ("slow", "sleep 20"),
        ]);
        let programs = helpers.programs();
        let error = |text: &str| found_with(text, "q.io/app", &programs).unwrap_err();
        for text in [
            r#"{"credHelpers": {"q.io": "gone"}}"#,
            r#"{"credsStore": "gone"}"#,
        ] {
            let error = error(text);
            assert_eq!(
                error.to_string(),
                "the credential helper `docker-credential-gone` that `/home/u/auth.json` names is not in PATH"
            );
            assert_eq!(
                error.hint().unwrap(),
                "install `docker-credential-gone`, or remove its name from `/home/u/auth.json`"
            );
        }
        assert_eq!(
            error(r#"{"credsStore": "bad"}"#).to_string(),
            "the credential helper `docker-credential-bad` that `/home/u/auth.json` names failed: \
             cannot reach the vault"
        );
        let programs = Programs {
            patience: Duration::from_millis(500),
            ..programs
        };
        let error = found_with(r#"{"credsStore": "slow"}"#, "q.io/app", &programs).unwrap_err();
        assert!(matches!(error, CredentialError::Helper { .. }), "{error}");
    }

    #[test]
    fn credentials_of_the_command_line_need_both_parts() {
        assert_eq!(Login::parse("u:p:q").unwrap(), basic("u", "p:q"));
        for text in ["", "u", "u:", ":p", ":"] {
            let error = Login::parse(text).unwrap_err();
            assert_eq!(
                error.to_string(),
                "credentials must have the form USER:PASSWORD"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        for login in [
            basic("user", "s3cret"),
            Login::IdentityToken("s3cret".to_owned()),
        ] {
            assert!(!format!("{login:?} {login:#?}").contains("s3cret"));
        }
        assert_eq!(
            format!("{:?}", basic("user", "x")),
            r#"Basic { user: "user", .. }"#
        );
    }
}
