//! The tags that a repository has, for the error of a tag that it lacks.

use std::cmp::Reverse;

use serde::Deserialize;
use ureq::http::{Method, StatusCode};

use super::error::{HttpError, RegistryError};
use super::http::read_limited;
use super::image_name::{ImageName, is_tag};
use super::repository::{Repository, expect};

/// Most tags to ask for: one page.
const PAGE: usize = 1000;

/// Most tags to compare. A registry may send more than a page.
const MOST: usize = 10_000;

/// Number of tags to name.
const NAMED: usize = 10;

impl Repository {
    /// The error of a manifest that cannot be read by its tag. If the registry has no such tag, the error names others.
    pub(super) fn without_manifest(&self, name: &ImageName, cause: HttpError) -> RegistryError {
        let is_missing =
            matches!(cause, HttpError::Status { status, .. } if status == StatusCode::NOT_FOUND);
        let tags = if is_missing {
            self.tags()
        } else {
            Ok(Vec::new())
        };
        let tag = name.tag_or_latest();
        match nearest(tag, tags.unwrap_or_default()) {
            // A registry may still list a tag that it cannot resolve.
            tags if tags.is_empty() || tags[0] == tag => self.error("read the manifest of", cause),
            nearest => RegistryError::NoSuchTag {
                repository: name.without_version(),
                tag: tag.to_owned(),
                nearest,
                cause: Box::new(cause),
            },
        }
    }

    /// The first tags of the repository. Asks once.
    fn tags(&self) -> Result<Vec<String>, HttpError> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }
        let request = self.request(Method::GET, &format!("tags/list?n={PAGE}"))?;
        let response = self.session.send_once(&request, &self.pull())?;
        let text = read_limited(expect(response, StatusCode::OK)?)?;
        let found: Option<Tags> = serde_json::from_slice(&text).ok();
        Ok(found.and_then(|it| it.tags).unwrap_or_default())
    }
}

/// The tags that resemble a tag most, the nearest first.
fn nearest(tag: &str, mut tags: Vec<String>) -> Vec<String> {
    tags.truncate(MOST);
    tags.retain(|other| is_tag(other));
    tags.sort_by_cached_key(|other| {
        // From 0 to 1, so as an integer it keeps its order.
        let likeness = strsim::normalized_damerau_levenshtein(tag, other);
        (Reverse((likeness * 1e6) as u64), other.clone())
    });
    tags.dedup();
    tags.truncate(NAMED);
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_tags_come_first_and_are_ten_at_most() {
        let given = |tags: &[&str]| tags.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let tags = given(&["latest", "3.13-slim", "3.12", "3.13", "3.13"]);
        let found = nearest("3.13-slm", tags);
        assert_eq!(found, ["3.13-slim", "3.13", "3.12", "latest"]);
        let many = (0..50).map(|it| format!("v{it}")).collect();
        let found = nearest("v7", many);
        assert_eq!((found.len(), &*found[0]), (10, "v7"));
        assert!(nearest("v1", given(&["", "a b", "\u{1b}[2J", "-x"])).is_empty());
    }
}
