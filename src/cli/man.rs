//! `pycull man`.

use clap::CommandFactory;
use clap_mangen::Man;

use super::Outcome;
use super::args::Args;
use super::printer::Printer;

/// Prints one page: the main command, then every subcommand.
pub(crate) fn run(printer: &Printer) -> anyhow::Result<Outcome> {
    let mut page = Vec::new();
    let mut command = Args::command();
    command.build();
    Man::new(command.clone()).render(&mut page)?;
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        let man = Man::new(verb.clone());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        let heading = format!(".SH {}\n", verb.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        page.extend_from_slice(&as_subsections(&section));
    }
    printer.data(&page)?;
    Ok(Outcome::Done)
}

/// Turns the sections of a subcommand into subsections.
fn as_subsections(section: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(section)
        .replace("\n.SH ", "\n.SS ")
        .into_bytes()
}
