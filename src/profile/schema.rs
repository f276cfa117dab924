//! The TOML keys of a profile, and the checks of their values.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::error::ProfileError;
use super::{
    Dead, DeadKeys, InvalidationMode, Levels, Missing, Placement, Profile, PythonVersions, Scope,
    Stale,
};
use crate::pyc::{Level, Runtime};

/// All keys of a profile.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Schema {
    description: String,
    levels: RawLevels,
    missing: Missing,
    stale: Stale,
    dead: Option<Dead>,
    orphan: Option<Dead>,
    foreign: Option<Dead>,
    malformed: Option<Dead>,
    hidden: Option<Dead>,
    shadowed: Option<Dead>,
    hardlink: bool,
    invalidation: InvalidationMode,
    debug_ranges: bool,
    placement: Placement,
    include: Vec<String>,
    exclude: Vec<String>,
    sourceless: Vec<String>,
    python: RawPython,
    runtime: RawRuntime,
    packages: Packages,
}

impl Default for Schema {
    fn default() -> Self {
        Self {
            description: String::new(),
            levels: RawLevels::Listed(vec![0]),
            missing: Missing::Leave,
            stale: Stale::Strip,
            dead: None,
            orphan: None,
            foreign: None,
            malformed: None,
            hidden: None,
            shadowed: None,
            hardlink: true,
            invalidation: InvalidationMode::Keep,
            debug_ranges: true,
            placement: Placement::Append,
            include: vec!["**".to_owned()],
            exclude: Vec::new(),
            sourceless: Vec::new(),
            python: RawPython::Globs(toml::Table::new()),
            runtime: RawRuntime::default(),
            packages: Packages {
                rpmdb: Rpmdb::Leave,
            },
        }
    }
}

/// All keys, including those in tables, for the hint about a misspelt key.
pub(super) const KEYS: [&str; 23] = [
    "description",
    "levels",
    "missing",
    "stale",
    "dead",
    "orphan",
    "foreign",
    "malformed",
    "hidden",
    "shadowed",
    "hardlink",
    "invalidation",
    "debug_ranges",
    "placement",
    "include",
    "exclude",
    "sourceless",
    "python",
    "runtime",
    "packages",
    "dont_write_bytecode",
    "pycache_prefix",
    "rpmdb",
];

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a list of levels from 0 to 2, or \"auto\""
)]
enum RawLevels {
    Listed(Vec<u8>),
    Word(String),
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a version in quotes, such as \"3.11\", or a table of versions by globs"
)]
enum RawPython {
    Version(String),
    Globs(toml::Table),
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawRuntime {
    dont_write_bytecode: bool,
    pycache_prefix: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packages {
    rpmdb: Rpmdb,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Rpmdb {
    Mark,
    Leave,
}

pub(super) fn check(name: &str, schema: Schema) -> Result<Profile, ProfileError> {
    refuse_what_is_not_there_yet(name, &schema)?;
    let value_error = |reason: String| ProfileError::Value {
        name: name.to_owned(),
        reason,
    };
    let dead = dead_keys(&schema);
    Ok(Profile {
        name: name.to_owned(),
        description: schema.description,
        levels: levels(&schema.levels).map_err(value_error)?,
        stale: schema.stale,
        dead,
        hardlink: schema.hardlink,
        missing: schema.missing,
        debug_ranges: schema.debug_ranges,
        placement: schema.placement,
        invalidation: schema.invalidation,
        python: python(&schema.python).map_err(value_error)?,
        scope: Scope {
            include: included(&schema.include).map_err(value_error)?,
            exclude: globs(&schema.exclude).map_err(value_error)?,
            each: each_glob(&[schema.include, schema.exclude].concat()).map_err(value_error)?,
        },
    })
}

/// `dead` sets all kinds. The key of a kind overrides it.
fn dead_keys(schema: &Schema) -> DeadKeys {
    let all = schema.dead.map_or(DeadKeys::DEFAULT, DeadKeys::all);
    DeadKeys {
        orphan: schema.orphan.unwrap_or(all.orphan),
        foreign: schema.foreign.unwrap_or(all.foreign),
        malformed: schema.malformed.unwrap_or(all.malformed),
        hidden: schema.hidden.unwrap_or(all.hidden),
        shadowed: schema.shadowed.unwrap_or(all.shadowed),
    }
}

/// Refuses keys and values that this version does not support. Ignoring them would mislead the user.
fn refuse_what_is_not_there_yet(name: &str, schema: &Schema) -> Result<(), ProfileError> {
    const CONFIG: &str = "change the image's config";
    let asked = [
        (
            !schema.sourceless.is_empty(),
            "sourceless",
            "put bytecode in the place of sources",
        ),
        (
            schema.runtime.dont_write_bytecode,
            "runtime.dont_write_bytecode",
            CONFIG,
        ),
        (
            !schema.runtime.pycache_prefix.is_empty(),
            "runtime.pycache_prefix",
            CONFIG,
        ),
        (
            schema.packages.rpmdb == Rpmdb::Mark,
            "packages.rpmdb = \"mark\"",
            "edit package databases",
        ),
    ];
    match asked.into_iter().find(|(asked, ..)| *asked) {
        Some((_, setting, verb)) => Err(ProfileError::NotYet {
            name: name.to_owned(),
            setting: setting.to_owned(),
            verb,
        }),
        None => Ok(()),
    }
}

fn levels(raw: &RawLevels) -> Result<Levels, String> {
    match raw {
        RawLevels::Word(word) if word == "auto" => Ok(Levels::Auto),
        RawLevels::Word(word) => Err(format!(
            "`levels` is `{word}`; it takes a list of levels from 0 to 2, or \"auto\""
        )),
        RawLevels::Listed(numbers) => {
            let level = |number: &u8| {
                Level::from_number(*number)
                    .ok_or_else(|| format!("there is no level {number}; levels are 0, 1 and 2"))
            };
            let mut levels = numbers.iter().map(level).collect::<Result<Vec<_>, _>>()?;
            levels.sort();
            levels.dedup();
            Ok(Levels::Listed(levels))
        }
    }
}

fn python(raw: &RawPython) -> Result<PythonVersions, String> {
    match raw {
        RawPython::Version(text) => Ok(PythonVersions {
            otherwise: Some(version(text)?),
            each: Vec::new(),
        }),
        RawPython::Globs(table) => {
            let each = table.iter().map(|(pattern, value)| {
                let set = globs(std::slice::from_ref(pattern))?;
                // The number 3.10 arrives as 3.1, so only text is certain.
                let text = value.as_str().ok_or_else(|| {
                    format!(
                        "`python` has a value without quotes for `{pattern}`; write it as \"3.11\""
                    )
                })?;
                Ok((set, version(text)?))
            });
            Ok(PythonVersions {
                otherwise: None,
                each: each.collect::<Result<_, String>>()?,
            })
        }
    }
}

fn version(text: &str) -> Result<Runtime, String> {
    let version: Result<Runtime, _> = text.parse();
    version.map_err(|_| format!("`python` has `{text}`; it takes a version such as \"3.11\""))
}

/// Compiles each glob separately, to find those that match nothing.
fn each_glob(patterns: &[String]) -> Result<Vec<(String, GlobSet)>, String> {
    let each = patterns.iter().map(|pattern| {
        let set = globs(std::slice::from_ref(pattern))?;
        Ok((pattern.clone(), set))
    });
    each.collect()
}

/// The paths to include; `None` for all of them.
fn included(patterns: &[String]) -> Result<Option<GlobSet>, String> {
    match patterns {
        [pattern] if pattern == "**" => Ok(None),
        _ => globs(patterns).map(Some),
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // Paths have no leading slash, but people write one.
        let relative = pattern.strip_prefix('/').unwrap_or(pattern);
        let glob = GlobBuilder::new(relative).literal_separator(true).build();
        set.add(glob.map_err(|error| format!("glob `{pattern}`: {}", error.kind()))?);
    }
    set.build().map_err(|error| error.to_string())
}
