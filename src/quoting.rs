//! Quoting text for shell commands.

/// Quotes `text` so that a shell reads it as one word.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_split_is_quoted() {
        assert_eq!(quoted("oci:app:v1"), "oci:app:v1");
        assert_eq!(quoted("my app's.tar"), r"'my app'\''s.tar'");
    }
}
