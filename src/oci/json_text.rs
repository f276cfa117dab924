//! Edits JSON documents as text. Bytes outside an edit stay the same, including spaces, escapes and digits. Documents
//! are read like Go's `encoding/json`, which every engine uses.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

/// Parses a document. A lone surrogate, or a byte sequence that is not UTF-8, becomes U+FFFD.
///
/// # Errors
/// The parser's error for malformed text.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    let text = String::from_utf8_lossy(text);
    serde_json::from_str(&without_lone_surrogates(&text))
}

/// The document with the value `new`. Parts of the value that do not change keep their text from `old_text`.
pub fn edited(old_text: &[u8], new: &Value) -> Vec<u8> {
    let plain = || new.to_string().into_bytes();
    let Ok(old) = parse(old_text) else {
        return plain();
    };
    if old == *new {
        return old_text.to_vec();
    }
    let mut editor = Editor {
        text: old_text,
        out: Vec::with_capacity(old_text.len()),
    };
    let spaces = old_text.len() - old_text.trim_ascii_start().len();
    let end = value_end(old_text, spaces);
    editor.out.extend_from_slice(&old_text[..spaces]);
    editor.value(spaces..end, &old, new);
    editor.out.extend_from_slice(&old_text[end..]);
    // If this code reads the text differently than the parser, write the whole document anew.
    match parse(&editor.out) {
        Ok(value) if value == *new => editor.out,
        _ => plain(),
    }
}

/// Replaces `\u` escapes of surrogates without a partner.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\\') {
        let start = at + found;
        let Some(unit) = escaped_unit(bytes, start) else {
            at = (start + 2).min(bytes.len());
            continue;
        };
        at = start + 6;
        let is_pair = matches!(unit, 0xd800..0xdc00)
            && matches!(escaped_unit(bytes, at), Some(0xdc00..0xe000));
        if is_pair {
            at += 6;
        } else if matches!(unit, 0xd800..0xe000) {
            out.push_str(&text[copied..start]);
            out.push_str("\\ufffd");
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// The UTF-16 code unit of the escape at `at`, if there is one.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// The end of the value that begins at `start`.
fn value_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => at = scalar_end(text, at),
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn scalar_end(text: &[u8], start: usize) -> usize {
    let is_end = |byte: &u8| {
        matches!(
            byte,
            b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'
        )
    };
    let rest = text[start..].iter().position(is_end);
    rest.map_or(text.len(), |length| start + length)
}

/// A member of an object or an element of an array in the text.
struct Part {
    /// The first byte of the key, or of the value if there is no key.
    start: usize,
    key: String,
    value: Range<usize>,
}

/// The text between a part and the one before it.
fn separator(parts: &[Part], index: usize) -> Option<Range<usize>> {
    let before = parts.get(index.checked_sub(1)?)?;
    Some(before.value.end..parts.get(index)?.start)
}

/// The parts of the object or array at `range`.
fn parts(text: &[u8], range: &Range<usize>, has_keys: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let skip = |mut at: usize| {
        while at < range.end - 1 && matches!(text[at], b',' | b':' | b' ' | b'\t' | b'\n' | b'\r') {
            at += 1;
        }
        at
    };
    let mut at = skip(range.start + 1);
    while at < range.end - 1 {
        let start = at;
        let mut key = String::new();
        if has_keys {
            at = value_end(text, start);
            if let Ok(Value::String(name)) = parse(&text[start..at]) {
                key = name;
            }
            at = skip(at);
        }
        let end = value_end(text, at);
        parts.push(Part {
            start,
            key,
            value: at..end,
        });
        at = skip(end);
    }
    parts
}

/// Writes a new value and reuses the old text where possible.
struct Editor<'a> {
    text: &'a [u8],
    out: Vec<u8>,
}

impl Editor<'_> {
    fn value(&mut self, range: Range<usize>, old: &Value, new: &Value) {
        match (old, new) {
            _ if old == new => self.out.extend_from_slice(&self.text[range]),
            (Value::Object(old), Value::Object(new)) => self.object(range, old, new),
            (Value::Array(old), Value::Array(new)) => self.array(range, old, new),
            _ => self.anew(new),
        }
    }

    fn anew(&mut self, value: &Value) {
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    /// Members that stay keep their order; new ones follow. If a key comes twice, the last one counts.
    fn object(&mut self, range: Range<usize>, old: &Map<String, Value>, new: &Map<String, Value>) {
        let parts = parts(self.text, &range, true);
        let last: HashMap<&str, usize> = parts
            .iter()
            .enumerate()
            .map(|(index, part)| (&*part.key, index))
            .collect();
        let mut list = List::new(self, &range, &parts);
        for (index, part) in parts.iter().enumerate() {
            let (Some(value), Some(before)) = (new.get(&part.key), old.get(&part.key)) else {
                continue;
            };
            list.begin(self, separator(&parts, index));
            if last.get(&*part.key) == Some(&index) {
                self.out
                    .extend_from_slice(&self.text[part.start..part.value.start]);
                self.value(part.value.clone(), before, value);
            } else {
                self.out
                    .extend_from_slice(&self.text[part.start..part.value.end]);
            }
        }
        for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
            list.begin(self, None);
            self.anew(&Value::from(key.as_str()));
            let colon = parts.first().map_or(&b":"[..], |part| {
                let key_end = value_end(self.text, part.start);
                &self.text[key_end..part.value.start]
            });
            self.out.extend_from_slice(colon);
            self.anew(value);
        }
        list.end(self, &range);
    }

    /// Matches equal elements by value. The elements between two matches are paired in order.
    fn array(&mut self, range: Range<usize>, old: &[Value], new: &[Value]) {
        let parts = parts(self.text, &range, false);
        let mut list = List::new(self, &range, &parts);
        let mut places: HashMap<&Value, Vec<usize>> = HashMap::new();
        for (place, value) in old.iter().enumerate() {
            places.entry(value).or_default().push(place);
        }
        // The last place of each value.
        let last: HashMap<&Value, usize> = new
            .iter()
            .enumerate()
            .map(|(index, value)| (value, index))
            .collect();
        let mut at = 0;
        for (index, value) in new.iter().enumerate() {
            let same = places
                .get(value)
                .and_then(|all| all.get(all.partition_point(|it| *it < at)));
            let is_later = |element: &Value| last.get(element).is_some_and(|last| *last > index);
            let place = same
                .copied()
                .or_else(|| most_alike(old, at, value, is_later));
            let part = place.and_then(|place| Some((parts.get(place)?, &old[place])));
            list.begin(self, place.and_then(|place| separator(&parts, place)));
            match part {
                Some((part, before)) => self.value(part.value.clone(), before, value),
                None => self.anew(value),
            }
            at = place.map_or(at, |place| place + 1);
        }
        list.end(self, &range);
    }
}

/// Old elements to compare with a new one.
const MOST_CANDIDATES: usize = 100;

/// The old element that the new one was most likely made from. It has the most members in common, and precedes any
/// element that a later new element equals.
fn most_alike(
    old: &[Value],
    start: usize,
    value: &Value,
    is_later: impl Fn(&Value) -> bool,
) -> Option<usize> {
    let in_common = |element: &Value| match (element, value) {
        (Value::Object(old), Value::Object(new)) => old
            .iter()
            .filter(|(key, it)| new.get(*key) == Some(it))
            .count(),
        _ => 0,
    };
    let free = old.iter().enumerate().skip(start).take(MOST_CANDIDATES);
    let free = free.take_while(|(_, element)| !is_later(element));
    let mut best: Option<(usize, usize)> = None;
    for (place, element) in free {
        let count = in_common(element);
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((place, count));
        }
    }
    best.map(|(place, _)| place)
}

/// The commas and spaces between the parts of an object or array, copied from the old text.
struct List {
    /// The text before the first part.
    opening: Range<usize>,
    /// The text before each further part.
    between: Option<Range<usize>>,
    /// The text after the last part.
    closing: Range<usize>,
    is_empty: bool,
}

impl List {
    fn new(editor: &mut Editor<'_>, range: &Range<usize>, parts: &[Part]) -> Self {
        let inner = range.start + 1..range.end - 1;
        editor.out.push(editor.text[range.start]);
        let (first, last) = (parts.first(), parts.last());
        Self {
            opening: inner.start..first.map_or(inner.start, |part| part.start),
            between: match parts {
                [one, two, ..] => Some(one.value.end..two.start),
                _ => None,
            },
            closing: last.map_or(inner.start, |part| part.value.end)..inner.end,
            is_empty: true,
        }
    }

    /// Begins a part. `own` is the separator that preceded the part in the old text, if there was one.
    fn begin(&mut self, editor: &mut Editor<'_>, own: Option<Range<usize>>) {
        let separator = match (self.is_empty, own.or(self.between.clone())) {
            (true, _) => &editor.text[self.opening.clone()],
            (false, Some(between)) => &editor.text[between],
            (false, None) => {
                editor.out.push(b',');
                &editor.text[self.opening.clone()]
            }
        };
        editor.out.extend_from_slice(separator);
        self.is_empty = false;
    }

    fn end(&mut self, editor: &mut Editor<'_>, range: &Range<usize>) {
        editor
            .out
            .extend_from_slice(&editor.text[self.closing.clone()]);
        editor.out.push(editor.text[range.end - 1]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edit(text: &str, edit: impl FnOnce(&mut Value)) -> String {
        let mut value = parse(text.as_bytes()).unwrap();
        edit(&mut value);
        String::from_utf8(edited(text.as_bytes(), &value)).unwrap()
    }

    #[test]
    fn what_is_not_edited_stays_as_text() {
        let kept = r#" "n": [12345678901234567890123456, -0, 1.0, 1e5, 1E+400, 0.10],  "s": "\u003c\/\ud800 \u00e9é",
            "twice": 1, "twice": {"a" : [ ]}"#;
        let text = format!("{{{kept}, \"digest\" : \"old\"}}\n");
        let expected = format!("{{{kept}, \"digest\" : \"new\"}}\n");
        assert_eq!(edit(&text, |it| it["digest"] = json!("new")), expected);
        assert_eq!(edit(&text, |_| ()), text);
    }

    #[test]
    fn members_and_elements_come_and_go_in_the_form_of_the_text() {
        type Edit = fn(&mut Value);
        let cases: [(&str, Edit, &str); 9] = [
            (
                "{\n  \"a\": 1.0\n}",
                |it| it["b"] = json!(2),
                "{\n  \"a\": 1.0,\n  \"b\": 2\n}",
            ),
            (
                r#"{"a":1.0,"b":2.0}"#,
                |it| drop(it.as_object_mut().unwrap().shift_remove("a")),
                r#"{"b":2.0}"#,
            ),
            (
                r#"{"a":1.0,"b":2.0}"#,
                |it| drop(it.as_object_mut().unwrap().shift_remove("b")),
                r#"{"a":1.0}"#,
            ),
            (
                "[1.0, 2.0, 3.0]",
                |it| drop(it.as_array_mut().unwrap().remove(1)),
                "[1.0, 3.0]",
            ),
            (
                "[1.0, 2.0]",
                |it| it.as_array_mut().unwrap().push(json!(3)),
                "[1.0, 2.0, 3]",
            ),
            (
                "[{\"x\": 1.0, \"d\": 1}, 2.0]",
                |it| it[0]["d"] = json!(5),
                "[{\"x\": 1.0, \"d\": 5}, 2.0]",
            ),
            (
                "[1.0, {\"x\": 1.0, \"d\": 1}]",
                |it| {
                    it.as_array_mut().unwrap().remove(0);
                    it[0]["d"] = json!(5);
                },
                "[{\"x\": 1.0, \"d\": 5}]",
            ),
            ("{}", |it| it["a"] = json!([]), r#"{"a":[]}"#),
            (
                "[ ]",
                |it| it.as_array_mut().unwrap().push(json!("\u{0}")),
                "[\"\\u0000\" ]",
            ),
        ];
        for (text, change, expected) in cases {
            let got = edit(text, change);
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn lone_surrogates_and_other_bytes_read_as_go_reads_them() {
        let cases: [(&[u8], &str); 6] = [
            (br#""\ud800""#, "\u{fffd}"),
            (br#""\udc00\ud800x""#, "\u{fffd}\u{fffd}x"),
            (br#""\ud83d\ude00\\ud800""#, "\u{1f600}\\ud800"),
            (br#""\ud800\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (b"\"\xff\"", "\u{fffd}"),
            (b"\"a\"\n", "a"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), json!(expected));
        }
        for wrong in [&b"\xef\xbb\xbf{}"[..], b"{} x", b"\"\\ud80\"", b""] {
            assert!(parse(wrong).is_err());
        }
    }
}
