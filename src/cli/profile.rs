//! `pycull profile`.

use pycull::profile::{BUILT_IN, ProfileError, load};
use pycull::report::documents::document::{Cell, Column, Document, Table, Title};

use super::Outcome;
use super::args::ProfileAction;
use super::error::Failure;
use super::printer::Printer;

pub(crate) fn run(action: &ProfileAction, printer: &Printer) -> anyhow::Result<Outcome> {
    match action {
        ProfileAction::List => list(printer),
        ProfileAction::Show { name } => show(name, printer),
        ProfileAction::Check { file } => check(file, printer),
    }
}

fn list(printer: &Printer) -> anyhow::Result<Outcome> {
    let mut rows = Vec::new();
    for built_in in BUILT_IN {
        let profile = load(built_in.name, &[])?;
        rows.push(vec![
            Cell::word(profile.name),
            Cell::word(profile.levels.to_string()),
            Cell::prose(profile.description),
        ]);
    }
    let mut document = Document::default();
    document.table(Table {
        title: Title::Implied("profiles"),
        columns: vec![
            Column::left("profile"),
            Column::left("levels"),
            Column::left("description"),
        ],
        rows,
        ..Table::default()
    });
    printer.text(&document)?;
    Ok(Outcome::Done)
}

fn show(name: &str, printer: &Printer) -> anyhow::Result<Outcome> {
    let built_in = BUILT_IN.iter().find(|profile| profile.name == name);
    let built_in = built_in.ok_or_else(|| ProfileError::Unknown {
        name: name.to_owned(),
    })?;
    printer.data(built_in.toml.as_bytes())?;
    Ok(Outcome::Done)
}

fn check(file: &str, printer: &Printer) -> anyhow::Result<Outcome> {
    match load(file, &[]) {
        Ok(profile) => {
            let mut document = Document::default();
            document.line(format!("profile `{}` is valid", profile.name));
            printer.text(&document)?;
            Ok(Outcome::Done)
        }
        // There was no profile to check.
        Err(
            error @ (ProfileError::Unknown { .. }
            | ProfileError::Read { .. }
            | ProfileError::TooLarge { .. }),
        ) => Err(error.into()),
        Err(error) => {
            printer.failure(&Failure::new(&error.into()));
            Ok(Outcome::Refused)
        }
    }
}
