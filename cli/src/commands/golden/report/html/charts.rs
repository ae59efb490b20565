//! The pictures, each an SVG with its legend.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use gptoss_runtime::tap::TapPoint;

use crate::commands::golden::report::{Checked, ULPS, percent, short};
use crate::model::grouped;

/// The most columns of a map; positions beyond are joined.
const COLUMNS: usize = 160;
/// Units of a cell's side.
const CELL: usize = 12;
/// Units left of a map, for names.
const LEFT: usize = 130;

pub(super) fn write(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    by_layer(checked, to)?;
    by_position(checked, to)?;
    writeln!(to, "<div class=\"pair\">")?;
    drift(checked, to)?;
    ulps(checked, to)?;
    writeln!(to, "</div>")?;
    routing(checked, to)
}

/// The class of a cell: how an error compares with what is allowed.
fn class(ratio: f64) -> &'static str {
    match ratio {
        _ if ratio.is_nan() || ratio > 1000.0 => "o3",
        _ if ratio > 10.0 => "o2",
        _ if ratio > 1.0 => "o1",
        _ if ratio > 0.5 => "i3",
        _ if ratio > 0.1 => "i2",
        _ if ratio > 0.0 => "i1",
        _ => "i0",
    }
}

const LEGEND: [(&str, &str); 8] = [
    ("i0", "0"),
    ("i1", "to 0.1"),
    ("i2", "to 0.5"),
    ("i3", "to 1"),
    ("o1", "to 10"),
    ("o2", "to 1000"),
    ("o3", "more"),
    ("none", "not judged"),
];

fn legend(to: &mut String) -> fmt::Result {
    write!(to, "<p class=\"legend\">error / bound:")?;
    for (class, text) in LEGEND {
        write!(
            to,
            " <span><svg viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{text}</span>"
        )?;
    }
    writeln!(to, "</p>")
}

/// A map of cells with names of rows and columns.
struct Map<'a> {
    title: &'a str,
    rows: Vec<String>,
    columns: Vec<String>,
}

impl Map<'_> {
    fn write(&self, to: &mut String, cell: impl Fn(usize, usize) -> Option<(f64, String)>) -> fmt::Result {
        let width = LEFT + self.columns.len().max(12) * CELL + 10;
        let height = (self.rows.len() + 2) * CELL + 4;
        writeln!(to, "<section>\n<h2>{}</h2>\n<div class=\"wide\">", self.title)?;
        writeln!(
            to,
            "<svg class=\"map\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
            self.title
        )?;
        for (row, name) in self.rows.iter().enumerate() {
            let y = row * CELL;
            writeln!(to, "<text class=\"end\" x=\"{}\" y=\"{}\">{name}</text>", LEFT - 6, y + CELL - 3)?;
            for column in 0..self.columns.len() {
                let x = LEFT + column * CELL;
                let (class, title) = match cell(row, column) {
                    Some((ratio, title)) => (class(ratio), title),
                    None => ("none", format!("{name}, {}: not judged", self.columns[column])),
                };
                writeln!(
                    to,
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\"><title>{title}</title></rect>",
                    side = CELL - 1
                )?;
            }
        }
        // As many names as there is room for.
        let longest = self.columns.iter().map(String::len).max().unwrap_or(1);
        let step = (longest * 7 + 6).div_ceil(CELL);
        for (column, name) in self.columns.iter().enumerate().step_by(step) {
            let (x, y) = (LEFT + column * CELL, (self.rows.len() + 1) * CELL + 2);
            writeln!(to, "<text x=\"{x}\" y=\"{y}\">{name}</text>")?;
        }
        writeln!(to, "</svg></div>")?;
        legend(to)?;
        writeln!(to, "</section>")
    }
}

fn layer_name(layer: Option<u32>) -> String {
    layer.map_or_else(|| "model".to_owned(), |layer| layer.to_string())
}

fn by_layer(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let worst = checked.by_layer();
    let points: Vec<TapPoint> = checked.points().into_iter().map(|(point, _)| point).collect();
    let layers: Vec<Option<u32>> =
        worst.keys().map(|(_, layer)| *layer).collect::<BTreeSet<_>>().into_iter().collect();
    let map = Map {
        title: "Greatest error by value and layer",
        rows: points.iter().map(|point| point.name().to_owned()).collect(),
        columns: layers.iter().map(|&layer| layer_name(layer)).collect(),
    };
    map.write(to, |row, column| {
        let ratio = *worst.get(&(points[row], layers[column]))?;
        let place = layers[column].map_or_else(|| "model".to_owned(), |layer| format!("layer {layer}"));
        Some((ratio, format!("{}, {place}: {}", points[row].name(), short(ratio))))
    })
}

fn by_position(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    let worst = checked.by_position();
    let layers: Vec<Option<u32>> =
        worst.keys().map(|(layer, _)| *layer).collect::<BTreeSet<_>>().into_iter().collect();
    let positions: Vec<u32> =
        worst.keys().map(|(_, position)| *position).collect::<BTreeSet<_>>().into_iter().collect();
    let joined = positions.len().div_ceil(COLUMNS).max(1);
    let columns: Vec<&[u32]> = positions.chunks(joined).collect();
    let title = match joined {
        1 => "Greatest error by layer and position".to_owned(),
        joined => format!("Greatest error by layer and position, {joined} positions a column"),
    };
    let map = Map {
        title: &title,
        rows: layers
            .iter()
            .map(|&layer| layer.map_or_else(|| "model".to_owned(), |layer| format!("layer {layer}")))
            .collect(),
        columns: columns.iter().map(|column| column[0].to_string()).collect(),
    };
    map.write(to, |row, column| {
        let found = columns[column]
            .iter()
            .filter_map(|&position| worst.get(&(layers[row], position)).map(|&ratio| (ratio, position)));
        let (ratio, position) = found.max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((ratio, format!("{}, position {position}: {}", map.rows[row], short(ratio))))
    })
}

/// The error of the backend beside that of the profile's own rounding, layer by layer.
fn drift(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    const WIDTH: f64 = 420.0;
    const HEIGHT: f64 = 180.0;
    let of = |point: TapPoint| {
        checked
            .report
            .findings
            .iter()
            .filter(move |finding| finding.site.point == point && finding.site.part.is_none())
            .filter_map(|finding| Some((finding.site.layer?, finding.error_rms, finding.reference_rms)))
            .collect::<Vec<_>>()
    };
    let candidates = [TapPoint::LayerOutput, TapPoint::MlpOutput, TapPoint::AttentionOutput];
    let all = checked.points();
    let point = candidates
        .into_iter()
        .chain(all.iter().map(|(point, _)| *point))
        .find(|&point| !of(point).is_empty());
    let Some(point) = point else { return Ok(()) };
    let rows = of(point);
    let values = rows.iter().flat_map(|&(_, error, reference)| [error, reference]);
    let logs: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10).collect();
    writeln!(to, "<section>\n<h2>Error of <code>{}</code> by layer</h2>", point.name())?;
    if logs.is_empty() {
        return writeln!(to, "<p>Every judged value is exact.</p></section>");
    }
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min).floor();
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil().max(low + 1.0);
    let last = rows.iter().map(|row| row.0).max().unwrap_or(0).max(1);
    let x = |layer: u32| 40.0 + (WIDTH - 50.0) * f64::from(layer) / f64::from(last);
    let y = |value: f64| 10.0 + (HEIGHT - 40.0) * (high - value.max(10f64.powf(low)).log10()) / (high - low);
    writeln!(
        to,
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"rms error by layer\">"
    )?;
    let mut power = low;
    while power <= high {
        let at = y(10f64.powf(power));
        writeln!(
            to,
            "<line class=\"grid\" x1=\"40\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"end\" x=\"36\" y=\"{:.1}\">1e{power}</text>",
            WIDTH - 10.0,
            at + 4.0
        )?;
        power += ((high - low) / 6.0).ceil().max(1.0);
    }
    for (class, name, is_theirs) in
        [("theirs", "of the dump", true), ("ours", "of the profile's rounding", false)]
    {
        let value = |row: &(u32, f64, f64)| if is_theirs { row.1 } else { row.2 };
        let drawn = rows.iter().filter(|row| value(row).is_finite());
        let points: Vec<String> =
            drawn.clone().map(|row| format!("{:.1},{:.1}", x(row.0), y(value(row)))).collect();
        writeln!(to, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "))?;
        for row in drawn {
            writeln!(
                to,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>layer {}, {name}: {}</title></circle>",
                x(row.0),
                y(value(row)),
                row.0,
                short(value(row))
            )?;
        }
    }
    writeln!(
        to,
        "<text x=\"40\" y=\"{0}\">0</text><text class=\"end\" x=\"{1}\" y=\"{0}\">layer {last}</text>\n</svg>",
        HEIGHT - 14.0,
        WIDTH - 10.0
    )?;
    writeln!(
        to,
        "<p class=\"legend\"><span><svg viewBox=\"0 0 10 10\"><circle class=\"theirs\" cx=\"5\" cy=\"5\" r=\"4\"/></svg>rms error of the dump</span> \
         <span><svg viewBox=\"0 0 10 10\"><circle class=\"ours\" cx=\"5\" cy=\"5\" r=\"4\"/></svg>of the profile's own rounding</span></p>\n</section>"
    )
}

fn ulps(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    const WIDTH: usize = 420;
    const HEIGHT: usize = 180;
    let mut counts = [0_u64; 12];
    for (_, summary) in checked.points() {
        counts.iter_mut().zip(summary.ulps).for_each(|(sum, count)| *sum += count);
    }
    let total: u64 = counts.iter().sum();
    writeln!(to, "<section>\n<h2>Distance from the profile's value</h2>")?;
    if total == 0 {
        return writeln!(to, "<p>Nothing was counted.</p></section>");
    }
    writeln!(
        to,
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"elements by distance in last places of bf16\">"
    )?;
    let most = (1.0 + *counts.iter().max().unwrap_or(&1) as f64).log10();
    let room = HEIGHT - 50;
    for (index, (&count, name)) in counts.iter().zip(ULPS).enumerate() {
        let height = (room as f64 * (1.0 + count as f64).log10() / most).round() as usize;
        let x = 8 + index * 34;
        let class = if index <= 1 { "near" } else { "far" };
        writeln!(
            to,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"28\" height=\"{height}\"><title>{name}: {} elements, {}</title></rect>\
             <text class=\"middle\" x=\"{}\" y=\"{}\">{name}</text>",
            10 + room - height,
            grouped(count),
            percent(count as f64 / total as f64),
            x + 14,
            HEIGHT - 24,
        )?;
    }
    writeln!(
        to,
        "</svg>\n<p class=\"legend\">in last places of bf16, up to; heights are logarithms of counts; {} the same, {} at most one apart</p>\n</section>",
        percent(counts[0] as f64 / total as f64),
        percent((counts[0] + counts[1]) as f64 / total as f64)
    )
}

fn routing(checked: &Checked<'_>, to: &mut String) -> fmt::Result {
    const WIDTH: f64 = 300.0;
    let routing = &checked.report.routing;
    if routing.is_empty() {
        return Ok(());
    }
    let height = routing.len() * CELL + 2;
    writeln!(to, "<section>\n<h2>Chosen experts by layer</h2>\n<div class=\"wide\">")?;
    let width = LEFT + WIDTH as usize + 10;
    writeln!(
        to,
        "<svg class=\"map\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"agreement of routers\">"
    )?;
    for (row, routing) in routing.iter().enumerate() {
        let y = row * CELL;
        writeln!(
            to,
            "<text class=\"end\" x=\"{}\" y=\"{}\">layer {}</text>",
            LEFT - 6,
            y + CELL - 3,
            routing.layer
        )?;
        let mut x = LEFT as f64;
        for (class, name, count) in [
            ("i1", "the same", routing.same),
            ("i2", "others of equal logits", routing.ties),
            ("i3", "others within the bounds of the logits", routing.explained),
            ("o3", "wrong", routing.wrong),
        ] {
            let part = WIDTH * count as f64 / routing.rows.max(1) as f64;
            if part > 0.0 {
                writeln!(
                    to,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{part:.1}\" height=\"{}\"><title>layer {}: {} {name} of {}</title></rect>",
                    CELL - 1,
                    routing.layer,
                    grouped(count),
                    grouped(routing.rows)
                )?;
            }
            x += part;
        }
    }
    writeln!(to, "</svg></div>\n<p class=\"legend\">")?;
    for (class, text) in
        [("i1", "the same"), ("i2", "equal logits"), ("i3", "within bounds"), ("o3", "wrong")]
    {
        write!(
            to,
            "<span><svg viewBox=\"0 0 10 10\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>{text}</span> "
        )?;
    }
    writeln!(to, "</p>\n</section>")
}
