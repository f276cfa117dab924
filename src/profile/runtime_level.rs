//! The optimization level that an image's config runs Python at: read, never changed.

use serde_json::Value;

use crate::pyc::Level;

/// The level of `PYTHONOPTIMIZE` in the config's environment, or of `-O` and `-OO` where the
/// entrypoint or command starts Python with them; the higher one, as CPython takes it.
///
/// `None` for levels above 2, whose caches have names of their own.
pub fn runtime_level(config: &Value) -> Option<Level> {
    let from_environment =
        variable(config, "PYTHONOPTIMIZE").map_or(0, |value| level_of_variable(&value));
    let number = from_environment.max(flags(config));
    u8::try_from(number).ok().and_then(Level::from_number)
}

/// The value of a variable in the config's environment, the last one where there are several.
pub fn variable(config: &Value, name: &str) -> Option<String> {
    let variables = config.pointer("/config/Env")?.as_array()?;
    let mut values = variables.iter().filter_map(|variable| {
        let (key, value) = variable.as_str()?.split_once('=')?;
        (key == name).then_some(value)
    });
    values.next_back().map(str::to_owned)
}

/// An empty value counts as unset, and any that is no positive number as 1 (CPython's `_Py_get_env_flag`).
fn level_of_variable(value: &str) -> u32 {
    match value {
        "" => 0,
        _ => value
            .parse()
            .map_or(1, |number: i64| u32::try_from(number).unwrap_or(1)),
    }
}

fn flags(config: &Value) -> u32 {
    let words = |key: &str| -> Vec<String> {
        let list = config.pointer(key).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let command = [words("/config/Entrypoint"), words("/config/Cmd")].concat();
    let Some(python) = command.iter().position(|word| is_python(word)) else {
        return 0;
    };
    let options = command[python + 1..]
        .iter()
        .take_while(|word| word.starts_with('-') && !ends_options(word));
    options
        .filter(|word| !word.starts_with("--"))
        .map(|word| word.matches('O').count() as u32)
        .sum()
}

fn is_python(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    name.strip_prefix("python")
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// `-c` and `-m` end the interpreter's own options.
fn ends_options(word: &str) -> bool {
    !word.starts_with("--") && (word.contains('c') || word.contains('m'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_level_comes_from_environment_and_flags() {
        let cases = [
            (json!({}), Some(Level::Zero)),
            (
                json!({"config": {"Env": ["PATH=/bin", "PYTHONOPTIMIZE=2"]}}),
                Some(Level::Two),
            ),
            (
                json!({"config": {"Env": ["PYTHONOPTIMIZE=yes"]}}),
                Some(Level::One),
            ),
            (
                json!({"config": {"Env": ["PYTHONOPTIMIZE="]}}),
                Some(Level::Zero),
            ),
            (json!({"config": {"Env": ["PYTHONOPTIMIZE=7"]}}), None),
            (
                json!({"config": {"Entrypoint": ["/usr/bin/python3.11", "-OO"], "Cmd": ["-m", "OOO"]}}),
                Some(Level::Two),
            ),
            (
                json!({"config": {"Cmd": ["python3", "-u", "-O", "app.py", "-O"]}}),
                Some(Level::One),
            ),
            (json!({"config": {"Cmd": ["gcc", "-O"]}}), Some(Level::Zero)),
        ];
        for (config, expected) in cases {
            assert_eq!(runtime_level(&config), expected, "{config}");
        }
    }
}
