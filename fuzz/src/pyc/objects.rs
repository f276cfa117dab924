//! A naive reader of marshal streams. It copies references, so that objects with the same content are equal however
//! they are shared.

/// The content of a stream. Two properties are left out because they depend on the history of a process: whether text
/// is interned, and the order of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    /// A type byte and the bytes after it.
    Leaf(u8, Vec<u8>),
    /// Text in UTF-8 with surrogates.
    Text(Vec<u8>),
    /// A type byte and the objects inside. A code object has its numbers as leaves.
    Container(u8, Vec<Object>),
}

/// Maximum number of objects in a stream. Copies of references multiply quickly.
const MOST: usize = 20_000;
/// Maximum depth of nested objects.
const DEEPEST: usize = 100;

/// Reads the object of a stream. Returns `None` if it contains itself, is too large, or is of an unknown kind.
pub(super) fn loaded(minor: u8, stream: &[u8]) -> Option<Object> {
    let mut loader = Loader {
        minor,
        stream,
        references: Vec::new(),
        left: MOST,
        depth: 0,
    };
    loader.object()?
}

struct Loader<'a> {
    minor: u8,
    stream: &'a [u8],
    /// `None` for an object that is not complete yet.
    references: Vec<Option<Object>>,
    left: usize,
    depth: usize,
}

impl Loader<'_> {
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (taken, rest) = self.stream.split_at_checked(length)?;
        self.stream = rest;
        Some(taken.to_vec())
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<i32> {
        Some(i32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// Reads the next object. The inner `None` is the mark at the end of a dictionary.
    fn object(&mut self) -> Option<Option<Object>> {
        let byte = self.byte()?;
        let (is_flagged, kind) = (byte & 0x80 != 0, byte & 0x7f);
        self.spend(1)?;
        if kind == b'r' {
            let number = self.size()?;
            let found = self.references.get(number)?.clone()?;
            self.spend(count(&found))?;
            return Some(Some(found));
        }
        if kind == b'0' {
            return Some(None);
        }
        let is_singleton = matches!(kind, b'N' | b'F' | b'T' | b'S' | b'.');
        let place = (is_flagged && !is_singleton).then_some(self.references.len());
        self.references.extend(place.map(|_| None));
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        let object = self.body(kind)?;
        self.depth -= 1;
        if let Some(place) = place {
            self.references[place] = Some(object.clone());
        }
        Some(Some(object))
    }

    fn spend(&mut self, objects: usize) -> Option<()> {
        self.left = self.left.checked_sub(objects)?;
        Some(())
    }

    /// Reads the data after a type byte.
    fn body(&mut self, kind: u8) -> Option<Object> {
        let leaf = |bytes| Some(Object::Leaf(kind, bytes));
        match kind {
            b'N' | b'F' | b'T' | b'S' | b'.' => leaf(Vec::new()),
            b'i' => leaf(self.take(4)?),
            b'I' | b'g' => leaf(self.take(8)?),
            b'y' => leaf(self.take(16)?),
            b'f' => leaf(self.short()?),
            b'x' => leaf([self.short()?, b"\0".to_vec(), self.short()?].concat()),
            b'l' => {
                let digits = self.number()?;
                let bytes = self.take(digits.unsigned_abs() as usize * 2)?;
                leaf([&digits.to_le_bytes()[..], &bytes].concat())
            }
            b's' => {
                let size = self.size()?;
                leaf(self.take(size)?)
            }
            b'u' | b't' => {
                let size = self.size()?;
                Some(Object::Text(self.take(size)?))
            }
            b'a' | b'A' => {
                let size = self.size()?;
                Some(latin(&self.take(size)?))
            }
            b'z' | b'Z' => Some(latin(&self.short()?)),
            _ => self.container(kind),
        }
    }

    fn short(&mut self) -> Option<Vec<u8>> {
        let size = self.byte()?;
        self.take(size.into())
    }

    fn container(&mut self, kind: u8) -> Option<Object> {
        let length = match kind {
            b')' => self.byte()?.into(),
            b'(' | b'[' | b'<' | b'>' => self.size()?,
            b':' => 3,
            b'{' | b'}' => {
                let mut pairs = Vec::new();
                while let Some(object) = self.object()? {
                    pairs.push(object);
                }
                return Some(Object::Container(kind, pairs));
            }
            b'c' => return self.code(),
            _ => return None,
        };
        let mut elements = Vec::new();
        for _ in 0..length {
            elements.push(self.object()??);
        }
        if matches!(kind, b'<' | b'>') {
            elements.sort();
        }
        let kind = if kind == b')' { b'(' } else { kind };
        Some(Object::Container(kind, elements))
    }

    /// A code object: its numbers, and the objects among them (`w_object` in Python/marshal.c).
    fn code(&mut self) -> Option<Object> {
        let (numbers, objects) = match self.minor {
            ..=7 => (5, 8),
            8..=10 => (6, 8),
            _ => (5, 8),
        };
        let mut fields = vec![Object::Leaf(0, self.take(4 * numbers)?)];
        for _ in 0..objects {
            fields.push(self.object()??);
        }
        fields.push(Object::Leaf(0, self.take(4)?));
        for _ in 0..if self.minor < 11 { 1 } else { 2 } {
            fields.push(self.object()??);
        }
        Some(Object::Container(b'c', fields))
    }
}

fn latin(bytes: &[u8]) -> Object {
    let text: String = bytes.iter().copied().map(char::from).collect();
    Object::Text(text.into_bytes())
}

fn count(object: &Object) -> usize {
    match object {
        Object::Container(_, elements) => 1 + elements.iter().map(count).sum::<usize>(),
        _ => 1,
    }
}
