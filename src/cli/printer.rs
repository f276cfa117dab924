//! Printing: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use pycull::report::documents::document::Document;
use pycull::report::formats::html::{self, Figures};
use pycull::report::formats::text::Style;
use pycull::report::formats::{json, markdown, text};
use pycull::report::printable;
use serde::Serialize;

use super::args::Format;
use super::failure::{Failure, Print};
use super::settings::Settings;

/// Where a report goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error, where an image goes to standard output.
    Err,
}

/// Prints as the settings say.
pub(crate) struct Printer {
    pub(crate) settings: Settings,
}

impl Printer {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Prints a report in the format that was asked for; the figures are for a browser.
    pub(crate) fn report<'a>(
        &self,
        stream: Stream,
        report: &impl Serialize,
        document: impl FnOnce() -> Document,
        figures: impl FnOnce() -> Vec<Figures<'a>>,
    ) -> anyhow::Result<()> {
        let text = match self.settings.format {
            Format::Json => json::render(report)?,
            Format::Html => html::render(&document(), &figures()),
            Format::Markdown => markdown::render(&document()),
            Format::Text => text::render(&document(), self.style(stream)),
        };
        match stream {
            Stream::Out => self.data(text.as_bytes()),
            Stream::Err => Ok(write_all(io::stderr(), text.as_bytes())?),
        }
    }

    /// Prints a document as text, whatever the format.
    pub(crate) fn text(&self, document: &Document) -> anyhow::Result<()> {
        let text = text::render(document, self.style(Stream::Out));
        self.data(text.as_bytes())
    }

    /// Prints data as it is.
    pub(crate) fn data(&self, data: &[u8]) -> anyhow::Result<()> {
        Ok(write_all(io::stdout(), data)?)
    }

    /// Says why the command could not be done.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.say("error", Some("31"), &failure.message);
        for cause in &failure.causes {
            self.say("  caused by", None, cause);
        }
        if let Some(hint) = &failure.hint {
            self.say("hint", None, hint);
        }
    }

    /// Says what does not keep the command from being done.
    pub(crate) fn warning(&self, message: &str) {
        self.say("warning", Some("33"), message);
    }

    /// Says why a gate or check said no.
    pub(crate) fn refusal(&self, message: &str) {
        self.say("error", Some("31"), &printable(message));
    }

    /// Where standard error takes no more there is nothing left to tell. No line begins with what an image may have
    /// chosen: the logs of CI services obey lines.
    fn say(&self, label: &str, color: Option<&str>, message: &str) {
        let lines: Vec<_> = message.lines().map(printable).collect();
        let message = lines.join("\n  | ");
        let label = match color.filter(|_| self.settings.color_on(&io::stderr())) {
            Some(color) => format!("\x1b[1;{color}m{label}:\x1b[0m"),
            None => format!("{label}:"),
        };
        let _ = writeln!(io::stderr(), "{label} {message}");
    }

    fn style(&self, stream: Stream) -> Style {
        match stream {
            Stream::Out => self.style_on(&io::stdout()),
            Stream::Err => self.style_on(&io::stderr()),
        }
    }

    fn style_on(&self, stream: &(impl IsTerminal + AsFd)) -> Style {
        Style {
            color: self.settings.color_on(stream),
            width: terminal_width(stream),
        }
    }
}

fn terminal_width(stream: &(impl IsTerminal + AsFd)) -> Option<u16> {
    if !stream.is_terminal() {
        return None;
    }
    match rustix::termios::tcgetwinsize(stream) {
        Ok(size) if size.ws_col > 0 => Some(size.ws_col),
        _ => Some(80),
    }
}

/// Nobody reads what a closed pipe would take: that is no failure, and what a gate says is still to be heard.
fn write_all(mut stream: impl Write, data: &[u8]) -> Result<(), Print> {
    match stream.write_all(data).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Print(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_from_other_failures() {
        let print = |kind| write_all(Failing(kind), b"report");
        assert!(print(io::ErrorKind::BrokenPipe).is_ok());
        assert!(print(io::ErrorKind::StorageFull).is_err());
    }
}
