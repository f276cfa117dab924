//! Signals that end the process.

use std::fs;
use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// Starts a thread that removes temporary directories before a signal ends this process.
pub(crate) fn watch() -> io::Result<()> {
    let ignored = ignored();
    let listened = [SIGINT, SIGTERM, SIGHUP];
    // A process started with a signal ignored, as by nohup, keeps ignoring it.
    let mut signals = Signals::new(
        listened
            .into_iter()
            .filter(|it| ignored >> (it - 1) & 1 == 0),
    )?;
    let end = move || {
        for signal in &mut signals {
            pycull::scratch::remove_all();
            // This does not return for these signals.
            let _ = emulate_default_handler(signal);
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(end)?;
    Ok(())
}

/// A bit mask of the signals that this process was started to ignore (proc_pid_status(5)).
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
