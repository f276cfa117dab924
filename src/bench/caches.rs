//! Compiles caches for everything that a task imports, with the image's own interpreter.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::BenchError;
use super::measure::Task;
use super::workspace::{Workspace, create_directories, file_error};
use crate::compile::sandbox::Sandbox;
use crate::compile::{Compiled, Job, Service, ServiceError};
use crate::pyc::{Header, Level, cache_file_name};

/// Size of the largest source that gets a cache, in bytes.
const LARGEST_SOURCE: u64 = 16 << 20;

impl Workspace {
    /// Compiles every source that a task imports, at every level, and writes the caches to one of the two copies.
    ///
    /// # Errors
    /// [`BenchError`] if the task fails or a source does not compile.
    pub fn add_caches(
        &self,
        sandbox: Sandbox<'_>,
        task: &Task,
        service: &Service<'_>,
        workers: usize,
    ) -> Result<(), BenchError> {
        let imported = self.bare.imported(sandbox, task)?;
        if let (Task::Reload { module, .. }, None) =
            (task, imported.first().and_then(|it| self.source(it)))
        {
            return Err(BenchError::NoSource {
                module: module.clone(),
            });
        }
        let mut sources: Vec<PathBuf> = imported.iter().filter_map(|it| self.source(it)).collect();
        sources.sort_unstable();
        sources.dedup();
        let mut take =
            |compiled: Compiled| keep(&sources[compiled.index as usize], &compiled, service);
        let run = service.run(workers, |hand_over| feed(&sources, hand_over), &mut take);
        run.map_err(|error| match error {
            ServiceError::Caller(error) => error,
            error => BenchError::Compile {
                path: task.to_string(),
                reason: error.to_string(),
            },
        })
    }

    /// Maps a path that the interpreter reported from the bare copy to the source in the copy that gets caches. The
    /// image may answer anything, so the result is `None` unless it is a source.
    fn source(&self, path: &Path) -> Option<PathBuf> {
        let path = self
            .cached
            .directory
            .join(beneath(path, &self.bare.directory)?);
        let metadata = fs::symlink_metadata(&path).ok()?;
        let is_source = path.extension() == Some("py".as_ref()) && metadata.is_file();
        (is_source && metadata.len() <= LARGEST_SOURCE).then_some(path)
    }
}

/// Makes a path relative to a directory. The image chose the path, so it may not be in that directory.
fn beneath<'a>(path: &'a Path, directory: &Path) -> Option<&'a Path> {
    let path = path.strip_prefix(directory).ok()?;
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(path)
}

fn feed(
    sources: &[PathBuf],
    hand_over: &mut dyn FnMut(Job) -> ControlFlow<()>,
) -> Result<(), BenchError> {
    for (index, path) in (0..).zip(sources) {
        let job = Job {
            index,
            // With any other path, Python would replace the path in each code object that it reads.
            path: path.as_os_str().as_bytes().to_vec(),
            source: fs::read(path).map_err(file_error(path))?,
            levels: Level::ALL.to_vec(),
        };
        if hand_over(job).is_break() {
            break;
        }
    }
    Ok(())
}

fn keep(source: &Path, compiled: &Compiled, service: &Service<'_>) -> Result<(), BenchError> {
    let header = header(source, service).map_err(file_error(source))?;
    let directory = source.with_file_name("__pycache__");
    // The interpreter reports a tag too, but that could be any text.
    let tag = service.ready().version.cache_tag();
    create_directories(&directory)?;
    for (level, body) in &compiled.levels {
        let body = body.as_ref().map_err(|failure| BenchError::Compile {
            path: source.display().to_string(),
            reason: failure.to_string(),
        })?;
        let module = source.file_stem().unwrap_or_default().as_bytes();
        let name = cache_file_name(module, tag.as_bytes(), *level);
        let path = directory.join(std::ffi::OsStr::from_bytes(&name));
        fs::write(&path, [&*header, body].concat()).map_err(file_error(&path))?;
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
}
