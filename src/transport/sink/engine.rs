//! Gives an image to podman or docker, through the engine's load command.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;

use super::form::{ArchiveForm, Observed};
use super::{Committed, Replaced, Sink};
use crate::progress::Observer;
use crate::quoting::quoted;
use crate::scratch::Scratch;
use crate::transport::engine::Running;
use crate::transport::error::TransportError;
use crate::transport::image_name::normalized;
use crate::transport::medium::Medium;
use crate::transport::output::OutputImage;
use crate::transport::source::{Origin, Source};
use crate::transport::transports::Engine;

/// Pipes an archive of the image to an engine.
pub(super) struct EngineSink {
    pub(super) engine: Engine,
    pub(super) name: String,
    pub(super) form: ArchiveForm,
    pub(super) staging: Scratch,
}

impl Sink for EngineSink {
    fn medium(&self) -> Medium {
        self.form.medium
    }

    fn staging(&self) -> &Path {
        self.staging.path()
    }

    fn replaces(&self, source: &Source) -> bool {
        let is_own = matches!(source.origin, Origin::Engine(engine) if engine == self.engine);
        let wanted = normalized(&self.name);
        let mut names = source.docker_names.iter();
        is_own && names.any(|name| normalized(name) == wanted)
    }

    fn commit(
        self: Box<Self>,
        mut output: OutputImage,
        observer: &dyn Observer,
    ) -> Result<Committed, TransportError> {
        self.form.set_name(&mut output.root);
        let images = output.checked()?;
        let platforms = images.images();
        if platforms.len() > 1 {
            return Err(TransportError::EnginePlatforms {
                program: self.engine.program(),
                platforms: platforms.iter().map(|it| it.platform.to_string()).collect(),
            });
        }
        let old = self.engine.id(&self.name);
        let pipes = (Stdio::piped(), Stdio::null());
        let mut loading = Running::start(self.engine, &["load".to_owned()], pipes)?;
        let mut stdin = loading.stdin();
        let to: &mut dyn Write = match &mut stdin {
            Some(stdin) => stdin,
            None => &mut io::sink(),
        };
        let observed = Observed::begin(to, &output, 0, observer);
        let place = Path::new(self.engine.program());
        let written = self.form.write(&output, None, observed, place);
        if let Err(error) = written {
            if is_broken_pipe(&error) {
                // The engine ended early, and its own words say why.
                loading.finish()?;
            }
            // Dropping the command ends it, so that it does not take the part that it has for an archive.
            return Err(error);
        }
        drop(stdin);
        loading.finish()?;
        let new = self.engine.id(&self.name);
        let old = old.filter(|old| new.as_ref() != Some(old));
        Ok(Committed {
            replaced: old.map(|id| Replaced {
                restore: format!("{} tag {id} {}", self.engine.program(), quoted(&self.name)),
                id,
            }),
        })
    }
}

fn is_broken_pipe(error: &TransportError) -> bool {
    matches!(error, TransportError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}
