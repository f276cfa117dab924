//! Splits text in the language of the POSIX shell into tokens, and words into parts before expansion.

mod words;

use super::token::{Part, RawWord, Token};

/// The operators. If two begin alike, the longer one comes first.
const OPERATORS: [&str; 24] = [
    "<<-", "<<<", "&>>", ";;&", "&&", "||", ";;", ";&", "<<", ">>", "<&", ">&", "<>", ">|", "&>",
    "|&", "\n", ";", "&", "|", "(", ")", "<", ">",
];

pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    /// Here-documents that begin after the next line break.
    here_documents: Vec<HereDocument>,
    /// Here-documents read since the last call of [`Self::take_bodies`].
    bodies: Vec<Body>,
    /// The number of expansions around this text.
    nested: usize,
    /// The end of the text that was counted, and further bytes that are not counted yet.
    paid: usize,
    owed: usize,
    /// Whether a quote or an expansion has no end.
    is_broken: bool,
}

/// A here-document that was not read yet.
struct HereDocument {
    end: String,
    /// Whether leading tabs are ignored.
    tabs: bool,
    quoted: bool,
}

/// The content of a here-document.
pub(super) struct Body {
    /// The text, if the shell does not change it.
    pub(super) text: Option<String>,
    /// The parts, if the shell expands the text.
    pub(super) parts: RawWord,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            position: 0,
            here_documents: Vec::new(),
            bodies: Vec::new(),
            nested: 0,
            paid: 0,
            owed: 0,
            is_broken: false,
        }
    }

    /// The number of bytes processed since the last call.
    pub(super) fn spent(&mut self) -> usize {
        let paid = std::mem::replace(&mut self.paid, self.position);
        self.position - paid + std::mem::take(&mut self.owed)
    }

    /// Whether a quote or an expansion has no end, so that a shell would read the text differently.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Takes the here-documents read since the last call.
    pub(super) fn take_bodies(&mut self) -> Vec<Body> {
        std::mem::take(&mut self.bodies)
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Returns to an earlier position.
    pub(super) fn go_back(&mut self, position: usize) {
        self.owed += self.position - self.paid;
        (self.position, self.paid) = (position, position);
    }

    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.text[start..self.position]
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    /// Skips `text` if it comes next, without spaces before it.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.position += text.len();
        }
        is_next
    }

    /// Skips everything up to `end`, and `end` itself.
    pub(super) fn skip_past(&mut self, end: &str) {
        let rest = self.rest();
        let place = rest.find(end);
        self.is_broken |= place.is_none();
        self.position += place.map_or(rest.len(), |place| place + end.len());
    }

    /// The script of a process substitution, if its bracket comes next.
    pub(super) fn process_substitution(&mut self) -> Option<&'a str> {
        self.take("(").then(|| self.enclosed(')', false))
    }

    pub(super) fn next(&mut self) -> Token {
        self.skip_blanks();
        let mut rest = self.rest();
        if rest.is_empty() {
            return Token::End;
        }
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if number > 0 && rest[number..].starts_with(['<', '>']) {
            self.position += number;
            rest = self.rest();
        }
        let Some(operator) = OPERATORS.into_iter().find(|it| rest.starts_with(it)) else {
            return Token::Word(self.word());
        };
        self.position += operator.len();
        match operator {
            "\n" => self.read_here_documents(),
            "<<" | "<<-" => self.begin_here_document(operator == "<<-"),
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
        let (mut end, mut quoted) = (String::new(), false);
        for part in self.word() {
            if let Part::Literal {
                text,
                quoted: is_quoted,
            } = part
            {
                end.push_str(&text);
                quoted |= is_quoted;
            }
        }
        let document = HereDocument { end, tabs, quoted };
        self.here_documents.push(document);
    }

    fn read_here_documents(&mut self) {
        for document in std::mem::take(&mut self.here_documents) {
            let mut text = String::new();
            while !self.rest().is_empty() {
                let line = self.rest().split('\n').next().unwrap_or_default();
                self.position = (self.position + line.len() + 1).min(self.text.len());
                let line = match document.tabs {
                    true => line.trim_start_matches('\t'),
                    false => line,
                };
                if line == document.end {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            let body = self.body(text, document.quoted);
            self.bodies.push(body);
        }
    }

    fn body(&mut self, text: String, quoted: bool) -> Body {
        let mut parts = RawWord::new();
        if !quoted && text.contains(['$', '`', '\\']) {
            let mut lexer = self.within(&text);
            lexer.quoted(&mut parts, false);
            let (spent, is_broken) = (lexer.spent(), lexer.is_broken);
            self.owed += spent;
            self.is_broken |= is_broken;
            return Body { text: None, parts };
        }
        let text = Some(text);
        Body { text, parts }
    }

    /// A lexer for a part of this text.
    fn within<'b>(&self, text: &'b str) -> Lexer<'b> {
        Lexer {
            nested: self.nested + 1,
            ..Lexer::new(text)
        }
    }
}
