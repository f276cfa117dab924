//! Fits strings to a width in terminal columns. Wide characters take two columns, and combining marks take none.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Width of a text in terminal columns.
pub(super) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Cuts a path in the middle. The end tells paths apart, so the file name stays. At most a third of the width goes to
/// the start.
pub(super) fn cut_in_the_middle(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let file_name = text.rfind('/').map_or(0, |slash| width(&text[slash..]));
    let head = kept.saturating_sub(file_name).min(kept / 3);
    let start = beginning(text.chars(), head);
    let end: Vec<char> = beginning(text.chars().rev(), kept - width(&start))
        .chars()
        .collect();
    let end: String = end.into_iter().rev().collect();
    format!("{start}…{end}")
}

pub(super) fn cut_at_the_end(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let start = beginning(text.chars(), most.saturating_sub(1));
    format!("{}…", start.trim_end())
}

/// The longest start of the text that fits.
fn beginning(characters: impl Iterator<Item = char>, most: usize) -> String {
    let mut room = most;
    let fits = characters.take_while(|c| {
        let left = room.checked_sub(c.width().unwrap_or(0));
        room = left.unwrap_or(0);
        left.is_some()
    });
    fits.collect()
}

/// Wraps words into lines of at most `most` columns.
pub(super) fn wrapped(text: &str, most: usize) -> String {
    joined(text.split(' '), " ", most)
}

/// Joins parts into lines of at most `most` columns, with `joint` between parts of one line. A part is never broken: a
/// long part has a longer line to itself.
pub(super) fn joined<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    joint: &str,
    most: usize,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for part in parts {
        let length = width(part);
        match lines.last_mut() {
            Some(line) if joint.len() + length <= room => {
                line.push_str(joint);
                line.push_str(part);
                room -= joint.len() + length;
            }
            _ => {
                lines.push(part.to_owned());
                room = most.saturating_sub(length);
            }
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_of_a_path_stays() {
        let path = "usr/lib/python3.11/email/policy.py";
        assert_eq!(cut_in_the_middle(path, 34), path);
        assert_eq!(cut_in_the_middle(path, 24), "usr/lib…/email/policy.py");
        assert_eq!(cut_in_the_middle(path, 12), "u…/policy.py");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut_in_the_middle("a/日本語.py", 9), "…本語.py");
        assert_eq!(cut_at_the_end("日本語", 4), "日…");
        assert_eq!(wrapped("日本 語", 5), "日本\n語");
    }

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrapped("a bc def", 4), "a bc\ndef");
        assert_eq!(wrapped("abcdef g", 3), "abcdef\ng");
        assert_eq!(wrapped("", 3), "");
        assert_eq!(joined(["ab", "c", "de"], "  ", 5), "ab  c\nde");
    }

    #[test]
    fn a_cut_is_seen() {
        assert_eq!(cut_at_the_end("pip install x", 5), "pip…");
        assert_eq!(cut_at_the_end("pip", 3), "pip");
    }
}
