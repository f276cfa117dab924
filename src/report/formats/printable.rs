//! Makes text from images safe to print. A path could contain an escape sequence that redraws the terminal, or a
//! command to a CI service.

use std::borrow::Cow;

/// Escapes every character that a terminal would obey instead of show: controls, line breaks, and characters that
/// reorder or hide the text around them. Also escapes the second character of anything that begins a command to a CI
/// service.
pub fn printable(text: &str) -> Cow<'_, str> {
    let mut escaped = String::new();
    let mut before = [' ', ' '];
    for (place, c) in text.char_indices() {
        let is_hidden = is_unprintable(c);
        let is_escaped = is_hidden || begins_command(before, c);
        if is_escaped && escaped.is_empty() {
            escaped.push_str(&text[..place]);
        }
        match (is_hidden, is_escaped) {
            (true, _) => escaped.extend(c.escape_default()),
            (false, true) => escaped.extend(c.escape_unicode()),
            (false, false) if !escaped.is_empty() => escaped.push(c),
            _ => {}
        }
        before = [before[1], c];
    }
    match escaped.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(escaped),
    }
}

/// Whether a character completes the beginning of a command to a CI service. GitHub reads `::` at the start of a line.
/// GitHub, Azure and TeamCity read `##[`, `##vso[` and `##teamcity[` anywhere in it. A line may be wrapped at any
/// space, so a space counts as the start of a line.
fn begins_command(before: [char; 2], c: char) -> bool {
    match (before, c) {
        ([_, '#'], '#') => true,
        ([space, ':'], ':') => space.is_whitespace(),
        _ => false,
    }
}

/// Whether the character is a control (C0, delete, C1), a line separator, or an invisible character of Unicode's
/// bidirectional algorithm ("Trojan Source").
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_reordering_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\x1b[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(printable("\u{9b}x\u{202e}y"), "\\u{9b}x\\u{202e}y");
        for (command, shown) in [
            (
                "##vso[task.setvariable x]",
                "#\\u{23}vso[task.setvariable x]",
            ),
            ("a ##[group]", "a #\\u{23}[group]"),
            ("::add-mask::x", ":\\u{3a}add-mask::x"),
            ("a ::error::", "a :\\u{3a}error::"),
            ("a::b", "a::b"),
        ] {
            assert_eq!(printable(command), shown);
        }
        assert!(matches!(printable("größe/名"), Cow::Borrowed(_)));
    }
}
