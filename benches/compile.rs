//! Compiles all caches that an image lacks, as `pycull minimize --profile all --set missing=compile --no-cache` does.
//! It prints the seconds of the compile stage, because pycull itself prints no times. `benches/run compile` runs it.
//!
//! usage: compile PYCULL IMAGE OUTPUT WORKERS
//!
//! The stage is everything between reading the image's layers and writing the new one. pycull finds, unpacks and starts
//! the interpreter, reads the sources again, compiles them, makes the bodies canonical, and stores them. The time also
//! covers the plan, which does not belong to the stage.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use pycull::compile::InterpreterOptions;
use pycull::compile::sandbox::Mode;
use pycull::limits::Limits;
use pycull::oci::compression::CompressionSetting;
use pycull::pipeline::{self, CompileOptions, Input, MinimizeOptions, Options, Output};
use pycull::profile;
use pycull::progress::{Observer, Phase};
use pycull::registry::RegistrySettings;
use pycull::transport::{Reference, Source, prepare};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pycull, image, output, workers] = &arguments[..] else {
        println!("usage: compile PYCULL IMAGE OUTPUT WORKERS");
        return;
    };
    let clock = Clock::default();
    let options = Options {
        platform: None,
        jobs: workers.parse().unwrap(),
        limits: Limits::default(),
        observer: &clock,
    };
    compile(pycull, image, output, &options);
    println!("{}", clock.stage().as_secs_f64());
}

fn compile(pycull: &str, image: &str, output: &str, options: &Options<'_>) {
    let compile = CompileOptions {
        interpreter: InterpreterOptions {
            helper: pycull.into(),
            sandbox: Mode::Required,
            python: None,
            emulator: Vec::new(),
            cache: None,
        },
        strict: false,
    };
    let minimize = MinimizeOptions {
        profile: &profile::load("all", &["missing=compile".to_owned()]).unwrap(),
        compression: CompressionSetting::Keep,
        steps: false,
        require_unsigned: false,
        compile: &compile,
    };
    let reference = |text: &str| -> Reference { text.parse().unwrap() };
    let source = Source::open(&reference(image), std::io::empty()).unwrap();
    let input = Input {
        source: &source,
        reference: image,
    };
    let output = Output {
        sink: prepare(
            &reference(output),
            &source,
            &RegistrySettings::default(),
            std::io::sink(),
        )
        .unwrap(),
        reference: output,
    };
    let report = pipeline::minimize(input, output, &minimize, options);
    let compiled = &report.unwrap().images[0].compiled;
    assert!(compiled.files > 0, "there was nothing to compile");
}

/// Notes when layers had been read, and when writing them begins.
#[derive(Default)]
struct Clock {
    now: Mutex<Option<Phase>>,
    read: Mutex<Option<Instant>>,
    stage: Mutex<Option<Duration>>,
}

impl Clock {
    fn stage(&self) -> Duration {
        self.stage.lock().unwrap().unwrap()
    }
}

impl Observer for Clock {
    fn begin(&self, phase: Phase, _items: usize, _bytes: u64) {
        *self.now.lock().unwrap() = Some(phase);
        if phase == Phase::Writing {
            let read = self.read.lock().unwrap().unwrap();
            self.stage.lock().unwrap().get_or_insert(read.elapsed());
        }
    }

    fn end(&self) {
        if *self.now.lock().unwrap() == Some(Phase::Reading) {
            *self.read.lock().unwrap() = Some(Instant::now());
        }
    }
}
