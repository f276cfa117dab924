//! Compares layers and the history entries about them.

use std::collections::HashMap;

use serde_json::Value;

use super::documents::compare_layer;
use super::{Difference, Part};
use crate::oci::Image;
use crate::oci::image::is_empty_layer;

/// Compares the histories, and the descriptors of layers that both images have.
///
/// A dropped layer leaves its entry, marked as empty. A layer added above all others adds an entry. A history that does
/// not match the layers must stay as it is.
pub(super) fn compare(before: &Image, after: &Image, differences: &mut Vec<Difference>) {
    let (old, new) = (history(before), history(after));
    let were_aligned = layers_of(&old).count() == before.layers.len();
    let found = differences.len();
    let has_one = |image: &Image| image.config.get("history").is_some_and(Value::is_array);
    if has_one(before) != has_one(after) {
        differences.push(difference(
            "/history",
            "only one of the images has one".to_owned(),
        ));
    } else {
        compare_entries(&old, &new, were_aligned, differences);
        if were_aligned {
            compare_counts(after, &new, differences);
        }
    }
    // If the histories differ, it is unknown which layers correspond.
    if differences.len() > found {
        return;
    }
    let pairs = pairs((before, &old), (after, &new));
    for (index, other) in &pairs {
        compare_layer((before, *index), (after, *other), differences);
    }
    compare_order(before, after, &pairs, differences);
}

fn difference(pointer: &str, what: String) -> Difference {
    Difference {
        part: Part::Config,
        path: pointer.as_bytes().to_vec(),
        what,
    }
}

fn history(image: &Image) -> Vec<&Value> {
    let history = image.config.get("history").and_then(Value::as_array);
    history.into_iter().flatten().collect()
}

/// Indexes of the entries with a layer.
fn layers_of(history: &[&Value]) -> impl Iterator<Item = usize> {
    let places = history.iter().enumerate();
    places
        .filter(|(_, entry)| !is_empty_layer(entry))
        .map(|(place, _)| place)
}

fn compare_entries(
    before: &[&Value],
    after: &[&Value],
    were_aligned: bool,
    differences: &mut Vec<Difference>,
) {
    for (place, old) in before.iter().enumerate() {
        let what = match after.get(place) {
            Some(new) if old == new || **new == marked_empty(old) => continue,
            Some(_) => "differs from the entry in BEFORE",
            None => "is gone",
        };
        differences.push(difference(&format!("/history/{place}"), what.to_owned()));
    }
    for (place, new) in after.iter().enumerate().skip(before.len()) {
        if is_empty_layer(new) || !were_aligned {
            let what = "is new, but belongs to no layer".to_owned();
            differences.push(difference(&format!("/history/{place}"), what));
        }
    }
}

fn marked_empty(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("empty_layer".to_owned(), Value::Bool(true));
    }
    entry
}

fn compare_counts(after: &Image, history: &[&Value], differences: &mut Vec<Difference>) {
    let (entries, layers) = (layers_of(history).count(), after.layers.len());
    if !history.is_empty() && entries != layers {
        let what = format!("has {entries} entries for layers, but the image has {layers} layers");
        differences.push(difference("/history", what));
    }
}

type WithHistory<'a> = (&'a Image, &'a [&'a Value]);

/// Pairs of indexes of the same layer in both images.
///
/// History entries describe the lowest layers. The layers above them keep their order. If some of those were dropped,
/// only unchanged ones can be paired.
fn pairs(before: WithHistory<'_>, after: WithHistory<'_>) -> Vec<(usize, usize)> {
    let new: Vec<usize> = layers_of(after.1).collect();
    let old: Vec<usize> = layers_of(before.1).take(before.0.layers.len()).collect();
    let with_entry = old.iter().enumerate();
    let mut pairs: Vec<(usize, usize)> = with_entry
        .filter_map(|(index, place)| Some((index, new.binary_search(place).ok()?)))
        .collect();
    let rest = (
        old.len()..before.0.layers.len(),
        pairs.len()..after.0.layers.len(),
    );
    if rest.0.len() <= rest.1.len() {
        pairs.extend(rest.0.zip(rest.1));
    } else {
        let mut next = rest.0.start;
        for other in rest.1 {
            let is_same =
                |index: &usize| before.0.layers[*index].diff_id == after.0.layers[other].diff_id;
            if let Some(index) = (next..rest.0.end).find(is_same) {
                pairs.push((index, other));
                next = index + 1;
            }
        }
    }
    pairs.retain(|(_, other)| *other < after.0.layers.len());
    pairs
}

/// Checks that every unchanged layer is where the history places it.
fn compare_order(
    before: &Image,
    after: &Image,
    pairs: &[(usize, usize)],
    differences: &mut Vec<Difference>,
) {
    let olds = before.layers.iter().enumerate().rev();
    let first: HashMap<_, _> = olds.map(|(index, old)| (&old.diff_id, index)).collect();
    let pair_of: HashMap<usize, usize> = pairs.iter().map(|(old, new)| (*new, *old)).collect();
    for (index, layer) in after.layers.iter().enumerate() {
        let Some(twin) = first.get(&layer.diff_id) else {
            continue;
        };
        let pair = pair_of.get(&index);
        let is_there = pair.is_some_and(|old| before.layers[*old].diff_id == layer.diff_id);
        if !pairs.is_empty() && !is_there {
            differences.push(Difference {
                part: Part::Manifest,
                path: format!("/layers/{index}").into_bytes(),
                what: format!("is layer {} of BEFORE, in another place", twin + 1),
            });
        }
    }
}
