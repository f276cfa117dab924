//! What can be wrong with a profile.

use super::builtin::BUILT_IN;

/// Most bytes of a profile. The built-in ones have less than 200.
pub(super) const LARGEST: u64 = 1 << 20;

/// What can be wrong with a profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Neither a built-in profile nor a file.
    #[error("there is no profile `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read profile `{path}`")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than a profile may be.
    #[error("profile `{path}` has more than {LARGEST} bytes, the most that is allowed")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Not TOML, an unknown key, or a value of the wrong type; the text has line and column.
    #[error("profile `{name}` is malformed: {text}")]
    Malformed {
        /// The profile.
        name: String,
        /// What and where, as the TOML parser says it.
        text: String,
        /// The valid key nearest to one that is unknown.
        nearest: Option<&'static str>,
    },
    /// A value that is no value of its key.
    #[error("profile `{name}`: {reason}")]
    Value {
        /// The profile.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A `--set` that is none.
    #[error("`--set {text}`: {reason}")]
    Set {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that a later version will know how to do.
    #[error(
        "profile `{name}`: `{setting}` is not available in this version of pycull, which strips bytecode but does not {verb}"
    )]
    NotYet {
        /// The profile.
        name: String,
        /// The key and value.
        setting: String,
        /// What it would take.
        verb: &'static str,
    },
}

impl ProfileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                let names: Vec<&str> = BUILT_IN.iter().map(|profile| profile.name).collect();
                Some(format!(
                    "built-in profiles are {}; a file is named by its path",
                    names.join(", ")
                ))
            }
            Self::TooLarge { .. } => {
                Some("`pycull profile show default` shows what a profile looks like".to_owned())
            }
            Self::Malformed {
                nearest: Some(key), ..
            } => Some(format!("did you mean `{key}`?")),
            Self::Set { .. } => Some(
                "write it as KEY=VALUE, for example `--set levels=[0,1]` or `--set stale=keep`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
