//! Pairs the layers of two images. An added or removed layer does not shift the pairs above it.

use std::collections::HashMap;
use std::ops::Range;

use crate::layers::LayerScan;
use crate::oci::image::Layer;
use crate::path;
use crate::tar::{BLOCK, Kind};

/// What identifies a layer: its digest, and its files.
pub(super) struct LayerContent {
    diff_id: String,
    /// The weight of each file: its bytes, plus the size of a header so that empty files count too.
    weights: HashMap<Vec<u8>, u64>,
    weight: u64,
}

impl LayerContent {
    pub(super) fn new(scan: &LayerScan) -> Self {
        let members = scan.members.iter().filter_map(|member| {
            let weight = match member.kind {
                Kind::PaxGlobal => return None,
                // Nearly every layer has `usr`. Directories decide only if there is nothing else.
                Kind::Directory => 1,
                _ => member.stored_bytes().saturating_add(BLOCK),
            };
            Some((path::clean(&member.path), weight))
        });
        Self::of(scan.layer.diff_id.to_string(), members.collect())
    }

    /// A layer that nobody read. Its weight is the size of its blob.
    pub(super) fn unread(layer: &Layer) -> Self {
        Self {
            diff_id: layer.diff_id.to_string(),
            weights: HashMap::new(),
            weight: layer.descriptor.size(),
        }
    }

    fn of(diff_id: String, weights: HashMap<Vec<u8>, u64>) -> Self {
        let weight = weights.values().sum();
        Self {
            diff_id,
            weights,
            weight,
        }
    }

    /// The weight of the paths that both layers have. A path has the smaller of its two weights.
    fn shared(&self, other: &Self) -> u64 {
        let (few, many) = match self.weights.len() <= other.weights.len() {
            true => (self, other),
            false => (other, self),
        };
        few.weights
            .iter()
            .filter_map(|(path, weight)| Some(*many.weights.get(path)?.min(weight)))
            .sum()
    }
}

/// The indexes of a layer before and of its counterpart after. A layer that was added or removed is alone.
pub(super) type Row = (Option<usize>, Option<usize>);

/// The quality of an alignment, most important part first: the weight of identical layers, the weight that other pairs
/// share, and the number of identical layers. The last part decides about empty layers.
type Score = [u64; 3];

/// Pairs layers without changing the order of either image. First maximizes the weight of identical pairs, then the
/// weight that the other pairs share.
pub(super) fn align(before: &[LayerContent], after: &[LayerContent]) -> Vec<Row> {
    let same = |(old, new): &(&LayerContent, &LayerContent)| old.diff_id == new.diff_id;
    let start = before.iter().zip(after).take_while(same).count();
    let (old, new) = (&before[start..], &after[start..]);
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let middle = align_different(&old[..old.len() - end], &new[..new.len() - end]);
    let shifted = |index: Option<usize>| index.map(|index| index + start);
    let middle = middle
        .into_iter()
        .map(|(old, new)| (shifted(old), shifted(new)));
    let ends = (before.len() - end..before.len()).zip(after.len() - end..);
    let pair = |(old, new)| (Some(old), Some(new));
    let first = (0..start).map(|index| (Some(index), Some(index)));
    first.chain(middle).chain(ends.map(pair)).collect()
}

/// Pairs the layers that are alone between two pairs, in order, if both images have the same number of them there.
pub(super) fn pair_by_position(rows: Vec<Row>) -> Vec<Row> {
    let is_pair = |row: &Row| matches!(row, (Some(_), Some(_)));
    let stretches = rows.chunk_by(|a, b| is_pair(a) == is_pair(b));
    let paired = stretches.flat_map(|stretch| {
        let old: Vec<_> = stretch.iter().filter_map(|row| row.0).collect();
        let new: Vec<_> = stretch.iter().filter_map(|row| row.1).collect();
        match old.len() == new.len() {
            true => old
                .into_iter()
                .map(Some)
                .zip(new.into_iter().map(Some))
                .collect(),
            false => stretch.to_vec(),
        }
    });
    paired.collect()
}

/// Maximum number of pairs to examine. No engine makes images with so many layers.
const MOST_PAIRS: usize = 1_000_000;

/// Pairs layers that do not start or end with identical ones. If there are too many, every layer stays alone.
fn align_different(before: &[LayerContent], after: &[LayerContent]) -> Vec<Row> {
    if before.len().saturating_mul(after.len()) > MOST_PAIRS {
        return alone(0..before.len(), 0..after.len());
    }
    let score_row = |old| after.iter().map(|new| score(old, new)).collect();
    let scores: Vec<Vec<Option<Score>>> = before.iter().map(score_row).collect();
    let best = best_scores(&scores, after.len());
    let (mut old, mut new) = (0, 0);
    let mut rows = Vec::new();
    while old < before.len() && new < after.len() {
        let paired = scores[old][new].map(|score| sum(score, best[old + 1][new + 1]));
        if paired == Some(best[old][new]) {
            rows.push((Some(old), Some(new)));
            (old, new) = (old + 1, new + 1);
        } else if best[old + 1][new] == best[old][new] {
            rows.push((Some(old), None));
            old += 1;
        } else {
            rows.push((None, Some(new)));
            new += 1;
        }
    }
    rows.extend(alone(old..before.len(), new..after.len()));
    rows
}

fn alone(before: Range<usize>, after: Range<usize>) -> Vec<Row> {
    let old = before.map(|old| (Some(old), None));
    old.chain(after.map(|new| (None, Some(new)))).collect()
}

/// Scores a pair. `None` if the layers have too little in common: they must share half the weight of the smaller one.
/// This pairs a layer with what remains of it, and with a layer that it was merged into.
fn score(old: &LayerContent, new: &LayerContent) -> Option<Score> {
    if old.diff_id == new.diff_id {
        return Some([old.weight, 0, 1]);
    }
    let shared = old.shared(new);
    let enough = shared > 0 && shared.saturating_mul(2) >= old.weight.min(new.weight);
    enough.then_some([0, shared, 0])
}

/// The best score for the layers from each pair of indexes to the end.
fn best_scores(scores: &[Vec<Option<Score>>], after: usize) -> Vec<Vec<Score>> {
    let mut best = vec![vec![Score::default(); after + 1]; scores.len() + 1];
    for old in (0..scores.len()).rev() {
        for new in (0..after).rev() {
            let alone = best[old + 1][new].max(best[old][new + 1]);
            let paired = scores[old][new].map(|score| sum(score, best[old + 1][new + 1]));
            best[old][new] = paired.map_or(alone, |paired| paired.max(alone));
        }
    }
    best
}

fn sum(a: Score, b: Score) -> Score {
    std::array::from_fn(|part| a[part].saturating_add(b[part]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer with these files, given as names and weights. Its diff_id is made from them.
    fn layer(files: &[(&str, u64)]) -> LayerContent {
        let weights = files
            .iter()
            .map(|(path, weight)| (path.as_bytes().to_vec(), *weight));
        LayerContent::of(format!("{files:?}"), weights.collect())
    }

    fn base() -> LayerContent {
        layer(&[("bin/sh", 1000), ("usr", 1)])
    }

    fn python() -> LayerContent {
        layer(&[("os.py", 300), ("os.0.pyc", 200), ("os.1.pyc", 200)])
    }

    fn app() -> LayerContent {
        layer(&[("app.py", 50), ("usr", 1)])
    }

    /// The rows with layers counted from 1. Zero means no layer.
    fn rows(before: &[LayerContent], after: &[LayerContent]) -> Vec<(usize, usize)> {
        numbered(align(before, after))
    }

    fn numbered(rows: Vec<Row>) -> Vec<(usize, usize)> {
        let number = |index: Option<usize>| index.map_or(0, |index| index + 1);
        rows.into_iter()
            .map(|(old, new)| (number(old), number(new)))
            .collect()
    }

    #[test]
    fn too_many_layers_stand_alone_but_at_both_ends() {
        let many = |name: &str| -> Vec<LayerContent> {
            let other = (0..1001).map(|number| layer(&[(&*format!("{name}{number}"), 9)]));
            let all = [base()].into_iter().chain(other).chain([app()]);
            all.collect()
        };
        let rows = rows(&many("a"), &many("b"));
        assert_eq!(rows.len(), 2004);
        assert_eq!(
            (rows[0], rows[1], rows[2003]),
            ((1, 1), (2, 0), (1003, 1003))
        );
    }

    #[test]
    fn the_same_layers_stand_side_by_side() {
        let image = || [base(), python(), app()];
        assert_eq!(rows(&image(), &image()), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(rows(&[], &[]), []);
    }

    #[test]
    fn an_inserted_layer_moves_no_other() {
        let before = [base(), app()];
        assert_eq!(
            rows(&before, &[python(), base(), app()]),
            [(0, 1), (1, 2), (2, 3)]
        );
        assert_eq!(
            rows(&before, &[base(), python(), app()]),
            [(1, 1), (0, 2), (2, 3)]
        );
        assert_eq!(
            rows(&before, &[base(), app(), python()]),
            [(1, 1), (2, 2), (0, 3)]
        );
    }

    #[test]
    fn a_dropped_layer_stands_alone() {
        let before = [base(), python(), app()];
        assert_eq!(rows(&before, &[base(), app()]), [(1, 1), (2, 0), (3, 2)]);
        assert_eq!(rows(&before, &[app()]), [(1, 0), (2, 0), (3, 1)]);
        assert_eq!(rows(&before, &[]), [(1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn a_rewritten_layer_is_known_by_what_is_left_of_it() {
        let stripped = layer(&[("os.py", 300)]);
        let after = [base(), stripped, app()];
        assert_eq!(
            rows(&[base(), python(), app()], &after),
            [(1, 1), (2, 2), (3, 3)]
        );
    }

    #[test]
    fn a_file_that_changed_is_shared_as_far_as_the_smaller_goes() {
        let upgraded = layer(&[("os.py", 280), ("os.0.pyc", 250), ("os.1.pyc", 210)]);
        assert_eq!(rows(&[python()], &[upgraded]), [(1, 1)]);
        let another = layer(&[("os.py", 100), ("re.py", 900)]);
        assert_eq!(rows(&[python()], &[another]), [(1, 0), (0, 1)]);
    }

    #[test]
    fn a_merged_layer_stands_beside_what_it_shares_most_with() {
        let merged = || {
            layer(&[
                ("bin/sh", 1000),
                ("usr", 1),
                ("os.py", 300),
                ("os.0.pyc", 200),
                ("os.1.pyc", 200),
                ("app.py", 50),
            ])
        };
        let apart = || [app(), python(), base()];
        assert_eq!(rows(&apart(), &[merged()]), [(1, 0), (2, 0), (3, 1)]);
        assert_eq!(rows(&[merged()], &apart()), [(0, 1), (0, 2), (1, 3)]);
        let upper_two = layer(&[("os.py", 300), ("os.0.pyc", 200), ("app.py", 50)]);
        assert_eq!(
            rows(&[base(), python(), app()], &[base(), upper_two]),
            [(1, 1), (2, 2), (3, 0)]
        );
    }

    #[test]
    fn of_reordered_layers_the_larger_stand_side_by_side() {
        assert_eq!(
            rows(&[base(), python(), app()], &[python(), base(), app()]),
            [(0, 1), (1, 2), (2, 0), (3, 3)]
        );
    }

    #[test]
    fn a_layer_stands_beside_itself_rather_than_beside_one_that_holds_it() {
        let more = layer(&[("app.py", 50), ("usr", 1), ("b.py", 10)]);
        assert_eq!(rows(&[more, app()], &[app()]), [(1, 0), (2, 1)]);
    }

    /// A layer that nobody read.
    fn unread(diff_id: &str, weight: u64) -> LayerContent {
        LayerContent {
            diff_id: diff_id.to_owned(),
            weights: HashMap::new(),
            weight,
        }
    }

    /// Layers that nobody read. Each letter is a layer, a capital letter a large one.
    fn unread_rows(before: &str, after: &str) -> Vec<(usize, usize)> {
        let layers = |letters: &str| -> Vec<LayerContent> {
            let weight = |letter: char| if letter.is_uppercase() { 1000 } else { 10 };
            let layer = |letter: char| unread(&letter.to_string(), weight(letter));
            letters.chars().map(layer).collect()
        };
        let rows = pair_by_position(align(&layers(before), &layers(after)));
        numbered(rows)
    }

    #[test]
    fn unread_layers_between_equal_ones_stand_side_by_side_in_order() {
        assert_eq!(unread_rows("abc", "abc"), [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(
            unread_rows("abcd", "axyd"),
            [(1, 1), (2, 2), (3, 3), (4, 4)]
        );
        assert_eq!(unread_rows("ab", "xy"), [(1, 1), (2, 2)]);
        assert_eq!(unread_rows("", "x"), [(0, 1)]);
    }

    #[test]
    fn unread_layers_are_alone_if_their_number_differs() {
        assert_eq!(
            unread_rows("abc", "axyc"),
            [(1, 1), (2, 0), (0, 2), (0, 3), (3, 4)]
        );
        assert_eq!(unread_rows("abc", "ac"), [(1, 1), (2, 0), (3, 2)]);
        // A gap that fits does not help one that does not.
        assert_eq!(
            unread_rows("apbc", "aqbxyc"),
            [(1, 1), (2, 2), (3, 3), (0, 4), (0, 5), (4, 6)]
        );
    }

    #[test]
    fn of_reordered_unread_layers_the_larger_stand_side_by_side() {
        assert_eq!(unread_rows("aB", "Ba"), [(1, 0), (2, 1), (0, 2)]);
        assert_eq!(unread_rows("Ba", "aB"), [(0, 1), (1, 2), (2, 0)]);
    }

    #[test]
    fn empty_layers_are_lined_up_but_part_no_others() {
        let empty = || layer(&[]);
        assert_eq!(rows(&[empty(), base()], &[empty()]), [(1, 1), (2, 0)]);
        let stripped = || layer(&[("os.py", 300)]);
        assert_eq!(
            rows(&[empty(), python()], &[stripped(), empty()]),
            [(1, 0), (2, 1), (0, 2)]
        );
    }
}
