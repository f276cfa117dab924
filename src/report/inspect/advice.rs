//! Advice, as a table and lines.

use super::hint;
use crate::report::document::{Block, Cell, Column, Document, Table, Tone};
use crate::report::model::{Advice, AdviceChoice};
use crate::report::size;

pub(super) fn push(document: &mut Document, reference: &str, advice: &Advice) {
    let row = |choice: &AdviceChoice| {
        let tone = match choice.compiled_at_start {
            0 => Tone::Good,
            _ => Tone::Plain,
        };
        vec![
            Cell::word(options(choice)),
            Cell::word(size::bytes(choice.removed_bytes)),
            Cell::word(format!(
                "about {}",
                size::bytes(choice.saved_compressed_bytes)
            )),
            Cell::number(choice.compiled_at_start).tone(tone),
            Cell::word(if choice.recommended { "advised" } else { "" }),
        ]
    };
    document.table(Table {
        title: Some("advice".to_owned()),
        columns: vec![
            Column::left("profile"),
            Column::right("takes out"),
            Column::right("compressed"),
            Column::right("compiled at start"),
            Column::left(""),
        ],
        rows: advice.choices.iter().map(row).collect(),
        more: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::report::text::{Style, render};

    #[test]
    fn advice_says_what_it_costs_and_what_it_does_not_know() {
        let report = samples::inspect_advised();
        let mut document = Document::default();
        for advice in report
            .images
            .iter()
            .filter_map(|image| image.advice.as_ref())
        {
            push(&mut document, "app.tar", advice);
        }
        insta::assert_snapshot!(render(&document, Style::default()), @r"
        advice
        profile                        takes out    compressed  compiled at start
        default --set missing=compile     8.0 MB  about 2.1 MB                  0  advised
        minimal                           8.0 MB  about 2.1 MB                640

        because Python runs at level 0
        not known: what the entrypoint starts

        hint: `pycull minimize app.tar --output app-quick.tar --profile default --set missing=compile` leaves nothing to be compiled at a start
        ");
    }
}
