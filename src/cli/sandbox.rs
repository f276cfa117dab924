//! The hidden verbs with which pycull runs itself, as a process to be confined.

use std::ffi::OsString;

use pycull::compile::sandbox;

use super::Outcome;
use super::failure::Failure;
use super::printer::Printer;

/// Becomes another program, or says why not.
pub(crate) fn enter(arguments: &[OsString], printer: &Printer) -> Outcome {
    let error = sandbox::enter(arguments.to_vec());
    printer.failure(&Failure::new(&error.into()));
    Outcome::NotRun
}

/// Prints which layers of defence there are.
pub(crate) fn probe(printer: &Printer) -> anyhow::Result<Outcome> {
    printer.data(&serde_json::to_vec(&sandbox::defences())?)?;
    Ok(Outcome::Done)
}
