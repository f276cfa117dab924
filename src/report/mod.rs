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

/// How much of a report people want to see. JSON always has all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Detail {
    /// What matters; long lists are folded.
    #[default]
    Summary,
    /// Every tree, finding and step.
    All,
}
