//! The built-in profiles.

/// A built-in profile.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The name to select it by.
    pub name: &'static str,
    /// Its TOML text.
    pub toml: &'static str,
}

/// All built-in profiles.
pub const BUILT_IN: [BuiltIn; 7] = [
    built_in("default", include_str!("builtin/default.toml")),
    built_in("minimal", include_str!("builtin/minimal.toml")),
    built_in("levels-0-1", include_str!("builtin/levels-0-1.toml")),
    built_in("all", include_str!("builtin/all.toml")),
    built_in("level-1", include_str!("builtin/level-1.toml")),
    built_in("level-2", include_str!("builtin/level-2.toml")),
    built_in("auto", include_str!("builtin/auto.toml")),
];

const fn built_in(name: &'static str, toml: &'static str) -> BuiltIn {
    BuiltIn { name, toml }
}
