//! A report as a document, before it is text or markdown: blocks with no markup in them.
//!
//! Strings may come from an image. Renderers escape them; nothing here does.

use std::cmp::Reverse;

use crate::size;

/// Blocks, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// The blocks.
    pub blocks: Vec<Block>,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// What the blocks up to the next headline are about.
    Headline {
        /// The image.
        name: String,
        /// Short facts about it, the platform first.
        facts: Vec<String>,
    },
    /// A line of prose.
    Line(String),
    /// Figures.
    Table(Table),
    /// Something to know.
    Note(String),
    /// Something to look into.
    Warning(String),
    /// Something to do.
    Hint {
        /// A command line.
        command: String,
        /// What it does.
        effect: String,
    },
    /// The figures that matter most.
    Summary(String),
}

/// Rows under headings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What it is a table of.
    pub title: Title,
    /// Whether only some readers want it: where room is short it is folded away.
    pub is_detail: bool,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, each with a cell for every column.
    pub rows: Vec<Vec<Cell>>,
    /// What the rows come to, a cell for every column; empty where there is no such row.
    pub total: Vec<Cell>,
    /// What was left out of it.
    pub more: Option<String>,
}

/// What a table is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Title {
    /// Something that its headings do not tell.
    Shown(String),
    /// Something that its headings tell: said only where they cannot be seen.
    Implied(&'static str),
}

/// A column's heading and how it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its heading; may be empty.
    pub heading: &'static str,
    /// Whether its cells are numbers.
    pub align: Align,
    /// Where room is short, columns are left out, those with the largest number first; 0 stays.
    pub dispensable: u8,
    /// Whether its cells tell which rows matter most, where not all of them fit.
    pub ranks: bool,
}

/// Where in its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
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

    /// The same column, to be left out where room is short.
    pub fn dispensable(self, dispensable: u8) -> Self {
        Self {
            dispensable,
            ..self
        }
    }

    /// The same column, whose cells tell which rows matter most.
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

    /// What it says, shown or not.
    pub fn text(&self) -> &str {
        match self {
            Self::Shown(text) => text,
            Self::Implied(text) => text,
        }
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// What kind of text that is.
    pub content: Content,
    /// What the reader is to think of it.
    pub tone: Tone,
    /// The bytes that it stands for, without their sign.
    pub bytes: u64,
}

/// Kinds of text, which differ in what is done where room is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A word or number: always whole.
    Word,
    /// A digest or another word for machines: always whole.
    Code,
    /// A path: cut in the middle.
    Path,
    /// A command line: cut at the end.
    Command,
    /// A sentence: wrapped.
    Prose,
    /// A bar that stands for a number: of so many hundredths of its full length.
    Bar(u8),
}

/// What a cell's colour says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// It goes, and is not missed.
    Good,
    /// It is wrong, or too much.
    Bad,
}

/// How long a bar is that stands for the largest number.
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

    /// A number of bytes.
    pub fn bytes(bytes: u64) -> Self {
        Self {
            bytes,
            ..Self::word(size::bytes(bytes))
        }
    }

    /// A difference in bytes: less is good.
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

    /// A bar for a number beside the largest one, in steps of a twentieth.
    pub fn bar(number: u64, largest: u64) -> Self {
        let largest = u128::from(largest.max(1));
        let filled = (u128::from(number) * u128::from(BAR_CHARS) + largest / 2) / largest;
        let filled = u8::try_from(filled).unwrap_or(BAR_CHARS).min(BAR_CHARS);
        let repeat = |text: &str, count: u8| text.repeat(usize::from(count));
        let text = repeat("█", filled) + &repeat("░", BAR_CHARS - filled);
        Self::new(text, Content::Bar(filled * (100 / BAR_CHARS)))
    }

    /// Nothing.
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
    /// So many rows: the largest first where a column tells which these are. And what is to be said of the others.
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
        let left_out = format!("the {which} {most} of {all} rows; JSON has all");
        (rows, Some(left_out))
    }
}

impl Tone {
    /// Of a difference in bytes: less is good.
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

    /// What is before the first headline, and what is under each, as one reads from the top: in a terminal the
    /// figures that matter most are in the last line, here under the headline.
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

    /// Adds a table unless it has no rows.
    pub fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.push(Block::Table(table));
        }
    }
}

/// The first twelve digits of a digest, as tools show it.
pub fn short_digest(digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.chars().take(12).collect()
}
