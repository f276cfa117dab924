//! Errors for people: what failed, why, and what to do.

use std::error::Error;
use std::io;

use pycull::pipeline::PipelineError;
use pycull::profile::ProfileError;
use pycull::registry::RegistryError;
use pycull::scratch::TemporaryError;
use pycull::transport::TransportError;

/// The messages of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What failed.
    pub(crate) message: String,
    /// The causes. Each is the reason for the one before.
    pub(crate) causes: Vec<String>,
    /// How to solve the problem, if there is a way.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(error: &anyhow::Error) -> Self {
        let message = shortened(error.to_string());
        let mut causes: Vec<String> = Vec::new();
        for cause in error.chain().skip(1).map(|it| shortened(it.to_string())) {
            // Some messages already contain the message of their cause.
            let mut shown = std::iter::once(&message).chain(&causes);
            if !shown.any(|text| text.contains(&cause)) {
                causes.push(cause);
            }
        }
        Self {
            message,
            causes,
            hint: error.chain().find_map(hint),
        }
    }
}

/// Number of characters to keep at the start and the end of a long message. An image can contain very long names.
const MOST_FIRST: usize = 1000;
const MOST_LAST: usize = 200;

/// Cuts the middle out of a very long message.
fn shortened(message: String) -> String {
    let count = message.chars().count();
    if count <= MOST_FIRST + MOST_LAST {
        return message;
    }
    let first = message.chars().take(MOST_FIRST);
    let last = message.chars().skip(count - MOST_LAST);
    first.chain([' ', '…', ' ']).chain(last).collect()
}

/// An error and its causes on one line, for warnings.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let Failure {
        message, causes, ..
    } = Failure::new(error);
    std::iter::once(message)
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}

fn hint(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(io) = error.downcast_ref::<io::Error>() {
        // The chain of causes leaves out the error in it.
        let inner = io.get_ref()?;
        let registry = inner.downcast_ref().and_then(RegistryError::hint);
        let temporary = || inner.downcast_ref().map(TemporaryError::hint);
        return registry.or_else(temporary);
    }
    let transport = error.downcast_ref().and_then(TransportError::hint);
    let profile = || error.downcast_ref().and_then(ProfileError::hint);
    let pipeline = || error.downcast_ref().and_then(PipelineError::hint);
    transport.or_else(profile).or_else(pipeline)
}

/// The report could not be printed.
#[derive(Debug)]
pub(crate) struct Print(pub(crate) io::Error);

impl std::fmt::Display for Print {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cannot print the report")
    }
}

impl Error for Print {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_message_without_end_is_shortened_in_its_middle() {
        let long = format!("blob {} is missing", "é".repeat(100_000));
        let failure = Failure::new(&anyhow::anyhow!(long));
        assert!(failure.message.starts_with("blob é") && failure.message.ends_with("is missing"));
        assert_eq!(failure.message.chars().count(), MOST_FIRST + MOST_LAST + 3);
    }

    #[test]
    fn causes_are_said_once() {
        let cause = io::Error::other("disk on fire");
        let error = Err::<(), _>(cause)
            .context("cannot read: disk on fire")
            .context("no image")
            .unwrap_err();
        let failure = Failure::new(&error);
        assert_eq!(failure.message, "no image");
        assert_eq!(failure.causes, ["cannot read: disk on fire"]);
    }

    #[test]
    fn a_hint_is_found_anywhere_in_the_chain() {
        let error = pycull::profile::load("nonsense", &[])
            .context("outer")
            .unwrap_err();
        assert!(Failure::new(&error).hint.unwrap().contains("default"));
    }
}
