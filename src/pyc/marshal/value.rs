//! What the walk remembers of objects, and the containers that count their elements.

use super::MarshalErrorKind;

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
    /// A list, a dictionary, a set, or a slice with one of them in it.
    Unhashable,
    /// A code object.
    Code,
    /// Any other object. All are hashable.
    Other,
}

impl Value {
    pub(super) fn is_hashable(self) -> bool {
        match self {
            // One that is not whole yet is a cycle; Python may crash there, so nothing is certain.
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
    /// Of the elements so far.
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

    /// The tuple as it stands, whole or not.
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
