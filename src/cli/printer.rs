//! Prints data to standard output, and everything else to standard error.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use pycull::report::documents::document::Document;
use pycull::report::formats::html::{self, Figures};
use pycull::report::formats::text::Style;
use pycull::report::formats::{json, markdown, text};
use pycull::report::printable;
use serde::Serialize;

use super::args::Format;
use super::error::{Failure, Print};
use super::settings::Settings;

/// The stream for a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error. Used if the image goes to standard output.
    Err,
}

/// Prints in the format and colours of the settings.
pub(crate) struct Printer {
    pub(crate) settings: Settings,
}

impl Printer {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Prints a report in the requested format. Only HTML uses the figures.
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

    /// Prints a document as text, in any format.
    pub(crate) fn text(&self, document: &Document) -> anyhow::Result<()> {
        let text = text::render(document, self.style(Stream::Out));
        self.data(text.as_bytes())
    }

    /// Prints bytes unchanged.
    pub(crate) fn data(&self, data: &[u8]) -> anyhow::Result<()> {
        Ok(write_all(io::stdout(), data)?)
    }

    /// Prints why the command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.say("error", Some("31"), &failure.message);
        for cause in &failure.causes {
            self.say("  caused by", None, cause);
        }
        if let Some(hint) = &failure.hint {
            self.say("hint", None, hint);
        }
    }

    /// Prints a problem that does not stop the command.
    pub(crate) fn warning(&self, message: &str) {
        self.say("warning", Some("33"), message);
    }

    /// Prints why a gate or check refused.
    pub(crate) fn refusal(&self, message: &str) {
        self.say("error", Some("31"), &printable(message));
    }

    /// Prints a message to standard error. Ignores write errors, because there is nowhere else to report them.
    ///
    /// No line starts with text that an image may have chosen: the logs of CI services obey some lines.
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

/// Writes data. Ignores a closed pipe: it is not a failure, and the result of a gate must still be printed.
fn write_all(mut stream: impl Write, data: &[u8]) -> Result<(), Print> {
    match stream.write_all(data).and_then(|()| stream.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Print(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that fails every write.
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
