//! The tokens of the POSIX shell's language, and the parts of which a word is made before it is expanded.

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
        operand: String,
        quoted: bool,
    },
    /// The script of a command substitution.
    Command(String),
    /// Anything else that a running shell alone can expand.
    Unknown,
}

/// A word before it is expanded.
pub(super) type RawWord = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(RawWord),
    Operator(&'static str),
    End,
}

/// The operators, the longer of two that begin alike first.
const OPERATORS: [&str; 24] = [
    "<<-", "<<<", "&>>", ";;&", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "&>",
    "|&", "\n", ";", "&", "|", "(", ")", "<", ">",
];

pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    /// The ends of here-documents that begin after the next line break, and whether tabs before them are ignored.
    here_documents: Vec<(String, bool)>,
    /// Up to where the text is paid for.
    paid: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            here_documents: Vec::new(),
            paid: 0,
        }
    }

    /// How many bytes it went over since it was asked before.
    pub(super) fn spent(&mut self) -> usize {
        self.position - std::mem::replace(&mut self.paid, self.position)
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.position]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// Goes over a text if it comes next, without spaces before it.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    /// Goes to the end of what ends with `end`, and over it.
    pub(super) fn skip_past(&mut self, end: &str) {
        let rest = self.rest();
        self.position += rest.find(end).map_or(rest.len(), |place| place + end.len());
    }

    pub(super) fn next(&mut self) -> Token {
        self.skip_blanks();
        let rest = self.rest();
        if rest.is_empty() {
            return Token::End;
        }
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if number > 0 && rest[number..].starts_with(['<', '>']) {
            self.position += number;
            return self.next();
        }
        let Some(operator) = OPERATORS.into_iter().find(|it| rest.starts_with(it)) else {
            return Token::Word(self.word());
        };
        self.position += operator.len();
        match operator {
            "\n" => self.skip_here_documents(),
            "<<" | "<<-" => {
                self.begin_here_document(operator == "<<-");
                return self.next();
            }
            _ => {}
        }
        Token::Operator(operator)
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.trim_start_matches([' ', '\t', '\r']);
            self.position += rest.len() - blanks.len();
            if self.take("\\\n") {
                continue;
            }
            if self.rest().starts_with('#') {
                let rest = self.rest();
                self.position += rest.find('\n').unwrap_or(rest.len());
            }
            return;
        }
    }

    fn begin_here_document(&mut self, tabs: bool) {
        self.skip_blanks();
        let mut end = String::new();
        for part in self.word() {
            if let Part::Literal { text, .. } = part {
                end.push_str(&text);
            }
        }
        self.here_documents.push((end, tabs));
    }

    fn skip_here_documents(&mut self) {
        for (end, tabs) in std::mem::take(&mut self.here_documents) {
            while !self.rest().is_empty() {
                let line = self.rest().split('\n').next().unwrap_or_default();
                self.position = (self.position + line.len() + 1).min(self.text.len());
                let line = if tabs {
                    line.trim_start_matches('\t')
                } else {
                    line
                };
                if line == end {
                    break;
                }
            }
        }
    }

    fn word(&mut self) -> RawWord {
        let mut word = RawWord::new();
        while let Some(next) = self.rest().chars().next() {
            match next {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\'' => self.single_quoted(&mut word),
                '"' => self.double_quoted(&mut word),
                '\\' => {
                    self.position += 1;
                    if !self.take("\n") {
                        self.character(&mut word, true);
                    }
                }
                '$' => self.expansion(&mut word, false),
                '`' => word.push(self.back_quoted()),
                _ => self.character(&mut word, false),
            }
        }
        word
    }

    fn character(&mut self, word: &mut RawWord, quoted: bool) {
        if let Some(next) = self.rest().chars().next() {
            self.position += next.len_utf8();
            literal(word, next.encode_utf8(&mut [0; 4]), quoted);
        }
    }

    fn single_quoted(&mut self, word: &mut RawWord) {
        self.position += 1;
        let start = self.position;
        self.skip_past("'");
        let text = self.since(start);
        literal(word, text.strip_suffix('\'').unwrap_or(text), true);
    }

    fn double_quoted(&mut self, word: &mut RawWord) {
        self.position += 1;
        literal(word, "", true);
        while let Some(next) = self.rest().chars().next() {
            match next {
                '"' => {
                    self.position += 1;
                    return;
                }
                '\\' => {
                    self.position += 1;
                    let is_escape = self.rest().starts_with(['$', '`', '"', '\\', '\n']);
                    if !is_escape {
                        literal(word, "\\", true);
                    } else if !self.take("\n") {
                        self.character(word, true);
                    }
                }
                '$' => self.expansion(word, true),
                '`' => word.push(self.back_quoted()),
                _ => self.character(word, true),
            }
        }
    }

    fn back_quoted(&mut self) -> Part {
        self.position += 1;
        let start = self.position;
        self.skip_past("`");
        let script = self.since(start);
        Part::Command(script.strip_suffix('`').unwrap_or(script).to_owned())
    }

    /// What a `$` begins.
    fn expansion(&mut self, word: &mut RawWord, quoted: bool) {
        self.position += 1;
        if self.take("((") {
            self.skip_past("))");
            word.push(Part::Unknown);
        } else if self.take("(") {
            let script = self.enclosed('(', ')');
            word.push(Part::Command(script.to_owned()));
        } else if self.take("{") {
            let inside = self.enclosed('{', '}');
            word.push(braced(inside, quoted));
        } else if !quoted && self.rest().starts_with(['\'', '"']) {
            // `$'…'` has escapes of its own; `$"…"` is translated.
            self.word_part_quoted();
            word.push(Part::Unknown);
        } else {
            let name = variable_name(self.rest());
            self.position += name.len();
            match name {
                "" => literal(word, "$", quoted),
                name => word.push(variable(name, "", "", quoted)),
            }
        }
    }

    fn word_part_quoted(&mut self) {
        let quote = if self.take("'") { "'" } else { "\"" };
        self.take(quote);
        self.skip_past(quote);
    }

    /// The text up to the closing bracket that belongs to an open one, which is gone over.
    fn enclosed(&mut self, open: char, close: char) -> &'a str {
        let start = self.position;
        let mut depth = 1;
        while let Some(next) = self.rest().chars().next() {
            match next {
                '\'' => self.single_quoted(&mut RawWord::new()),
                '"' => self.double_quoted(&mut RawWord::new()),
                _ => {
                    self.position += next.len_utf8();
                    match next {
                        '\\' => self.character(&mut RawWord::new(), true),
                        _ if next == open => depth += 1,
                        _ if next == close => depth -= 1,
                        _ => {}
                    }
                }
            }
            if depth == 0 {
                return &self.text[start..self.position - close.len_utf8()];
            }
        }
        self.since(start)
    }
}

fn literal(word: &mut RawWord, text: &str, quoted: bool) {
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

fn variable(name: &str, operator: &str, operand: &str, quoted: bool) -> Part {
    Part::Variable {
        name: name.to_owned(),
        operator: operator.to_owned(),
        operand: operand.to_owned(),
        quoted,
    }
}

/// The name of a variable, a positional or a special parameter that a text begins with.
fn variable_name(text: &str) -> &str {
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

/// What is between the braces of `${…}`.
fn braced(inside: &str, quoted: bool) -> Part {
    let digits = inside.len()
        - inside
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .len();
    let name = match digits {
        0 => variable_name(inside),
        digits => &inside[..digits],
    };
    let rest = &inside[name.len()..];
    let operators = [":-", ":+", ":=", ":?", "-", "+", "=", "?"];
    let operator = operators.into_iter().find(|it| rest.starts_with(it));
    match operator {
        _ if name.is_empty() || name == "#" => Part::Unknown,
        Some(operator) => variable(name, operator, &rest[operator.len()..], quoted),
        None if rest.is_empty() => variable(name, "", "", quoted),
        None => Part::Unknown,
    }
}
