//! What `registries.conf` says about registries: short names, mirrors, other locations and blocked registries
//! (containers-registries.conf(5), version 2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::image_name::{ImageName, full_name, has_host, host_and_repository, on_docker_hub};
use super::registries_conf_error::RegistriesConfError;
use super::registries_file::{self, RegistryTable, drop_in_files, malformed, read_if_there};

/// The settings of all files. Later files replace settings of earlier ones.
#[derive(Debug, Default)]
pub(crate) struct RegistriesConf {
    /// By prefix.
    registries: BTreeMap<String, Registry>,
    /// Registries that short names may mean.
    search: Vec<String>,
    /// Full names by short name. An empty one removes the alias of an earlier file.
    aliases: BTreeMap<String, Alias>,
}

#[derive(Debug)]
struct Registry {
    file: PathBuf,
    table: RegistryTable,
}

#[derive(Debug)]
struct Alias {
    file: PathBuf,
    full_name: String,
}

/// A place where a registry's API may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The host, with its port if it has one.
    pub(crate) host: String,
    /// The path of the repository there.
    pub(crate) repository: String,
    /// Whether to accept plain HTTP and invalid certificates.
    pub(crate) is_insecure: bool,
    /// Whether the image's own registry is another one.
    pub(crate) is_mirror: bool,
}

impl RegistriesConf {
    /// Loads the first of the main files that exists. Then loads the `*.conf` files of the directories, in the order of
    /// their names within each directory.
    ///
    /// # Errors
    /// [`RegistriesConfError`] if a file cannot be read or is malformed.
    pub(crate) fn load(
        main: &[PathBuf],
        drop_in_directories: &[PathBuf],
    ) -> Result<Self, RegistriesConfError> {
        let mut conf = Self::default();
        for path in main {
            if let Some(text) = read_if_there(path)? {
                conf.add(path, &text)?;
                break;
            }
        }
        for directory in drop_in_directories {
            for path in drop_in_files(directory)? {
                if let Some(text) = read_if_there(&path)? {
                    conf.add(&path, &text)?;
                }
            }
        }
        Ok(conf)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), RegistriesConfError> {
        let document = registries_file::parse(path, text)?;
        for table in document.registry {
            let file = path.to_owned();
            let registry = Registry { file, table };
            self.registries
                .insert(registry.table.prefix.clone(), registry);
        }
        if let Some(search) = document.unqualified_search_registries {
            self.search = search;
        }
        for (short, full_name) in document.aliases {
            let file = path.to_owned();
            self.aliases.insert(short, Alias { file, full_name });
        }
        Ok(())
    }

    /// Where to look for an image: mirrors in their order, then the image's own registry.
    ///
    /// # Errors
    /// [`RegistriesConfError`] if the registry is blocked, or if a location does not lead to a repository.
    pub(crate) fn endpoints(&self, name: &ImageName) -> Result<Vec<Endpoint>, RegistriesConfError> {
        let full = name.without_version();
        let Some((prefix, registry)) = self.registry_of(&full)? else {
            return Ok(vec![own(name, false)]);
        };
        let rest = rest_after(prefix, &full).unwrap_or_default();
        let table = &registry.table;
        let has_digest = name.digest.is_some();
        let mut found = Vec::new();
        if has_digest || !table.mirror_by_digest_only {
            let mirrors = table.mirror.iter();
            for mirror in mirrors.filter(|mirror| mirror.pull_from_mirror.permits(has_digest)) {
                let (host, repository) = registry.relocated(&mirror.location, rest)?;
                let is_insecure = mirror.insecure;
                found.push(Endpoint {
                    host,
                    repository,
                    is_insecure,
                    is_mirror: true,
                });
            }
        }
        found.push(match table.location.is_empty() {
            true => own(name, table.insecure),
            false => {
                let (host, repository) = registry.relocated(&table.location, rest)?;
                let is_insecure = table.insecure;
                Endpoint {
                    host,
                    repository,
                    is_insecure,
                    is_mirror: false,
                }
            }
        });
        Ok(found)
    }

    /// Where to write an image: on the registry of its name. Other locations and mirrors are for reading only.
    ///
    /// # Errors
    /// [`RegistriesConfError`] if the registry is blocked.
    pub(crate) fn primary(&self, name: &ImageName) -> Result<Endpoint, RegistriesConfError> {
        let registry = self.registry_of(&name.without_version())?;
        Ok(own(
            name,
            registry.is_some_and(|(_, registry)| registry.table.insecure),
        ))
    }

    /// The full name of a short name without tag and digest: its alias, or the name on the only registry that short
    /// names may mean. Without any such registry, that is Docker Hub.
    ///
    /// # Errors
    /// [`RegistriesConfError`] if there are several such registries, or if the alias is malformed.
    pub(crate) fn resolve_short(&self, short: &str) -> Result<String, RegistriesConfError> {
        if let Some(alias) = self
            .aliases
            .get(short)
            .filter(|alias| !alias.full_name.is_empty())
        {
            return alias.checked(short);
        }
        match self.search.as_slice() {
            [] => Ok(on_docker_hub(short)),
            [host] => Ok(full_name(host, short)),
            hosts => Err(RegistriesConfError::SeveralRegistries {
                short: short.to_owned(),
                names: hosts.iter().map(|host| full_name(host, short)).collect(),
            }),
        }
    }

    /// Whether a short name, with or without a tag, has an alias.
    pub(crate) fn has_alias(&self, short: &str) -> bool {
        let name = short.split([':', '@']).next().unwrap_or(short);
        self.aliases.contains_key(name)
    }

    /// The table with the longest prefix of a name.
    fn registry_of(&self, full: &str) -> Result<Option<(&str, &Registry)>, RegistriesConfError> {
        let matching = self
            .registries
            .iter()
            .filter(|(prefix, _)| rest_after(prefix, full).is_some());
        let Some((prefix, registry)) = matching.max_by_key(|(prefix, _)| prefix.len()) else {
            return Ok(None);
        };
        match registry.table.blocked {
            true => Err(RegistriesConfError::Blocked {
                name: full.to_owned(),
                prefix: prefix.clone(),
                path: registry.file.clone(),
            }),
            false => Ok(Some((prefix, registry))),
        }
    }
}

impl Registry {
    /// The host and the repository of a name in another place.
    fn relocated(
        &self,
        location: &str,
        rest: &str,
    ) -> Result<(String, String), RegistriesConfError> {
        let full = format!("{}{rest}", location.trim_end_matches('/'));
        host_and_repository(&full).map_err(|fault| {
            malformed(
                &self.file,
                format!("location `{location}` leads to `{full}`, and {fault}"),
            )
        })
    }
}

impl Alias {
    /// The full name, if it has a host and neither tag nor digest.
    fn checked(&self, short: &str) -> Result<String, RegistriesConfError> {
        let bad = |fault: &dyn std::fmt::Display| {
            let full_name = &self.full_name;
            malformed(
                &self.file,
                format!("`{full_name}` cannot be the alias of `{short}`: {fault}"),
            )
        };
        if !has_host(&self.full_name) {
            return Err(bad(&"it does not start with a host"));
        }
        let (host, repository) =
            host_and_repository(&self.full_name).map_err(|fault| bad(&fault))?;
        Ok(format!("{host}/{repository}"))
    }
}

/// The image on the registry that its name has.
fn own(name: &ImageName, is_insecure: bool) -> Endpoint {
    Endpoint {
        host: name.host.clone(),
        repository: name.repository.clone(),
        is_insecure,
        is_mirror: false,
    }
}

/// The part of a name after a prefix that matches it: empty, or from a slash on. A prefix `*.DOMAIN` matches every host
/// below that domain.
fn rest_after<'a>(prefix: &str, full: &'a str) -> Option<&'a str> {
    let Some(domain) = prefix.strip_prefix('*') else {
        let rest = full.strip_prefix(prefix)?;
        return (rest.is_empty() || rest.starts_with('/')).then_some(rest);
    };
    let (host, rest) = full.split_at(full.find('/')?);
    // The format has no wildcard with a port, so one without stands for all ports.
    let without_port = host.split(':').next().unwrap_or_default();
    (host.ends_with(domain) || without_port.ends_with(domain)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::slice::from_ref;

    use super::super::testing::name;
    use super::*;

    fn conf(text: &str) -> RegistriesConf {
        try_conf(text).unwrap()
    }

    fn try_conf(text: &str) -> Result<RegistriesConf, RegistriesConfError> {
        let mut conf = RegistriesConf::default();
        conf.add(Path::new("/etc/r.conf"), text)?;
        Ok(conf)
    }

    /// `HOST/REPOSITORY` of each endpoint, with `!` for an insecure one and `+` for a mirror.
    fn places(conf: &RegistriesConf, text: &str) -> Vec<String> {
        let shown = |it: Endpoint| {
            let insecure = if it.is_insecure { "!" } else { "" };
            let mirror = if it.is_mirror { "+" } else { "" };
            format!("{mirror}{insecure}{}/{}", it.host, it.repository)
        };
        conf.endpoints(&name(text))
            .unwrap()
            .into_iter()
            .map(shown)
            .collect()
    }

    fn digest() -> String {
        format!("@sha256:{}", "0a".repeat(32))
    }

    #[test]
    fn without_a_table_the_name_says_where() {
        let conf = conf("");
        assert_eq!(places(&conf, "app:1"), ["docker.io/library/app"]);
        assert_eq!(places(&conf, "localhost:5000/a/b"), ["localhost:5000/a/b"]);
    }

    #[test]
    fn mirrors_go_before_the_location_of_the_prefix() {
        // The example of the manual page.
        let conf = conf(
            r#"
            unqualified-search-registries = ["example.com"]
            [[registry]]
            prefix = "example.com/foo"
            insecure = false
            blocked = false
            location = "internal-registry-for-example.com/bar"
            [[registry.mirror]]
            location = "example-mirror-0.local/mirror-for-foo"
            [[registry.mirror]]
            location = "example-mirror-1.local/mirrors/foo"
            insecure = true
            [[registry]]
            location = "registry.com"
            [[registry.mirror]]
            location = "mirror.registry.com"
            "#,
        );
        assert_eq!(
            places(&conf, "example.com/foo/image:latest"),
            [
                "+example-mirror-0.local/mirror-for-foo/image",
                "+!example-mirror-1.local/mirrors/foo/image",
                "internal-registry-for-example.com/bar/image",
            ]
        );
        assert_eq!(
            places(&conf, "registry.com/image"),
            ["+mirror.registry.com/image", "registry.com/image"]
        );
        assert_eq!(
            places(&conf, "example.com/food/image"),
            ["example.com/food/image"]
        );
        assert_eq!(
            places(&conf, "example.com/foo"),
            [
                "+example-mirror-0.local/mirror-for-foo",
                "+!example-mirror-1.local/mirrors/foo",
                "internal-registry-for-example.com/bar",
            ]
        );
    }

    #[test]
    fn the_longest_prefix_counts() {
        let conf = conf(
            r#"
            [[registry]]
            prefix = "q.io/"
            location = "one.io"
            [[registry]]
            prefix = "q.io/ns"
            location = "two.io/x/"
            [[registry]]
            prefix = "q.io/ns/app"
            insecure = true
            [[registry]]
            prefix = "docker.io/library"
            location = "hub.io/lib"
            "#,
        );
        assert_eq!(places(&conf, "q.io/a"), ["one.io/a"]);
        assert_eq!(places(&conf, "q.io/ns2/a"), ["one.io/ns2/a"]);
        assert_eq!(places(&conf, "q.io/ns/a"), ["two.io/x/a"]);
        assert_eq!(places(&conf, "q.io/ns/app:1"), ["!q.io/ns/app"]);
        assert_eq!(places(&conf, "q.io:5000/a"), ["q.io:5000/a"]);
        assert_eq!(places(&conf, "python:3"), ["hub.io/lib/python"]);
        assert_eq!(places(&conf, "ns/python"), ["docker.io/ns/python"]);
    }

    #[test]
    fn a_wildcard_stands_for_every_host_below_a_domain() {
        let conf = conf(
            r#"
            [[registry]]
            prefix = "*.example.com"
            insecure = true
            [[registry]]
            prefix = "*.far.example.com"
            location = "near.io/cache"
            [[registry.mirror]]
            location = "mirror.io"
            "#,
        );
        assert_eq!(places(&conf, "a.example.com/x"), ["!a.example.com/x"]);
        assert_eq!(
            places(&conf, "a.b.example.com:5000/x/y"),
            ["!a.b.example.com:5000/x/y"]
        );
        assert_eq!(
            places(&conf, "a.far.example.com/x"),
            ["+mirror.io/x", "near.io/cache/x"]
        );
        assert_eq!(
            places(&conf, "a.far.example.com:80/x"),
            ["+mirror.io/x", "near.io/cache/x"]
        );
        for other in ["example.com/x", "aexample.com/x", "q.io/a.example.com/x"] {
            assert_eq!(places(&conf, other), [other]);
        }
    }

    #[test]
    fn mirrors_may_be_for_digests_or_for_tags_only() {
        let each = conf(
            r#"
            [[registry]]
            location = "q.io"
            [[registry.mirror]]
            location = "all.io"
            pull-from-mirror = "all"
            [[registry.mirror]]
            location = "empty.io"
            pull-from-mirror = ""
            [[registry.mirror]]
            location = "digest.io"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "tag.io"
            pull-from-mirror = "tag-only"
            "#,
        );
        let digest = digest();
        for text in ["q.io/a", "q.io/a:1"] {
            assert_eq!(
                places(&each, text),
                ["+all.io/a", "+empty.io/a", "+tag.io/a", "q.io/a"]
            );
        }
        for text in [format!("q.io/a{digest}"), format!("q.io/a:1{digest}")] {
            assert_eq!(
                places(&each, &text),
                ["+all.io/a", "+empty.io/a", "+digest.io/a", "q.io/a"]
            );
        }
        let together = conf(
            "[[registry]]\nlocation = 'q.io'\nmirror-by-digest-only = true\nmirror = [{ location = 'm.io' }]",
        );
        assert_eq!(places(&together, "q.io/a:1"), ["q.io/a"]);
        assert_eq!(
            places(&together, &format!("q.io/a{digest}")),
            ["+m.io/a", "q.io/a"]
        );
    }

    #[test]
    fn a_blocked_registry_is_an_error_for_reading_and_writing() {
        let conf = conf("[[registry]]\nprefix = 'q.io/ns'\nlocation = 'other.io'\nblocked = true");
        let image = name("q.io/ns/app:1");
        for error in [
            conf.endpoints(&image).unwrap_err(),
            conf.primary(&image).unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "`/etc/r.conf` blocks `q.io/ns`, and therefore also `q.io/ns/app`"
            );
            assert!(error.hint().unwrap().contains("`blocked = false`"));
        }
        assert!(conf.endpoints(&name("q.io/app")).is_ok());
    }

    #[test]
    fn writing_goes_to_the_registry_of_the_name() {
        let conf = conf(
            "[[registry]]\nprefix = 'q.io'\nlocation = 'other.io'\ninsecure = true\nmirror = [{ location = 'm.io' }]",
        );
        let endpoint = conf.primary(&name("q.io/a/b:1")).unwrap();
        let expected = Endpoint {
            host: "q.io".to_owned(),
            repository: "a/b".to_owned(),
            is_insecure: true,
            is_mirror: false,
        };
        assert_eq!(endpoint, expected);
        assert!(!conf.primary(&name("r.io/a")).unwrap().is_insecure);
    }

    #[test]
    fn short_names_are_aliases_or_of_the_only_registry() {
        let resolve = |text: &str, short: &str| conf(text).resolve_short(short).unwrap();
        assert_eq!(resolve("", "app"), "docker.io/library/app");
        assert_eq!(resolve("", "ns/app"), "docker.io/ns/app");
        let one = "unqualified-search-registries = ['q.io:5000']";
        assert_eq!(resolve(one, "app"), "q.io:5000/app");
        let hub = "unqualified-search-registries = ['docker.io', 'docker.io/']";
        assert_eq!(resolve(hub, "app"), "docker.io/library/app");
        let aliases = "unqualified-search-registries = ['q.io']\n[aliases]\n\
            'app' = 'r.io/some/app'\n'ns/app' = 'docker.io/app'\n'gone' = ''";
        assert_eq!(resolve(aliases, "app"), "r.io/some/app");
        assert_eq!(resolve(aliases, "ns/app"), "docker.io/library/app");
        assert_eq!(resolve(aliases, "other/app"), "q.io/other/app");
        assert_eq!(resolve(aliases, "gone"), "q.io/gone");
    }

    #[test]
    fn a_short_name_of_several_registries_is_an_error_that_lists_them() {
        let conf = conf("unqualified-search-registries = ['q.io', 'docker.io']");
        let error = conf.resolve_short("app").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`app` is a short name, and registries.conf lists several registries for it: \
             q.io/app, docker.io/library/app"
        );
        assert_eq!(
            error.hint().unwrap(),
            "write one of the full names, for example `q.io/app`"
        );
    }

    #[test]
    fn an_alias_must_be_a_full_name_without_a_version() {
        for full in [
            "other",
            "ns/other",
            "q.io/a:1",
            "q.io/A",
            "q.io/",
            "https://q.io/a",
        ] {
            let conf = conf(&format!("[aliases]\napp = '{full}'"));
            let error = conf.resolve_short("app").unwrap_err().to_string();
            let start =
                format!("`/etc/r.conf` is malformed: `{full}` cannot be the alias of `app`: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn unknown_keys_are_ignored() {
        let conf = conf(
            "short-name-mode = 'enforcing'\ncredential-helpers = ['x']\nnew = 1\n\
             [[registry]]\nlocation = 'q.io'\nnew = 2\n[registries]",
        );
        assert_eq!(places(&conf, "q.io/a"), ["q.io/a"]);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_its_path_and_line() {
        let error = |text: &str| try_conf(text).unwrap_err().to_string();
        for (text, line) in [
            ("[[registry]]\nlocation = 'q.io'\ninsecure = 'yes'\n", 3),
            ("[[registry]\n", 1),
            ("\n\nunqualified-search-registries = 'q.io'", 3),
            (
                "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]\nlocation = 'm.io'\npull-from-mirror = 'x'",
                5,
            ),
            ("a = 1\na = 2", 2),
        ] {
            let start = format!("`/etc/r.conf` is malformed at line {line}: ");
            let error = error(text);
            assert!(error.starts_with(&start), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for text in [
            "[[registry]]\ninsecure = true",
            "[[registry]]\nlocation = 'https://q.io'",
            "[[registry]]\nprefix = 'http://q.io'\nlocation = 'q.io'",
            "[[registry]]\nlocation = 'q.io'\nmirror = [{ location = 'https://q.io' }]",
            "[[registry]]\nlocation = 'q.io'\nmirror = [{ location = '' }]",
            "[[registry]]\nprefix = 'a.*.io'\nlocation = 'q.io'",
            "[[registry]]\nprefix = '*.a.io/ns'\nlocation = 'q.io'",
            "unqualified-search-registries = ['q.io/ns']",
            "unqualified-search-registries = ['']",
        ] {
            assert!(
                error(text).starts_with("`/etc/r.conf` is malformed: "),
                "{text}"
            );
        }
    }

    #[test]
    fn a_location_must_lead_to_a_repository() {
        let conf = conf("[[registry]]\nprefix = 'q.io/app'\nlocation = 'other.io'");
        let error = conf.endpoints(&name("q.io/app")).unwrap_err().to_string();
        assert!(
            error.contains("location `other.io` leads to `other.io`"),
            "{error}"
        );
        assert_eq!(places(&conf, "q.io/app/x"), ["other.io/x"]);
    }

    #[test]
    fn version_one_of_the_format_is_refused() {
        let error = try_conf("[registries.block]\nregistries = ['q.io']").unwrap_err();
        assert!(
            matches!(error, RegistriesConfError::VersionOne { .. }),
            "{error}"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn later_files_replace_settings_of_earlier_ones() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        };
        let main = [
            directory.path().join("missing.conf"),
            write(
                "main.conf",
                "unqualified-search-registries = ['main.io']\n\
                 [[registry]]\nlocation = 'q.io'\nmirror = [{ location = 'm.io' }]\n\
                 [[registry]]\nlocation = 'kept.io'\ninsecure = true\n\
                 [aliases]\na = 'main.io/a'\nb = 'main.io/b'\nc = 'main.io/c'",
            ),
            write("unused.conf", "not TOML"),
        ];
        write(
            "one/20.conf",
            "[aliases]\na = 'twenty.io/a'\nb = 'twenty.io/b'",
        );
        write(
            "one/10.conf",
            "[aliases]\na = 'ten.io/a'\n[[registry]]\nprefix = 'q.io'\nlocation = 'ten.io'",
        );
        write("one/notes.txt", "not TOML");
        write("one/30.conf/file", "not TOML");
        write(
            "two/00.conf",
            "unqualified-search-registries = ['two.io']\n[aliases]\nb = ''",
        );
        for number in [16, 11, 18, 13, 19, 14, 12, 17, 15] {
            let text = format!("[aliases]\nd = 'r{number}.io/d'");
            write(&format!("one/{number}.conf"), &text);
        }
        let directories = ["one", "missing", "two"].map(|name| directory.path().join(name));
        let conf = RegistriesConf::load(&main, &directories).unwrap();
        assert_eq!(conf.resolve_short("a").unwrap(), "twenty.io/a");
        assert_eq!(conf.resolve_short("b").unwrap(), "two.io/b");
        assert_eq!(conf.resolve_short("c").unwrap(), "main.io/c");
        assert_eq!(conf.resolve_short("d").unwrap(), "r19.io/d");
        assert_eq!(places(&conf, "q.io/x"), ["ten.io/x"]);
        assert_eq!(places(&conf, "kept.io/x"), ["!kept.io/x"]);
    }

    #[test]
    fn no_file_at_all_is_fine_and_an_unreadable_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let conf = RegistriesConf::load(from_ref(&missing), from_ref(&missing)).unwrap();
        assert_eq!(conf.resolve_short("a").unwrap(), "docker.io/library/a");
        let error = RegistriesConf::load(&[directory.path().to_owned()], &[]).unwrap_err();
        assert!(matches!(error, RegistriesConfError::Read { .. }), "{error}");
    }
}
