//! How a document is shown: as text, markdown or HTML, with figures in SVG; and a report as JSON.

pub mod figure;
pub mod html;
pub mod json;
pub mod markdown;
mod markup;
pub(super) mod printable;
pub mod text;

#[cfg(test)]
mod tests;
