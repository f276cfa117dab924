//! Finds the commands that a shell script runs. It reads every branch, because no one knows which branch a container
//! takes. So a variable that only one branch sets is unknown after it.

mod assign;
mod builtins;
mod compound;
mod expand;
mod host;
mod lexer;
mod place;
mod token;

use std::collections::{BTreeMap, BTreeSet};

use super::variables::{Variables, assignment, is_name};
use super::word::Word;
pub(super) use host::{Host, Input, Sourced};
use lexer::{Body, Lexer};
use place::{Frame, Place};
use token::{Part, RawWord, Token};

/// Maximum number of alternatives for the positional parameters, and of functions that call one another.
const MOST: usize = 8;

/// Maximum nesting depth of compound commands.
const MOST_FRAMES: usize = 64;

/// The cost of a command in addition to its bytes.
const COMMAND_COST: usize = 256;

const SYNTAX: &str = "pycull does not understand its syntax";

/// The state of a shell that reads a script.
pub(super) struct Shell {
    pub(super) variables: Variables,
    pub(super) directory: Word,
    pub(super) zero: Word,
    /// The positional parameters. There are several lists if branches set them.
    pub(super) arguments: Vec<Vec<Word>>,
    functions: BTreeMap<String, String>,
    /// Commands that run on a signal or at the end.
    traps: BTreeSet<String>,
    /// Whether a loop runs the text of `eval`.
    in_loop: bool,
    depth: usize,
}

/// Whether a script continues after a command.
#[derive(PartialEq)]
enum Flow {
    Goes,
    Ends,
}

impl Shell {
    pub(super) fn new(
        variables: Variables,
        directory: Word,
        zero: Word,
        arguments: Vec<Word>,
    ) -> Self {
        Self {
            variables,
            directory,
            zero,
            arguments: vec![arguments],
            functions: BTreeMap::new(),
            traps: BTreeSet::new(),
            in_loop: false,
            depth: 0,
        }
    }

    /// Reads a script and runs its commands in `host`.
    pub(super) fn read(&mut self, script: &str, host: &mut dyn Host) {
        self.script(script, false, host);
        for command in std::mem::take(&mut self.traps) {
            self.script(&command, true, host);
        }
    }

    fn script(&mut self, script: &str, is_branch: bool, host: &mut dyn Host) -> Flow {
        if self.depth >= MOST {
            host.unclear("its functions and files call each other too many times".to_owned());
            return Flow::Ends;
        }
        self.depth += 1;
        let mut lexer = Lexer::new(script);
        let mut place = Place {
            is_branch,
            ..Place::default()
        };
        let mut words: Vec<RawWord> = Vec::new();
        let flow = loop {
            let token = lexer.next();
            if !host.spend(lexer.spent()) {
                break Flow::Ends;
            }
            if place.frames.len() > MOST_FRAMES {
                host.unclear("its compound commands are nested too deep".to_owned());
                break Flow::Ends;
            }
            match token {
                Token::Word(raw) => {
                    if !words.is_empty() || !self.keyword(&raw, &mut lexer, &mut place, host) {
                        words.push(raw);
                    }
                }
                Token::Operator(operator) if redirection(operator).is_some() => {
                    words.extend(self.redirect(operator, &mut lexer, &mut place, host));
                }
                Token::Operator("(") => {
                    self.open(std::mem::take(&mut words), &mut lexer, &mut place, host);
                }
                Token::Operator(operator) => {
                    let command = std::mem::take(&mut words);
                    self.here_documents(lexer.take_bodies(), &mut place, host);
                    place.is_aside = place.is_piped || matches!(operator, "|" | "|&" | "&");
                    if self.command(&command, &mut place, host) == Flow::Ends {
                        break Flow::Ends;
                    }
                    self.separator(operator, &command, &mut lexer, &mut place);
                }
                Token::End => {
                    if lexer.is_broken() || !place.frames.is_empty() {
                        host.unclear(SYNTAX.to_owned());
                    }
                    place.is_aside = place.is_piped;
                    break self.command(&words, &mut place, host);
                }
            }
        };
        self.depth -= 1;
        flow
    }

    /// Reads here-documents. The last one is the input of the command.
    fn here_documents(&mut self, bodies: Vec<Body>, place: &mut Place, host: &mut dyn Host) {
        for body in &bodies {
            self.substitutions(&body.parts, host);
        }
        let text = bodies.into_iter().next_back().and_then(|body| body.text);
        if let (Some(input), Some(text)) = (&mut place.input, text) {
            *input = Input::Text(text);
        }
    }

    /// Reads the file of a redirection. If that names a process, returns the word that replaces it in the command.
    fn redirect(
        &mut self,
        operator: &str,
        lexer: &mut Lexer<'_>,
        place: &mut Place,
        host: &mut dyn Host,
    ) -> Option<RawWord> {
        if let Some(script) = lexer.process_substitution() {
            self.substitutions(&vec![Part::Command(script.to_owned())], host);
            let text = "/dev/fd/".to_owned();
            let quoted = true;
            return Some(vec![Part::Literal { text, quoted }, Part::Unknown]);
        }
        if redirection(operator) == Some(true) {
            place.input = Some(Input::Unknown);
        }
        // The lexer has already read the end of a here-document.
        if matches!(operator, "<<" | "<<-") {
            return None;
        }
        match lexer.next() {
            Token::Word(raw) => self.substitutions(&raw, host),
            Token::Operator("<" | ">") => match lexer.process_substitution() {
                Some(script) => {
                    self.substitutions(&vec![Part::Command(script.to_owned())], host);
                }
                None => host.unclear(SYNTAX.to_owned()),
            },
            _ => host.unclear(SYNTAX.to_owned()),
        }
        None
    }

    fn open(
        &mut self,
        mut command: Vec<RawWord>,
        lexer: &mut Lexer<'_>,
        place: &mut Place,
        host: &mut dyn Host,
    ) {
        match command.pop() {
            None if lexer.take("(") => {
                lexer.skip_past("))");
                place.uncertain = true;
            }
            None => {
                host.spend(self.variables.size());
                let before = Box::new((self.variables.clone(), self.directory.clone()));
                place.frames.push(Frame::Subshell(before));
            }
            Some(name) => match &name[..] {
                // `list=(…)`, an array in bash.
                [
                    Part::Literal {
                        text,
                        quoted: false,
                    },
                ] if text.ends_with('=') => {
                    lexer.skip_past(")");
                    let name = text.trim_end_matches(['=', '+']);
                    self.variables.assign(name, Word::unknown());
                }
                _ => self.define(&name, lexer, host),
            },
        }
    }

    fn separator(
        &mut self,
        operator: &str,
        command: &[RawWord],
        lexer: &mut Lexer<'_>,
        place: &mut Place,
    ) {
        let goes_on = matches!(operator, "&&" | "||" | "|" | "|&");
        let went_on = std::mem::replace(&mut place.goes_on, goes_on);
        let is_blank = operator == "\n" && command.is_empty() && went_on;
        if is_blank {
            place.goes_on = true;
            return;
        }
        (place.is_aside, place.is_piped, place.input) = (false, false, None);
        match operator {
            "&&" | "||" => {
                let name = command.first().and_then(|raw| literal_start(raw));
                place.uncertain |= !name.is_some_and(builtins::succeeds);
                place.after_or = operator == "||";
                return;
            }
            "|" | "|&" => {
                place.is_piped = true;
                return;
            }
            ")" => self.close(place),
            ";;" | ";&" | ";;&" if matches!(place.frames.last(), Some(Frame::Case)) => {
                self.skip_pattern(lexer, place);
            }
            _ => {}
        }
        if place.uncertain {
            for name in std::mem::take(&mut place.assigned) {
                self.variables.assign(&name, Word::unknown());
            }
        }
        if place.uncertain && place.has_moved {
            self.directory = Word::unknown();
        }
        place.has_moved = false;
        (place.uncertain, place.after_or) = (false, false);
        place.assigned.clear();
    }

    /// Runs a simple command once for each possible list of positional parameters.
    fn command(&mut self, raw: &[RawWord], place: &mut Place, host: &mut dyn Host) -> Flow {
        for word in raw {
            self.substitutions(word, host);
            self.defaults(word, place);
        }
        let is_assignment = |raw: &&RawWord| literal_start(raw).and_then(assignment).is_some();
        let count = raw.iter().take_while(is_assignment).count();
        let (assigned, rest) = raw.split_at(count);
        if !host.spend(self.cost(raw)) {
            return Flow::Ends;
        }
        if rest.is_empty() {
            for word in assigned {
                let word = self.expansion(&self.arguments[0]).word(word);
                host.spend(word.size());
                self.assign(&word, place, false);
            }
            return Flow::Goes;
        }
        let mut variants = self.variants(rest);
        let own = self.own(assigned);
        let handled: usize = variants.iter().flatten().map(Word::size).sum();
        let copied = own.as_ref().map_or(0, Variables::size);
        if !host.spend(handled + copied) {
            return Flow::Ends;
        }
        match variants.first().and_then(|it| builtins::name(it)) {
            Some("set") => {
                self.set(rest, place, host);
                return Flow::Goes;
            }
            Some("shift") => {
                self.shift(&variants[0], place, host);
                return Flow::Goes;
            }
            _ => {}
        }
        if variants.len() > 1 {
            variants.retain(|words| !builtins::begins_with_option(words));
            if variants.is_empty() {
                host.unclear("it runs its arguments, which begin with an option".to_owned());
            }
        }
        let input = place.command_input();
        let mut flow = Flow::Goes;
        for words in &variants {
            let command = builtins::Command {
                words,
                own: own.as_ref(),
                input: &input,
            };
            flow = self.simple(&command, place, host);
        }
        flow
    }

    /// Reads the scripts in a word's command substitutions.
    fn substitutions(&mut self, raw: &RawWord, host: &mut dyn Host) {
        for part in raw {
            let script = match part {
                Part::Command(script) => script.clone(),
                Part::Variable { operand, .. } => {
                    self.substitutions(operand, host);
                    continue;
                }
                Part::TooDeep => {
                    host.unclear("its expansions are nested too deep".to_owned());
                    continue;
                }
                _ => continue,
            };
            host.spend(self.variables.size());
            let before = (self.variables.clone(), self.directory.clone());
            self.script(&script, true, host);
            (self.variables, self.directory) = before;
        }
    }
}

/// Whether an operator is a redirection, and if so, whether it redirects the input.
fn redirection(operator: &str) -> Option<bool> {
    match operator {
        "<" | "<&" | "<>" | "<<" | "<<-" | "<<<" => Some(true),
        ">" | ">>" | ">&" | ">|" | "&>" | "&>>" => Some(false),
        _ => None,
    }
}

fn is_literal(raw: &RawWord, expected: &str) -> bool {
    matches!(&raw[..], [Part::Literal { text, quoted: false }] if text == expected)
}

/// The unquoted text at the start of a word.
fn literal_start(raw: &RawWord) -> Option<&str> {
    match raw.first() {
        Some(Part::Literal {
            text,
            quoted: false,
        }) => Some(text),
        _ => None,
    }
}
