//! Loads built-in profiles and files, and applies `--set`. Refuses unknown keys.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, fstat};
use toml::{Table, Value};

use super::Profile;
use super::builtin::BUILT_IN;
use super::error::{LARGEST, ProfileError};
use super::schema::{KEYS, Schema, check};

/// Time to wait until something opens the other end of a pipe.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// Loads the profile with that name or path, then applies `KEY=VALUE` settings.
///
/// # Errors
/// [`ProfileError`] if the profile does not exist, cannot be read or is not valid.
pub fn load(name: &str, settings: &[String]) -> Result<Profile, ProfileError> {
    let text = match BUILT_IN.iter().find(|profile| profile.name == name) {
        Some(profile) => profile.toml.to_owned(),
        None => read_file(name)?,
    };
    parse(name, &text, settings)
}

fn read_file(name: &str) -> Result<String, ProfileError> {
    let path = Path::new(name);
    let looks_like_path = name.contains('/') || path.extension().is_some() || path.exists();
    if !looks_like_path {
        return Err(ProfileError::Unknown {
            name: name.to_owned(),
        });
    }
    let read = |source| ProfileError::Read {
        path: name.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(read)?;
    if bytes.len() as u64 > LARGEST {
        return Err(ProfileError::TooLarge {
            path: name.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| read(io::Error::other("it is not UTF-8 text")))
}

/// Opens a file, or waits for a writer to open a pipe.
fn open(path: &Path) -> io::Result<impl Read> {
    // Without `NONBLOCK`, opening a pipe that nobody writes to would wait for ever.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let start = match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::Fifo => start_of_pipe(&mut file)?,
        _ => Vec::new(),
    };
    fcntl_setfl(&file, OFlags::empty())?;
    Ok(io::Cursor::new(start).chain(file))
}

/// Reads the first byte of a pipe, if one is ready. Waits a limited time for a writer.
fn start_of_pipe(pipe: &mut File) -> io::Result<Vec<u8>> {
    // A pipe that had a writer is ready, even if that writer wrote nothing.
    let is_ready = poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&PATIENCE))? > 0;
    let mut byte = [0];
    match pipe.read(&mut byte) {
        Ok(0) if !is_ready => {
            let reason = "nothing writes to this pipe";
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        }
        Ok(count) => Ok(byte[..count].to_vec()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(name: &str, text: &str, settings: &[String]) -> Result<Profile, ProfileError> {
    let malformed = |error: toml::de::Error| ProfileError::Malformed {
        name: name.to_owned(),
        text: error.to_string().trim_end().to_owned(),
        nearest: nearest_key(error.message()),
    };
    // Parse the text alone first: its errors have lines. Errors of the table with settings do not.
    let own: Schema = toml::from_str(text).map_err(malformed)?;
    if settings.is_empty() {
        return check(name, own);
    }
    let mut table: Table = toml::from_str(text).map_err(malformed)?;
    for setting in settings {
        apply_setting(&mut table, setting)?;
    }
    let of_settings = |reason: String| ProfileError::Set {
        text: settings.join(" --set "),
        reason,
    };
    let schema = table
        .try_into()
        .map_err(|error: toml::de::Error| of_settings(error.to_string().trim_end().to_owned()))?;
    check(name, schema).map_err(|error| match error {
        // The profile is valid without the settings.
        ProfileError::Value { reason, .. } if check(name, own).is_ok() => of_settings(reason),
        error => error,
    })
}

fn apply_setting(table: &mut Table, setting: &str) -> Result<(), ProfileError> {
    let error = |reason: &str| ProfileError::Set {
        text: setting.to_owned(),
        reason: reason.to_owned(),
    };
    let (key, value) = setting
        .split_once('=')
        .ok_or_else(|| error("it has no `=`"))?;
    let value = parse_value(value.trim()).map_err(|reason| error(&reason))?;
    let (section, key) = match key.trim().split_once('.') {
        Some((section, key)) => (Some(section), key),
        None => (None, key.trim()),
    };
    let target = match section {
        None => table,
        Some(section) => {
            let entry = table
                .entry(section.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            entry
                .as_table_mut()
                .ok_or_else(|| error("its first part is not a table"))?
        }
    };
    target.insert(key.to_owned(), value);
    Ok(())
}

/// Parses a value as TOML. If that fails, takes it as a word, so that `--set stale=keep` needs no nested quotes.
///
/// # Errors
/// The parser's message, if a list, table or quoted text is malformed.
fn parse_value(text: &str) -> Result<Value, String> {
    let word = || Value::String(text.to_owned());
    match toml::from_str::<Table>(&format!("value = {text}")) {
        // TOML reads the version 3.10 as the number 3.1. No key takes such a number.
        Ok(mut table) => Ok(match table.remove("value") {
            Some(Value::Float(_)) | None => word(),
            Some(value) => value,
        }),
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
            Err(format!("its value is not valid TOML: {}", error.message()))
        }
        Err(_) => Ok(word()),
    }
}

/// The valid key that is most similar to the unknown key in a parser's message, if one is similar enough.
fn nearest_key(message: &str) -> Option<&'static str> {
    let unknown = message.strip_prefix("unknown field `")?.split('`').next()?;
    let (distance, key) = KEYS
        .iter()
        .map(|key| (strsim::damerau_levenshtein(unknown, key), *key))
        .min()?;
    // A short word with that many mistakes does not resemble any key.
    (distance <= 3 && distance * 2 <= unknown.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Levels, Stale};
    use crate::pyc::Level;

    #[test]
    fn every_built_in_profile_is_sound() {
        for profile in BUILT_IN {
            let loaded = load(profile.name, &[]).unwrap();
            assert!(!loaded.description.is_empty(), "{}", profile.name);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let error = parse("p", "levels = [0]\nlvels = [1]\n", &[]).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("did you mean `levels`?"));
        let error = parse("p", "[runtime]\ndont_write_bytecod = true\n", &[]).unwrap_err();
        assert_eq!(
            error.hint().as_deref(),
            Some("did you mean `dont_write_bytecode`?")
        );
        let error = parse("p", "name = \"p\"\n", &[]).unwrap_err();
        assert_eq!(error.hint(), None);
    }

    #[test]
    fn settings_override_the_profile_and_are_checked_like_it() {
        let set = |text: &str| load("default", &[text.to_owned()]);
        assert_eq!(
            set("levels=[1, 0, 1]").unwrap().levels.to_string(),
            "[0, 1]"
        );
        assert_eq!(set("stale=keep").unwrap().stale, Stale::Keep);
        assert!(!set("hardlink=false").unwrap().hardlink);
        assert!(set("packages.rpmdb=leave").is_ok());
        assert_eq!(set("levels=auto").unwrap().levels, Levels::Auto);
        // TOML would read this version as the number 3.1.
        for text in ["python=3.10", "python=\"3.10\""] {
            let version = set(text).unwrap().python.otherwise.unwrap();
            assert_eq!(version.to_string(), "3.10", "{text}");
        }
        for wrong in [
            "python=3",
            "python={\"app/**\" = 3.10}",
            "levels=[3]",
            "stale=maybe",
            "nonsense=1",
            "levels",
            "levels.x=1",
            "include=[\"[\"]",
            "runtime=1",
            "levels=[0",
            "stale=\"keep",
        ] {
            let error = set(wrong).unwrap_err();
            assert!(matches!(error, ProfileError::Set { .. }), "{error}");
            let hint = error.hint().unwrap();
            let is_without_value = !wrong.contains('=');
            assert_eq!(hint.contains("KEY=VALUE"), is_without_value, "{hint}");
        }
        for text in ["python = 3.10", "[python]\n'app/**' = 3.10"] {
            let error = parse("p", text, &[]).unwrap_err().to_string();
            assert!(error.contains("quotes"), "{error}");
        }
        let profile = parse("p", "levels = [3]", &["stale=keep".to_owned()]);
        assert!(matches!(profile, Err(ProfileError::Value { .. })));
    }

    #[test]
    fn a_profile_that_says_nothing_has_the_defaults_of_one_that_lists_its_levels() {
        let parsed = parse("p", "levels = [0, 2]", &[]).unwrap();
        let made = Profile::keeping(&[Level::Zero, Level::Two]);
        let keys = |it: &Profile| {
            let Profile {
                levels,
                stale,
                dead,
                hardlink,
                missing,
                debug_ranges,
                placement,
                invalidation,
                ..
            } = it.clone();
            (
                (levels, stale, dead, hardlink),
                (missing, debug_ranges, placement, invalidation),
            )
        };
        assert_eq!(keys(&made), keys(&parsed));
        assert!(made.scope.contains(b"a") && parsed.scope.contains(b"a"));
        assert_eq!(made.python.otherwise, parsed.python.otherwise);
    }

    #[test]
    fn dead_sets_every_kind_and_the_key_of_a_kind_overrides_it() {
        use crate::profile::{Dead, DeadKeys};
        let dead = |text: &str| parse("p", text, &[]).unwrap().dead;
        assert_eq!(dead(""), DeadKeys::DEFAULT);
        assert_eq!(dead("dead = \"strip\""), DeadKeys::all(Dead::Strip));
        assert_eq!(dead("dead = \"keep\""), DeadKeys::all(Dead::Keep));
        type Value = fn(&DeadKeys) -> Dead;
        let kinds: [(&str, Value); 5] = [
            ("orphan", |keys| keys.orphan),
            ("foreign", |keys| keys.foreign),
            ("malformed", |keys| keys.malformed),
            ("hidden", |keys| keys.hidden),
            ("shadowed", |keys| keys.shadowed),
        ];
        for (kind, value) in kinds {
            let keys = dead(&format!("{kind} = \"keep\"\ndead = \"strip\""));
            let kept = kinds.iter().filter(|(_, value)| value(&keys) == Dead::Keep);
            assert_eq!(kept.count(), 1, "{kind}");
            assert_eq!(value(&keys), Dead::Keep, "{kind}");
            let set = load(
                "default",
                &["dead=keep".to_owned(), format!("{kind}=strip")],
            );
            assert_eq!(value(&set.unwrap().dead), Dead::Strip, "{kind}");
        }
        let error = parse("p", "shadwed = \"keep\"", &[]).unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("did you mean `shadowed`?"));
    }

    #[test]
    fn what_a_later_version_does_is_refused_by_name() {
        for setting in [
            "sourceless=[\"**\"]",
            "runtime.dont_write_bytecode=true",
            "runtime.pycache_prefix=/var/cache/python",
            "packages.rpmdb=mark",
        ] {
            let error = load("default", &[setting.to_owned()]).unwrap_err();
            assert!(
                matches!(error, ProfileError::NotYet { .. }),
                "{setting}: {error}"
            );
            assert!(
                error
                    .to_string()
                    .contains(setting.split('=').next().unwrap()),
                "{error}"
            );
        }
    }

    #[test]
    fn scope_is_what_is_included_and_not_excluded() {
        let profile = parse(
            "p",
            "include = [\"/usr/**\"]\nexclude = [\"usr/lib/*/x.pyc\"]",
            &[],
        )
        .unwrap();
        assert!(profile.scope.contains(b"usr/lib/a/b/x.pyc"));
        assert!(!profile.scope.contains(b"usr/lib/a/x.pyc"));
        assert!(!profile.scope.contains(b"opt/x.pyc"));
    }
}
