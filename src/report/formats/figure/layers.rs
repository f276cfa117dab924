//! Charts of layers: bytecode by level, and the rest.

use std::cmp::Reverse;

use super::{LEFT, RIGHT, ROW, TITLE, WIDTH, drawing, push_bar, push_text, push_title};
use crate::report::input_name;
use crate::report::model::{
    CompareImage, ComparedLayer, InspectLayer, LayerSize, Levels, MinimizeImage, level_bytes,
};
use crate::size;

/// A layer's number, its bytes, and the bytes of its bytecode.
#[derive(Clone, Copy)]
struct Layer<'a> {
    index: usize,
    bytes: u64,
    levels: &'a Levels,
}

impl<'a> Layer<'a> {
    fn new(index: usize, bytes: u64, levels: &'a Levels) -> Self {
        Self {
            index,
            bytes,
            levels,
        }
    }

    /// None if pycull did not read the layer.
    fn compared(layer: &'a ComparedLayer) -> Option<Self> {
        let levels = layer.levels.as_ref()?;
        Some(Self::new(layer.index, layer.uncompressed_bytes?, levels))
    }

    fn minimized(index: usize, layer: &'a LayerSize) -> Self {
        Self::new(index, layer.uncompressed_bytes, &layer.levels)
    }

    fn bar(self, label: String) -> Bar<'a> {
        Bar { label, layer: self }
    }
}

/// The bar of one layer, with its label.
struct Bar<'a> {
    label: String,
    layer: Layer<'a>,
}

/// Number of layers in a chart. If there are more, only the largest have bars.
const LAYERS: usize = 100;

/// The bars of an image's layers.
struct Chart<'a> {
    title: String,
    bars: Vec<Bar<'a>>,
    /// Number of layers without bars.
    left_out: usize,
}

impl<'a> Chart<'a> {
    /// `layers` has one entry a layer: its bar, or its bars before and after.
    fn new(title: String, layers: impl Iterator<Item = Vec<Bar<'a>>>) -> Self {
        let size = |bars: &[Bar<'_>]| bars.iter().map(|bar| bar.layer.bytes).max();
        let mut layers: Vec<(usize, Vec<Bar<'a>>)> = layers.enumerate().collect();
        let left_out = layers.len().saturating_sub(LAYERS);
        layers.sort_by_key(|(_, bars)| Reverse(size(bars)));
        layers.truncate(LAYERS);
        layers.sort_by_key(|(index, _)| *index);
        Self {
            title,
            bars: layers.into_iter().flat_map(|(_, bars)| bars).collect(),
            left_out,
        }
    }

    /// A line about the layers without bars.
    fn more(&self) -> Option<String> {
        match self.left_out {
            0 => None,
            1 => Some("and 1 smaller layer".to_owned()),
            count => Some(format!("and {count} smaller layers")),
        }
    }
}

/// Draws the layers of an image by unpacked size.
pub fn layers(layers: &[InspectLayer]) -> String {
    let bars = layers.iter().map(|it| {
        let layer = Layer::new(it.index, it.uncompressed_bytes, &it.levels);
        vec![layer.bar(format!("layer {}", it.index))]
    });
    drawn(&[Chart::new("layers, unpacked".to_owned(), bars)])
}

/// Draws the layers before and after side by side, by unpacked size, with a chart for each image after.
pub fn compare(images: &[CompareImage]) -> String {
    let charts = images.iter().map(|image| {
        let bars = image.layers.iter().map(|layer| {
            let [before, after] = [&layer.before, &layer.after];
            pair([before, after].map(|it| it.as_ref().and_then(Layer::compared)))
        });
        let title = format!(
            "layers, unpacked, {}: {}",
            image.platform,
            input_name(&image.after)
        );
        Chart::new(title, bars)
    });
    drawn(&charts.collect::<Vec<_>>())
}

/// Draws the layers of an image before and after `minimize` side by side, by unpacked size.
pub fn minimize(image: &MinimizeImage) -> String {
    let layers = image.layers.iter().zip(1..);
    let bars = layers.map(|(layer, index)| {
        let [before, after] = [&layer.before, &layer.after];
        pair([before, after].map(|it| it.as_ref().map(|it| Layer::minimized(index, it))))
    });
    drawn(&[Chart::new("layers, unpacked".to_owned(), bars)])
}

/// The bars of a layer before and after.
fn pair([before, after]: [Option<Layer<'_>>; 2]) -> Vec<Bar<'_>> {
    // The bar after repeats the layer's number only if it differs from the number before.
    let is_named = after.map(|it| it.index) != before.map(|it| it.index);
    let before = before.map(|it| it.bar(format!("layer {} before", it.index)));
    let after = after.map(|it| match is_named {
        true => it.bar(format!("layer {} after", it.index)),
        false => it.bar("after".to_owned()),
    });
    before.into_iter().chain(after).collect()
}

fn drawn(charts: &[Chart<'_>]) -> String {
    let bars = charts.iter().flat_map(|chart| &chart.bars);
    let largest = bars.map(|bar| bar.layer.bytes).max().unwrap_or(0).max(1);
    let mut body = String::new();
    let mut top = 0.0;
    for chart in charts {
        push_title(&mut body, &chart.title, top);
        top += TITLE;
        for bar in &chart.bars {
            push_stack(&mut body, bar, largest, top);
            top += ROW;
        }
        if let Some(more) = chart.more() {
            push_text(&mut body, &more, LEFT, top, "start");
            top += ROW;
        }
    }
    push_legend(&mut body, top);
    drawing("layers", top + ROW + 16.0, &body)
}

const CLASSES: [(&str, &str); 3] = [("0", "level-0"), ("1", "level-1"), ("2", "level-2")];

fn push_stack(body: &mut String, bar: &Bar<'_>, largest: u64, top: f64) {
    let width = |bytes: u64| bytes as f64 / largest as f64 * (WIDTH - LEFT - RIGHT);
    push_text(body, &bar.label, LEFT - 12.0, top, "end");
    let layer = &bar.layer;
    let bytes = |level| level_bytes(layer.levels, level);
    let bytecode: u64 = CLASSES.iter().map(|(level, _)| bytes(level)).sum();
    let mut x = LEFT;
    let mut push = |class, bytes| {
        push_bar(body, class, x, top, width(bytes));
        x += width(bytes);
    };
    push("other", layer.bytes.saturating_sub(bytecode));
    for (level, class) in CLASSES {
        push(class, bytes(level));
    }
    push_text(body, &size::bytes(layer.bytes), x + 8.0, top, "start");
}

fn push_legend(body: &mut String, top: f64) {
    let legend = [
        ("other", "all else"),
        ("level-0", "level 0"),
        ("level-1", "level 1"),
        ("level-2", "level 2"),
    ];
    for (index, (class, text)) in legend.into_iter().enumerate() {
        let x = LEFT + 110.0 * index as f64;
        push_bar(body, class, x, top, 14.0);
        push_text(body, text, x + 20.0, top, "start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn layers_are_stacked_by_level() {
        let report = samples::inspect();
        let count = report.images[0].layers.len();
        let figure = layers(&report.images[0].layers);
        assert_eq!(figure.matches("class=\"level-0\"").count(), count + 1);
        assert!(figure.contains(">layer 1<"));
    }

    #[test]
    fn a_layer_that_one_image_lacks_has_one_bar() {
        let report = samples::compare();
        let figure = compare(&report.images);
        // Each layer of a pair has a bar, the single layer has one, and the legend has one.
        assert_eq!(figure.matches("class=\"other\"").count(), 4, "{figure}");
        assert_eq!(compare(&[]).matches("class=\"other\"").count(), 1);
    }

    #[test]
    fn a_layer_that_went_has_no_bar_after() {
        let image = samples::minimize().images.remove(0);
        assert_eq!(
            labels(&minimize(&image)),
            [
                "layer 1 before",
                "after",
                "layer 2 before",
                "after",
                "layer 3 before",
            ]
        );
    }

    fn labels(figure: &str) -> Vec<&str> {
        let texts = figure.split("text-anchor=\"end\">").skip(1);
        texts.filter_map(|text| text.split('<').next()).collect()
    }

    #[test]
    fn bars_are_named_by_the_layers_of_their_own_image() {
        let mut image = samples::compare().images.remove(0);
        let labels_of = |image: &CompareImage| {
            let figure = compare(std::slice::from_ref(image));
            labels(&figure)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            labels_of(&image),
            ["layer 1 before", "after", "layer 2 after"]
        );
        image.layers[0].after.as_mut().unwrap().index = 3;
        let moved = ["layer 1 before", "layer 3 after", "layer 2 after"];
        assert_eq!(labels_of(&image), moved);
    }

    #[test]
    fn of_very_many_layers_the_largest_have_bars_in_their_order() {
        let mut image = samples::minimize().images.remove(0);
        let mut layer = image.layers.remove(0);
        let sample = layer.before.take().unwrap();
        let sized = |bytes| {
            Some(LayerSize {
                uncompressed_bytes: bytes,
                ..sample.clone()
            })
        };
        // One layer is largest before, the other after.
        (layer.before, layer.after) = (sized(1), sized(1));
        image.layers = vec![layer; 3000];
        image.layers[1999].before = sized(9);
        image.layers[2999].after = sized(8);
        let figure = minimize(&image);
        let labels = labels(&figure);
        assert_eq!(labels.len(), 2 * LAYERS);
        assert_eq!(labels[0], "layer 1 before");
        let last = ["layer 2000 before", "after", "layer 3000 before", "after"];
        assert_eq!(labels[2 * LAYERS - 4..], last);
        assert!(figure.contains(">and 2900 smaller layers<"));
    }

    #[test]
    fn several_images_have_a_chart_each() {
        let figure = compare(&samples::compare_several().images);
        assert_eq!(figure.matches("class=\"title\"").count(), 5);
        assert!(figure.contains("linux/amd64: oci:build/app:levels-0-1<"));
    }
}
