//! Advice, as a table and lines.

use super::hint;
use crate::report::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{Advice, AdviceChoice};
use crate::report::size;

pub(super) fn push(document: &mut Document, reference: &str, advice: &Advice) {
    let row = |choice: &AdviceChoice| {
        let tone = match choice.compiled_at_start {
            0 => Tone::Good,
            _ => Tone::Plain,
        };
        vec![
            Cell::prose(options(choice)),
            Cell::bytes(choice.removed_bytes),
            Cell::word(format!(
                "about {}",
                size::bytes(choice.saved_compressed_bytes)
            )),
            Cell::number(choice.compiled_at_start).tone(tone),
            Cell::word(if choice.recommended { "advised" } else { "" }),
        ]
    };
    document.table(Table {
        title: Title::shown("advice"),
        columns: vec![
            Column::left("profile"),
            Column::right("takes out").dispensable(1),
            Column::right("compressed"),
            Column::right("compiled at start"),
            Column::left(""),
        ],
        rows: advice.choices.iter().map(row).collect(),
        ..Table::default()
    });
    for reason in &advice.reasons {
        document.line(format!("because {reason}"));
    }
    for unknown in &advice.unknown {
        document.line(format!("not known: {unknown}"));
    }
    for choice in advice.choices.iter().filter(|choice| choice.recommended) {
        let word = if choice.compiles { "quick" } else { "small" };
        document.push(Block::Hint {
            command: hint::minimize(reference, word, &format!("--profile {}", options(choice))),
            effect: match choice.compiled_at_start {
                0 => "leaves nothing to be compiled at a start".to_owned(),
                count => format!("leaves {count} modules to be compiled when they are imported"),
            },
        });
    }
}

fn options(choice: &AdviceChoice) -> String {
    match choice.compiles {
        true => format!("{} --set missing=compile", choice.profile),
        false => choice.profile.clone(),
    }
}
