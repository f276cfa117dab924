//! Where bytes are, for a map.

use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::report::printable;

/// A part of an image, with the parts that it is made of, the largest first.
///
/// Written as an array, for a map has many: name, bytes, files, class or null, and the parts, if there are any.
/// Names are written as they are shown, for a page is all that a map is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its name among its siblings.
    pub name: String,
    /// Bytes that layers store of it.
    pub bytes: u64,
    /// Members with data.
    pub files: u64,
    /// What all of it is, where that is one thing.
    pub class: Option<AreaClass>,
    /// Its parts; their bytes are its own.
    pub children: Vec<Area>,
}

/// What a member is to Python.
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
    /// Bytecode that Python does not use: stale, orphaned, foreign, malformed, hidden, shadowed.
    Ignored,
    /// Anything else.
    Other,
}

impl AreaClass {
    /// All, as they are listed; their places are their numbers in a map.
    pub const ALL: [Self; 7] = [
        Self::Source,
        Self::LevelZero,
        Self::LevelOne,
        Self::LevelTwo,
        Self::Sourceless,
        Self::Ignored,
        Self::Other,
    ];

    /// What it is called.
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
