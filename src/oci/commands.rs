//! Finds the paths that a config's commands may name. It reads words and does not judge what they mean.

use std::collections::HashMap;

use serde_json::Value;

/// Environment variables: values by name.
type Variables<'a> = HashMap<&'a str, &'a str>;

/// Commands and options whose next word is a directory that the words after it are relative to.
pub(crate) const CHANGES_DIRECTORY: [&str; 5] = ["cd", "pushd", "-C", "--chdir", "--directory"];

/// Maximum number of words, and of base directories, to examine. Real commands have fewer, and the limits bound the
/// cost of hostile ones.
const MOST_WORDS: usize = 10_000;
const MOST_DIRECTORIES: usize = 50;

/// Maximum number of bytes in a path (PATH_MAX in linux/limits.h), in a text after filling in variables, and in all
/// words together.
const LONGEST_PATH: usize = 4096;
const LONGEST: usize = 64 << 10;
const MOST_BYTES: usize = 1 << 20;

/// Every path that entrypoint, command, health check or environment may name. The paths are absolute, and `..` and
/// shell wildcards stay in them.
///
/// This reads generously, so most of the paths do not exist. Each string counts as a whole and as its words, split as
/// a shell splits them, with variables filled in. Each word is taken relative to the working directory, to the
/// directories of `PATH`, and to each directory that a `cd` before it names.
pub fn named_paths(config: &Value) -> Vec<String> {
    let environment = environment(config);
    let working_directory = config.pointer("/config/WorkingDir").and_then(Value::as_str);
    let start = joined("/", working_directory.unwrap_or(""));
    let mut bases = vec![start.clone()];
    for (_, value) in environment.iter().filter(|(name, _)| name == "PATH") {
        bases.extend(value.split(':').map(|part| joined(&start, part)));
    }
    let mut paths = vec![start.clone()];
    let mut here = start.clone();
    let mut changes = false;
    let mut bytes = 0;
    let words = words(config, &environment).into_iter();
    let words = words.filter(|word| word.len() <= LONGEST_PATH);
    for word in &words.take(MOST_WORDS).collect::<Vec<_>>() {
        bytes += word.len();
        if bytes > MOST_BYTES {
            break;
        }
        if changes {
            let there = joined(&here, word);
            bases.extend([joined(&start, word), there.clone()]);
            here = there;
        }
        changes = CHANGES_DIRECTORY.contains(&&**word);
        bases.truncate(MOST_DIRECTORIES);
        paths.extend(bases.iter().map(|base| joined(base, word)));
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Words of entrypoint, command and health check in this order, followed by words of the environment's values.
fn words(config: &Value, environment: &[(String, String)]) -> Vec<String> {
    let pointers = ["Entrypoint", "Cmd", "Healthcheck/Test"];
    // If a variable has several values, the last one counts.
    let variables = environment.iter();
    let variables: Variables<'_> = variables.map(|(name, value)| (&**name, &**value)).collect();
    let mut words = Vec::new();
    for pointer in pointers {
        match config.pointer(&format!("/config/{pointer}")) {
            Some(Value::String(text)) => push_words(&mut words, text, &variables),
            Some(Value::Array(list)) => {
                for text in list.iter().filter_map(Value::as_str) {
                    push_words(&mut words, text, &variables);
                }
            }
            _ => {}
        }
    }
    for (_, value) in environment {
        push_words(&mut words, value, &Variables::new());
    }
    words
}

fn push_words(words: &mut Vec<String>, text: &str, variables: &Variables<'_>) {
    let text = with_variables(text, variables);
    let is_quote = |c: char| matches!(c, '\'' | '"' | '\\' | '{' | '}');
    let unquoted = |word: &str| word.replace(is_quote, "");
    words.push(text.clone());
    let parts = text.split(is_separator).map(unquoted);
    words.extend(parts.filter(|part| !part.is_empty() && *part != text));
}

/// Whether this character ends a word of a command, or a part of a word that may be a path.
pub(crate) fn is_separator(c: char) -> bool {
    c.is_whitespace() || ";&|<>()`=:,".contains(c)
}

/// Fills in `$NAME` and `${NAME}` once, from left to right. If the result exceeds [`LONGEST`], returns `text`
/// unchanged.
fn with_variables(text: &str, variables: &Variables<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        let after = &rest[1..];
        let inner = after.strip_prefix('{').unwrap_or(after);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, tail) = inner.split_at(inner.find(|c| !is_word(c)).unwrap_or(inner.len()));
        let value = variables.get(name);
        let tail = match inner.len() == after.len() {
            true => Some(tail),
            false => tail.strip_prefix('}'),
        };
        match (value, tail) {
            (Some(value), Some(tail)) => {
                filled.push_str(value);
                rest = tail;
            }
            _ => {
                filled.push('$');
                rest = after;
            }
        }
        if filled.len() > LONGEST {
            return text.to_owned();
        }
    }
    filled.push_str(rest);
    filled
}

fn environment(config: &Value) -> Vec<(String, String)> {
    let list = config.pointer("/config/Env").and_then(Value::as_array);
    let variables = list.into_iter().flatten().filter_map(Value::as_str);
    variables
        .filter_map(|variable| variable.split_once('='))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// A word as a path: relative to `base`, unless it is absolute.
pub(crate) fn joined(base: &str, word: &str) -> String {
    match word.starts_with('/') {
        true => word.to_owned(),
        false => format!("{}/{word}", base.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_found_in_every_form_of_a_command() {
        let expected = "/app/__pycache__/bot.pyc";
        for run in [
            json!({"Cmd": ["python", expected]}),
            json!({"Cmd": ["python", "__pycache__/bot.pyc"], "WorkingDir": "/app"}),
            json!({"Cmd": ["python", "bot.pyc"], "WorkingDir": "/app/__pycache__/"}),
            json!({"Cmd": ["python", "app/__pycache__/bot.pyc"]}),
            json!({"Entrypoint": ["/bin/sh", "-c", "exec python /app/__pycache__/bot.pyc --x"]}),
            json!({"Entrypoint": "python /app/__pycache__/bot.pyc"}),
            json!({"Cmd": ["/bin/sh", "-c", "cd /app && python __pycache__/bot.pyc"]}),
            json!({"Cmd": ["/bin/sh", "-c", "cd app;python '__pycache__/bot.pyc'"]}),
            json!({"Cmd": ["/bin/sh", "-c", "cd /app && cd __pycache__ && python bot.pyc"]}),
            json!({"Cmd": ["env", "-C", "/app", "python", "__pycache__/bot.pyc"]}),
            json!({"Cmd": ["env", "--chdir=/app", "python", "__pycache__/bot.pyc"]}),
            json!({"Cmd": ["sh", "-c", "python ${APP}/__pycache__/bot.pyc"], "Env": ["APP=/app", "A=/b"]}),
            json!({"Cmd": ["sh", "-c", "python \"$APP/__pycache__/bot.pyc\""], "Env": ["A=/b", "APP=/app"]}),
            json!({"Healthcheck": {"Test": ["CMD-SHELL", "python /app/__pycache__/bot.pyc || exit 1"]}}),
            json!({"Healthcheck": {"Test": ["CMD", "python", expected]}}),
            json!({"Env": ["PYTHONSTARTUP=/app/__pycache__/bot.pyc"]}),
            json!({"Cmd": ["bot.pyc"], "Env": ["PATH=/bin:/app/__pycache__"]}),
            json!({"Cmd": ["run", "--script=/app/__pycache__/bot.pyc"]}),
        ] {
            let found = named_paths(&json!({ "config": run }));
            assert!(
                found.iter().any(|path| path == expected),
                "{run}: {found:?}"
            );
        }
    }

    #[test]
    fn a_path_with_a_space_counts_whole() {
        let found = named_paths(&json!({"config": {"Cmd": ["python", "/my app/bot.pyc"]}}));
        assert!(found.contains(&"/my app/bot.pyc".to_owned()));
    }

    #[test]
    fn a_config_that_says_nothing_names_the_root_alone() {
        for config in [
            json!({}),
            json!({"config": null}),
            json!({"config": {"Cmd": 3, "Env": [1]}}),
        ] {
            assert_eq!(named_paths(&config), ["/"], "{config}");
        }
    }

    #[test]
    fn variables_are_filled_in_once_and_not_without_end() {
        let environment = |list: &[String]| super::environment(&json!({"config": {"Env": list}}));
        let filled = |text: &str, environment: &[(String, String)]| {
            let variables = environment.iter();
            let variables = variables.map(|(name, value)| (&**name, &**value));
            with_variables(text, &variables.collect())
        };
        let once = environment(&["A=$B".to_owned(), "B=b".to_owned(), "AB=c".to_owned()]);
        for (text, expected) in [
            ("$A-${B}/$AB", "$B-b/c"),
            ("$C ${A $", "$C ${A $"),
            ("${A}B", "$BB"),
        ] {
            assert_eq!(filled(text, &once), expected);
        }
        let long = environment(&[format!("A={}", "x".repeat(40_000))]);
        assert_eq!(filled("$A$A$A", &long), "$A$A$A");
    }
}
