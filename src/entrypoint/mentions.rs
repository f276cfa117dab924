//! Finds the bytecode that a script mentions, for any use.

use crate::oci::commands::{CHANGES_DIRECTORY, is_separator, joined};

/// Maximum number of words of one script, of directories that they may be relative to, and of paths of all scripts of
/// an image.
const MOST_WORDS: usize = 30;
const MOST_DIRECTORIES: usize = 5;
pub(super) const MOST_PATHS: usize = 500;

/// Absolute paths, with shell wildcards, of the bytecode in a text. Each word with `.pyc` or `__pycache__` is taken
/// relative to each of `directories`, and to those that the text changes to.
///
/// This does not understand the text. Parts that only a shell knows, such as `$NAME`, `$(command)` and `{one,other}`,
/// match anything. A directory of that kind stands for any of those directories.
pub(super) fn mentioned(text: &str, directories: &[&str]) -> Vec<String> {
    if !is_bytecode(text) {
        return Vec::new();
    }
    let text = with_wildcards(text);
    let words: Vec<&str> = text
        .split(is_separator)
        .filter(|it| !it.is_empty())
        .collect();
    let mut directories: Vec<String> = directories.iter().map(|it| (*it).to_owned()).collect();
    for pair in words.windows(2) {
        if CHANGES_DIRECTORY.contains(&pair[0]) && directories.len() < MOST_DIRECTORIES {
            let last = directories.last().map_or("/", |it| it);
            directories.push(joined(last, pair[1]));
        }
    }
    let words = words.into_iter().filter(|word| is_bytecode(word));
    let places = words.take(MOST_WORDS).flat_map(|word| {
        // `$HERE/__pycache__/m.pyc`, or `$(command)/__pycache__/m.pyc` without the part in parentheses.
        let (first, rest) = word.split_once('/').unwrap_or((word, ""));
        let is_unknown = first.is_empty() || first.contains('*');
        [word].into_iter().chain(is_unknown.then_some(rest))
    });
    let paths = places.flat_map(|place| directories.iter().map(|it| joined(it, place)));
    paths.collect()
}

fn is_bytecode(word: &str) -> bool {
    word.contains(".pyc") || word.contains("__pycache__")
}

/// The text without quotes. Parts that only a shell knows become `*`.
fn with_wildcards(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(['$', '{', '\'', '"', '\\']) {
        out.push_str(&rest[..place]);
        rest = &rest[place..];
        let known = match rest.as_bytes()[0] {
            b'$' => expansion(rest),
            b'{' => list(rest),
            _ => Some((1, "")),
        };
        let (length, wildcard) = known.unwrap_or((1, &rest[..1]));
        out.push_str(wildcard);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The length of an expansion in bytes: `$NAME`, `$1`, `${NAME%/*}`, or the `$` of `$(command)`.
fn expansion(text: &str) -> Option<(usize, &'static str)> {
    let after = &text[1..];
    let length = match after.chars().next()? {
        '{' => end_of_braces(after)? + 1,
        '(' => 0,
        c if c == '_' || c.is_ascii_alphabetic() => after
            .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
            .unwrap_or(after.len()),
        c if c.is_ascii_digit() || "@*#?$!-".contains(c) => 1,
        _ => return None,
    };
    Some((1 + length, "*"))
}

/// The length of `{one,other}` in bytes.
fn list(text: &str) -> Option<(usize, &'static str)> {
    let end = end_of_braces(text)?;
    let inner = &text[1..end];
    let is_list = inner.contains(',') && !inner.contains(char::is_whitespace);
    is_list.then_some((end + 1, "*"))
}

/// The end of the brace at the start of a text, if it ends soon.
fn end_of_braces(text: &str) -> Option<usize> {
    text.bytes().take(256).position(|byte| byte == b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytecode_is_found_whatever_a_script_does_with_it() {
        for text in [
            "cp /app/__pycache__/m.pyc /tmp/x.pyc",
            "[ -f \"/app/__pycache__/m.pyc\" ] || exit 1",
            "M='/app/__pycache__/m.pyc'\nexec python < $M",
            "cd /app/__pycache__ && python m.pyc",
            "cd /app; cd __pycache__; exec python m.pyc",
            "cd \"$(dirname \"$0\")\"; exec python __pycache__/m.pyc",
            "HERE=$(cd \"$(dirname \"$0\")\" && pwd)\npython $HERE/__pycache__/m.pyc",
            "python \"$(pwd)/__pycache__/m.pyc\"",
            "python \"${0%/*}/__pycache__/m.pyc\"",
            "exec uwsgi --wsgi-file=/app/__pycache__/m.pyc",
        ] {
            let found = mentioned(text, &["/srv", "/app"]);
            let expected = "/app/__pycache__/m.pyc".to_owned();
            assert!(found.contains(&expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_only_a_shell_knows_may_be_anything() {
        for (text, expected) in [
            (
                "python /app/__pycache__/bot.*.pyc",
                "/app/__pycache__/bot.*.pyc",
            ),
            (
                "python \"/app/__pycache__/\"bot.*.pyc",
                "/app/__pycache__/bot.*.pyc",
            ),
            (
                "python /app/__pycache__/$b.39.pyc",
                "/app/__pycache__/*.39.pyc",
            ),
            (
                "python /app/__pycache__/${b:-x}.pyc",
                "/app/__pycache__/*.pyc",
            ),
            (
                "python /app/__pycache__/{a,b}.pyc",
                "/app/__pycache__/*.pyc",
            ),
            ("cd /app/__pycache__\npython /x.py", "/app/__pycache__"),
        ] {
            let found = mentioned(text, &["/"]);
            assert!(found.contains(&expected.to_owned()), "{text}: {found:?}");
        }
    }

    #[test]
    fn a_text_without_bytecode_mentions_none() {
        assert_eq!(mentioned("exec python /app/bot.py", &["/"]), [""; 0]);
        for text in ["", "$", "${", "$(", "{a,b", "é$é{é,", "\\"] {
            let found = mentioned(&format!("{text} m.pyc"), &["/"]);
            assert_eq!(found, ["/m.pyc"], "{text}");
        }
        let long = "m.pyc ".repeat(10_000);
        assert_eq!(mentioned(&long, &["/a", "/b"]).len(), 2 * MOST_WORDS);
    }
}
