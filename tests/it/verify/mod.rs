//! `verify`: what it accepts and what it refuses.

mod accepted;
mod damage;
mod history;
mod image;
