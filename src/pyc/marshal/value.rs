//! The properties of objects that the walk remembers, and the containers that count their elements.

use super::MarshalErrorKind;

/// The properties of an object that the walk remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Not an object: the end marker, or a code object or slice that contains it.
    Null,
    /// A string.
    Text,
    /// A bytes object, with the place of its size field.
    Bytes(u32),
    /// A tuple, with its number of elements.
    Tuple {
        length: u32,
        is_whole: bool,
        all_text: bool,
        is_hashable: bool,
    },
    /// A list, a dictionary, a set, or a slice that contains one of them.
    Unhashable,
    /// A code object.
    Code,
    /// Any other object. All of these are hashable.
    Other,
}

impl Value {
    pub(super) fn is_hashable(self) -> bool {
        match self {
            // An incomplete tuple is a cycle. Python may crash on it, so nothing is certain.
            Value::Tuple {
                is_whole,
                is_hashable,
                ..
            } => is_hashable || !is_whole,
            Value::Unhashable => false,
            _ => true,
        }
    }
}

/// A container with a known number of elements.
#[derive(Clone, Copy)]
pub(super) struct Sequence {
    pub(super) kind: Kind,
    length: u32,
    pub(super) left: u32,
    pub(super) place: Option<usize>,
    /// Properties of the elements so far.
    all_text: bool,
    is_hashable: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tuple,
    List,
    Set,
    FrozenSet,
    Slice,
}

impl Sequence {
    pub(super) fn new(kind: Kind, length: u32) -> Sequence {
        Sequence {
            kind,
            length,
            left: length,
            place: None,
            all_text: true,
            is_hashable: true,
        }
    }

    pub(super) fn accept(&mut self, value: Value) -> Result<(), MarshalErrorKind> {
        let is_set = matches!(self.kind, Kind::Set | Kind::FrozenSet);
        if value == Value::Null {
            return Err(MarshalErrorKind::NullObject);
        }
        if is_set && !value.is_hashable() {
            return Err(MarshalErrorKind::Unhashable);
        }
        self.all_text &= value == Value::Text;
        self.is_hashable &= value.is_hashable();
        self.left -= 1;
        Ok(())
    }

    pub(super) fn close(self) -> Value {
        match self.kind {
            Kind::Tuple => self.tuple(),
            Kind::List | Kind::Set => Value::Unhashable,
            Kind::Slice if !self.is_hashable => Value::Unhashable,
            Kind::FrozenSet | Kind::Slice => Value::Other,
        }
    }

    /// The tuple as it is now, complete or not.
    pub(super) fn tuple(self) -> Value {
        let Sequence {
            length,
            all_text,
            is_hashable,
            ..
        } = self;
        Value::Tuple {
            length,
            is_whole: self.left == 0,
            all_text,
            is_hashable,
        }
    }
}
