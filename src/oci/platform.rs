//! Platforms: operating systems and architectures, as in indexes and configs.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// An operating system and architecture (image-spec image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The operating system, for example `linux`.
    pub os: String,
    /// The architecture, for example `amd64`.
    pub architecture: String,
    /// The variant of the architecture, for example `v7`.
    pub variant: Option<String>,
}

impl Platform {
    /// Whether an image of platform `other` satisfies a request for `self`. A request without a variant accepts every
    /// variant. Different spellings of one platform are equal.
    pub fn accepts(&self, other: &Self) -> bool {
        let (wanted, found) = (self.normalized(), other.normalized());
        let same_variant = || wanted.variant == found.variant;
        (&wanted.os, &wanted.architecture) == (&found.os, &found.architecture)
            && (self.variant.is_none() || same_variant())
    }

    /// The platform with Go's names and without a default variant. Only arm always has a variant. This follows
    /// containerd's rules for platforms.
    fn normalized(&self) -> Self {
        let os = self.os.to_ascii_lowercase();
        let os = match os.as_str() {
            "macos" => "darwin".to_owned(),
            _ => os,
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().unwrap_or_default();
        let variant = variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
            ("amd64" | "x86_64" | "x86-64", "v1") => ("amd64", ""),
            ("amd64" | "x86_64" | "x86-64", variant) => ("amd64", variant),
            ("arm64" | "aarch64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("arm64" | "aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
        }
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

    /// Parses `os/architecture[/variant]` in any common spelling. An architecture alone implies Linux.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            _ if parts.iter().any(|part| part.is_empty()) => return Err(malformed(text)),
            [architecture] if is_architecture(architecture) => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(malformed(text)),
        };
        let platform = Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        };
        let normalized = platform.normalized();
        // `arm` alone means every arm; `armhf` means one.
        let any_arm = variant.is_none() && architecture.eq_ignore_ascii_case("arm");
        Ok(Self {
            variant: normalized.variant.filter(|_| !any_arm),
            ..normalized
        })
    }
}

fn malformed(text: &str) -> String {
    format!("`{text}` is not a platform; write it as os/architecture or os/architecture/variant")
}

/// Whether this is an architecture, by Go's name or another common spelling.
fn is_architecture(text: &str) -> bool {
    const NAMES: [&str; 20] = [
        "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
        "ppc64le", "riscv64", "s390x", "wasm", "aarch64", "armel", "armhf", "i386", "x86_64",
        "x86-64",
    ];
    let text = text.to_ascii_lowercase();
    NAMES.contains(&text.as_str())
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

    #[test]
    fn spellings_of_one_platform_are_equal() {
        for (wanted, found, accepts) in [
            ("arm64", "linux/arm64", true),
            ("arm64", "linux/arm64/v8", true),
            ("ARM64", "linux/arm64", true),
            ("aarch64", "linux/arm64/v8", true),
            ("linux/aarch64", "linux/arm64", true),
            ("Linux/ARM64", "linux/arm64", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm64/8", "linux/arm64/v8", true),
            ("linux/arm64", "linux/aarch64", true),
            ("linux/arm64/v9", "linux/arm64", false),
            ("x86_64", "linux/amd64", true),
            ("x86-64", "linux/amd64/v1", true),
            ("linux/amd64/v1", "linux/amd64", true),
            ("linux/amd64", "linux/amd64/v3", true),
            ("linux/amd64/v3", "linux/amd64", false),
            ("linux/x86_64", "linux/386", false),
            ("i386", "linux/386", true),
            ("armhf", "linux/arm/v7", true),
            ("armhf", "linux/arm", true),
            ("armhf", "linux/arm/v6", false),
            ("armel", "linux/arm/v6", true),
            ("linux/arm/7", "linux/arm/v7", true),
            ("linux/arm/v7", "linux/arm", true),
            ("linux/arm", "linux/arm/v5", true),
            ("macos/arm64", "darwin/arm64", true),
            ("s390x", "linux/s390x", true),
            ("arm64", "windows/arm64", false),
        ] {
            let parse = |text: &str| text.parse::<Platform>().unwrap();
            let plain = |text: &str| {
                let mut parts = text.split('/').map(str::to_owned);
                Platform {
                    os: parts.next().unwrap(),
                    architecture: parts.next().unwrap(),
                    variant: parts.next(),
                }
            };
            assert_eq!(
                parse(wanted).accepts(&plain(found)),
                accepts,
                "{wanted} for {found}"
            );
        }
    }
}
