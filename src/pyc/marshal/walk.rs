//! The walk: reads object after object and hands each to the container that it belongs to.

use super::code::{Code, Locals};
use super::reader::Reader;
use super::{MarshalError, MarshalErrorKind, scalar};

/// CPython counts every object on the way, the innermost one too.
const MAX_DEPTH: usize = 2000;

/// What the walk remembers of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No object: the end marker, or a code object or slice that has one in it.
    Null,
    /// A string.
    Text,
    /// A bytes object, by the place of its size field.
    Bytes(u32),
    /// A tuple with its number of elements.
    Tuple {
        length: u32,
        is_whole: bool,
        all_text: bool,
        is_hashable: bool,
    },
    /// A list, a dictionary or a set.
    Unhashable,
    /// A slice with an unhashable part.
    UnhashableSlice,
    /// A code object.
    Code,
    /// Any other object. All are hashable.
    Other,
}

impl Value {
    fn is_hashable(self) -> bool {
        match self {
            // One that is not whole yet is a cycle; Python may crash there, so nothing is certain.
            Value::Tuple {
                is_whole,
                is_hashable,
                ..
            } => is_hashable || !is_whole,
            Value::Unhashable | Value::UnhashableSlice => false,
            _ => true,
        }
    }
}

/// An entry of the reference list.
#[derive(Clone, Copy)]
enum Reference {
    Ready(Value),
    /// The place is taken, but the object may be referred to only when it is complete.
    Reserved,
}

/// A container of which elements are still to come.
enum Frame {
    Sequence {
        kind: Sequence,
        length: u32,
        left: u32,
        place: Option<usize>,
        all_text: bool,
        is_hashable: bool,
    },
    Dict {
        key: Option<Value>,
        place: Option<usize>,
        is_frozen: bool,
    },
    Code {
        code: Box<Code>,
        place: Option<usize>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequence {
    Tuple,
    List,
    Set,
    FrozenSet,
    Slice,
}

/// What was read: an object, or the start of one.
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

    /// Walks over one code object and returns where it ends.
    pub(super) fn run(mut self) -> Result<usize, MarshalError> {
        loop {
            let offset = self.reader.position();
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

    /// Reads a type byte and what follows it up to the first element.
    fn read_object(&mut self) -> Result<Read, MarshalError> {
        let offset = self.reader.position();
        let byte = self.reader.byte()?;
        let at = |kind| MarshalError { offset, kind };
        if self.frames.len() >= MAX_DEPTH {
            return Err(at(MarshalErrorKind::TooDeep));
        }
        let unknown = at(MarshalErrorKind::UnknownType(byte));
        // References and the short forms came with 3.4. Before, the high bit had no meaning.
        let is_flagged = byte & 0x80 != 0;
        let kind = byte & 0x7f;
        let is_newer = is_flagged || matches!(kind, b'r' | b't' | b'a' | b'A' | b'z' | b'Z' | b')');
        if is_newer && self.minor < 4 {
            return Err(unknown);
        }
        match kind {
            b'(' | b')' | b'[' | b'<' | b'>' => self.open_sequence(kind, is_flagged),
            b':' if self.minor >= 14 => {
                let place = self.reserve(is_flagged);
                Ok(Read::Open(sequence(Sequence::Slice, 3, place)))
            }
            b'{' => {
                let place = self.register(is_flagged, Value::Unhashable);
                Ok(Read::Open(Frame::Dict {
                    key: None,
                    place,
                    is_frozen: false,
                }))
            }
            // PEP 814. No stored interpreter could be asked, so it passes for hashable.
            b'}' if self.minor >= 15 => {
                let place = self.reserve(is_flagged);
                Ok(Read::Open(Frame::Dict {
                    key: None,
                    place,
                    is_frozen: true,
                }))
            }
            b'c' => {
                let place = self.reserve(is_flagged);
                let code = Box::new(Code::start(self.minor, offset, &mut self.reader)?);
                Ok(Read::Open(Frame::Code { code, place }))
            }
            b'r' => self.refer(offset).map(Read::Whole),
            b'0' => Ok(Read::Whole(Value::Null)),
            // The singletons never enter the reference list, flagged or not.
            b'N' | b'F' | b'T' | b'S' | b'.' => Ok(Read::Whole(Value::Other)),
            _ => {
                let value = self.read_leaf(kind)?.ok_or(unknown)?;
                self.register(is_flagged, value);
                Ok(Read::Whole(value))
            }
        }
    }

    /// An object without elements; none if the type is unknown.
    fn read_leaf(&mut self, kind: u8) -> Result<Option<Value>, MarshalError> {
        let reader = &mut self.reader;
        let place = reader.position();
        let value = match kind {
            b'i' => reader.take(4).map(|_| Value::Other)?,
            b'I' | b'g' => reader.take(8).map(|_| Value::Other)?,
            b'y' => reader.take(16).map(|_| Value::Other)?,
            b'l' => scalar::integer(reader).map(|()| Value::Other)?,
            b'f' => scalar::float_text(reader).map(|()| Value::Other)?,
            b'x' => {
                scalar::float_text(reader)?;
                scalar::float_text(reader).map(|()| Value::Other)?
            }
            b's' => {
                let size = reader.size()? as usize;
                reader.take(size)?;
                // A body above 4 GiB: the place is then one where no bytes object is found.
                Value::Bytes(u32::try_from(place).unwrap_or(u32::MAX))
            }
            // Called ASCII, read as Latin-1: every byte will do.
            b'a' | b'A' => {
                let size = reader.size()? as usize;
                reader.take(size).map(|_| Value::Text)?
            }
            b'z' | b'Z' => {
                let size = usize::from(reader.byte()?);
                reader.take(size).map(|_| Value::Text)?
            }
            b'u' | b't' => {
                let size = reader.size()? as usize;
                if !scalar::is_text(reader.take(size)?) {
                    return Err(MarshalError {
                        offset: place,
                        kind: MarshalErrorKind::BadText,
                    });
                }
                Value::Text
            }
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn open_sequence(&mut self, kind: u8, is_flagged: bool) -> Result<Read, MarshalError> {
        let length = match kind {
            b')' => self.reader.short_count()?,
            _ => self.reader.count()?,
        };
        let kind = match kind {
            b'(' | b')' => Sequence::Tuple,
            b'[' => Sequence::List,
            b'<' => Sequence::Set,
            _ => Sequence::FrozenSet,
        };
        // All but the frozenset can be referred to from within.
        let place = match kind {
            Sequence::Tuple => self.register(is_flagged, tuple(length, false, false, true)),
            Sequence::List | Sequence::Set => self.register(is_flagged, Value::Unhashable),
            Sequence::FrozenSet | Sequence::Slice => self.reserve(is_flagged),
        };
        if length > 0 {
            return Ok(Read::Open(sequence(kind, length, place)));
        }
        let value = close_sequence(kind, length, true, true);
        self.complete(place, value);
        Ok(Read::Whole(value))
    }

    /// Gives the innermost container an element that starts at or before `offset`. Returns the
    /// container if that was the last one.
    fn deliver(
        &mut self,
        frame: Frame,
        value: Value,
        offset: usize,
    ) -> Result<Option<Value>, MarshalError> {
        let at = |kind| MarshalError { offset, kind };
        let is_null = value == Value::Null;
        let (whole, place) = match frame {
            // Without an exception, unlike in the other sequences: the slice itself becomes NULL.
            Frame::Sequence {
                kind: Sequence::Slice,
                ..
            } if is_null => return Ok(Some(Value::Null)),
            Frame::Sequence { .. } if is_null => return Err(at(MarshalErrorKind::NullObject)),
            Frame::Sequence {
                kind,
                length,
                left,
                place,
                all_text,
                is_hashable,
            } => {
                let is_set = matches!(kind, Sequence::Set | Sequence::FrozenSet);
                if is_set && !value.is_hashable() {
                    return Err(at(MarshalErrorKind::Unhashable));
                }
                let all_text = all_text && value == Value::Text;
                let is_hashable = is_hashable && value.is_hashable();
                if left > 1 {
                    let left = left - 1;
                    self.frames.push(Frame::Sequence {
                        kind,
                        length,
                        left,
                        place,
                        all_text,
                        is_hashable,
                    });
                    return Ok(None);
                }
                (close_sequence(kind, length, all_text, is_hashable), place)
            }
            // The end marker ends a dictionary where a key is due, and also in place of a value.
            Frame::Dict {
                place, is_frozen, ..
            } if is_null => (
                if is_frozen {
                    Value::Other
                } else {
                    Value::Unhashable
                },
                place,
            ),
            Frame::Dict {
                key: None,
                place,
                is_frozen,
            } => {
                self.frames.push(Frame::Dict {
                    key: Some(value),
                    place,
                    is_frozen,
                });
                return Ok(None);
            }
            Frame::Dict {
                key: Some(key),
                place,
                is_frozen,
            } => {
                if !key.is_hashable() {
                    return Err(at(MarshalErrorKind::Unhashable));
                }
                self.frames.push(Frame::Dict {
                    key: None,
                    place,
                    is_frozen,
                });
                return Ok(None);
            }
            // As for the slice: seen from a dictionary, such a code object is an end marker.
            Frame::Code { .. } if is_null => return Ok(Some(Value::Null)),
            Frame::Code { mut code, place } => {
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

fn sequence(kind: Sequence, length: u32, place: Option<usize>) -> Frame {
    Frame::Sequence {
        kind,
        length,
        left: length,
        place,
        all_text: true,
        is_hashable: true,
    }
}

fn close_sequence(kind: Sequence, length: u32, all_text: bool, is_hashable: bool) -> Value {
    match kind {
        Sequence::Tuple => tuple(length, true, all_text, is_hashable),
        Sequence::List | Sequence::Set => Value::Unhashable,
        Sequence::Slice if !is_hashable => Value::UnhashableSlice,
        Sequence::FrozenSet | Sequence::Slice => Value::Other,
    }
}

fn tuple(length: u32, is_whole: bool, all_text: bool, is_hashable: bool) -> Value {
    Value::Tuple {
        length,
        is_whole,
        all_text,
        is_hashable,
    }
}
