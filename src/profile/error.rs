//! Errors of loading a profile.

use super::builtin::BUILT_IN;

/// Maximum size of a profile in bytes. The built-in ones have less than 200.
pub(super) const LARGEST: u64 = 1 << 20;

/// A profile cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The name is neither a built-in profile nor a file.
    #[error("there is no profile `{name}`")]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read profile `{path}`")]
    Read {
        /// Path of the file.
        path: String,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than the limit.
    #[error("profile `{path}` is larger than {} MiB, which is the limit", LARGEST >> 20)]
    TooLarge {
        /// Path of the file.
        path: String,
    },
    /// The profile is not TOML, or has an unknown key or a value of the wrong type. The text has the line and column.
    #[error("profile `{name}` is malformed: {text}")]
    Malformed {
        /// The profile's name.
        name: String,
        /// The message of the TOML parser, with the place.
        text: String,
        /// The valid key that is most similar to an unknown key.
        nearest: Option<&'static str>,
    },
    /// A value is not valid for its key.
    #[error("profile `{name}`: {reason}")]
    Value {
        /// The profile's name.
        name: String,
        /// What is wrong with the value.
        reason: String,
    },
    /// A `--set` is not valid.
    #[error("`--set {text}`: {reason}")]
    Set {
        /// The setting as the user wrote it.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This version of pycull does not support a setting of the profile.
    #[error(
        "profile `{name}`: `{setting}` is not available: this version of pycull does not {verb}"
    )]
    NotYet {
        /// The profile's name.
        name: String,
        /// The key, or the key and value.
        setting: String,
        /// What pycull would have to do, as in "does not …".
        verb: &'static str,
    },
}

impl ProfileError {
    /// How to solve the problem, if there is a way.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => {
                let names: Vec<&str> = BUILT_IN.iter().map(|profile| profile.name).collect();
                Some(format!(
                    "built-in profiles are {}; to use a file, give its path",
                    names.join(", ")
                ))
            }
            Self::Malformed {
                nearest: Some(key), ..
            } => Some(format!("did you mean `{key}`?")),
            Self::Set { text, .. } if !text.contains('=') => Some(
                "write it as KEY=VALUE, for example `--set 'levels=[0,1]'` or `--set stale=keep`"
                    .to_owned(),
            ),
            Self::Set { .. } | Self::TooLarge { .. } => {
                Some("`pycull profile show default` shows a valid profile".to_owned())
            }
            _ => None,
        }
    }
}
