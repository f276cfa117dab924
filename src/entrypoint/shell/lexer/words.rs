//! Words: quotes, and what the shell expands.

use super::super::token::{Part, RawWord, literal, variable, variable_name};
use super::Lexer;

/// Maximum nesting depth of expansions.
const MOST_NESTED: usize = 32;

impl<'a> Lexer<'a> {
    pub(super) fn word(&mut self) -> RawWord {
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
    pub(super) fn quoted(&mut self, word: &mut RawWord, is_quote: bool) {
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
    pub(super) fn enclosed(&mut self, close: char, quoted: bool) -> &'a str {
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
