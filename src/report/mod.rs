//! Reports: what each command found or did, as data, and that data as text, JSON and markdown.
//!
//! A report is turned into a [`document::Document`] once, by the module of its command; text and
//! markdown render any document. JSON is the report itself.

pub mod model;

pub mod bench;
pub mod compare;
pub mod inspect;
pub mod minimize;
pub mod verify;

pub mod gate;
pub mod limit;

pub mod document;

pub mod figure;
pub mod html;
pub mod json;
pub mod markdown;
pub mod text;

mod markup;
mod printable;
pub mod size;

#[cfg(test)]
mod formats;
#[cfg(test)]
mod samples;

pub use printable::printable;

/// The name of an image that was read, as headlines have it.
fn input_name(reference: &str) -> &str {
    match reference {
        "-" => "standard input",
        named => named,
    }
}

/// The path of a Python tree, as people read it.
fn tree_name(path: &str) -> &str {
    match path {
        "" => "/",
        path => path,
    }
}

/// What to know where [`is_plain`] is true of all images of a report.
const PLAIN: &str = "the layers are not compressed here; in a registry they are smaller";

/// Whether layers of so many bytes, compressed and unpacked, are not compressed, as those of `podman save`.
fn is_plain(compressed: u64, unpacked: u64) -> bool {
    compressed == unpacked && unpacked > 0
}

/// How much of a report people want to see. JSON always has all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// What matters; long lists are folded.
    #[default]
    Summary,
    /// Every tree, finding and step.
    All,
}

#[cfg(test)]
mod tests {
    use super::document::Block;
    use super::*;

    #[test]
    fn reports_of_layers_that_are_not_compressed_say_so() {
        let mut inspected = samples::inspect();
        let mut minimized = samples::minimize();
        let mut compared = [samples::compare(), samples::compare_several()];
        let says = |document: document::Document| {
            let note = "the layers are not compressed here";
            let is_note =
                |block: &Block| matches!(block, Block::Note(text) if text.starts_with(note));
            document.blocks.iter().any(is_note)
        };
        for is_plain in [false, true] {
            assert_eq!(
                says(inspect::document(&inspected, Detail::Summary)),
                is_plain
            );
            assert_eq!(
                says(minimize::document(&minimized, Detail::Summary)),
                is_plain
            );
            for report in &compared {
                assert_eq!(says(compare::document(report, Detail::Summary)), is_plain);
            }
            let image = &mut inspected.images[0];
            image.compressed_bytes = image.uncompressed_bytes;
            let image = &mut minimized.images[0];
            image.before.compressed_bytes = Some(image.before.uncompressed_bytes);
            image.after.compressed_bytes = Some(image.after.uncompressed_bytes);
            for image in compared.iter_mut().flat_map(|it| &mut it.images) {
                image.totals.compressed_before = image.totals.uncompressed_before;
                image.totals.compressed_after = image.totals.uncompressed_after;
            }
        }
    }
}
