//! Progress bars, on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pycull::progress::{Observer, Phase};

use super::settings::Settings;

/// One bar, for the phase that is going on.
pub(crate) struct Bars {
    bar: ProgressBar,
    layers: std::sync::Mutex<Layers>,
}

/// Layers of a phase.
#[derive(Debug, Clone, Copy, Default)]
struct Layers {
    done: usize,
    all: usize,
}

const TEMPLATE: &str = "{prefix} {wide_bar} {msg}  {decimal_bytes}/{decimal_total_bytes}  \
                        {decimal_bytes_per_sec}  {eta} left";

impl Bars {
    /// Bars that draw only where the settings say so.
    pub(crate) fn new(settings: &Settings) -> Self {
        let target = match settings.progress {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░"));
        }
        Self {
            bar,
            layers: Default::default(),
        }
    }

    /// Takes the bar off the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn count(&self, change: impl FnOnce(&mut Layers)) {
        let Ok(mut layers) = self.layers.lock() else {
            return;
        };
        change(&mut layers);
        let Layers { done, all } = *layers;
        self.bar.set_message(format!("{done}/{all} layers"));
    }
}

/// An error leaves no bar behind either.
impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Bars {
    fn begin(&self, phase: Phase, layers: usize, bytes: u64) {
        self.bar.reset();
        self.bar.set_length(bytes);
        self.bar.set_prefix(match phase {
            Phase::Reading => "reading",
            Phase::HashingSources => "hashing sources",
            Phase::Writing => "writing",
        });
        self.count(|count| {
            *count = Layers {
                done: 0,
                all: layers,
            }
        });
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn layer_done(&self) {
        self.count(|count| count.done += 1);
    }

    fn end(&self) {
        self.bar.disable_steady_tick();
    }
}
