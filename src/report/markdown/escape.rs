//! Text that an image may have chosen, as markdown that says no more than the text.

use crate::report::{markup, printable};

/// A code span, in which nothing is a mention or a link. What could end it, or the table cell that
/// it stands in, makes it plain text instead.
pub(super) fn code(text: &str) -> String {
    let text = printable(text);
    match text.contains(['`', '\\', '|']) {
        _ if text.trim().is_empty() => String::new(),
        true => escaped(&text),
        false => format!("`{text}`"),
    }
}

/// Plain text within markdown.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '|' | '`' | '\\' | '*' | '_' | '[' | ']' | '~' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    inert(&escaped)
}

/// Plain text within a line of HTML.
pub(super) fn escaped_in_html(text: &str) -> String {
    inert(&markup::escaped(text))
}

/// GitHub makes links of plain text after everything else: mentions, numbers of issues, addresses. Nothing of this
/// happens across an element or a character's number.
fn inert(text: &str) -> String {
    text.replace('@', "<span>@</span>")
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
        .replace('#', "<span>#</span>")
        .replace("&<span>#</span>", "&#")
}
