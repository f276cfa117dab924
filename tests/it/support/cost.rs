//! Measures the CPU time and memory of a pycull run.

use std::fs;
use std::time::Duration;

use super::tools::{Output, run, tool_command};

/// A Python script that runs a command and writes the CPU time of its children in seconds and their peak memory in KiB.
/// The first argument is the file to write. The second is the CPU limit in seconds, after which the command is killed.
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

/// A run and its measurements.
pub struct Measured {
    pub output: Output,
    /// CPU time on all processors together.
    pub processors: Duration,
    /// Peak memory in bytes.
    pub memory: u64,
}

/// Runs pycull and measures it. Kills it after two minutes of CPU time.
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
