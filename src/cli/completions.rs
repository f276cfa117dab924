//! `pycull completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use super::Outcome;
use super::args::Args;
use super::printer::Printer;

pub(crate) fn run(shell: Shell, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    generate(shell, &mut Args::command(), "pycull", &mut script);
    printer.data(&script)?;
    Ok(Outcome::Done)
}
