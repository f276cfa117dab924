//! Text from images is hostile: an escape sequence in a path could redraw the terminal, and a CI service could take
//! another for its own command.

use std::borrow::Cow;

/// The text with every character escaped that a terminal would obey rather than show: controls,
/// line breaks, and those that reorder or hide the text around them. Where a CI service would find a command in its
/// log, the second character of what begins it is escaped too.
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

/// Whether a character completes what a command of a CI service begins with: `::` at the beginning of a line (GitHub),
/// `##[` and `##vso[` anywhere in it (GitHub, Azure), `##teamcity[`. Lines may be wrapped at any space.
fn begins_command(before: [char; 2], c: char) -> bool {
    match (before, c) {
        ([_, '#'], '#') => true,
        ([space, ':'], ':') => space.is_whitespace(),
        _ => false,
    }
}

/// Controls (C0, delete, C1), line separators, and the invisible characters of Unicode's
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
