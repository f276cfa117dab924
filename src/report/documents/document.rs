//! The structure of a report before it becomes text, markdown or HTML: blocks without markup.
//!
//! Strings may come from an image. Renderers escape them. This module does not.

use std::cmp::Reverse;

use crate::size;

/// A report as a sequence of blocks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The blocks.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// The subject of all blocks up to the next headline.
    Headline {
        /// The image's name.
        name: String,
        /// Short facts about the image. The platform comes first.
        facts: Vec<String>,
    },
    /// A line of prose.
    Line(String),
    /// A table of figures.
    Table(Table),
    /// A fact that the reader should know.
    Note(String),
    /// A problem to look into.
    Warning(String),
    /// A command that the reader can run.
    Hint {
        /// The command line.
        command: String,
        /// What it does.
        effect: String,
    },
    /// The figures that matter most, in one line.
    Summary(String),
}

/// A table: rows of cells under headings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The subject of the table.
    pub title: Title,
    /// Whether only some readers want the table. Renderers for small spaces fold it.
    pub is_detail: bool,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows. Each has a cell for every column.
    pub rows: Vec<Vec<Cell>>,
    /// The row of totals, with a cell for every column. Empty if the table has no totals.
    pub total: Vec<Cell>,
    /// A line that says which rows are missing.
    pub more: Option<String>,
}

/// The subject of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Title {
    /// A title that adds to the headings. Renderers show it.
    Shown(String),
    /// A title that the headings imply. Renderers use it only where the headings are not visible.
    Implied(&'static str),
}

/// A column's heading and layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The heading. It may be empty.
    pub heading: &'static str,
    /// The alignment of the cells.
    pub align: Align,
    /// The order in which columns are left out if space is short: the largest number first. Columns with 0 always stay.
    pub dispensable: u8,
    /// Whether the values of this column decide which rows stay if not all fit.
    pub ranks: bool,
}

/// The alignment of a cell in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left-aligned, for text.
    Left,
    /// Right-aligned, for numbers.
    Right,
}

impl Column {
    /// A column of text.
    pub fn left(heading: &'static str) -> Self {
        Self::new(heading, Align::Left)
    }

    /// A column of numbers.
    pub fn right(heading: &'static str) -> Self {
        Self::new(heading, Align::Right)
    }

    /// Sets the order in which the column is left out if space is short.
    pub fn dispensable(self, dispensable: u8) -> Self {
        Self {
            dispensable,
            ..self
        }
    }

    /// Makes the values of this column decide which rows stay.
    pub fn ranks(self) -> Self {
        Self {
            ranks: true,
            ..self
        }
    }

    fn new(heading: &'static str, align: Align) -> Self {
        Self {
            heading,
            align,
            dispensable: 0,
            ranks: false,
        }
    }
}

impl Default for Title {
    fn default() -> Self {
        Self::Implied("")
    }
}

impl Title {
    /// A title that is shown.
    pub fn shown(text: impl Into<String>) -> Self {
        Self::Shown(text.into())
    }

    /// The title's text, whether or not it is shown.
    pub fn text(&self) -> &str {
        match self {
            Self::Shown(text) => text,
            Self::Implied(text) => text,
        }
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The text of the cell.
    pub text: String,
    /// The kind of text.
    pub content: Content,
    /// How the reader should judge the value.
    pub tone: Tone,
    /// The size of the value in bytes, without its sign. Zero if the cell is not a size.
    pub bytes: u64,
}

/// Kinds of text. They differ in what happens if space is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A word or number. It is never cut.
    Word,
    /// A digest, or another word for machines. It is never cut.
    Code,
    /// A path. It is cut in the middle.
    Path,
    /// A command line. It is cut at the end.
    Command,
    /// A sentence. It is wrapped.
    Prose,
    /// A bar for a number: its length in hundredths of the full length.
    Bar(u8),
}

/// The meaning of a cell's colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// No judgement, no colour.
    #[default]
    Plain,
    /// An improvement, such as fewer bytes.
    Good,
    /// A problem, such as too many bytes.
    Bad,
}

/// Number of characters in a bar of full length.
const BAR_CHARS: u8 = 20;

impl Cell {
    /// A word or number.
    pub fn word(text: impl Into<String>) -> Self {
        Self::new(text, Content::Word)
    }

    /// A number.
    pub fn number(number: impl ToString) -> Self {
        Self::word(number.to_string())
    }

    /// A size in bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self {
            bytes,
            ..Self::word(size::bytes(bytes))
        }
    }

    /// A difference in bytes. Less is good.
    pub fn difference(bytes: i64) -> Self {
        Self {
            bytes: bytes.unsigned_abs(),
            ..Self::word(size::difference(bytes)).tone(Tone::of_difference(bytes))
        }
    }

    /// A digest.
    pub fn code(text: impl Into<String>) -> Self {
        Self::new(text, Content::Code)
    }

    /// A path.
    pub fn path(text: impl Into<String>) -> Self {
        Self::new(text, Content::Path)
    }

    /// A command line.
    pub fn command(text: impl Into<String>) -> Self {
        Self::new(text, Content::Command)
    }

    /// A sentence.
    pub fn prose(text: impl Into<String>) -> Self {
        Self::new(text, Content::Prose)
    }

    /// A bar that shows a number relative to the largest one, in steps of a twentieth.
    pub fn bar(number: u64, largest: u64) -> Self {
        let largest = u128::from(largest.max(1));
        let filled = (u128::from(number) * u128::from(BAR_CHARS) + largest / 2) / largest;
        let filled = u8::try_from(filled).unwrap_or(BAR_CHARS).min(BAR_CHARS);
        let repeat = |text: &str, count: u8| text.repeat(usize::from(count));
        let text = repeat("█", filled) + &repeat("░", BAR_CHARS - filled);
        Self::new(text, Content::Bar(filled * (100 / BAR_CHARS)))
    }

    /// An empty cell.
    pub fn empty() -> Self {
        Self::word("")
    }

    /// The same cell in another tone.
    pub fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    fn new(text: impl Into<String>, content: Content) -> Self {
        Self {
            text: text.into(),
            content,
            tone: Tone::Plain,
            bytes: 0,
        }
    }
}

impl Table {
    /// Returns at most `most` rows, and a line about the rows left out. If a column ranks the rows, returns the largest
    /// ones, else the first ones.
    pub fn most_important(&self, most: usize) -> (Vec<&Vec<Cell>>, Option<String>) {
        let mut rows: Vec<&Vec<Cell>> = self.rows.iter().collect();
        let all = rows.len();
        if all <= most {
            return (rows, None);
        }
        let ranking = self.columns.iter().position(|column| column.ranks);
        if let Some(column) = ranking {
            rows.sort_by_key(|row| Reverse(row.get(column).map(|cell| cell.bytes)));
        }
        rows.truncate(most);
        let which = if ranking.is_some() {
            "largest"
        } else {
            "first"
        };
        let left_out = format!("this table shows the {which} {most} of {all} rows; JSON has all");
        (rows, Some(left_out))
    }
}

impl Tone {
    /// The tone of a difference in bytes. Less is good.
    pub fn of_difference(bytes: i64) -> Self {
        match bytes {
            ..0 => Self::Good,
            0 => Self::Plain,
            1.. => Self::Bad,
        }
    }
}

impl Document {
    /// Adds a block.
    pub fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// Adds a line of prose.
    pub fn line(&mut self, text: impl Into<String>) {
        self.push(Block::Line(text.into()));
    }

    /// Splits the document at its headlines. Blocks before the first headline are a section too.
    ///
    /// In each section, the summary moves up to the headline. A terminal shows it last, but a page is read from the
    /// top.
    pub fn sections(&self) -> Vec<Vec<&Block>> {
        let is_headline = |block: &Block| matches!(block, Block::Headline { .. });
        let sections = self.blocks.chunk_by(|_, next| !is_headline(next));
        let rank = |block: &&Block| match block {
            Block::Headline { .. } => 0,
            Block::Summary(_) => 1,
            _ => 2,
        };
        let ordered = sections.map(|section| {
            let mut section: Vec<&Block> = section.iter().collect();
            section.sort_by_key(rank);
            section
        });
        ordered.collect()
    }

    /// Adds a table, unless it has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.push(Block::Table(table));
        }
    }
}

/// The first twelve hex digits of a digest, as container tools show it.
pub fn short_digest(digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.chars().take(12).collect()
}
