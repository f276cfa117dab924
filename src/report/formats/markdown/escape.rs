//! Escapes text for markdown. The text may come from an image, so it must not act as markup.

use crate::report::formats::markup;
use crate::report::printable;

/// Longer texts are cut, so that one name cannot use up the space of a comment.
const MOST_CHARS: usize = 1000;

/// A code span. Markdown has no markup, mentions or links in it.
pub(super) fn code(text: &str) -> String {
    let text = shown(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    // Markdown strips one space from both ends.
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code span in a table cell. In a cell `|` is escaped even in code, but a backslash before it cannot be. Text with
/// such a backslash becomes plain text instead.
pub(super) fn code_in_cell(text: &str) -> String {
    match text.contains("\\|") || text.ends_with('\\') {
        true => escaped(text),
        false => code(text).replace('|', "\\|"),
    }
}

/// Plain text in markdown.
pub(super) fn escaped(text: &str) -> String {
    inert(text, |c, escaped| match c {
        '&' => escaped.push_str("&amp;"),
        '<' => escaped.push_str("&lt;"),
        '>' => escaped.push_str("&gt;"),
        '|' | '`' | '\\' | '*' | '_' | '[' | ']' | '~' => escaped.extend(['\\', c]),
        _ => escaped.push(c),
    })
}

/// Plain text in a line of HTML.
pub(super) fn escaped_in_html(text: &str) -> String {
    inert(text, |c, escaped| {
        escaped.push_str(&markup::escaped(c.encode_utf8(&mut [0; 4])));
    })
}

/// Escapes each character, and prevents links.
///
/// GitHub and GitLab look for mentions, issues, labels, formulas, emoji and addresses in plain text after everything
/// else. They do not look across the boundary of an element.
fn inert(text: &str, escape: impl Fn(char, &mut String)) -> String {
    let text = shown(text);
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match rest.peek().is_some_and(|next| begins_reference(c, *next)) {
            true => {
                escaped.push_str("<span>");
                escape(c, &mut escaped);
                escaped.push_str("</span>");
            }
            false => escape(c, &mut escaped),
        }
    }
    escaped
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
        .replace("GH-", "GH<span>-</span>")
        .replace("gh-", "gh<span>-</span>")
}

fn shown(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn longest_run(text: &str, of: char) -> usize {
    let runs = text.split(|c| c != of);
    runs.map(str::len).max().unwrap_or(0)
}

fn begins_reference(c: char, next: char) -> bool {
    match c {
        '@' | '#' | '!' | '$' | '%' | '^' | '~' | '&' => !next.is_whitespace() && next != ')',
        ':' => next.is_alphanumeric() || matches!(next, '+' | '-'),
        _ => false,
    }
}
