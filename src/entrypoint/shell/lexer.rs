//! Splits text in the language of the POSIX shell into tokens, and words into parts before expansion.

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

/// Maximum nesting depth of expansions.
const MOST_NESTED: usize = 32;

/// A word before expansion.
pub(super) type RawWord = Vec<Part>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(RawWord),
    Operator(&'static str),
    End,
}

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

    fn word(&mut self) -> RawWord {
        self.word_of(false, false)
    }

    /// `whole` includes blanks and operators in the word. `quoted` makes a single quote an ordinary character.
    fn word_of(&mut self, whole: bool, quoted: bool) -> RawWord {
        let mut word = RawWord::new();
        while let Some(next) = self.rest().chars().next() {
            match next {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' if !whole => {
                    break;
                }
                '\'' if !quoted => self.single_quoted(&mut word),
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
        self.quoted(word, true);
    }

    /// Reads the text between double quotes, or a here-document, in which quotes are ordinary characters.
    fn quoted(&mut self, word: &mut RawWord, is_quote: bool) {
        while let Some(next) = self.rest().chars().next() {
            match next {
                '"' if is_quote => {
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
        self.is_broken |= is_quote;
    }

    /// Reads a command between backquotes. Backquotes inside it are escaped.
    fn back_quoted(&mut self) -> Part {
        self.position += 1;
        let mut script = String::new();
        while let Some(next) = self.rest().chars().next() {
            self.position += next.len_utf8();
            match next {
                '`' => return Part::Command(script),
                '\\' if self.rest().starts_with(['`', '\\', '$']) => {
                    script.extend(self.rest().chars().next());
                    self.position += 1;
                }
                _ => script.push(next),
            }
        }
        self.is_broken = true;
        Part::Command(script)
    }

    /// Reads the expansion that a `$` begins.
    fn expansion(&mut self, word: &mut RawWord, quoted: bool) {
        self.position += 1;
        if self.take("((") {
            self.skip_past("))");
            word.push(Part::Unknown);
        } else if self.take("(") {
            let script = self.enclosed(')', false);
            word.push(Part::Command(script.to_owned()));
        } else if self.take("{") {
            let inside = self.enclosed('}', quoted);
            word.push(self.braced(inside, quoted));
        } else if !quoted && self.rest().starts_with('"') {
            // The shell translates this string, or keeps its `$`.
            word.push(Part::Unknown);
            self.double_quoted(word);
        } else if !quoted && self.take("'") {
            self.skip_escaped();
            word.push(Part::Unknown);
        } else {
            let name = variable_name(self.rest());
            self.position += name.len();
            match name {
                "" => literal(word, "$", quoted),
                name => word.push(variable(name, "", RawWord::new(), quoted)),
            }
        }
    }

    /// Skips the rest of `$'…'`, which has escapes.
    fn skip_escaped(&mut self) {
        while let Some(next) = self.rest().chars().next() {
            self.position += next.len_utf8();
            match next {
                '\'' => return,
                '\\' => self.skip_character(),
                _ => {}
            }
        }
        self.is_broken = true;
    }

    fn skip_character(&mut self) {
        let next = self.rest().chars().next();
        self.position += next.map_or(0, char::len_utf8);
    }

    /// Returns the text up to the matching closing bracket and skips both. `quoted` says whether double quotes
    /// surround the text.
    fn enclosed(&mut self, close: char, quoted: bool) -> &'a str {
        let start = self.position;
        // The closing character of each open part, and whether a single quote is an ordinary character there.
        let mut open = vec![(close, quoted)];
        let mut before = ' ';
        while let (Some(next), Some((end, quoted))) =
            (self.rest().chars().next(), open.last().copied())
        {
            self.position += next.len_utf8();
            match next {
                _ if next == end => {
                    open.pop();
                    if open.is_empty() {
                        return &self.text[start..self.position - end.len_utf8()];
                    }
                }
                '\\' => self.skip_character(),
                '\'' if !quoted => self.skip_past("'"),
                '"' => open.push(('"', true)),
                '`' => {
                    self.position -= 1;
                    self.back_quoted();
                }
                '$' if self.take("(") => open.push((')', false)),
                '$' if self.take("{") => open.push(('}', quoted)),
                '(' if end == ')' => open.push((')', false)),
                '{' if end == '}' => open.push(('}', quoted)),
                '#' if end == ')' && before.is_ascii_whitespace() => {
                    let rest = self.rest();
                    self.position += rest.find('\n').unwrap_or(rest.len());
                }
                _ => {}
            }
            before = next;
        }
        self.is_broken = true;
        self.since(start)
    }

    /// Reads the text between the braces of `${…}`.
    fn braced(&mut self, inside: &str, quoted: bool) -> Part {
        if self.nested >= MOST_NESTED {
            return Part::TooDeep;
        }
        let letters = inside.trim_start_matches(|c: char| c.is_ascii_digit());
        let name = match inside.len() - letters.len() {
            0 => variable_name(inside),
            digits => &inside[..digits],
        };
        let rest = &inside[name.len()..];
        let operators = [":-", ":+", ":=", ":?", "-", "+", "=", "?"];
        let operator = operators.into_iter().find(|it| rest.starts_with(it));
        match operator {
            _ if name.is_empty() || name == "#" => Part::Unknown,
            Some(operator) => {
                let operand = self.operand(&rest[operator.len()..], quoted);
                variable(name, operator, operand, quoted)
            }
            None if rest.is_empty() => variable(name, "", RawWord::new(), quoted),
            None => Part::Unknown,
        }
    }

    fn operand(&mut self, text: &str, quoted: bool) -> RawWord {
        let mut lexer = self.within(text);
        let word = lexer.word_of(true, quoted);
        let (spent, is_broken) = (lexer.spent(), lexer.is_broken);
        self.owed += spent;
        self.is_broken |= is_broken;
        word
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

fn variable(name: &str, operator: &str, operand: RawWord, quoted: bool) -> Part {
    Part::Variable {
        name: name.to_owned(),
        operator: operator.to_owned(),
        operand,
        quoted,
    }
}

/// The name of a variable, or of a positional or special parameter, at the start of a text.
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
