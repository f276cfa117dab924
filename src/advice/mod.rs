//! Recommends a profile for an image, based on its config and content.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::entrypoint::{Reading, variable};
use crate::inventory::{Cache, Inventory, Status};
use crate::oci::Image;
use crate::plan::{CompileOutcome, plan, removed_caches};
use crate::profile::{Missing, Policy, Profile, Stale};
use crate::pyc::{Header, Invalidation, Level, StaleReason};

/// Which profile fits an image, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The reasons for the recommended profile.
    pub reasons: Vec<String>,
    /// The profiles to choose from.
    pub choices: Vec<Choice>,
    /// Facts that the image does not reveal.
    pub unknown: Vec<String>,
}

/// A profile, and its effect on the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The profile's name, with the settings to add.
    pub profile: String,
    /// Whether the settings include `missing=compile`.
    pub compiles: bool,
    /// Whether the settings include `stale=compile`.
    pub recompiles: bool,
    /// Whether this is the recommended choice.
    pub recommended: bool,
    /// Bytes of the caches that the profile removes from layers, as `minimize` counts them.
    pub removed_bytes: u64,
    /// Estimate of the removed bytes when compressed, from the compression ratio of each layer.
    pub saved_compressed_bytes: u64,
    /// Number of modules that Python would then compile itself when they are imported.
    pub compiled_at_start: u64,
}

/// How Python runs according to the config.
struct RunSettings {
    /// The level. `None` if it is above 2: caches of such levels have other names.
    level: Option<Level>,
    /// Why the image does not tell the level. `level` is then the one that its environment sets.
    unclear: Option<String>,
    user: String,
    dont_write_bytecode: bool,
    pycache_prefix: String,
    starts_python: bool,
}

impl RunSettings {
    fn of(config: &Value, launch: &Reading) -> Self {
        let text = |pointer| {
            config
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let words = |pointer| config.pointer(pointer).and_then(Value::as_array);
        let command = [words("/config/Entrypoint"), words("/config/Cmd")];
        let mut command = command.into_iter().flatten().flatten();
        let first = command.find_map(Value::as_str).unwrap_or("");
        let program = first.rsplit('/').next().unwrap_or(first);
        let is_set = |name| variable(config, name).is_some_and(|value| !value.is_empty());
        Self {
            level: launch.assumed_level(),
            unclear: launch.level().err(),
            user: text("/config/User").to_owned(),
            dont_write_bytecode: is_set("PYTHONDONTWRITEBYTECODE"),
            pycache_prefix: variable(config, "PYTHONPYCACHEPREFIX").unwrap_or_default(),
            // The image runs Python even if the command is `python --version`, which `starts` does not include.
            starts_python: !launch.starts.is_empty() || program.starts_with("python"),
        }
    }

    /// Whether Python can write caches at a start, for the next start in the same container.
    fn writes_caches(&self) -> bool {
        let user = self.user.split(':').next().unwrap_or("");
        matches!(user, "" | "root" | "0") && !self.dont_write_bytecode
    }
}

/// Returns advice for an image, or `None` if the image has no Python trees.
///
/// `missing` is the number of modules without a cache at the level at which the image runs Python. If that level is
/// above 2, it is the number at level 0. Compiling is recommended if at least `many` caches are missing.
pub(crate) fn advise(
    image: &Image,
    inventory: &Inventory,
    missing: usize,
    many: usize,
) -> Option<Advice> {
    if inventory.trees.is_empty() {
        return None;
    }
    let settings = RunSettings::of(&image.config, &inventory.launch);
    // Above level 2, the caches of level 0 stand for all modules. Python uses neither, unless caches of its own level
    // exist.
    let level = settings.level.unwrap_or(Level::Zero);
    let is_used = settings.level.is_some() && settings.pycache_prefix.is_empty();
    let compiles = is_used && missing >= many;
    let beyond = inventory.caches.iter().filter(|it| it.level.is_none());
    let of_level = inventory.caches.iter().filter(|it| it.level == Some(level));
    let (useful, useless): (Vec<_>, Vec<_>) = of_level.partition(|it| it.status.is_useful());
    // If Python ignores a cache, it compiles the source at every start. An orphan has no source, so it does not count.
    let ignored = useless.iter().filter(|it| it.status != Status::Orphan);
    let without = (missing + ignored.count()) as u64;
    let all = without + useful.len() as u64;
    let stale = useless.iter().filter(|it| is_stale(it)).count();
    let recompiles = is_used && !compiles && (stale >= many || stale > useful.len());
    let advised = Choice {
        recommended: is_used,
        compiled_at_start: match (is_used, compiles, recompiles) {
            (false, ..) => all,
            (true, true, _) => 0,
            (true, false, true) => without - stale as u64,
            (true, false, false) => without,
        },
        ..choice(
            inventory,
            profile(level, &settings),
            &keeping(level, compiles, recompiles),
            &[level],
        )
    };
    let none = Choice {
        recommended: !is_used,
        compiled_at_start: all,
        ..choice(inventory, "minimal".to_owned(), &Profile::keeping(&[]), &[])
    };
    let mut reasons = reasons(&settings, missing, many);
    if recompiles || (compiles && stale > 0) {
        reasons.push(format!(
            "Python ignores {stale} stale caches: removing them saves bytes, and compiling them again saves time at every start"
        ));
    }
    reasons.extend(rewritten(inventory, &useless));
    Some(Advice {
        reasons,
        choices: vec![advised, none],
        unknown: unknown(&settings, compiles || recompiles, beyond.count()),
    })
}

/// The profile that keeps only this level, which is the level at which the image runs Python. `auto` refuses an image
/// whose level is unclear.
fn profile(level: Level, settings: &RunSettings) -> String {
    match (level, &settings.unclear) {
        (Level::Zero, _) => "default".to_owned(),
        (_, None) => "auto".to_owned(),
        (level, Some(_)) => format!("default --set 'levels=[{level}]'"),
    }
}

/// The profile that keeps a level, and compiles what is missing or stale.
fn keeping(level: Level, compiles: bool, recompiles: bool) -> Profile {
    let mut profile = Profile::keeping(&[level]);
    if compiles {
        profile.missing = Missing::Compile;
    }
    if recompiles {
        profile.stale = Stale::Compile;
    }
    profile
}

/// A profile with its settings, and the bytes that it removes. `name` is what the user writes for `profile`, without the
/// settings that compile.
fn choice(inventory: &Inventory, name: String, profile: &Profile, levels: &[Level]) -> Choice {
    let policy = Policy { profile, levels };
    let plan = plan(inventory, &policy, &CompileOutcome::default());
    let (mut removed_bytes, mut saved_compressed_bytes) = (0, 0.0);
    for (scan, removed) in inventory
        .layers
        .iter()
        .zip(removed_caches(inventory, &plan))
    {
        let ratio = scan.layer.descriptor.size() as f64 / scan.uncompressed_bytes.max(1) as f64;
        removed_bytes += removed.bytes;
        saved_compressed_bytes += removed.bytes as f64 * ratio;
    }
    Choice {
        profile: name,
        compiles: profile.missing == Missing::Compile,
        recompiles: profile.stale == Stale::Compile,
        recommended: false,
        removed_bytes,
        saved_compressed_bytes: saved_compressed_bytes as u64,
        compiled_at_start: 0,
    }
}

fn is_stale(cache: &Cache) -> bool {
    matches!(cache.status, Status::Stale(_) | Status::HashMismatch)
}

/// Reports that timestamps were rewritten. The evidence is several stale caches that record the current sizes of their
/// sources, if all these sources have the same time. Edits do not cause that, but `SOURCE_DATE_EPOCH` does.
fn rewritten(inventory: &Inventory, caches: &[&Cache]) -> Option<String> {
    let mut times = BTreeSet::new();
    let mut files = 0;
    for cache in caches {
        let Status::Stale(StaleReason::Mtime { source, .. }) = cache.status else {
            continue;
        };
        let header = cache.contents.as_ref().map(|it| Header::parse(&it.header));
        let size = inventory.rootfs.inode(cache.source_inode?).size;
        if let Some(Ok(header)) = header
            && matches!(header.invalidation, Invalidation::Timestamp { size: known, .. } if known == Some(size as u32))
        {
            times.insert(source);
            files += 1;
        }
    }
    (files > 1 && times.len() == 1).then(|| {
        format!(
            "timestamps were rewritten: {files} stale caches record the current sizes of their sources, and all those sources have the same mtime"
        )
    })
}

fn reasons(settings: &RunSettings, missing: usize, many: usize) -> Vec<String> {
    let mut reasons = vec![match (settings.level, &settings.unclear) {
        (Some(level), Some(reason)) => format!(
            "it is not clear at which level the image runs Python ({reason}): profile `auto` refuses the image, and this advice assumes level {level}"
        ),
        (Some(Level::Zero), None) => {
            "Python runs at level 0: the config uses neither PYTHONOPTIMIZE nor -O".to_owned()
        }
        (Some(level), None) => {
            format!("Python runs at level {level}: the config uses PYTHONOPTIMIZE or -O")
        }
        (None, _) => "Python runs at a level above 2, because the config uses PYTHONOPTIMIZE or -O: Python never reads caches of levels 0 to 2"
            .to_owned(),
    }];
    if !settings.pycache_prefix.is_empty() {
        reasons.push(format!(
            "Python reads caches only below {} (PYTHONPYCACHEPREFIX), and never those beside sources",
            settings.pycache_prefix
        ));
    }
    reasons.push(match (settings.writes_caches(), settings.dont_write_bytecode) {
        (true, _) => "the image runs as root and can write caches: Python compiles a missing cache once in each container".to_owned(),
        (false, true) => "Python may not write caches (PYTHONDONTWRITEBYTECODE): it compiles a module without a cache at every start".to_owned(),
        (false, false) => format!(
            "the image runs as user {}, who usually cannot write caches beside sources: Python compiles a module without a cache at every start",
            settings.user
        ),
    });
    if settings.level.is_some() && missing >= many {
        reasons.push(format!(
            "{missing} modules have no cache at the level at which the image runs Python"
        ));
    }
    reasons
}

/// `beyond` is the number of caches of levels above 2.
fn unknown(settings: &RunSettings, compiles: bool, beyond: usize) -> Vec<String> {
    let mut unknown = Vec::new();
    if settings.level.is_none() && beyond > 0 {
        unknown.push(format!(
            "which of the {beyond} caches above level 2 Python uses: pycull keeps them, and counts their modules as compiled at start"
        ));
    }
    if !settings.starts_python {
        unknown.push(
            "what the entrypoint starts: it is not Python, and may start Python with other options"
                .to_owned(),
        );
    }
    unknown.push(
        "whether containers run with a read-only root file system, or as another user".to_owned(),
    );
    unknown.push("which modules the image imports, and how long Python takes to compile them: `pycull bench IMAGE --import MODULE` measures it".to_owned());
    unknown.push(
        "the exact compressed saving: pycull estimates it from the compression ratio of each layer"
            .to_owned(),
    );
    if compiles {
        unknown.push("whether this machine can run the image's interpreter: compiling for another architecture needs `--python` or `--emulator`".to_owned());
    }
    unknown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rootfs::squash;

    fn settings(config: Value) -> RunSettings {
        let config = json!({ "config": config });
        let rootfs = squash([], &crate::limits::Limits::NONE.of_layers(0)).unwrap();
        let launch = crate::entrypoint::read(&config, &rootfs, &|_| None);
        RunSettings::of(&config, &launch)
    }

    #[test]
    fn who_can_write_caches_is_root_unless_told_not_to() {
        for (config, expected) in [
            (json!({}), true),
            (json!({"User": "root"}), true),
            (json!({"User": "0:0"}), true),
            (json!({"User": "app"}), false),
            (json!({"User": "1000"}), false),
            (json!({"Env": ["PYTHONDONTWRITEBYTECODE=1"]}), false),
            (json!({"Env": ["PYTHONDONTWRITEBYTECODE="]}), true),
        ] {
            assert_eq!(
                settings(config.clone()).writes_caches(),
                expected,
                "{config}"
            );
        }
    }

    #[test]
    fn what_is_said_follows_the_config() {
        let advice_on = |config| {
            let settings = settings(config);
            [reasons(&settings, 30, 10), unknown(&settings, true, 7)]
                .concat()
                .join("\n")
        };
        let plain = advice_on(json!({"Entrypoint": ["/usr/bin/python3", "app.py"]}));
        assert!(!plain.contains("above level 2"), "{plain}");
        assert!(
            plain.contains("as root") && !plain.contains("entrypoint"),
            "{plain}"
        );
        assert!(plain.contains("30 modules have no cache"));
        let unclear = advice_on(json!({"Entrypoint": ["/start"]}));
        assert!(
            unclear.contains("it is not clear at which level the image runs Python (`/start` is not in the image): profile `auto` refuses the image"),
            "{unclear}"
        );
        let other = advice_on(
            json!({"Cmd": ["sh"], "User": "app", "Env": ["PYTHONPYCACHEPREFIX=/var/pyc"]}),
        );
        assert!(
            other.contains("user app") && other.contains("/var/pyc"),
            "{other}"
        );
        assert!(other.contains("what the entrypoint starts"), "{other}");
        assert!(
            advice_on(json!({"Env": ["PYTHONDONTWRITEBYTECODE=x"]})).contains("at every start")
        );
        let beyond = advice_on(json!({"Cmd": ["python3", "-OOO"]}));
        assert!(
            beyond.contains("above 2")
                && beyond.contains("the 7 caches above level 2")
                && !beyond.contains("30 modules"),
            "{beyond}"
        );
    }

    #[test]
    fn where_auto_refuses_the_level_is_named() {
        let env = json!({"Entrypoint": ["/start"], "Env": ["PYTHONOPTIMIZE=1"]});
        let profile = |config| super::profile(Level::One, &settings(config));
        assert_eq!(profile(env), "default --set 'levels=[1]'");
        let clear = json!({"Cmd": ["/usr/bin/python3", "-O", "app.py"]});
        assert_eq!(profile(clear), "auto");
    }
}
