//! The helper's task, as its command line states it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::{Confinement, Layer, Limits, Mode, SandboxError};

/// A program, and how to confine it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) mode: Mode,
    pub(super) confinement: Confinement,
    /// Layers to leave out. Tests use this to show what each layer does.
    pub(super) without: Vec<Layer>,
    /// The ID of the parent process. This process dies with it.
    pub(super) caller: Option<i32>,
    /// Set in the child of a supervisor: the descriptor of a pipe that the supervisor holds open.
    pub(super) supervisor: Option<u32>,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

impl Request {
    pub(super) fn new(mode: Mode, confinement: Confinement, program: PathBuf) -> Self {
        Self {
            mode,
            confinement,
            without: Vec::new(),
            caller: None,
            supervisor: None,
            program,
            arguments: Vec::new(),
        }
    }

    /// Whether to use a layer if the machine offers it.
    pub(super) fn wants(&self, layer: Layer) -> bool {
        self.mode == Mode::Required && !self.without.contains(&layer)
    }

    /// Formats the request: settings as `key=value`, `--`, the program and its arguments.
    pub(super) fn to_arguments(&self) -> Vec<OsString> {
        let Limits {
            memory_bytes,
            cpu_seconds,
            open_files,
        } = self.confinement.limits;
        let mut arguments = vec![
            setting(
                "mode",
                if self.mode == Mode::Off {
                    "off"
                } else {
                    "required"
                },
            ),
            setting("directory", &self.confinement.directory),
            setting("memory", memory_bytes.to_string()),
            setting("cpu", cpu_seconds.to_string()),
            setting("files", open_files.to_string()),
        ];
        for tree in &self.confinement.readable {
            arguments.push(setting("readable", tree));
        }
        if self.confinement.threads {
            arguments.push(setting("threads", "yes"));
        }
        if self.confinement.timed {
            arguments.push(setting("timed", "yes"));
        }
        if self.confinement.forgiving {
            arguments.push(setting("forgiving", "yes"));
        }
        for layer in &self.without {
            arguments.push(setting("without", layer.name()));
        }
        if let Some(process) = self.caller {
            arguments.push(setting("caller", process.to_string()));
        }
        if let Some(descriptor) = self.supervisor {
            arguments.push(setting("supervisor", descriptor.to_string()));
        }
        arguments.push("--".into());
        arguments.push(self.program.clone().into_os_string());
        arguments.extend_from_slice(&self.arguments);
        arguments
    }

    /// Parses what [`Self::to_arguments`] formats.
    pub(super) fn parse(arguments: Vec<OsString>) -> Result<Self, SandboxError> {
        let confinement = Confinement {
            readable: Vec::new(),
            directory: PathBuf::new(),
            limits: Limits::default(),
            threads: false,
            timed: false,
            forgiving: false,
        };
        // A missing argument must not leave out a layer.
        let mut request = Self::new(Mode::Required, confinement, PathBuf::new());
        let mut arguments = arguments.into_iter();
        for argument in arguments.by_ref().take_while(|argument| argument != "--") {
            request
                .set(&argument)
                .ok_or_else(|| SandboxError::Argument {
                    argument: argument.to_string_lossy().into_owned(),
                })?;
        }
        request.program = arguments.next().unwrap_or_default().into();
        request.arguments = arguments.collect();
        let Confinement {
            readable,
            directory,
            ..
        } = &request.confinement;
        readable.iter().try_for_each(|tree| check(tree))?;
        check(directory)?;
        check(&request.program)?;
        Ok(request)
    }

    /// Applies one setting. Returns `None` if its name or value is unknown.
    fn set(&mut self, argument: &OsString) -> Option<()> {
        let bytes = argument.as_bytes();
        let equals = bytes.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&bytes[..equals], &bytes[equals + 1..]);
        let path = || PathBuf::from(OsString::from_vec(value.to_vec()));
        let text = std::str::from_utf8(value).unwrap_or_default();
        let confinement = &mut self.confinement;
        match name {
            b"mode" if text == "required" => self.mode = Mode::Required,
            b"mode" if text == "off" => self.mode = Mode::Off,
            b"readable" => confinement.readable.push(path()),
            b"directory" => confinement.directory = path(),
            b"memory" => confinement.limits.memory_bytes = text.parse().ok()?,
            b"cpu" => confinement.limits.cpu_seconds = text.parse().ok()?,
            b"files" => confinement.limits.open_files = text.parse().ok()?,
            b"threads" if text == "yes" => confinement.threads = true,
            b"timed" if text == "yes" => confinement.timed = true,
            b"forgiving" if text == "yes" => confinement.forgiving = true,
            b"without" => {
                let mut layers = Layer::ALL.into_iter();
                self.without
                    .push(layers.find(|layer| layer.name() == text)?);
            }
            b"caller" => self.caller = Some(text.parse().ok()?),
            b"supervisor" => self.supervisor = Some(text.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

fn setting(name: &str, value: impl Into<OsString>) -> OsString {
    let mut argument = OsString::from(name);
    argument.push("=");
    argument.push(value.into());
    argument
}

/// Checks that a path has no components such as `..`: the path is rebuilt from its components inside the new root.
fn check(path: &Path) -> Result<(), SandboxError> {
    let plain = path
        .components()
        .all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        return Ok(());
    }
    Err(SandboxError::Path {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let odd = OsString::from_vec(b"/tmp/\xff=x --".to_vec());
        let confinement = Confinement {
            readable: vec!["/usr".into(), odd.clone().into()],
            directory: "/usr/share".into(),
            limits: Limits {
                memory_bytes: 1,
                cpu_seconds: 2,
                open_files: 3,
            },
            threads: true,
            timed: true,
            forgiving: true,
        };
        Request {
            without: vec![Layer::Landlock, Layer::Namespaces],
            caller: Some(7),
            supervisor: Some(3),
            arguments: vec!["--".into(), "mode=off".into(), odd],
            ..Request::new(Mode::Required, confinement, "/usr/bin/python3".into())
        }
    }

    #[test]
    fn what_is_asked_for_is_what_is_read() {
        for mode in [Mode::Required, Mode::Off] {
            let request = Request { mode, ..request() };
            assert_eq!(Request::parse(request.to_arguments()).unwrap(), request);
        }
    }

    #[test]
    fn wrong_arguments_and_paths_are_refused() {
        let parse = |change: fn(&mut Vec<OsString>)| {
            let mut arguments = request().to_arguments();
            change(&mut arguments);
            Request::parse(arguments).unwrap_err().to_string()
        };
        for change in [
            (|arguments| arguments.insert(0, "mode=on".into())) as fn(&mut Vec<OsString>),
            |arguments| arguments.insert(0, "readable".into()),
            |arguments| arguments.insert(0, "cpu=-1".into()),
            |arguments| arguments.insert(0, "without=mercy".into()),
        ] {
            assert!(parse(change).contains("does not know the argument"));
        }
        for change in [
            (|arguments| arguments.insert(0, "readable=usr".into())) as fn(&mut Vec<OsString>),
            |arguments| arguments.insert(0, "readable=/usr/../etc".into()),
            |arguments| arguments[1] = "directory=".into(),
            |arguments| arguments.truncate(2),
        ] {
            assert!(parse(change).contains("must be absolute"));
        }
    }
}
