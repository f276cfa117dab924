//! Renderers. A document becomes text, markdown or HTML, with figures in SVG. A report becomes JSON.

pub mod figure;
pub mod html;
pub mod json;
pub mod markdown;
mod markup;
pub(super) mod printable;
pub mod text;

#[cfg(test)]
mod tests;
