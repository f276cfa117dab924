//! Properties that all figures have.

use super::*;
use crate::report::model::{InspectLayer, level_bytes};
use crate::report::samples;

/// A rectangle or text of a drawing.
struct Piece {
    class: String,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    text: String,
}

/// Finds the elements of a drawing with that tag.
fn pieces(figure: &str, tag: &str) -> Vec<Piece> {
    let start = format!("<{tag}");
    let elements = figure.split(&*start).skip(1);
    let elements = elements.map(|element| {
        let attribute = |name: &str| {
            let value = element.split_once(&format!(" {name}=\""));
            value.and_then(|(_, rest)| rest.split('"').next())
        };
        let number = |name| attribute(name).map_or(0.0, |value| value.parse().unwrap());
        let text = element.split_once('>').unwrap().1;
        Piece {
            class: attribute("class").unwrap_or_default().to_owned(),
            x: number("x"),
            y: number("y"),
            width: number("width"),
            height: number("height"),
            text: text.split('<').next().unwrap().to_owned(),
        }
    });
    elements.collect()
}

/// The width and height of a drawing.
fn extent(figure: &str) -> [f64; 2] {
    let svg = &pieces(figure, "svg")[0];
    [svg.width, svg.height]
}

fn many_layers(count: usize) -> Vec<InspectLayer> {
    let layer = samples::inspect().images[0].layers[0].clone();
    vec![layer; count]
}

#[test]
fn nothing_lies_upon_another_or_outside() {
    let inspect = samples::inspect();
    let figures = [
        layers(&inspect.images[0].layers),
        layers(&many_layers(300)),
        compare(&samples::compare_several().images),
        minimize(&samples::minimize().images[0]),
        bench(&samples::bench().images),
    ];
    // Rounding moves an edge by at most this much.
    let tenth = 0.1 + 1e-9;
    for figure in figures {
        let [width, height] = extent(&figure);
        let bars = pieces(&figure, "rect");
        let texts = pieces(&figure, "text");
        for (index, a) in bars.iter().enumerate() {
            assert!(a.x >= LEFT - tenth && a.x + a.width <= width - RIGHT + tenth);
            assert!(a.y >= 0.0 && a.y + a.height <= height, "{figure}");
            for b in &bars[index + 1..] {
                let is_beside = a.x + a.width <= b.x + tenth || b.x + b.width <= a.x + tenth;
                let is_below = a.y + a.height <= b.y || b.y + b.height <= a.y;
                assert!(is_beside || is_below, "{figure}");
            }
        }
        // No bar crosses the row of a title. 14 is the height of its letters.
        for title in texts.iter().filter(|it| it.class == "title") {
            let is_beside = |it: &Piece| it.y >= title.y || it.y + it.height <= title.y - 14.0;
            assert!(bars.iter().all(is_beside), "{figure}");
        }
        let mut places: Vec<String> = texts
            .iter()
            .map(|it| format!("{} {}", it.x, it.y))
            .collect();
        places.sort();
        let count = places.len();
        places.dedup();
        assert_eq!(places.len(), count, "{figure}");
        assert!(texts.iter().all(|it| it.y > 0.0 && it.y < height));
    }
}

#[test]
fn bars_are_as_long_as_their_bytes() {
    let report = samples::inspect();
    let all = &report.images[0].layers;
    let bars = pieces(&layers(all), "rect");
    let largest = all.iter().map(|it| it.uncompressed_bytes).max().unwrap();
    let unit = (WIDTH - LEFT - RIGHT) / largest as f64;
    for (layer, bars) in all.iter().zip(bars.chunks(4)) {
        let levels = ["0", "1", "2"].map(|level| level_bytes(&layer.levels, level));
        let rest = layer.uncompressed_bytes - levels.iter().sum::<u64>();
        let expected = [rest, levels[0], levels[1], levels[2]];
        let classes = ["other", "level-0", "level-1", "level-2"];
        for ((bar, bytes), class) in bars.iter().zip(expected).zip(classes) {
            assert_eq!(bar.class, class);
            assert!((bar.width - bytes as f64 * unit).abs() < 0.1, "{class}");
        }
    }
}

#[test]
fn layers_without_a_bar_are_counted() {
    for (count, expected) in [
        (100, None),
        (101, Some("and 1 smaller layer")),
        (102, Some("and 2 smaller layers")),
    ] {
        let texts = pieces(&layers(&many_layers(count)), "text");
        let more = texts.iter().find(|it| it.text.starts_with("and "));
        assert_eq!(more.map(|it| &*it.text), expected);
    }
}

#[test]
fn names_are_text() {
    let mut image = samples::compare().images.remove(0);
    image.after = "<b>&\".tar".to_owned();
    let figure = compare(&[image]);
    assert!(figure.contains("&lt;b&gt;&amp;&quot;.tar"), "{figure}");
    let mut body = String::new();
    push_text(&mut body, "<b>", 0.0, 0.0, "end");
    assert!(body.contains(">&lt;b&gt;<"), "{body}");
}
