//! Findings, grouped by kind and then by directory.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::path;
use crate::report::Detail;
use crate::report::documents::document::{Cell, Column, Document, Table, Title, Tone};
use crate::report::model::{Count, Finding, FindingKind};

/// Number of directories that a summary lists for each kind.
const LISTED_DIRECTORIES: usize = 3;

/// Adds the findings to the document.
pub(super) fn push(document: &mut Document, findings: &[Finding], detail: Detail) {
    document.table(by_kind(findings));
    if detail == Detail::All {
        document.table(every(findings));
    }
}

fn by_kind(findings: &[Finding]) -> Table {
    let mut rows = Vec::new();
    for kind in FindingKind::ALL {
        let of_kind = || findings.iter().filter(|finding| finding.kind == kind);
        let all = sum(of_kind());
        if all.files == 0 {
            continue;
        }
        rows.push(vec![
            Cell::word(kind.name()).tone(Tone::Bad),
            Cell::number(all.files),
            Cell::bytes(all.bytes),
            Cell::prose(kind.meaning()),
        ]);
        rows.extend(directory_rows(of_kind()));
    }
    Table {
        title: Title::shown("findings"),
        columns: vec![
            Column::left("kind"),
            Column::right("files"),
            Column::right("size"),
            Column::left("meaning, and the main directories"),
        ],
        rows,
        ..Table::default()
    }
}

fn sum<'a>(findings: impl Iterator<Item = &'a Finding>) -> Count {
    findings.fold(Count::default(), |sum, finding| Count {
        files: sum.files + 1,
        bytes: sum.bytes + finding.bytes,
    })
}

fn directory_rows<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Vec<Cell>> {
    let mut directories: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let directory = source_directory(&finding.path);
        directories.entry(directory).or_default().push(finding);
    }
    let mut directories: Vec<(&str, Count)> = directories
        .into_iter()
        .map(|(directory, findings)| (directory, sum(findings.into_iter())))
        .collect();
    directories.sort_by_key(|(_, count)| Reverse((count.files, count.bytes)));
    let row = |count: &Count, place: Cell| {
        vec![
            Cell::empty(),
            Cell::number(count.files),
            Cell::bytes(count.bytes),
            place,
        ]
    };
    let listed = directories.len().min(LISTED_DIRECTORIES);
    let (listed, others) = directories.split_at(listed);
    let mut rows: Vec<_> = listed
        .iter()
        .map(|(directory, count)| row(count, Cell::path(*directory)))
        .collect();
    if !others.is_empty() {
        let rest = others
            .iter()
            .fold(Count::default(), |sum, (_, count)| Count {
                files: sum.files + count.files,
                bytes: sum.bytes + count.bytes,
            });
        let place = format!("{} more directories", others.len());
        rows.push(row(&rest, Cell::word(place)));
    }
    rows
}

/// The directory of a cache's source.
fn source_directory(path: &str) -> &str {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    path::or_root(match directory.strip_suffix("__pycache__") {
        Some("") => "",
        Some(parent) => parent.strip_suffix('/').unwrap_or(directory),
        None => directory,
    })
}

fn every(findings: &[Finding]) -> Table {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    // The sort is stable, so findings of one kind stay sorted by path.
    findings.sort_by_key(|finding| {
        FindingKind::ALL
            .iter()
            .position(|kind| *kind == finding.kind)
    });
    let row = |finding: &&Finding| {
        vec![
            Cell::word(finding.kind.name()).tone(Tone::Bad),
            Cell::number(finding.layer),
            Cell::bytes(finding.bytes),
            Cell::path(&finding.path),
            Cell::prose(&finding.detail),
        ]
    };
    Table {
        title: Title::shown("every finding"),
        is_detail: true,
        columns: vec![
            Column::left("kind"),
            Column::right("layer").dispensable(1),
            Column::right("size").ranks(),
            Column::left("file"),
            Column::left("detail"),
        ],
        rows: findings.iter().map(row).collect(),
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_counted_where_their_sources_are() {
        assert_eq!(source_directory("a/b/__pycache__/c.pyc"), "a/b");
        assert_eq!(source_directory("__pycache__/c.pyc"), "/");
        assert_eq!(source_directory("my__pycache__/c.pyc"), "my__pycache__");
        assert_eq!(source_directory("a/c.pyc"), "a");
        assert_eq!(source_directory("c.pyc"), "/");
    }
}
