//! The document of `minimize`: what it did, or would do.

use super::confined;
use crate::report::documents::document::{
    Block, Cell, Column, Document, Table, Title, Tone, short_digest,
};
use crate::report::model::{
    Compiled, ImageSize, InterpreterRow, LayerAction, LayerSize, LeftOut, MinimizeImage,
    MinimizeLayer, MinimizeReport, StepRow,
};
use crate::report::{Detail, PLAIN, input_name, is_plain};
use crate::size;

/// Returns the report as a document, with a section for each platform. The sizes before and after come last in it.
pub fn document(report: &MinimizeReport, detail: Detail) -> Document {
    let mut document = Document::default();
    for image in &report.images {
        push_image(&mut document, report, image, detail);
    }
    document
}

fn push_image(
    document: &mut Document,
    report: &MinimizeReport,
    image: &MinimizeImage,
    detail: Detail,
) {
    document.push(headline(report, image));
    document.table(layer_table(image));
    document.table(reason_table(image));
    if let Some(steps) = image.steps.as_ref().filter(|_| detail == Detail::All) {
        document.table(step_table(steps));
    }
    push_counts(document, image, report.dry_run);
    push_compiling(document, &image.compiled, detail);
    push_listed(document, &image.warnings, "warning", detail);
    push_left_out(document, report, image);
    if let Some(replaced) = &report.replaced {
        document.push(Block::Note(format!(
            "the output replaced {}; to go back: `{}`",
            replaced.id, replaced.restore
        )));
    }
    push_identity(document, image);
    let sides = [&image.before, &image.after];
    match sides.map(is_plain_size) {
        [true, true] => document.push(Block::Note(PLAIN.to_owned())),
        [true, false] if image.after.compressed_bytes.is_some() => document.push(Block::Note(
            "some or all of the old layers are not compressed; the compressed sizes do not show what pycull removed"
                .to_owned(),
        )),
        _ => {}
    }
    if report.dry_run {
        let note = match image.compiled.files {
            0 => "dry run: pycull wrote nothing",
            _ => {
                "dry run: pycull did not compile or write anything; the sizes do not include new caches"
            }
        };
        document.push(Block::Note(note.to_owned()));
    }
    document.push(Block::Summary(summary(image)));
}

fn headline(report: &MinimizeReport, image: &MinimizeImage) -> Block {
    let input = input_name(&report.reference);
    let name = match report.output.as_deref() {
        Some("-") => format!("{input} → standard output"),
        Some(output) => format!("{input} → {output}"),
        None => input.to_owned(),
    };
    let levels: Vec<String> = image.levels.iter().map(u8::to_string).collect();
    let kept = match levels.len() {
        0 => "no level".to_owned(),
        1 => format!("level {}", levels[0]),
        _ => format!("levels {}", levels.join(", ")),
    };
    let profile = format!("profile {} keeps {kept}", image.profile);
    let form = report.output_form.clone();
    Block::Headline {
        name,
        facts: [image.platform.clone(), profile]
            .into_iter()
            .chain(form)
            .collect(),
    }
}

fn layer_table(image: &MinimizeImage) -> Table {
    Table {
        title: Title::Implied("layers"),
        columns: vec![
            Column::right("layer"),
            Column::left("digest").dispensable(1),
            Column::left("action"),
            Column::right("compressed"),
            Column::right("after"),
            Column::right("unpacked").ranks(),
            Column::right("after"),
        ],
        rows: image.layers.iter().enumerate().map(layer_row).collect(),
        total: total_row(image),
        ..Table::default()
    }
}

fn layer_row((index, layer): (usize, &MinimizeLayer)) -> Vec<Cell> {
    let digest = [&layer.after, &layer.before]
        .into_iter()
        .find_map(|side| side.as_ref()?.digest.as_deref());
    let compressed = |side: &Option<LayerSize>| match side {
        Some(size) => optional_bytes(size.compressed_bytes),
        None => Cell::word("-"),
    };
    let unpacked = |side: &Option<LayerSize>| match side {
        Some(size) => Cell::bytes(size.uncompressed_bytes),
        None => Cell::word("-"),
    };
    let tone = match layer.action {
        LayerAction::Kept => Tone::Plain,
        _ => Tone::Good,
    };
    vec![
        Cell::number(index + 1),
        Cell::code(digest.map_or_else(String::new, short_digest)),
        Cell::word(action_name(layer.action)).tone(tone),
        compressed(&layer.before),
        compressed(&layer.after),
        unpacked(&layer.before),
        unpacked(&layer.after),
    ]
}

fn total_row(image: &MinimizeImage) -> Vec<Cell> {
    let (before, after) = (&image.before, &image.after);
    vec![
        Cell::word("total"),
        Cell::empty(),
        Cell::empty(),
        optional_bytes(before.compressed_bytes),
        optional_bytes(after.compressed_bytes),
        Cell::bytes(before.uncompressed_bytes),
        Cell::bytes(after.uncompressed_bytes),
    ]
}

fn optional_bytes(bytes: Option<u64>) -> Cell {
    bytes.map_or_else(|| Cell::word("?"), Cell::bytes)
}

fn action_name(action: LayerAction) -> &'static str {
    match action {
        LayerAction::Kept => "kept",
        LayerAction::Rewritten => "rewritten",
        LayerAction::Appended => "appended",
        LayerAction::Dropped => "dropped",
    }
}

fn reason_table(image: &MinimizeImage) -> Table {
    let row = |(reason, members): (&String, &u64)| vec![Cell::word(reason), Cell::number(members)];
    Table {
        title: Title::Implied("reasons"),
        columns: vec![Column::left("reason"), Column::right("members")],
        rows: image.reasons.iter().map(row).collect(),
        ..Table::default()
    }
}

fn step_table(steps: &[StepRow]) -> Table {
    let row = |step: &StepRow| {
        vec![
            Cell::number(step.layer),
            Cell::word(step.action.name()),
            Cell::path(&step.path),
            Cell::prose(&step.reason),
        ]
    };
    Table {
        title: Title::shown("every step"),
        is_detail: true,
        columns: vec![
            Column::right("layer"),
            Column::left("action"),
            Column::left("member"),
            Column::left("reason"),
        ],
        rows: steps.iter().map(row).collect(),
        ..Table::default()
    }
}

fn push_counts(document: &mut Document, image: &MinimizeImage, dry_run: bool) {
    let (removed, compiled, relinked) = (&image.removed, &image.compiled, &image.relinked);
    let verb = |done, planned| if dry_run { planned } else { done };
    let counts = [
        (
            removed.files,
            removed.bytes,
            verb("removed", "would remove"),
        ),
        (
            relinked.files,
            relinked.bytes,
            verb(
                "linked to an identical level",
                "would link to an identical level",
            ),
        ),
        (
            compiled.files,
            compiled.bytes,
            verb("compiled", "would compile"),
        ),
    ];
    let mut is_idle = true;
    for (files, bytes, verb) in counts.into_iter().filter(|(files, ..)| *files > 0) {
        let caches = plural(files, "cache");
        // A dry run compiles nothing, so it does not know the size.
        document.line(match bytes {
            0 => format!("{verb}: {files} {caches}"),
            _ => format!("{verb}: {files} {caches}, {}", size::bytes(bytes)),
        });
        is_idle = false;
    }
    if is_idle && image.reasons.is_empty() {
        document.line(match image.kept {
            0 => "nothing to remove: the image already matches the profile".to_owned(),
            kept => format!(
                "nothing to remove: something else needs all {kept} {} that the profile would remove",
                plural(kept as u64, "file")
            ),
        });
        if !dry_run {
            document.line(copied(image));
        }
    }
}

/// What the output is if nothing was removed from the image.
fn copied(image: &MinimizeImage) -> String {
    let is_new = |layer: &&MinimizeLayer| layer.action != LayerAction::Kept;
    match image.layers.iter().filter(is_new).count() as u64 {
        0 if image.before.manifest_digest == image.after.manifest_digest => {
            "the output is an exact copy of the image".to_owned()
        }
        0 => "the output has the same layers and a new manifest".to_owned(),
        new => format!(
            "the output has the same files, with {new} {} compressed anew",
            plural(new, "layer")
        ),
    }
}

fn push_compiling(document: &mut Document, compiled: &Compiled, detail: Detail) {
    for interpreter in compiled
        .interpreters
        .iter()
        .filter(|_| detail == Detail::All)
    {
        let InterpreterRow {
            python,
            path,
            sandbox,
            ..
        } = interpreter;
        let whose = match interpreter.from_image {
            true => "the image's",
            false => "this machine's",
        };
        document.line(format!(
            "Python {python}: {whose} {path}, {}",
            confined(sandbox)
        ));
    }
    if compiled.failed == 0 {
        return;
    }
    let sources = plural(compiled.failed, "source");
    document.push(Block::Warning(format!(
        "could not compile {} {sources}",
        compiled.failed
    )));
    let failures = compiled.failures.iter();
    let listed: Vec<String> = failures
        .map(|failure| format!("{}: {}", failure.path, failure.detail))
        .collect();
    push_listed(document, &listed, "failure", detail);
}

fn plural(count: u64, word: &str) -> String {
    match count {
        1 => word.to_owned(),
        _ => format!("{word}s"),
    }
}

/// Number of warnings that a summary lists.
const LISTED_WARNINGS: usize = 5;

/// Adds warnings. If not all are listed, adds a line with the number of the others.
fn push_listed(document: &mut Document, warnings: &[String], name: &str, detail: Detail) {
    let listed = match detail {
        Detail::Summary => warnings.len().min(LISTED_WARNINGS),
        Detail::All => warnings.len(),
    };
    for warning in &warnings[..listed] {
        document.push(Block::Warning(warning.clone()));
    }
    match warnings.len() - listed {
        0 => {}
        more => document.line(format!(
            "and {more} more {}; -v lists all",
            plural(more as u64, name)
        )),
    }
}

/// Lists what is about this image. What is about no image alone stands in the first section.
fn push_left_out(document: &mut Document, report: &MinimizeReport, image: &MinimizeImage) {
    let is_about = |manifest: &&LeftOut, image: &MinimizeImage| {
        manifest.subject.is_some() && manifest.subject == image.before.manifest_digest
    };
    let is_first = report
        .images
        .first()
        .is_some_and(|first| std::ptr::eq(first, image));
    let is_shown = |manifest: &&LeftOut| {
        let has_image = report.images.iter().any(|it| is_about(manifest, it));
        is_about(manifest, image) || (is_first && !has_image)
    };
    for manifest in report.left_out.iter().filter(is_shown) {
        let subject = manifest.subject.as_deref().map_or_else(
            || "an image that changes".to_owned(),
            |subject| format!("manifest {}, which changes", short_digest(subject)),
        );
        let digest = short_digest(&manifest.manifest_digest);
        document.push(Block::Warning(format!(
            "left out {} {digest}: it describes {subject}",
            manifest.kind.name()
        )));
    }
}

fn push_identity(document: &mut Document, image: &MinimizeImage) {
    let (before, after) = (&image.before.manifest_digest, &image.after.manifest_digest);
    let rows = [("before", before), ("after", after)]
        .into_iter()
        .filter_map(|(name, digest)| Some(vec![Cell::word(name), Cell::code(digest.as_ref()?)]));
    document.table(Table {
        title: Title::shown("manifest"),
        is_detail: true,
        columns: vec![Column::left(""), Column::left("")],
        rows: rows.collect(),
        ..Table::default()
    });
    if before != after && after.is_some() {
        document.push(Block::Note(
            "signatures of the old manifest do not match the new one; sign the new image"
                .to_owned(),
        ));
    }
}

/// Whether no layer is compressed. False if the compressed size is not known yet.
fn is_plain_size(size: &ImageSize) -> bool {
    let compressed = size.compressed_bytes;
    compressed.is_some_and(|compressed| is_plain(compressed, size.uncompressed_bytes))
}

/// The last line of a section: the sizes that the reader came for.
fn summary(image: &MinimizeImage) -> String {
    let ImageSize {
        compressed_bytes,
        uncompressed_bytes,
        ..
    } = image.before;
    let unpacked = size::change_of(
        uncompressed_bytes,
        image.after.uncompressed_bytes,
        "unpacked",
    );
    match (compressed_bytes, image.after.compressed_bytes) {
        (Some(before), Some(after)) => {
            format!(
                "{}, {unpacked}",
                size::change_of(before, after, "compressed")
            )
        }
        (Some(before), None) => format!("{unpacked}; {} compressed now", size::bytes(before)),
        (None, _) => unpacked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::formats::text::{Style, render};
    use crate::report::samples;

    fn at_80_columns(report: &MinimizeReport, detail: Detail) -> String {
        let style = Style {
            color: false,
            width: Some(80),
        };
        render(&document(report, detail), style)
    }

    #[test]
    fn an_image_from_which_nothing_goes_is_said_to_be_copied() {
        let mut report = samples::minimize_unchanged();
        let text = |report: &_| at_80_columns(report, Detail::Summary);
        let copy = text(&report);
        assert!(copy.contains("nothing to remove: the image already matches the profile\n"));
        assert!(copy.contains("the output is an exact copy of the image\n"));
        assert!(!copy.contains("signatures"), "{copy}");
        report.images[0].after.manifest_digest = Some("sha256:new".to_owned());
        let renamed = text(&report);
        assert!(renamed.contains("the output has the same layers and a new manifest\n"));
        report.images[0].layers[0].action = LayerAction::Rewritten;
        let compressed = text(&report);
        assert!(compressed.contains("the same files, with 1 layer compressed anew\n"));
        report.dry_run = true;
        assert!(!text(&report).contains("the output"));
    }
}
