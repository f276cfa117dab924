//! Strings made to fit a width. Each character counts as one column.

/// What tells paths apart is their end: the file's name stays, and a third at most goes to the
/// start.
pub(super) fn cut_in_the_middle(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let file_name = text
        .rfind('/')
        .map_or(0, |slash| text[slash..].chars().count());
    let head = kept.saturating_sub(file_name).min(kept / 3);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - (kept - head)).collect();
    format!("{start}…{end}")
}

pub(super) fn cut_at_the_end(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", start.trim_end())
}

/// Words in lines of this width.
pub(super) fn wrapped(text: &str, width: usize) -> String {
    joined(text.split(' '), " ", width)
}

/// Parts in lines of this width, the joint between those of one line. A part is never broken: it has a longer
/// line to itself.
pub(super) fn joined<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    joint: &str,
    width: usize,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for part in parts {
        let length = part.chars().count();
        match lines.last_mut() {
            Some(line) if joint.len() + length <= room => {
                line.push_str(joint);
                line.push_str(part);
                room -= joint.len() + length;
            }
            _ => {
                lines.push(part.to_owned());
                room = width.saturating_sub(length);
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
