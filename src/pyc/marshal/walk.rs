//! The walk: reads one object after another and hands each to its container.

use super::code::{Code, Locals};
use super::reader::Reader;
use super::value::{Kind, Sequence, Value};
use super::{MOST_OBJECTS, MarshalError, MarshalErrorKind, scalar};

/// The deepest nesting that CPython accepts. It counts every open object and the innermost one.
pub(super) const MAX_DEPTH: usize = 2000;

/// An entry of the reference list.
#[derive(Clone, Copy)]
enum Reference {
    Ready(Value),
    /// An object that references may name only once it is complete.
    Reserved,
}

/// A container whose elements are not all read. `place` is its index in the reference list.
enum Frame {
    Sequence(Sequence),
    /// `key` waits for its value. `whole` is the complete dictionary.
    Dict {
        key: Option<Value>,
        place: Option<usize>,
        whole: Value,
    },
    Code {
        code: Box<Code>,
        place: Option<usize>,
    },
}

/// The result of reading: an object, or the start of one.
enum Read {
    Whole(Value),
    Open(Frame),
}

pub(super) struct Walk<'a> {
    minor: u8,
    reader: Reader<'a>,
    references: Vec<Reference>,
    frames: Vec<Frame>,
    locals: Locals,
}

impl<'a> Walk<'a> {
    pub(super) fn new(minor: u8, body: &'a [u8]) -> Walk<'a> {
        let reader = Reader::new(body);
        Walk {
            minor,
            reader,
            references: Vec::new(),
            frames: Vec::new(),
            locals: Locals::default(),
        }
    }

    /// Walks over one code object and returns its end.
    pub(super) fn run(mut self) -> Result<usize, MarshalError> {
        loop {
            let offset = self.reader.position();
            if self.references.len() > MOST_OBJECTS {
                let kind = MarshalErrorKind::TooMany;
                return Err(MarshalError { offset, kind });
            }
            let mut whole = match self.read_object()? {
                Read::Whole(value) => Some(value),
                Read::Open(frame) => {
                    self.frames.push(frame);
                    None
                }
            };
            while let Some(value) = whole {
                let Some(frame) = self.frames.pop() else {
                    return self.finish(value);
                };
                whole = self.deliver(frame, value, offset)?;
            }
        }
    }

    fn finish(&self, value: Value) -> Result<usize, MarshalError> {
        let kind = match value {
            Value::Code => return Ok(self.reader.position()),
            Value::Null => MarshalErrorKind::NullObject,
            _ => MarshalErrorKind::NotCode,
        };
        Err(MarshalError { offset: 0, kind })
    }

    /// Reads a type byte and the bytes up to the first element.
    fn read_object(&mut self) -> Result<Read, MarshalError> {
        let offset = self.reader.position();
        let byte = self.reader.byte()?;
        let at = |kind| MarshalError { offset, kind };
        if self.frames.len() >= MAX_DEPTH {
            return Err(at(MarshalErrorKind::TooDeep));
        }
        // References and the short forms came with 3.4; the high bit had no meaning before.
        let (is_flagged, kind) = (byte & 0x80 != 0, byte & 0x7f);
        let is_newer = is_flagged || matches!(kind, b'r' | b't' | b'a' | b'A' | b'z' | b'Z' | b')');
        if is_newer && self.minor < 4 {
            return Err(at(MarshalErrorKind::UnknownType(byte)));
        }
        match kind {
            b'0' => Ok(Read::Whole(Value::Null)),
            // The singletons never enter the reference list, flagged or not.
            b'N' | b'F' | b'T' | b'S' | b'.' => Ok(Read::Whole(Value::Other)),
            b'r' => self.refer(offset).map(Read::Whole),
            b'(' | b')' | b'[' | b'<' | b'>' => self.open_sequence(kind, is_flagged),
            b'{' | b'}' | b':' | b'c' => self.open_other(byte, offset).map(Read::Open),
            _ => {
                let unknown = at(MarshalErrorKind::UnknownType(byte));
                let value = scalar::leaf(kind, &mut self.reader)?.ok_or(unknown)?;
                self.register(is_flagged, value);
                Ok(Read::Whole(value))
            }
        }
    }

    /// Opens a container that does not begin with its length.
    fn open_other(&mut self, byte: u8, offset: usize) -> Result<Frame, MarshalError> {
        let is_flagged = byte & 0x80 != 0;
        match byte & 0x7f {
            b'{' => {
                let whole = Value::Unhashable;
                let place = self.register(is_flagged, whole);
                Ok(Frame::Dict {
                    key: None,
                    place,
                    whole,
                })
            }
            // PEP 814. This assumes that frozen dictionaries have the form of dictionaries and are hashable, which
            // refuses least. No 3.15 interpreter was available to test it.
            b'}' if self.minor >= 15 => {
                let place = self.reserve(is_flagged);
                Ok(Frame::Dict {
                    key: None,
                    place,
                    whole: Value::Other,
                })
            }
            b':' if self.minor >= 14 => {
                let mut slice = Sequence::new(Kind::Slice, 3);
                slice.place = self.reserve(is_flagged);
                Ok(Frame::Sequence(slice))
            }
            b'c' => {
                let place = self.reserve(is_flagged);
                let code = Box::new(Code::start(self.minor, offset, &mut self.reader)?);
                Ok(Frame::Code { code, place })
            }
            _ => Err(MarshalError {
                offset,
                kind: MarshalErrorKind::UnknownType(byte),
            }),
        }
    }

    fn open_sequence(&mut self, kind: u8, is_flagged: bool) -> Result<Read, MarshalError> {
        let length = match kind {
            b')' => self.reader.short_count()?,
            _ => self.reader.count()?,
        };
        let kind = match kind {
            b'(' | b')' => Kind::Tuple,
            b'[' => Kind::List,
            b'<' => Kind::Set,
            _ => Kind::FrozenSet,
        };
        let mut sequence = Sequence::new(kind, length);
        // References inside the container may name it, except a frozenset.
        sequence.place = match kind {
            Kind::Tuple => self.register(is_flagged, sequence.tuple()),
            Kind::List | Kind::Set => self.register(is_flagged, Value::Unhashable),
            Kind::FrozenSet | Kind::Slice => self.reserve(is_flagged),
        };
        if length > 0 {
            return Ok(Read::Open(Frame::Sequence(sequence)));
        }
        self.complete(sequence.place, sequence.close());
        Ok(Read::Whole(sequence.close()))
    }

    /// Gives the innermost container the element that was read at or after `offset`. Returns the container if this
    /// was the last element, and puts it back otherwise.
    fn deliver(
        &mut self,
        frame: Frame,
        value: Value,
        offset: usize,
    ) -> Result<Option<Value>, MarshalError> {
        let at = |kind| MarshalError { offset, kind };
        let (whole, place) = match (frame, value) {
            // These end without an exception and are not objects themselves. A dictionary around them takes them for
            // its end marker. The places that they reserved stay reserved.
            (Frame::Code { .. }, Value::Null) => return Ok(Some(Value::Null)),
            (
                Frame::Sequence(Sequence {
                    kind: Kind::Slice, ..
                }),
                Value::Null,
            ) => {
                return Ok(Some(Value::Null));
            }
            (Frame::Sequence(mut sequence), value) => {
                sequence.accept(value).map_err(at)?;
                if sequence.left > 0 {
                    self.frames.push(Frame::Sequence(sequence));
                    return Ok(None);
                }
                (sequence.close(), sequence.place)
            }
            // The end marker ends a dictionary in place of a key, and also in place of a value.
            (Frame::Dict { place, whole, .. }, Value::Null) => (whole, place),
            (Frame::Dict { key, place, whole }, value) => {
                if key.is_some_and(|key| !key.is_hashable()) {
                    return Err(at(MarshalErrorKind::Unhashable));
                }
                let key = if key.is_some() { None } else { Some(value) };
                self.frames.push(Frame::Dict { key, place, whole });
                return Ok(None);
            }
            (Frame::Code { mut code, place }, value) => {
                if !code.accept(value, &mut self.reader)? {
                    self.frames.push(Frame::Code { code, place });
                    return Ok(None);
                }
                code.validate(&self.reader, &mut self.locals)?;
                (Value::Code, place)
            }
        };
        self.complete(place, whole);
        Ok(Some(whole))
    }

    fn refer(&mut self, offset: usize) -> Result<Value, MarshalError> {
        let number = self.reader.long()?;
        let found = usize::try_from(number)
            .ok()
            .and_then(|index| self.references.get(index));
        match found {
            Some(Reference::Ready(value)) => Ok(*value),
            _ => Err(MarshalError {
                offset,
                kind: MarshalErrorKind::BadReference(number),
            }),
        }
    }

    fn register(&mut self, is_flagged: bool, value: Value) -> Option<usize> {
        self.add(is_flagged, Reference::Ready(value))
    }

    fn reserve(&mut self, is_flagged: bool) -> Option<usize> {
        self.add(is_flagged, Reference::Reserved)
    }

    fn add(&mut self, is_flagged: bool, reference: Reference) -> Option<usize> {
        is_flagged.then(|| {
            self.references.push(reference);
            self.references.len() - 1
        })
    }

    fn complete(&mut self, place: Option<usize>, value: Value) {
        if let Some(reference) = place.and_then(|place| self.references.get_mut(place)) {
            *reference = Reference::Ready(value);
        }
    }
}
