//! Charts as SVG, inside the page.

use maud::{Markup, html};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 140.0;
const FOOT: f64 = 18.0;

/// One bar of a chart.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: u64,
    pub(super) unusual: bool,
}

/// Bars side by side, with a dashed line at the usual value where there is one.
pub(super) fn bars(title: &str, bars: &[Bar], usual: Option<f64>) -> Markup {
    let largest = bars.iter().map(|bar| as_f64(bar.value)).fold(usual.unwrap_or(0.0), f64::max).max(1.0);
    let step = WIDTH / as_f64(u64::try_from(bars.len().max(1)).unwrap_or(1));
    let height = |value: f64| value / largest * (HEIGHT - FOOT - 14.0);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
            @for (place, bar) in (0_u32..).zip(bars) {
                @let (x, tall) = (f64::from(place) * step, height(as_f64(bar.value)));
                rect x=(format!("{:.1}", x + step * 0.15)) y=(format!("{:.1}", HEIGHT - FOOT - tall))
                    width=(format!("{:.1}", step * 0.7)) height=(format!("{tall:.1}"))
                    fill=(if bar.unusual { "#a40000" } else { "#2c5f8a" }) {
                    title { (bar.label) ": " (bar.value) }
                }
                @if bar.value > 0 {
                    text x=(format!("{:.1}", x + step / 2.0)) y=(format!("{:.1}", HEIGHT - FOOT - tall - 3.0))
                        font-size="9" text-anchor="middle" fill=(if bar.unusual { "#a40000" } else { "#555" }) { (bar.value) }
                }
                text x=(format!("{:.1}", x + step / 2.0)) y=(format!("{:.1}", HEIGHT - 5.0)) font-size="10"
                    text-anchor="middle" fill="#555" { (bar.label) }
            }
            @if let Some(usual) = usual {
                @let y = format!("{:.1}", HEIGHT - FOOT - height(usual));
                line x1="0" x2=(WIDTH) y1=(y) y2=(y) stroke="#777" stroke-dasharray="4 3" {}
            }
        }
    }
}

fn as_f64(value: u64) -> f64 {
    // Counts of a month are far below 2^53.
    value as f64
}
