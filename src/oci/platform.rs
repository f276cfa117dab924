//! Platforms: operating systems and architectures, as indexes and configs name them.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// An operating system and architecture (image-spec image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// For example `linux`.
    pub os: String,
    /// For example `amd64`.
    pub architecture: String,
    /// For example `v7`.
    pub variant: Option<String>,
}

impl Platform {
    /// Whether an image of platform `other` is wanted where `self` is asked for. Without a variant
    /// every variant is.
    pub fn accepts(&self, other: &Self) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.variant == other.variant)
    }

    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |key| {
            value
                .get(key)
                .and_then(Value::as_str)
                .filter(|text: &&str| !text.is_empty())
                .map(str::to_owned)
        };
        Some(Self {
            os: text("os")?,
            architecture: text("architecture")?,
            variant: text("variant"),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            _ if parts.iter().any(|part| part.is_empty()) => {}
            [os, architecture] => {
                return Ok(Self {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant: None,
                });
            }
            [os, architecture, variant] => {
                let variant = Some(variant.to_owned());
                return Ok(Self {
                    os: os.to_owned(),
                    architecture: architecture.to_owned(),
                    variant,
                });
            }
            _ => {}
        }
        Err(format!(
            "`{text}` is no platform; write it as os/architecture or os/architecture/variant"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_without_variant_accepts_every_variant() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm/v6").accepts(&platform("linux/arm/v7")));
        assert!(!platform("linux/arm64").accepts(&platform("linux/amd64")));
        assert!("linux".parse::<Platform>().is_err() && "linux//v7".parse::<Platform>().is_err());
    }
}
