//! What a run of pycull costs: its time on the processors and its memory.

use std::fs;
use std::time::Duration;

use super::tools::{Output, run, tool_command};

/// Runs a command (its arguments after the file that it writes to) and tells its children's time on the
/// processors in seconds and their largest resident set in KiB. A command that is at work for more seconds than
/// are given before it is killed.
const MEASURE: &str = "
import resource, subprocess, sys
seconds = int(sys.argv[2])
limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
code = subprocess.run(sys.argv[3:], preexec_fn=limit).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], 'w') as file:
    file.write(f'{used.ru_utime + used.ru_stime} {used.ru_maxrss}')
sys.exit(code)
";

/// A run, measured.
pub struct Measured {
    pub output: Output,
    /// On all processors together.
    pub processors: Duration,
    /// Most memory, in bytes.
    pub memory: u64,
}

/// Runs pycull and measures it. It is killed once it was on the processors for two minutes.
pub fn measured<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Measured {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut command = tool_command("python3");
    command
        .args(["-c", MEASURE])
        .arg(file.path())
        .arg("120")
        .arg(env!("CARGO_BIN_EXE_pycull"))
        .args(arguments);
    let output = run(&mut command);
    let text = fs::read_to_string(file.path()).unwrap();
    let numbers: Vec<f64> = text.split(' ').map(|it| it.parse().unwrap()).collect();
    Measured {
        output,
        processors: Duration::from_secs_f64(numbers[0]),
        memory: (numbers[1] as u64) << 10,
    }
}
