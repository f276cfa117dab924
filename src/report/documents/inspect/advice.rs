//! The advice of `inspect --advise`, as a table and lines.

use super::hint;
use crate::report::documents::document::{Block, Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{Advice, AdviceChoice, InspectReport};
use crate::size;

pub(super) fn push(document: &mut Document, advice: &Advice) {
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
            Column::right("removes").dispensable(1),
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
}

/// The advised command, if it is the same for all platforms. Otherwise a note.
pub(super) fn hint(report: &InspectReport) -> Option<Block> {
    let advice = report.images.iter().filter_map(|it| it.advice.as_ref());
    let advised = advice.flat_map(|it| it.choices.iter().filter(|choice| choice.recommended));
    let advised: Vec<&AdviceChoice> = advised.collect();
    let first = advised.first()?;
    if advised.iter().any(|other| options(other) != options(first)) {
        let note = "the advice differs by platform; choose one with `--platform`";
        return Some(Block::Note(note.to_owned()));
    }
    let compiles = first.compiles || first.recompiles;
    if !compiles && advised.iter().all(|it| it.removed_bytes == 0) {
        let note = format!(
            "nothing to do: the image already matches profile {}",
            first.profile
        );
        return Some(Block::Note(note));
    }
    let word = if compiles { "quick" } else { "small" };
    let most = advised.iter().map(|it| it.compiled_at_start).max();
    let profile = format!("--profile {}", options(first));
    Some(Block::Hint {
        command: hint::minimize(&report.reference, word, &profile),
        effect: match (most.unwrap_or(0), compiles) {
            (0, true) => {
                "leaves nothing to compile at start, except sources that do not compile".to_owned()
            }
            (0, false) => "leaves nothing to compile at start".to_owned(),
            (1, _) => "leaves 1 module for Python to compile when it imports it".to_owned(),
            (count, _) => {
                format!("leaves {count} modules for Python to compile when it imports them")
            }
        },
    })
}

fn options(choice: &AdviceChoice) -> String {
    match (choice.compiles, choice.recompiles) {
        (true, _) => format!("{} --set missing=compile", choice.profile),
        (false, true) => format!("{} --set stale=compile", choice.profile),
        (false, false) => choice.profile.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn platforms_that_differ_have_no_command_in_common() {
        let mut report = samples::inspect_advised();
        let image = report.images[0].clone();
        report.images.push(image);
        assert!(matches!(hint(&report), Some(Block::Hint { .. })));
        let advice = report.images[1].advice.as_mut().unwrap();
        advice.choices[0].compiles = false;
        assert!(matches!(hint(&report), Some(Block::Note(_))));
        assert_eq!(hint(&samples::inspect()), None);
    }
}
