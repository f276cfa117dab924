//! The distribution of an image's bytes, for a map.

use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::report::printable;

/// A part of an image, and the parts within it, largest first.
///
/// Serialized as an array, because a map has many: name, bytes, files, class or null, then the parts if there are any.
/// Names are serialized in printable form, because only a page uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// The name, unique among the siblings.
    pub name: String,
    /// Bytes that layers store for this area.
    pub bytes: u64,
    /// Number of members with data.
    pub files: u64,
    /// The class of everything in the area, if it is the same.
    pub class: Option<AreaClass>,
    /// The parts. Their bytes add up to the bytes of this area.
    pub children: Vec<Area>,
}

/// The role of a member for Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AreaClass {
    /// A source in a tree.
    Source,
    /// A cache of level 0 that Python uses.
    LevelZero,
    /// A cache of level 1 that Python uses.
    LevelOne,
    /// A cache of level 2 that Python uses.
    LevelTwo,
    /// A module without a source.
    Sourceless,
    /// Bytecode that Python does not use: stale, orphaned, foreign, malformed, hidden or shadowed.
    Ignored,
    /// Anything else.
    Other,
}

impl AreaClass {
    /// All classes, in the order of the legend. The position of a class is its number in a map.
    pub const ALL: [Self; 7] = [
        Self::Source,
        Self::LevelZero,
        Self::LevelOne,
        Self::LevelTwo,
        Self::Sourceless,
        Self::Ignored,
        Self::Other,
    ];

    /// The text in the legend.
    pub fn title(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::LevelZero => "level 0",
            Self::LevelOne => "level 1",
            Self::LevelTwo => "level 2",
            Self::Sourceless => "sourceless",
            Self::Ignored => "ignored bytecode",
            Self::Other => "other files",
        }
    }
}

impl Serialize for Area {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = serializer.serialize_seq(None)?;
        parts.serialize_element(&printable(&self.name))?;
        parts.serialize_element(&self.bytes)?;
        parts.serialize_element(&self.files)?;
        let number = self.class.map(|class| class as usize);
        parts.serialize_element(&number)?;
        if !self.children.is_empty() {
            parts.serialize_element(&self.children)?;
        }
        parts.end()
    }
}
