//! Compound commands: branches, loops, and functions.

use super::lexer::Lexer;
use super::place::{Frame, Place};
use super::token::{Part, RawWord, Token};
use super::{Host, Shell, is_literal};
use crate::entrypoint::word::Word;

impl Shell {
    /// Handles a word that begins, continues or ends a compound command. Returns whether the word does so.
    pub(super) fn keyword(
        &mut self,
        raw: &RawWord,
        lexer: &mut Lexer<'_>,
        place: &mut Place,
        host: &mut dyn Host,
    ) -> bool {
        let [
            Part::Literal {
                text,
                quoted: false,
            },
        ] = &raw[..]
        else {
            return false;
        };
        match &**text {
            "if" => place.frames.push(Frame::Branch),
            "while" | "until" => place.frames.push(Frame::Loop(Some(lexer.position()))),
            "done" => self.end_loop(lexer, place),
            "then" | "do" | "else" | "elif" => {}
            "!" => place.uncertain = true,
            "fi" | "esac" => self.close(place),
            "{" if place.uncertain || place.after_or || place.is_piped => {
                place.frames.push(Frame::Branch);
            }
            "{" => place.frames.push(Frame::Brace),
            "}" => self.close(place),
            "for" | "select" => self.begin_for(lexer, place, host),
            "case" => self.begin_case(lexer, place, host),
            "[[" => self.skip_test(lexer, place, host),
            "function" => {
                if let Token::Word(name) = lexer.next() {
                    self.define(&name, lexer, host);
                }
            }
            _ => return false,
        }
        place.goes_on = false;
        true
    }

    /// Skips `[[ … ]]`.
    fn skip_test(&mut self, lexer: &mut Lexer<'_>, place: &mut Place, host: &mut dyn Host) {
        place.uncertain = true;
        self.skip_to("]]", lexer, host);
    }

    /// Skips the words up to `end`, and follows their command substitutions. Returns whether `end` was found.
    fn skip_to(&mut self, end: &str, lexer: &mut Lexer<'_>, host: &mut dyn Host) -> bool {
        loop {
            match lexer.next() {
                Token::Word(raw) if is_literal(&raw, end) => return true,
                Token::Word(raw) => self.substitutions(&raw, host),
                Token::Operator(_) => {}
                Token::End => return false,
            }
        }
    }

    pub(super) fn close(&mut self, place: &mut Place) {
        if let Some(Frame::Subshell(before)) = place.frames.pop() {
            (self.variables, self.directory) = *before;
        }
    }

    /// Reads a loop a second time, since it may have changed what its first commands see.
    fn end_loop(&mut self, lexer: &mut Lexer<'_>, place: &mut Place) {
        if let Some(Frame::Loop(start)) = place.frames.last_mut()
            && let Some(start) = start.take()
        {
            return lexer.go_back(start);
        }
        self.close(place);
    }

    fn begin_for(&mut self, lexer: &mut Lexer<'_>, place: &mut Place, host: &mut dyn Host) {
        place.frames.push(Frame::Loop(None));
        if let Token::Word(name) = lexer.next()
            && let [Part::Literal { text, .. }] = &name[..]
        {
            self.variables.assign(text, Word::unknown());
        }
        if self.skip_to("do", lexer, host) {
            place.frames.pop();
            place.frames.push(Frame::Loop(Some(lexer.position())));
        }
    }

    fn begin_case(&mut self, lexer: &mut Lexer<'_>, place: &mut Place, host: &mut dyn Host) {
        place.frames.push(Frame::Case);
        if self.skip_to("in", lexer, host) {
            self.skip_pattern(lexer, place);
        }
    }

    /// Skips the patterns of a branch, or the end of its `case`.
    pub(super) fn skip_pattern(&mut self, lexer: &mut Lexer<'_>, place: &mut Place) {
        loop {
            match lexer.next() {
                Token::Word(raw) if is_literal(&raw, "esac") => return self.close(place),
                Token::Operator(")") | Token::End => return,
                _ => {}
            }
        }
    }

    /// Records the body of a function without running it.
    pub(super) fn define(&mut self, name: &RawWord, lexer: &mut Lexer<'_>, host: &mut dyn Host) {
        let mut depth = 0;
        let mut start = lexer.position();
        loop {
            match lexer.next() {
                Token::Word(raw) if is_literal(&raw, "{") => {
                    if depth == 0 {
                        start = lexer.position();
                    }
                    depth += 1;
                }
                Token::Word(raw) if is_literal(&raw, "}") && depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                Token::End => break,
                Token::Operator("(" | ")" | "\n") => drop(lexer.take_bodies()),
                _ if depth == 0 => {
                    host.unclear(
                        "it defines a function in a form that pycull does not read".to_owned(),
                    );
                    return;
                }
                _ => {}
            }
        }
        if let [Part::Literal { text, .. }] = &name[..] {
            let body = lexer.since(start);
            let body = body.strip_suffix('}').unwrap_or(body);
            self.functions.insert(text.clone(), body.to_owned());
        }
    }
}
