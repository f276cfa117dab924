//! Builds the graph from the stream. It reads one object after another, resolves references, and gives equal values
//! the same number.

use super::super::code::{Field, layout};
use super::super::reader::Reader;
use super::super::{MOST_OBJECTS, MarshalError, MarshalErrorKind, scalar};
use super::graph::Graph;

/// A container whose elements are not all read.
struct Frame {
    /// The type byte without the flag. Tuples have the byte of the long form.
    kind: u8,
    left: usize,
    /// The fields of a code object that are still to come.
    fields: &'static [Field],
    /// The container's index in the reference list.
    place: Option<usize>,
    /// The index of its first element among those of all open containers.
    start: usize,
}

/// Reads a body that the walk has accepted, without repeating its checks.
pub(super) struct Parser<'a> {
    minor: u8,
    body: &'a [u8],
    reader: Reader<'a>,
    /// The numbers of objects that references can name; `None` while an object is incomplete.
    references: Vec<Option<usize>>,
    frames: Vec<Frame>,
    /// The elements of the open containers so far, outermost container first.
    elements: Vec<usize>,
    graph: Graph<'a>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(minor: u8, body: &'a [u8]) -> Parser<'a> {
        Parser {
            minor,
            body,
            reader: Reader::new(body),
            references: Vec::new(),
            frames: Vec::new(),
            elements: Vec::new(),
            graph: Graph::new(minor, body.len()),
        }
    }

    /// Returns the values and the number of the outermost one.
    pub(super) fn run(mut self) -> Result<(Graph<'a>, usize), MarshalError> {
        let mut objects = 0;
        loop {
            objects += 1;
            if objects > MOST_OBJECTS {
                let (offset, kind) = (self.reader.position(), MarshalErrorKind::TooMany);
                return Err(MarshalError { offset, kind });
            }
            let mut complete = self.read_object()?;
            while let Some(number) = complete {
                let Some(frame) = self.frames.last_mut() else {
                    return Ok((self.graph, number));
                };
                self.elements.push(number);
                frame.left = frame.left.saturating_sub(1);
                if frame.kind == b'c' {
                    frame.fields = frame.fields.split_first().map_or(&[], |(_, rest)| rest);
                    self.read_numbers()?;
                }
                complete = self.close_if_complete();
            }
        }
    }

    /// Reads an object, or opens a container, which has no number yet.
    fn read_object(&mut self) -> Result<Option<usize>, MarshalError> {
        let offset = self.reader.position();
        let byte = self.reader.byte()?;
        let (is_flagged, kind) = (byte & 0x80 != 0, byte & 0x7f);
        match kind {
            b'N' | b'F' | b'T' | b'S' | b'.' => Ok(Some(self.graph.leaf(kind, &[]))),
            b'0' => self.end_dict(offset).map(Some),
            b'r' => self.refer(offset).map(Some),
            b'(' | b')' | b'[' | b'<' | b'>' | b':' | b'{' | b'}' | b'c' => {
                self.open(kind, is_flagged)?;
                Ok(self.close_if_complete())
            }
            _ => {
                let start = self.reader.position();
                if scalar::leaf(kind, &mut self.reader)?.is_none() {
                    let kind = MarshalErrorKind::UnknownType(byte);
                    return Err(MarshalError { offset, kind });
                }
                let payload = self.since(start);
                let number = self.graph.leaf(kind, payload);
                if is_flagged {
                    self.references.push(Some(number));
                }
                Ok(Some(number))
            }
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        self.body
            .get(start..self.reader.position())
            .unwrap_or_default()
    }

    fn open(&mut self, kind: u8, is_flagged: bool) -> Result<(), MarshalError> {
        let place = is_flagged.then(|| {
            self.references.push(None);
            self.references.len() - 1
        });
        let left = match kind {
            b')' => self.reader.short_count()? as usize,
            b':' => 3,
            // Dictionaries go on to the end marker.
            b'{' | b'}' => usize::MAX,
            b'c' => layout(self.minor)
                .iter()
                .filter(|field| !field.is_number())
                .count(),
            _ => self.reader.count()? as usize,
        };
        self.frames.push(Frame {
            kind: if kind == b')' { b'(' } else { kind },
            left,
            fields: if kind == b'c' {
                layout(self.minor)
            } else {
                &[]
            },
            place,
            start: self.elements.len(),
        });
        self.read_numbers()
    }

    /// Reads the numeric fields of the innermost code object before its next object.
    fn read_numbers(&mut self) -> Result<(), MarshalError> {
        let start = self.reader.position();
        let Some(frame) = self.frames.last_mut() else {
            return Ok(());
        };
        while let [field, rest @ ..] = frame.fields
            && field.is_number()
        {
            self.reader.long()?;
            frame.fields = rest;
        }
        if self.reader.position() > start {
            let bytes = self.since(start);
            self.elements.push(self.graph.piece(bytes));
        }
        Ok(())
    }

    fn close_if_complete(&mut self) -> Option<usize> {
        let frame = self.frames.pop_if(|frame| frame.left == 0)?;
        Some(self.close(&frame))
    }

    fn close(&mut self, frame: &Frame) -> usize {
        let children = self.elements.get_mut(frame.start..).unwrap_or_default();
        let number = self.graph.tree(frame.kind, children);
        self.elements.truncate(frame.start);
        let place = frame.place.and_then(|place| self.references.get_mut(place));
        if let Some(reference) = place {
            *reference = Some(number);
        }
        number
    }

    /// Ends the innermost dictionary. Its last child is the end marker.
    fn end_dict(&mut self, offset: usize) -> Result<usize, MarshalError> {
        let is_dict = |frame: &mut Frame| matches!(frame.kind, b'{' | b'}');
        let Some(frame) = self.frames.pop_if(is_dict) else {
            let kind = MarshalErrorKind::NullObject;
            return Err(MarshalError { offset, kind });
        };
        self.elements.push(self.graph.piece(b"0"));
        Ok(self.close(&frame))
    }

    fn refer(&mut self, offset: usize) -> Result<usize, MarshalError> {
        let number = self.reader.long()?;
        let found = usize::try_from(number)
            .ok()
            .and_then(|index| self.references.get(index).copied().flatten());
        found.ok_or(MarshalError {
            offset,
            kind: MarshalErrorKind::BadReference(number),
        })
    }
}
