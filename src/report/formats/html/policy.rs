//! The page's Content-Security-Policy. It allows the page's own script and styles by their hashes, and nothing else.

use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

/// Returns the policy of a page with these scripts and styles. Each is the exact text between its tags.
///
/// Bars have their width in a style attribute, which the policy allows. A browser without `style-src-elem` allows all
/// styles.
pub(super) fn policy(script: &str, styles: &[&str]) -> String {
    let styles: Vec<String> = styles.iter().map(|style| source(style)).collect();
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; style-src-elem {}; script-src {}; img-src data:",
        styles.join(" "),
        source(script)
    )
}

/// The source expression for a script or style (Content Security Policy Level 3, "hash-source").
fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example in the specification, "hash-usage".
    #[test]
    fn a_script_is_named_by_its_hash() {
        let source = source("alert('Hello, world.');");
        assert_eq!(
            source,
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }
}
