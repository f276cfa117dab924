//! Gates of `compare`: limits on an image, and the messages if it exceeds them.

use std::cmp::Reverse;

use super::size_or_share::Limit;
use super::{Both, Comparison, LayerSizes};
use crate::path;
use crate::size;

/// Limits that every image after must meet.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gates {
    /// Maximum growth of the compressed layers. A percentage is relative to their size before.
    pub max_growth: Option<Limit>,
    /// Maximum size of the compressed layers in bytes.
    pub max_size: Option<u64>,
    /// Maximum size of all caches of all levels, including hidden ones. A percentage is relative to the unpacked
    /// layers.
    pub max_bytecode: Option<Limit>,
    /// Minimum by which the compressed layers must shrink. A percentage is relative to their size before.
    pub require_shrink: Option<Limit>,
}

impl Gates {
    /// Whether there are no gates.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The gates that an image fails. Each message says by how much, and which parts have the bytes.
    pub fn refusals(&self, comparison: &Comparison) -> Vec<String> {
        let refusals = [
            self.max_growth.and_then(|limit| growth(limit, comparison)),
            self.max_size.and_then(|most| compressed(most, comparison)),
            self.max_bytecode
                .and_then(|limit| bytecode(limit, comparison)),
            self.require_shrink
                .and_then(|limit| shrink(limit, comparison)),
        ];
        refusals.into_iter().flatten().collect()
    }
}

fn growth(limit: Limit, comparison: &Comparison) -> Option<String> {
    let Both { before, after } = comparison.compressed;
    let most = before.saturating_add(limit.of(before));
    let over = excess(after, most)?;
    Some(format!(
        "grew by {} ({}) compressed, {over} more than --max-growth {limit}: {}",
        size::bytes(before.abs_diff(after)),
        size::percent(size::percent_more(before, after)),
        changed_layers(comparison, |difference| difference > 0)
    ))
}

fn compressed(most: u64, comparison: &Comparison) -> Option<String> {
    let bytes = comparison.compressed.after;
    let over = excess(bytes, most)?;
    let layers = comparison.layers.iter().filter_map(|layer| {
        let bytes = layer.after.as_ref()?.compressed;
        let part = format!("{} {}", layer_name(layer), size::bytes(bytes));
        Some((bytes, part))
    });
    Some(format!(
        "has {} compressed, {over} more than --max-size {}: {}",
        size::bytes(bytes),
        size::bytes(most),
        largest(layers.collect())
    ))
}

fn bytecode(limit: Limit, comparison: &Comparison) -> Option<String> {
    let Some(content) = &comparison.content else {
        return Some("has unread layers, so --max-bytecode cannot be checked".to_owned());
    };
    let unpacked = content.uncompressed.after;
    let levels = content.levels.after;
    let bytes: u64 = levels.iter().map(|sizes| sizes.bytes).sum();
    let over = excess(bytes, limit.of(unpacked))?;
    let share = match unpacked {
        0 => 0.0,
        _ => bytes as f64 / unpacked as f64 * 100.0,
    };
    let parts = content.trees.iter().flat_map(|tree| {
        let place = match tree.path.as_deref() {
            None => "no tree".to_owned(),
            Some(tree) => path::or_root(&path::text(tree)).to_owned(),
        };
        let levels = tree.sizes.after.levels.into_iter().enumerate();
        levels.map(move |(level, sizes)| {
            let part = format!("level {level} in {place} {}", size::bytes(sizes.bytes));
            (sizes.bytes, part)
        })
    });
    Some(format!(
        "has {} of bytecode ({share:.1} % of the unpacked layers), {over} more than --max-bytecode {limit}: {}",
        size::bytes(bytes),
        largest(parts.collect())
    ))
}

fn shrink(limit: Limit, comparison: &Comparison) -> Option<String> {
    let Both { before, after } = comparison.compressed;
    let least = limit.at_least(before);
    let shrunk = i128::from(before) - i128::from(after);
    let short = i128::from(least) - shrunk;
    let missing = u64::try_from(short).ok().filter(|missing| *missing > 0)?;
    let bytes = size::bytes(before.abs_diff(after));
    let (what, layers) = match shrunk {
        0 => (format!("stayed at {}", size::bytes(after)), String::new()),
        1.. => (
            format!("shrank by only {bytes}"),
            changed_layers(comparison, |difference| difference < 0),
        ),
        ..0 => (
            format!("grew by {bytes}"),
            changed_layers(comparison, |difference| difference > 0),
        ),
    };
    let where_from = match layers.is_empty() {
        true => "no layer changed its size".to_owned(),
        false => layers,
    };
    let wanted = match limit {
        Limit::Bytes(1) => String::new(),
        limit => format!(" {limit}"),
    };
    Some(format!(
        "{what} compressed, {} short of --require-shrink{wanted}: {where_from}",
        size::bytes(missing)
    ))
}

/// The amount by which a size exceeds the limit.
fn excess(bytes: u64, most: u64) -> Option<String> {
    let over = bytes.checked_sub(most).filter(|over| *over > 0)?;
    Some(size::bytes(over))
}

/// Lists the layers that changed most, among those whose difference is `wanted`.
fn changed_layers(comparison: &Comparison, wanted: fn(i64) -> bool) -> String {
    let layers = comparison.layers.iter().filter_map(|layer| {
        let bytes = |layer: &Option<LayerSizes>| layer.as_ref().map_or(0, |it| it.compressed);
        let difference = size::bytes_more(bytes(&layer.before), bytes(&layer.after));
        let part = format!("{} {}", layer_name(layer), size::difference(difference));
        wanted(difference).then_some((difference.unsigned_abs(), part))
    });
    largest(layers.collect())
}

/// Number of parts that a message names.
const NAMED: usize = 3;

/// Lists the largest parts by bytes, without those of zero bytes.
fn largest(mut parts: Vec<(u64, String)>) -> String {
    parts.retain(|(bytes, _)| *bytes > 0);
    parts.sort_by_key(|(bytes, _)| Reverse(*bytes));
    let more = parts.len().saturating_sub(NAMED);
    let mut listed: Vec<String> = parts
        .into_iter()
        .take(NAMED)
        .map(|(_, part)| part)
        .collect();
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    listed.join(", ")
}

/// The layer's name in messages: its number in the image after, if it is there.
fn layer_name(layer: &Both<Option<LayerSizes>>) -> String {
    match (&layer.before, &layer.after) {
        (Some(_), Some(after)) => format!("layer {}", after.number),
        (None, Some(after)) => format!("new layer {}", after.number),
        (Some(before), None) => format!("former layer {}", before.number),
        (None, None) => "no layer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ContentDifference, Pull, TreeDifference, TreeSizes};
    use super::*;
    use crate::inventory::Sizes;
    use crate::oci::Platform;

    fn layer(number: usize, compressed: u64) -> Option<LayerSizes> {
        Some(LayerSizes {
            number,
            digest: String::new(),
            media_type: String::new(),
            compressed,
            content: None,
        })
    }

    /// From 90.3 MB to 60.3 MB, of which 9.0 MB are bytecode.
    fn shrunk() -> Comparison {
        let caches = |bytes| [bytes, 0, 0].map(|bytes| Sizes { files: 1, bytes });
        let tree = |path: &str, bytes| TreeDifference {
            path: Some(path.as_bytes().to_vec()),
            version: None,
            sizes: Both {
                before: TreeSizes::default(),
                after: TreeSizes {
                    levels: caches(bytes),
                    ..TreeSizes::default()
                },
            },
        };
        Comparison {
            platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: None,
            },
            manifests: Both::default(),
            layers: vec![
                Both {
                    before: layer(1, 90_300_000),
                    after: layer(1, 60_300_000),
                },
                Both {
                    before: None,
                    after: layer(2, 512),
                },
            ],
            compressed: Both {
                before: 90_300_000,
                after: 60_300_512,
            },
            pull: Pull::default(),
            content: Some(ContentDifference {
                uncompressed: Both {
                    before: 270_900_000,
                    after: 180_901_536,
                },
                levels: Both {
                    before: caches(17_000_000),
                    after: caches(9_000_000),
                },
                trees: vec![
                    tree("usr/lib/python3.11", 8_000_000),
                    tree("usr/lib/python3/dist-packages", 1_000_000),
                ],
                modules: Vec::new(),
            }),
        }
    }

    /// The same comparison, from small to large.
    fn grown() -> Comparison {
        let mut comparison = shrunk();
        let Both { before, after } = &mut comparison.compressed;
        std::mem::swap(before, after);
        for layer in &mut comparison.layers {
            std::mem::swap(&mut layer.before, &mut layer.after);
        }
        comparison
    }

    #[track_caller]
    fn passes(gates: Gates, image: &Comparison) {
        assert_eq!(gates.refusals(image), [""; 0]);
    }

    #[track_caller]
    fn fails(gates: Gates, image: &Comparison, message: &str) {
        assert_eq!(gates.refusals(image), [message]);
    }

    #[test]
    fn no_gate_lets_everything_pass() {
        passes(Gates::default(), &grown());
    }

    #[test]
    fn growth_is_limited_by_bytes_or_share() {
        let gate = |limit| Gates {
            max_growth: Some(limit),
            ..Gates::default()
        };
        passes(gate(Limit::Bytes(0)), &shrunk());
        passes(gate(Limit::Bytes(29_999_488)), &grown());
        passes(gate(Limit::Percent(50.0)), &grown());
        fails(
            gate(Limit::Bytes(29_999_000)),
            &grown(),
            "grew by 30.0 MB (+49.7 %) compressed, 488 B more than --max-growth 30.0 MB: layer 1 +30.0 MB",
        );
        fails(
            gate(Limit::Percent(40.0)),
            &grown(),
            "grew by 30.0 MB (+49.7 %) compressed, 5.9 MB more than --max-growth 40 %: layer 1 +30.0 MB",
        );
    }

    #[test]
    fn the_size_is_limited_whatever_it_was() {
        let gate = |bytes| Gates {
            max_size: Some(bytes),
            ..Gates::default()
        };
        passes(gate(60_300_512), &shrunk());
        fails(
            gate(60_000_000),
            &shrunk(),
            "has 60.3 MB compressed, 300.5 kB more than --max-size 60.0 MB: layer 1 60.3 MB, new layer 2 512 B",
        );
    }

    #[test]
    fn bytecode_is_limited_by_bytes_or_by_its_share_of_the_unpacked_image() {
        let gate = |limit| Gates {
            max_bytecode: Some(limit),
            ..Gates::default()
        };
        passes(gate(Limit::Bytes(9_000_000)), &shrunk());
        passes(gate(Limit::Percent(5.0)), &shrunk());
        fails(
            gate(Limit::Bytes(0)),
            &shrunk(),
            "has 9.0 MB of bytecode (5.0 % of the unpacked layers), 9.0 MB more than --max-bytecode 0 B: \
             level 0 in usr/lib/python3.11 8.0 MB, level 0 in usr/lib/python3/dist-packages 1.0 MB",
        );
        fails(
            gate(Limit::Percent(4.9)),
            &shrunk(),
            "has 9.0 MB of bytecode (5.0 % of the unpacked layers), 135.8 kB more than --max-bytecode 4.9 %: \
             level 0 in usr/lib/python3.11 8.0 MB, level 0 in usr/lib/python3/dist-packages 1.0 MB",
        );
    }

    #[test]
    fn bytecode_in_layers_that_nobody_read_passes_no_gate() {
        let mut image = shrunk();
        image.content = None;
        let gate = |limit| Gates {
            max_bytecode: Some(limit),
            ..Gates::default()
        };
        fails(
            gate(Limit::Percent(100.0)),
            &image,
            "has unread layers, so --max-bytecode cannot be checked",
        );
    }

    #[test]
    fn shrinking_can_be_required() {
        let gate = |limit| Gates {
            require_shrink: Some(limit),
            ..Gates::default()
        };
        passes(gate(Limit::Bytes(1)), &shrunk());
        passes(gate(Limit::Bytes(29_999_488)), &shrunk());
        passes(gate(Limit::Percent(33.0)), &shrunk());
        fails(
            gate(Limit::Percent(40.0)),
            &shrunk(),
            "shrank by only 30.0 MB compressed, 6.1 MB short of --require-shrink 40 %: layer 1 -30.0 MB",
        );
        fails(
            gate(Limit::Bytes(1)),
            &grown(),
            "grew by 30.0 MB compressed, 30.0 MB short of --require-shrink: layer 1 +30.0 MB",
        );
    }

    #[test]
    fn an_image_of_the_same_size_did_not_shrink() {
        let mut image = shrunk();
        image.compressed.after = image.compressed.before;
        image.layers.clear();
        let gates = Gates {
            require_shrink: Some(Limit::Bytes(1)),
            ..Gates::default()
        };
        passes(
            Gates {
                require_shrink: Some(Limit::Bytes(0)),
                ..gates
            },
            &image,
        );
        fails(
            gates,
            &image,
            "stayed at 90.3 MB compressed, 1 B short of --require-shrink: no layer changed its size",
        );
    }

    #[test]
    fn all_gates_speak() {
        let gates = Gates {
            max_growth: Some(Limit::Bytes(0)),
            max_size: Some(1),
            max_bytecode: Some(Limit::Bytes(0)),
            require_shrink: Some(Limit::Bytes(1)),
        };
        let refusals = gates.refusals(&grown());
        let flags = ["max-growth", "max-size", "max-bytecode", "require-shrink"];
        assert_eq!(refusals.len(), flags.len(), "{refusals:#?}");
        for (refusal, flag) in refusals.iter().zip(flags) {
            assert!(refusal.contains(flag), "{refusal}");
        }
    }

    #[test]
    fn few_layers_are_named_and_the_others_counted() {
        let part = |bytes| (bytes, format!("part {bytes}"));
        let parts = [2, 0, 5, 1, 4, 3].map(part);
        assert_eq!(
            largest(parts.to_vec()),
            "part 5, part 4, part 3, and 2 more"
        );
    }
}
