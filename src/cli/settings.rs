//! Settings from arguments, environment and terminal.

use std::io::IsTerminal;

use pycull::limits::{Limits, Setting};
use pycull::oci::Platform;
use pycull::registry::RegistrySettings;
use pycull::report::Detail;

use super::args::{ColorChoice, Common, Format};
use super::registries;

/// The settings that all commands share.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The format of the report.
    pub(crate) format: Format,
    /// How much the report shows.
    pub(crate) detail: Detail,
    /// Whether to draw progress bars.
    pub(crate) progress: bool,
    /// Number of parallel jobs.
    pub(crate) jobs: usize,
    /// Limits on what an image may ask for.
    pub(crate) limits: Limits,
    /// How to reach registries.
    pub(crate) registries: RegistrySettings,
    /// The platform to choose. `None` means all platforms.
    pub(crate) platform: Option<Platform>,
    color: ColorChoice,
    no_color: bool,
}

fn limits(settings: &[Setting]) -> Limits {
    let mut limits = Limits::default();
    for setting in settings {
        limits.set(*setting);
    }
    limits
}

impl Settings {
    pub(crate) fn new(common: &Common) -> Self {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = common.jobs.map_or_else(processors, usize::from);
        Self {
            format: common.format,
            // A page can be searched, so it shows everything.
            detail: match common.verbose || common.format == Format::Html {
                true => Detail::All,
                false => Detail::Summary,
            },
            progress: !common.quiet && !common.no_progress && std::io::stderr().is_terminal(),
            jobs,
            registries: registries::settings(&common.registries, jobs),
            limits: limits(&common.limit),
            platform: common.platform.0.clone(),
            color: common.color,
            // https://no-color.org: set and not empty.
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    /// Whether to write colours to a stream.
    pub(crate) fn color_on(&self, stream: &impl IsTerminal) -> bool {
        match self.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !self.no_color && stream.is_terminal(),
        }
    }
}
