//! What shell text consists of: words before expansion, and operators.

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal {
        text: String,
        quoted: bool,
    },
    /// `$name`, or `${name` with an operator and a word such as `:-default`.
    Variable {
        name: String,
        operator: String,
        operand: RawWord,
        quoted: bool,
    },
    /// The script of a command substitution.
    Command(String),
    /// Any other part that only a running shell can expand.
    Unknown,
    /// An expansion that is nested deeper than pycull reads.
    TooDeep,
}

/// A word before expansion.
pub(super) type RawWord = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(RawWord),
    Operator(&'static str),
    End,
}

pub(super) fn literal(word: &mut RawWord, text: &str, quoted: bool) {
    match word.last_mut() {
        Some(Part::Literal {
            text: before,
            quoted: same,
        }) if *same == quoted => before.push_str(text),
        _ => word.push(Part::Literal {
            text: text.to_owned(),
            quoted,
        }),
    }
}

pub(super) fn variable(name: &str, operator: &str, operand: RawWord, quoted: bool) -> Part {
    Part::Variable {
        name: name.to_owned(),
        operator: operator.to_owned(),
        operand,
        quoted,
    }
}

/// The name of a variable, or of a positional or special parameter, at the start of a text.
pub(super) fn variable_name(text: &str) -> &str {
    let Some(first) = text.chars().next() else {
        return "";
    };
    let end = match first {
        '@' | '*' | '#' | '?' | '-' | '$' | '!' | '0'..='9' => 1,
        'a'..='z' | 'A'..='Z' | '_' => text
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(text.len()),
        _ => 0,
    };
    &text[..end]
}
