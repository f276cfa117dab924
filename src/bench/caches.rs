//! Caches for all that a task imports, as the interpreter itself compiles it.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::BenchError;
use super::measure::{Sandbox, Task};
use super::workspace::{Workspace, create_directories, write_error};
use crate::compile::{Compiled, Job, Service, ServiceError};
use crate::pyc::{Header, Level, cache_file_name};

impl Workspace {
    /// Compiles every source that a task imports, at every level, and writes the caches to the one copy.
    ///
    /// # Errors
    /// [`BenchError`] where the task fails, or a source does not compile.
    pub fn add_caches(
        &self,
        sandbox: Sandbox<'_>,
        task: &Task,
        service: &Service<'_>,
        workers: usize,
    ) -> Result<(), BenchError> {
        let imported = self.bare.imported(sandbox, task)?;
        let mut sources: Vec<PathBuf> = imported
            .iter()
            .filter_map(|path| {
                Some(
                    self.cached
                        .directory
                        .join(beneath(path, &self.bare.directory)?),
                )
            })
            .collect();
        sources.sort_unstable();
        sources.dedup();
        if let Task::Reload { module, .. } = task {
            check_source(module, &sources)?;
        }
        let mut written = Ok(());
        let mut take = |compiled: Compiled| {
            if written.is_ok() {
                written = keep(&sources[compiled.index], &compiled, service);
            }
        };
        let run = service.run(workers, |hand_over| feed(&sources, hand_over), &mut take);
        run.map_err(|error| match error {
            ServiceError::Feed(error) => error,
            error => BenchError::Compile {
                path: task.to_string(),
                reason: error.to_string(),
            },
        })?;
        written
    }
}

/// A path in a directory, as one beneath it. What an image answers need be no such path.
fn beneath<'a>(path: &'a Path, directory: &Path) -> Option<&'a Path> {
    let path = path.strip_prefix(directory).ok()?;
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(path)
}

fn check_source(module: &str, sources: &[PathBuf]) -> Result<(), BenchError> {
    let path = Path::new(&module.replace('.', "/")).to_owned();
    let names = [path.with_extension("py"), path.join("__init__.py")];
    let has_source = sources
        .iter()
        .any(|source| names.iter().any(|name| source.ends_with(name)));
    match has_source {
        true => Ok(()),
        false => Err(BenchError::NoSource {
            module: module.to_owned(),
        }),
    }
}

fn feed(
    sources: &[PathBuf],
    hand_over: &mut dyn FnMut(Job) -> ControlFlow<()>,
) -> Result<(), BenchError> {
    for (index, path) in sources.iter().enumerate() {
        let job = Job {
            index,
            // Else Python would set it anew in each code object that it reads.
            path: path.as_os_str().as_bytes().to_vec(),
            source: fs::read(path).map_err(write_error(path))?,
            levels: Level::ALL.to_vec(),
        };
        if hand_over(job).is_break() {
            break;
        }
    }
    Ok(())
}

fn keep(source: &Path, compiled: &Compiled, service: &Service<'_>) -> Result<(), BenchError> {
    let header = header(source, service).map_err(write_error(source))?;
    let directory = source.with_file_name("__pycache__");
    // Not the tag that the interpreter says: it may be any text.
    let tag = service.ready().version.tag().to_string();
    create_directories(&directory)?;
    for (level, body) in &compiled.levels {
        let body = body.as_ref().map_err(|failure| BenchError::Compile {
            path: source.display().to_string(),
            reason: failure.to_string(),
        })?;
        let module = source.file_stem().unwrap_or_default().as_bytes();
        let name = cache_file_name(module, tag.as_bytes(), *level);
        let path = directory.join(std::ffi::OsStr::from_bytes(&name));
        fs::write(&path, [&*header, body].concat()).map_err(write_error(&path))?;
    }
    Ok(())
}

fn header(source: &Path, service: &Service<'_>) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(source)?;
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    let mtime = (metadata.mtime(), nanoseconds);
    Ok(Header::by_time(service.ready().magic, mtime, metadata.len()).to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_an_image_answers_stay_in_their_directory() {
        let beneath = |path: &'static str| beneath(Path::new(path), Path::new("/tmp/bare"));
        assert_eq!(beneath("/tmp/bare/a/b.py"), Some(Path::new("a/b.py")));
        for bad in [
            "/etc/passwd.py",
            "/tmp/bare/../x.py",
            "/tmp/barer/x.py",
            "b.py",
            "",
        ] {
            assert_eq!(beneath(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_module_is_a_file_or_a_package() {
        let sources = ["/x/json/__init__.py", "/x/json/tool.py"].map(PathBuf::from);
        for module in ["json", "json.tool"] {
            assert!(check_source(module, &sources).is_ok(), "{module}");
        }
        for module in ["tool.json", "son", "sys"] {
            assert!(check_source(module, &sources).is_err(), "{module}");
        }
    }
}
