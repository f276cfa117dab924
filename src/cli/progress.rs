//! Progress bars, on standard error.

use std::fmt;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use pycull::progress::{Observer, Phase};

use super::settings::Settings;

/// A single bar, for the current phase.
pub(crate) struct Bars {
    bar: ProgressBar,
    items: std::sync::Mutex<Items>,
}

/// The items of a phase: layers, sources, runs or archives.
#[derive(Debug, Clone, Copy, Default)]
struct Items {
    done: usize,
    all: usize,
    name: &'static str,
    /// Whether the bar counts items instead of bytes.
    are_length: bool,
}

/// The template for work that is not counted in bytes.
const TEMPLATE_OF_RUNS: &str = "{prefix} {wide_bar} {msg}{left}";
const TEMPLATE: &str = "{prefix} {wide_bar} {msg}  {decimal_bytes}/{decimal_total_bytes}  \
                        {decimal_bytes_per_sec}{left}";

/// Writes the time that a phase still needs. Says nothing for less than a second, and at the start, when it is unknown.
fn write_time_left(state: &ProgressState, output: &mut dyn fmt::Write) {
    let left = state.eta();
    if left >= Duration::from_secs(1) {
        // A bar that cannot be drawn is not an error.
        let _ = write!(output, "  {:#} left", HumanDuration(left));
    }
}

impl Bars {
    /// Makes a bar that draws only if the settings allow it.
    pub(crate) fn new(settings: &Settings) -> Self {
        let target = match settings.progress {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        Self {
            bar,
            items: Default::default(),
        }
    }

    /// Removes the bar from the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn count(&self, change: impl FnOnce(&mut Items)) {
        let Ok(mut items) = self.items.lock() else {
            return;
        };
        change(&mut items);
        let Items {
            done, all, name, ..
        } = *items;
        self.bar.set_message(format!("{done}/{all} {name}"));
    }
}

/// Removes the bar after an error too.
impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Bars {
    fn begin(&self, phase: Phase, items: usize, bytes: u64) {
        let are_length = phase == Phase::Measuring;
        let (template, length) = match are_length {
            true => (TEMPLATE_OF_RUNS, items as u64),
            false => (TEMPLATE, bytes),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let style = style.progress_chars("█▉▊▋▌▍▎▏░");
            self.bar.set_style(style.with_key("left", write_time_left));
        }
        self.bar.reset();
        self.bar.set_length(length);
        self.bar.set_prefix(match phase {
            Phase::Reading => "reading",
            Phase::HashingSources => "hashing sources",
            Phase::HashingContent => "hashing content",
            Phase::Compiling => "compiling",
            Phase::Measuring => "measuring",
            Phase::Writing => "writing",
            Phase::Saving => "saving",
            Phase::Uploading => "uploading",
        });
        self.count(|count| {
            *count = Items {
                done: 0,
                all: items,
                name: match phase {
                    Phase::Compiling => "sources",
                    Phase::Measuring => "runs",
                    Phase::Saving => "archives",
                    Phase::Uploading => "blobs",
                    _ => "layers",
                },
                are_length,
            }
        });
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn item_done(&self) {
        self.count(|count| {
            count.done += 1;
            if count.are_length {
                self.bar.inc(1);
            }
        });
    }

    fn end(&self) {
        self.bar.disable_steady_tick();
    }
}
