//! Suggests a command: one that saves bytes, or else one that makes Python start faster.

use crate::quoting::quoted;
use crate::report::documents::document::Block;
use crate::report::model::{InspectImage, InspectReport, MANY_MISSING, SituationName};
use crate::size;

/// Suggests profile `default` if that saves anything. Otherwise suggests compiling if many modules have no cache.
pub(super) fn block(report: &InspectReport) -> Option<Block> {
    let saved: u64 = report.images.iter().map(saved).sum();
    let missing: usize = report.images.iter().map(InspectImage::missing).sum();
    match (saved, missing) {
        (0, ..MANY_MISSING) => None,
        (0, missing) => Some(Block::Hint {
            // `auto` is the level at which the report looked for missing caches.
            command: minimize(
                &report.reference,
                "quick",
                "--profile auto --set missing=compile",
            ),
            effect: format!(
                "compiles the {missing} sources that have no cache, so that Python imports them faster"
            ),
        }),
        (saved, _) => Some(Block::Hint {
            command: minimize(&report.reference, "small", "--profile default"),
            effect: format!("saves {} unpacked; {}", size::bytes(saved), cost(report)),
        }),
    }
}

/// A `minimize` command whose output has `word` in its name.
pub(super) fn minimize(reference: &str, word: &str, options: &str) -> String {
    let output = output_name(reference, word);
    let (input, output) = (quoted(reference), quoted(&output));
    format!("pycull minimize {input} --output {output} {options}")
}

/// The effect of the saving on start-up time.
fn cost(report: &InspectReport) -> &'static str {
    let levels = report
        .images
        .iter()
        .flat_map(|image| &image.layers)
        .map(|layer| &layer.levels);
    let has_optimized = levels
        .flatten()
        .any(|(level, count)| level != "0" && count.files > 0);
    match has_optimized {
        true => "only Python with -O would start slower",
        false => "Python starts as fast as before",
    }
}

/// The bytes that profile `default` saves: visible caches in the merged file system, plus caches that layers hide.
fn saved(image: &InspectImage) -> u64 {
    let level_0 = image
        .situations
        .iter()
        .find(|row| row.name == SituationName::LevelZero);
    let visible = level_0.map_or(0, |row| match row.difference_bytes {
        bytes @ ..0 => bytes.unsigned_abs(),
        _ => 0,
    });
    visible + image.hidden_bytes()
}

/// Makes the name of an output in the same medium.
fn output_name(reference: &str, word: &str) -> String {
    const STREAM: &str = "-";
    if reference == STREAM {
        return format!("{word}.tar");
    }
    let (transport, path, name) = match reference.split_once(':') {
        Some((transport @ ("oci" | "oci-archive" | "docker-archive"), rest)) => {
            let (path, name) = match rest.split_once(':') {
                // A selector `@N` can only be read, not written.
                Some((path, name)) if !name.starts_with('@') => (path, Some(name)),
                Some((path, _)) => (path, None),
                None => (rest, None),
            };
            (Some(transport), path, name)
        }
        _ => (None, reference, None),
    };
    let path = output_path(path.trim_end_matches('/'), word);
    let parts = transport.into_iter().chain([path.as_str()]).chain(name);
    parts.collect::<Vec<_>>().join(":")
}

fn output_path(path: &str, word: &str) -> String {
    let file_name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[file_name..].rfind('.') {
        // The `.11` in `py3.11` is not an extension.
        Some(dot)
            if dot > 0 && path[file_name + dot + 1..].starts_with(|c: char| c.is_alphabetic()) =>
        {
            let (stem, extension) = path.split_at(file_name + dot);
            format!("{stem}-{word}{extension}")
        }
        _ => format!("{path}-{word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::FindingKind;
    use crate::report::samples;

    fn hint(missing: usize, hidden: usize) -> Option<(String, String)> {
        let mut report = samples::inspect_without_python();
        let kinds = std::iter::repeat_n(FindingKind::Missing, missing)
            .chain(std::iter::repeat_n(FindingKind::Hidden, hidden));
        report.images[0].findings = kinds
            .map(|kind| samples::finding(kind, "a/m.py", 1000))
            .collect();
        block(&report).map(|hint| match hint {
            Block::Hint { command, effect } => (command, effect),
            _ => panic!("{hint:?}"),
        })
    }

    #[test]
    fn where_nothing_is_to_be_saved_and_much_is_missing_the_hint_compiles() {
        assert_eq!(hint(MANY_MISSING - 1, 0), None);
        let (command, effect) = hint(MANY_MISSING, 0).unwrap();
        assert_eq!(
            command,
            "pycull minimize app.tar --output app-quick.tar --profile auto --set missing=compile"
        );
        assert!(effect.contains("20 sources"), "{effect}");
        let (command, _) = hint(MANY_MISSING, 1).unwrap();
        assert!(command.contains("--profile default"), "{command}");
    }

    #[test]
    fn the_output_is_named_after_the_image() {
        for (reference, output) in [
            ("app.tar", "app-small.tar"),
            ("./a.b/app", "./a.b/app-small"),
            ("images/py3.11", "images/py3.11-small"),
            ("dir/", "dir-small"),
            ("oci:app:v1", "oci:app-small:v1"),
            ("oci:app:@1", "oci:app-small"),
            ("oci-archive:app.tar", "oci-archive:app-small.tar"),
            (
                "docker-archive:a.tar:x/y:1",
                "docker-archive:a-small.tar:x/y:1",
            ),
            ("-", "small.tar"),
            (".hidden", ".hidden-small"),
        ] {
            assert_eq!(output_name(reference, "small"), output);
        }
    }
}
