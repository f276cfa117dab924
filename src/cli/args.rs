//! Arguments as they are typed. Image references stay text here: the library's errors about them
//! have hints, which clap would lose.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use pycull::compare::{Gates, Limit};
use pycull::compile::sandbox::Mode;
use pycull::limits::Setting;
use pycull::oci::compression::CompressionSetting;
use pycull::pipeline::CompareOptions;
use pycull::report::model::FindingKind;

use super::registries::RegistryArgs;
use super::values::{PlatformChoice, finding_kind, module, shrink, size};

const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 a gate or check failed; 2 the command failed (files and tags are unchanged).

Images: docker://NAME[:TAG][@DIGEST] in a registry, containers-storage:NAME in podman's store,
docker-daemon:NAME in docker's store, oci:DIR[:TAG], oci-archive:FILE[:TAG],
docker-archive:FILE[:NAME], dir:DIR (read only), a path, or `-` for an archive on standard input or
output.";

/// Manages the CPython bytecode in the layers of a container image.
///
/// Finds .pyc files, shows what each optimization level costs and what is wrong with the files,
/// and writes a smaller image. Needs neither a container engine nor root.
#[derive(Debug, Parser)]
#[command(name = "pycull", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What every verb takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Format of the report
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// Platform to read and write: os/architecture[/variant], or `all`. One platform leaves all others out of the output
    #[arg(long, global = true, value_name = "PLATFORM", default_value = "all")]
    pub(crate) platform: PlatformChoice,
    /// Number of parallel jobs [default: number of processors]
    #[arg(long, short, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) jobs: Option<u16>,
    /// Set a limit: members (files), names (bytes of names and headers), documents (bytes of JSON), or
    /// seconds (run time of the image's interpreter). Repeatable
    #[arg(long, global = true, value_name = "LIMIT=N", value_delimiter = ',')]
    pub(crate) limit: Vec<Setting>,
    /// Print only the report and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// List everything: each tree, finding, step and warning
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// When to use colours; `auto` honours NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Disable progress bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs; docs/schema describes it
    Json,
    /// For pull requests and issues
    Markdown,
    /// For a browser: one file without external resources
    Html,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the bytecode in an image, what it costs, and what is wrong with it
    Inspect(Inspect),
    /// Write an image with only the bytecode that a profile keeps
    Minimize(Minimize),
    /// Compare images with an earlier image, and fail if they exceed size limits
    Compare(Compare),
    /// Prove that nothing but bytecode differs between two images
    Verify(Verify),
    /// Measure how fast the image's own interpreter imports modules, with and without caches
    Bench(Bench),
    /// List, show or check profiles
    Profile {
        #[command(subcommand)]
        action: ProfileAction,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Example:
  pycull completions bash > ~/.local/share/bash-completion/completions/pycull")]
    Completions {
        /// Shell to complete for
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "\
Example:
  pycull man | man -l -")]
    Man,
}

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pycull inspect app.tar
  pycull inspect docker://python:3.13
  podman save app | pycull inspect -
  pycull inspect oci:app:latest --deny stale,malformed
  pycull inspect app.tar --advise
  pycull inspect app.tar --format html > app.html
  pycull inspect app.tar --format json | jq '.images[].findings[].path'")]
pub(crate) struct Inspect {
    /// The image to read
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) image: String,
    /// Fail if the image has a finding of one of these kinds: malformed, stale, hash-mismatch, missing, orphan,
    /// foreign, shadowed, hidden. Separate kinds with commas
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', value_parser = finding_kind)]
    pub(crate) deny: Vec<FindingKind>,
    /// Recommend a profile, with its reasons, savings and costs
    #[arg(long)]
    pub(crate) advise: bool,
}

/// Arguments of `minimize`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pycull minimize app.tar --output app-small.tar
  pycull minimize oci:app:v1 --output oci:app:v1-small --profile minimal
  pycull minimize docker://ghcr.io/me/app:v1 --output docker://ghcr.io/me/app:v1-small
  pycull minimize containers-storage:app --output containers-storage:app-small
  pycull minimize app.tar --dry-run --set 'levels=[0,1]'
  docker save app | pycull minimize - --output - | docker load")]
pub(crate) struct Minimize {
    /// The image to read
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) image: String,
    /// The image to write. `-` is standard output, and the report then goes to standard error
    #[arg(long, short, value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    #[arg(required_unless_present = "dry_run")]
    pub(crate) output: Option<String>,
    /// A built-in profile's name, or a TOML file
    #[arg(long, short, value_name = "NAME|FILE", default_value = "default", value_hint = ValueHint::FilePath)]
    pub(crate) profile: String,
    /// Override one key of the profile, for example 'levels=[0,1]'. Repeatable
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub(crate) set: Vec<String>,
    /// Compression of rewritten layers: keep (copies unchanged blocks), none, gzip[:LEVEL] or
    /// zstd[:LEVEL]
    #[arg(long, value_name = "HOW", default_value = "keep")]
    pub(crate) compression: CompressionSetting,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Fail if the registry has a signature for the image. The new image would not have it
    #[arg(long)]
    pub(crate) require_unsigned: bool,
    /// Fail if a source does not compile, instead of reporting it
    #[arg(long, help_heading = "Compiling")]
    pub(crate) strict: bool,
    /// Compile with this interpreter of the host instead of the image's own
    #[arg(long, value_name = "PATH", value_hint = ValueHint::ExecutablePath, help_heading = "Compiling")]
    pub(crate) python: Option<PathBuf>,
    /// Run interpreters of a foreign architecture with this command, for example qemu-aarch64-static
    #[arg(long, value_name = "COMMAND", value_hint = ValueHint::CommandString, help_heading = "Compiling")]
    pub(crate) emulator: Option<String>,
    /// Disable the compile cache
    #[arg(long, help_heading = "Compiling")]
    pub(crate) no_cache: bool,
    /// Sandbox for the image's interpreter
    #[arg(
        long,
        value_name = "MODE",
        default_value = "required",
        help_heading = "Compiling"
    )]
    pub(crate) sandbox: SandboxChoice,
}

/// Whether interpreters must be confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxChoice {
    /// Use every sandbox mechanism that this machine offers. Fail if there is none
    Required,
    /// Use resource limits only. For images that you trust
    Off,
}

impl SandboxChoice {
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Required => Mode::Required,
            Self::Off => Mode::Off,
        }
    }
}

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pycull compare app.tar app-small.tar --require-shrink
  pycull compare app.tar default.tar minimal.tar all.tar
  pycull compare main.tar branch.tar --max-growth 2.5% --max-size 150MB --max-bytecode 10%
  pycull compare main.tar branch.tar --max-growth 500kB --format markdown
  pycull compare --sizes docker://ghcr.io/me/app:main app-small.tar --max-growth 2%")]
pub(crate) struct Compare {
    /// The earlier image
    #[arg(value_name = "BEFORE", value_hint = ValueHint::AnyPath)]
    pub(crate) before: String,
    /// Images to compare with BEFORE, one column each
    #[arg(value_name = "AFTER", value_hint = ValueHint::AnyPath, required = true)]
    pub(crate) after: Vec<String>,
    /// Compare only compressed sizes and pull sizes, without reading layers
    #[arg(long, conflicts_with_all = ["max_bytecode", "figure"])]
    pub(crate) sizes: bool,
    /// Fail if the compressed layers grow by more than this: a size (0, 500kB, 10MiB) or a percentage
    /// (2.5%)
    #[arg(long, value_name = "SIZE|PERCENT", help_heading = "Gates")]
    pub(crate) max_growth: Option<Limit>,
    /// Fail if the compressed layers are larger than this
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Gates")]
    pub(crate) max_size: Option<u64>,
    /// Fail if the layers hold more cached bytecode than this: a size, or a percentage of the unpacked
    /// layers
    #[arg(long, value_name = "SIZE|PERCENT", help_heading = "Gates")]
    pub(crate) max_bytecode: Option<Limit>,
    /// Fail unless the compressed layers shrink by at least this. Without a value: by at least one byte. Put the
    /// option after the images
    #[arg(long, value_name = "SIZE|PERCENT", num_args = 0..=1, default_missing_value = "1B", value_parser = shrink, help_heading = "Gates")]
    pub(crate) require_shrink: Option<Limit>,
    /// Draw the layers of both images as bars in an SVG file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) figure: Option<PathBuf>,
    /// Write an SVG badge with the compressed size and the difference, for one image of one platform
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) badge: Option<PathBuf>,
}

impl Compare {
    pub(crate) fn options(&self) -> CompareOptions {
        CompareOptions {
            gates: Gates {
                max_growth: self.max_growth,
                max_size: self.max_size,
                max_bytecode: self.max_bytecode,
                require_shrink: self.require_shrink,
            },
            sizes_only: self.sizes,
        }
    }
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Compares any two images, whichever tool wrote them. Caches may be removed. A new cache must be fresh.
A fresh cache that stays must stay fresh. The content and metadata of every other file must be equal.
The config, manifest and history may change only as the new layers require.

Examples:
  pycull verify app.tar app-small.tar
  pycull verify app.tar app-small.tar --profile default
  pycull verify oci:app:v1 oci:app:v1-quick --profile default --set missing=compile
  pycull verify app.tar app-small.tar --format json | jq '.images[].differences[]'")]
pub(crate) struct Verify {
    /// The earlier image
    #[arg(value_name = "BEFORE", value_hint = ValueHint::AnyPath)]
    pub(crate) before: String,
    /// The later image
    #[arg(value_name = "AFTER", value_hint = ValueHint::AnyPath)]
    pub(crate) after: String,
    /// Require exactly the caches that this profile keeps: a built-in profile's name, or a TOML file
    #[arg(long, short, value_name = "NAME|FILE", value_hint = ValueHint::FilePath)]
    pub(crate) profile: Option<String>,
    /// Override one key of the profile, for example 'levels=[0,1]'. Repeatable
    #[arg(long, value_name = "KEY=VALUE", action = ArgAction::Append, requires = "profile")]
    pub(crate) set: Vec<String>,
}

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs code from the image in a sandbox, on a copy of its modules. The image does not need caches. The
sandbox has no network, no home directory, none of the image's environment variables, and 4 GiB of
address space.

Examples:
  pycull bench app.tar
  pycull bench app.tar --import flask,sqlalchemy --figure speed.svg
  podman save app | pycull bench - --format json | jq '.images[].trees[].ratio'")]
pub(crate) struct Bench {
    /// The image to read
    #[arg(value_name = "IMAGE", value_hint = ValueHint::AnyPath)]
    pub(crate) image: String,
    /// Module to reload
    #[arg(long, value_name = "NAME", default_value = "_pydecimal", value_parser = module)]
    pub(crate) module: String,
    /// Modules to import at start-up, separated by commas, for example what the entrypoint imports
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = module)]
    pub(crate) import: Vec<String>,
    /// Number of reloads in each run
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) repeats: u32,
    /// Number of runs for each measurement. The report shows the median
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Draw the tables as bar charts in an SVG file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) figure: Option<PathBuf>,
    /// Sandbox for the image's interpreter
    #[arg(long, value_name = "MODE", default_value = "required")]
    pub(crate) sandbox: SandboxChoice,
}

/// What to do with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileAction {
    /// List the built-in profiles
    List,
    /// Print the text of a built-in profile
    Show {
        /// Name of the profile
        name: String,
    },
    /// Check a profile. The exit code is 1 if it is not valid
    Check {
        /// A TOML file, or a built-in profile's name
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_output_is_required_unless_nothing_is_written() {
        assert!(Args::try_parse_from(["pycull", "minimize", "a.tar"]).is_err());
        assert!(Args::try_parse_from(["pycull", "minimize", "a.tar", "--dry-run"]).is_ok());
        assert!(Args::try_parse_from(["pycull", "minimize", "a.tar", "-o", "-"]).is_ok());
    }

    #[test]
    fn gates_are_parsed() {
        let gates = |arguments: &[&str]| {
            let fixed = ["pycull", "compare", "a", "b"];
            let args = Args::try_parse_from(fixed.iter().chain(arguments))?;
            match args.verb {
                Verb::Compare(args) => Ok::<_, clap::Error>(args.options().gates),
                _ => unreachable!(),
            }
        };
        let shrink = |limit| Gates {
            require_shrink: Some(limit),
            ..Gates::default()
        };
        assert_eq!(gates(&["c"]).unwrap(), Gates::default());
        let at_all = gates(&["--require-shrink"]).unwrap();
        assert_eq!(at_all, shrink(Limit::Bytes(1)));
        let share = gates(&["--require-shrink", "5%"]).unwrap();
        assert_eq!(share, shrink(Limit::Percent(5.0)));
        let most = gates(&["--max-size", "2kB"]).unwrap().max_size;
        assert_eq!(most, Some(2000));
        for wrong in [["--max-size", "5%"], ["--max-bytecode", "much"]] {
            assert!(gates(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_image_that_a_gate_swallows_is_told_where_the_gate_goes() {
        let parse = |arguments: &[&str]| {
            let arguments = ["pycull", "compare"].iter().chain(arguments);
            Args::try_parse_from(arguments).unwrap_err().to_string()
        };
        for arguments in [
            &["--require-shrink", "a.tar", "b.tar"][..],
            &["a.tar", "--require-shrink", "oci:b:v1"],
        ] {
            let error = parse(arguments);
            assert!(
                error.contains("is an image, put `--require-shrink` after the images"),
                "{error}"
            );
        }
    }

    #[test]
    fn several_platforms_are_refused_with_what_works() {
        for platforms in ["linux/amd64,linux/arm64", "amd64,"] {
            let arguments = ["pycull", "inspect", "a.tar", "--platform", platforms];
            let error = Args::try_parse_from(arguments).unwrap_err().to_string();
            assert!(error.contains("run pycull once for each"), "{error}");
        }
    }

    #[test]
    fn sizes_alone_allow_no_option_that_needs_layers() {
        let parse = |more: &[&str]| {
            let fixed = ["pycull", "compare", "--sizes", "a", "b"];
            Args::try_parse_from(fixed.iter().chain(more))
        };
        assert!(parse(&["--max-growth", "2%", "--badge", "badge.svg"]).is_ok());
        for needs_layers in [["--max-bytecode", "1MB"], ["--figure", "f.svg"]] {
            let error = parse(&needs_layers).unwrap_err().to_string();
            assert!(error.contains("cannot be used with"), "{error}");
        }
    }

    #[test]
    fn denied_kinds_are_checked_and_listed() {
        let parse = |kinds| Args::try_parse_from(["pycull", "inspect", "-", "--deny", kinds]);
        assert!(parse("stale,hash-mismatch").is_ok());
        let error = parse("stale,wrong").unwrap_err().to_string();
        assert!(error.contains("kinds are malformed, stale"), "{error}");
    }
}
