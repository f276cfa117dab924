//! Reports: the result of each command as data, and renderers for that data.
//!
//! The module of a command turns its report into a [`documents::document::Document`]. Text, markdown and HTML are
//! rendered from any document. JSON is the report itself.

pub mod documents;
pub mod formats;
pub mod model;

#[cfg(test)]
mod samples;

pub use formats::printable::printable;

/// The name of an input image for headlines.
pub fn input_name(reference: &str) -> &str {
    match reference {
        "-" => "standard input",
        named => named,
    }
}

/// The note for a report in which [`is_plain`] is true of all images.
const PLAIN: &str = "the layers are not compressed here; in a registry they are smaller";

/// Whether layers of these sizes are uncompressed, as `podman save` writes them.
fn is_plain(compressed: u64, unpacked: u64) -> bool {
    compressed == unpacked && unpacked > 0
}

/// How much of a report to show. JSON always has everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// The essentials. Long lists are shortened.
    #[default]
    Summary,
    /// Everything: all trees, findings and steps.
    All,
}

#[cfg(test)]
mod tests {
    use super::documents::document::{self, Block};
    use super::documents::{compare, inspect, minimize};
    use super::*;

    fn says(document: &document::Document) -> bool {
        document.blocks.contains(&Block::Note(PLAIN.to_owned()))
    }

    #[test]
    fn inspect_says_that_layers_are_not_compressed() {
        let mut report = samples::inspect();
        assert!(!says(&inspect::document(&report, Detail::Summary)));
        let image = &mut report.images[0];
        image.compressed_bytes = image.uncompressed_bytes;
        assert!(says(&inspect::document(&report, Detail::Summary)));
    }

    #[test]
    fn minimize_says_so_where_they_are_not_on_either_side() {
        let mut report = samples::minimize();
        let summary = |report: &_| says(&minimize::document(report, Detail::Summary));
        assert!(!summary(&report));
        let before = &mut report.images[0].before;
        before.compressed_bytes = Some(before.uncompressed_bytes);
        assert!(!summary(&report));
        let after = &mut report.images[0].after;
        after.compressed_bytes = Some(after.uncompressed_bytes);
        assert!(summary(&report));
    }

    #[test]
    fn compare_says_so_where_they_are_not_in_any_image() {
        for mut report in [samples::compare(), samples::compare_several()] {
            let summary = |report: &_| says(&compare::document(report, Detail::Summary));
            assert!(!summary(&report));
            let last = report.images.len() - 1;
            for index in 0..=last {
                let totals = &mut report.images[index].totals;
                totals.compressed_before = totals.uncompressed_before.unwrap();
                totals.compressed_after = totals.uncompressed_after.unwrap();
                assert_eq!(summary(&report), index == last);
            }
        }
    }
}
