//! Values of arguments, and how they are parsed.

use pycull::compare::Limit;
use pycull::oci::Platform;
use pycull::report::model::FindingKind;

/// Which platforms are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlatformChoice(pub(crate) Option<Platform>);

impl std::str::FromStr for PlatformChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self(None)),
            _ if text.contains(',') => Err(
                "it takes one platform; run pycull once for each, or leave out `--platform` for all platforms of the image"
                    .to_owned(),
            ),
            _ => text.parse().map(|platform| Self(Some(platform))),
        }
    }
}

/// The kind of finding with this name.
pub(super) fn finding_kind(name: &str) -> Result<FindingKind, String> {
    let kind = FindingKind::ALL
        .into_iter()
        .find(|kind| kind.name() == name);
    kind.ok_or_else(|| {
        let names = FindingKind::ALL.map(FindingKind::name);
        format!("unknown kind; kinds are {}", names.join(", "))
    })
}

/// A size alone.
pub(super) fn size(text: &str) -> Result<u64, String> {
    match text.parse::<Limit>()? {
        Limit::Bytes(bytes) => Ok(bytes),
        Limit::Percent(_) => Err(format!(
            "`{text}` is a percentage; this option takes a size, for example 150MB"
        )),
    }
}

/// The least by which an image must shrink. The option can stand without a value, so it may take an image for one.
pub(super) fn shrink(text: &str) -> Result<Limit, String> {
    let limit = text.parse::<Limit>();
    limit.map_err(|error| {
        format!("{error}. If `{text}` is an image, put `--require-shrink` after the images")
    })
}

/// A module's full name.
pub(super) fn module(name: &str) -> Result<String, String> {
    let is_word = |part: &str| {
        let is_in_words = |c: char| c == '_' || c.is_alphanumeric();
        !part.is_empty()
            && part.chars().all(is_in_words)
            && !part.starts_with(|c: char| c.is_numeric())
    };
    match name.split('.').all(is_word) {
        true => Ok(name.to_owned()),
        false => Err("not a module name; write it like `json.decoder`".to_owned()),
    }
}
