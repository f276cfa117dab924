//! `pycull minimize`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anyhow::{Context, bail};
use pycull::compile::InterpreterOptions;
use pycull::compile::compile_cache::{CacheError, CompileCache};
use pycull::pipeline::{self, CompileOptions, Input, MinimizeOptions, Output};
use pycull::profile::Profile;
use pycull::registry::Keeping;
use pycull::report::Detail;
use pycull::report::documents::minimize::document;
use pycull::report::formats::figure;
use pycull::report::formats::html::Figures;
use pycull::report::model::MinimizeImage;
use pycull::transport::{self, Reading, Reference, Sink, Source};

use super::Outcome;
use super::args::Minimize;
use super::environment::path;
use super::error;
use super::image;
use super::printer::{Printer, Stream};
use super::progress::Bars;
use super::settings::Settings;

pub(crate) fn run(args: &Minimize, printer: &Printer) -> anyhow::Result<Outcome> {
    let settings = &printer.settings;
    // Do quick checks first, before the slow work.
    let profile = pycull::profile::load(&args.profile, &args.set)?;
    let output = args.output.as_deref().filter(|_| !args.dry_run);
    let to: Option<Reference> = output.map(str::parse).transpose()?;
    let source = image::open(&args.image, reading_for(to.as_ref()), printer)?;
    let (cache, cache_warning) = compile_cache(args, &profile);
    let compile = compile_options(args, cache.as_ref())?;
    let minimize = MinimizeOptions {
        profile: &profile,
        compression: args.compression,
        require_unsigned: args.require_unsigned,
        compile: &compile,
        steps: settings.detail == Detail::All || args.dry_run,
    };
    let sink = to
        .as_ref()
        .map(|to| prepare(to, &source, settings))
        .transpose()?;
    let stream = match to.is_some_and(|to| to.is_stream()) {
        true => Stream::Err,
        false => Stream::Out,
    };
    let bars = Bars::new(settings);
    let options = image::options(settings, &bars);
    let input = Input {
        source: &source,
        reference: &args.image,
    };
    let done = match (output, sink) {
        (Some(reference), Some(sink)) => {
            let output = Output { sink, reference };
            pipeline::minimize(input, output, &minimize, &options)
        }
        _ => pipeline::plan_only(input, &minimize, &options),
    };
    bars.clear();
    // Shrink the cache to its limit, even if the command failed.
    let kept = cache.map(CompileCache::finish);
    let mut report = done?;
    for warning in cache_warning.into_iter().chain(kept.and_then(Result::err)) {
        let text = error::one_line(&warning.into());
        let images = report.images.iter_mut();
        images.for_each(|image| image.warnings.push(text.clone()));
    }
    printer.report(
        stream,
        &report,
        || document(&report, settings.detail),
        || report.images.iter().map(figures_of).collect(),
    )?;
    Ok(Outcome::Done)
}

/// What the image is read for, if it is written to this output.
fn reading_for(output: Option<&Reference>) -> Reading {
    Reading {
        // A registry gets the layers that stay while others are read.
        keeping: match output {
            Some(Reference::Registry(_)) => Keeping::Unreleased,
            _ => Keeping::All,
        },
        // Engines store layers without compression.
        compressed: !matches!(output, Some(Reference::Engine { .. })),
    }
}

fn compile_options<'a>(
    args: &Minimize,
    cache: Option<&'a CompileCache>,
) -> anyhow::Result<CompileOptions<'a>> {
    Ok(CompileOptions {
        interpreter: InterpreterOptions {
            helper: std::env::current_exe().context("cannot find pycull's own binary")?,
            sandbox: args.sandbox.mode(),
            python: args.python.clone(),
            emulator: emulator(args)?,
            cache,
        },
        strict: args.strict,
    })
}

fn figures_of(image: &MinimizeImage) -> Figures<'static> {
    Figures::drawn(figure::minimize(image))
}

/// Maximum size of the compile cache, in bytes.
const LARGEST_CACHE: u64 = 2 << 30;

/// Opens the user's compile cache, if the profile compiles. Also returns why the cache cannot be used.
fn compile_cache(args: &Minimize, profile: &Profile) -> (Option<CompileCache>, Option<CacheError>) {
    let is_wanted = profile.compiles() && !args.no_cache && !args.dry_run;
    let Some(directory) = cache_directory().filter(|_| is_wanted) else {
        return (None, None);
    };
    match CompileCache::open(directory, LARGEST_CACHE) {
        Ok(cache) => (Some(cache), None),
        Err(error) => (None, Some(error)),
    }
}

/// PYCULL_CACHE_DIR, else the place that the XDG base directory specification defines.
fn cache_directory() -> Option<PathBuf> {
    let base = || {
        let xdg = path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let home = path("HOME").filter(|path| path.is_absolute());
        xdg.or_else(|| Some(home?.join(".cache")))
    };
    path("PYCULL_CACHE_DIR").or_else(|| Some(base()?.join("pycull/compile")))
}

/// The emulator's command. Its program is looked up in PATH, as a shell does.
fn emulator(args: &Minimize) -> anyhow::Result<Vec<OsString>> {
    let Some(command) = &args.emulator else {
        return Ok(Vec::new());
    };
    let mut words = command.split_whitespace();
    let program = words
        .next()
        .context("`--emulator` needs a command, for example `--emulator qemu-aarch64-static`")?;
    let found = find_program(program)
        .with_context(|| format!("cannot find the emulator `{program}` in PATH"))?;
    Ok(std::iter::once(found.into())
        .chain(words.map(OsString::from))
        .collect())
}

fn find_program(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return std::path::absolute(program).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Chooses the output and checks it before any long work.
fn prepare<'a>(
    output: &Reference,
    source: &Source,
    settings: &Settings,
) -> anyhow::Result<Box<dyn Sink + 'a>> {
    let sink = transport::prepare(output, source, &settings.registries, io::stdout());
    let sink = sink.map_err(|error| match output {
        Reference::Path(path) => error.of_output(path),
        _ => error,
    })?;
    if output.is_stream() && io::stdout().is_terminal() {
        bail!(
            "cannot write an image to a terminal; write it to a file with `--output FILE`, or to a pipe"
        );
    }
    Ok(sink)
}
