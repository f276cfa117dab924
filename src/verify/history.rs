//! Layers and the history's entries about them.

use serde_json::Value;

use super::documents::compare_layer;
use super::{Difference, Part};
use crate::oci::Image;
use crate::oci::image::is_empty_layer;

/// Compares the histories, and the descriptors of the layers that both images have.
///
/// A layer that was dropped leaves its entry, marked as empty; one that was added above all others adds
/// one. A history that was not about layers stays as it was.
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
    } else if were_aligned {
        compare_entries(&old, &new, differences);
        compare_counts(after, &new, differences);
    } else if old != new {
        let what = "differs, though it was not about the layers".to_owned();
        differences.push(difference("/history", what));
    }
    // Where the histories differ, which layer is which is not known.
    if differences.len() > found {
        return;
    }
    let pairs = match were_aligned && !old.is_empty() {
        true => pairs_by_history(&old, &new),
        false => pairs_by_place(before, after),
    };
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

/// Places of the entries that are about layers.
fn layers_of(history: &[&Value]) -> impl Iterator<Item = usize> {
    let places = history.iter().enumerate();
    places
        .filter(|(_, entry)| !is_empty_layer(entry))
        .map(|(place, _)| place)
}

fn compare_entries(before: &[&Value], after: &[&Value], differences: &mut Vec<Difference>) {
    for (place, old) in before.iter().enumerate() {
        let what = match after.get(place) {
            Some(new) if old == new || **new == marked_empty(old) => continue,
            Some(_) => "is not the entry that was there",
            None => "is gone",
        };
        differences.push(difference(&format!("/history/{place}"), what.to_owned()));
    }
    for (place, new) in after.iter().enumerate().skip(before.len()) {
        if is_empty_layer(new) {
            let what = "is new, but about no layer".to_owned();
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
        let what = format!("has {entries} entries about layers, but there are {layers}");
        differences.push(difference("/history", what));
    }
}

/// Layers before and after that have the same entry.
fn pairs_by_history(before: &[&Value], after: &[&Value]) -> Vec<(usize, usize)> {
    let new: Vec<usize> = layers_of(after).collect();
    let old = layers_of(before).enumerate();
    old.filter_map(|(index, place)| Some((index, new.binary_search(&place).ok()?)))
        .collect()
}

/// The same without a history, as far as it can be told: not where layers were dropped.
fn pairs_by_place(before: &Image, after: &Image) -> Vec<(usize, usize)> {
    match before.layers.len() <= after.layers.len() {
        true => (0..before.layers.len())
            .map(|index| (index, index))
            .collect(),
        false => Vec::new(),
    }
}

/// A layer that stayed must be where the history says.
fn compare_order(
    before: &Image,
    after: &Image,
    pairs: &[(usize, usize)],
    differences: &mut Vec<Difference>,
) {
    for (index, layer) in after.layers.iter().enumerate() {
        let mut twins = before.layers.iter().enumerate();
        let Some((twin, _)) = twins.find(|(_, old)| old.diff_id == layer.diff_id) else {
            continue;
        };
        let pair = pairs.iter().find(|(_, other)| *other == index);
        let is_there = pair.is_some_and(|(old, _)| before.layers[*old].diff_id == layer.diff_id);
        if !pairs.is_empty() && !is_there {
            differences.push(Difference {
                part: Part::Manifest,
                path: format!("/layers/{index}").into_bytes(),
                what: format!(
                    "is layer {} of the image before, in another place",
                    twin + 1
                ),
            });
        }
    }
}
