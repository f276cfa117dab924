//! Reports: what each command found or did, as data, and that data as text, JSON and markdown.

pub mod model;
