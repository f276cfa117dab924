//! Finds the places of values in a JSON text by reading it from left to right.

use std::collections::HashMap;
use std::ops::Range;

use pycull::oci::json_text::parse;
use serde_json::Value;

/// A value in a text.
pub(super) struct Span {
    /// The JSON pointer of the value (RFC 6901).
    pub(super) pointer: String,
    pub(super) range: Range<usize>,
}

/// The values of a valid text that their JSON pointer identifies uniquely. On the way to such a value no key occurs
/// twice in its object, and no array element equals another.
pub(super) fn spans(text: &[u8]) -> Vec<Span> {
    let mut scanner = Scanner {
        text,
        at: 0,
        spans: Vec::new(),
        ambiguous: Vec::new(),
    };
    scanner.value(String::new());
    let ambiguous = scanner.ambiguous;
    let is_clear = |span: &Span| {
        let is_below = |other: &String| {
            let rest = span.pointer.strip_prefix(other.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !ambiguous.iter().any(is_below)
    };
    scanner.spans.into_iter().filter(is_clear).collect()
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    spans: Vec<Span>,
    ambiguous: Vec<String>,
}

impl Scanner<'_> {
    fn skip(&mut self, bytes: &[u8]) {
        while self
            .text
            .get(self.at)
            .is_some_and(|byte| bytes.contains(byte))
        {
            self.at += 1;
        }
    }

    /// Reads a value and its content.
    fn value(&mut self, pointer: String) {
        self.skip(b" \t\r\n");
        let start = self.at;
        match self.text.get(start) {
            Some(b'"') => self.string(),
            Some(b'{') => self.list(&pointer, b'}', true),
            Some(b'[') => self.list(&pointer, b']', false),
            _ => {
                let rest = &self.text[start..];
                let end = rest.iter().position(|byte| b" \t\r\n,]}".contains(byte));
                self.at = end.map_or(self.text.len(), |end| start + end);
            }
        }
        let range = start..self.at;
        self.spans.push(Span { pointer, range });
    }

    fn string(&mut self) {
        self.at += 1;
        while self.text[self.at] != b'"' {
            self.at += if self.text[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
    }

    /// Reads the members of an object or the elements of an array.
    fn list(&mut self, pointer: &str, end: u8, has_keys: bool) {
        self.at += 1;
        let mut known: HashMap<Value, String> = HashMap::new();
        for number in 0.. {
            self.skip(b" \t\r\n,");
            if self.text[self.at] == end {
                self.at += 1;
                return;
            }
            let start = self.at;
            let mut below = format!("{pointer}/{number}");
            let mut name = None;
            if has_keys {
                self.string();
                name = parse(&self.text[start..self.at]).ok();
                let text = name.as_ref().and_then(Value::as_str).unwrap_or_default();
                below = format!("{pointer}/{}", text.replace('~', "~0").replace('/', "~1"));
                self.skip(b" \t\r\n:");
            }
            let start = self.at;
            self.value(below.clone());
            let value = || parse(&self.text[start..self.at]).unwrap_or_default();
            let what = name.unwrap_or_else(value);
            if let Some(other) = known.insert(what, below.clone()) {
                self.ambiguous.extend([below, other]);
            }
        }
    }
}
