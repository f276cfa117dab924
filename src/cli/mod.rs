//! The command line. Only this code prints, reads the environment or draws progress bars.
//!
//! Arguments become settings. A command turns settings into calls of the library, and prints the report.

mod args;
mod settings;

mod bench;
mod compare;
mod completions;
mod inspect;
mod man;
mod minimize;
mod profile;
mod sandbox;
mod values;
mod verify;

mod environment;
mod error;
mod image;
mod outcome;
mod printer;
mod progress;
mod registries;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};
use error::Failure;
use outcome::Outcome;
use printer::Printer;
use settings::Settings;

/// Runs the command of this process.
pub(crate) fn run() -> ExitCode {
    if let Some(code) = sandbox::run(std::env::args_os().skip(1)) {
        return code;
    }
    // A usage error ends the process here, with exit code 2.
    let args = Args::parse();
    let printer = Printer::new(Settings::new(&args.common));
    if let Err(error) = signals::watch() {
        return report_failure(
            &anyhow::Error::new(error).context("cannot watch for signals"),
            &printer,
        );
    }
    match dispatch(&args.verb, &printer) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => report_failure(&error, &printer),
    }
}

fn dispatch(verb: &Verb, printer: &Printer) -> anyhow::Result<Outcome> {
    match verb {
        Verb::Inspect(args) => inspect::run(args, printer),
        Verb::Minimize(args) => minimize::run(args, printer),
        Verb::Compare(args) => compare::run(args, printer),
        Verb::Verify(args) => verify::run(args, printer),
        Verb::Bench(args) => bench::run(args, printer),
        Verb::Profile { action } => profile::run(action, printer),
        Verb::Completions { shell } => completions::run(*shell, printer),
        Verb::Man => man::run(printer),
    }
}

fn report_failure(error: &anyhow::Error, printer: &Printer) -> ExitCode {
    printer.failure(&Failure::new(error));
    ExitCode::from(2)
}
