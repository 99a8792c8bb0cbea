"""The style sheet of the report; light or dark as the reader's system asks."""

from bisect import bisect_right
from html import escape

from dclm_spark.report.summary import Histogram

_WIDTH, _HEIGHT, _AXIS = 320, 110, 18


def bar(share: float, lost_share: float = 0.0) -> str:
    """Return a bar of `share` of the full width, followed by what was lost (both 0 to 1)."""
    kept, lost = 100 * _clip(share), 100 * _clip(lost_share)
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="kept" x="0" y="0" width="{kept:.3f}" height="10"/>'
        f'<rect class="lost" x="{kept:.3f}" y="0" width="{lost:.3f}" height="10"/></svg>'
    )


def histogram(chart: Histogram) -> str:
    """Return the histogram with its threshold drawn and the removed side in another colour.

    All bins are drawn equally wide, whatever their edges; some edges are written below.
    """
    top = max(chart.counts, default=0) or 1
    width = _WIDTH / max(len(chart.counts), 1)
    parts = [_column(chart, index, width, top) for index in range(len(chart.counts))]
    parts += [
        f'<text x="{index * width:.2f}" y="{_HEIGHT + 13}" text-anchor="{_anchor(index, chart)}">'
        f"{_number(chart.edges[index])}</text>"
        for index in _labelled(len(chart.counts))
    ]
    if chart.threshold is not None:
        parts.append(_threshold_line(_position(chart, chart.threshold) * width, chart.threshold))
    return (
        f'<svg class="histogram" viewBox="-2 -14 {_WIDTH + 4} {_HEIGHT + _AXIS + 16}" role="img" '
        f'aria-label="{escape(chart.name)}">{"".join(parts)}'
        f'<line class="axis" x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" y2="{_HEIGHT}"/></svg>'
    )


def _labelled(bins: int) -> list[int]:
    """Return which edges to label: the ends and three or so between."""
    step = max(1, bins // 4)
    inner = [index for index in range(step, bins, step) if bins - index >= step]
    return [0, *inner, bins]


def _anchor(index: int, chart: Histogram) -> str:
    if index == 0:
        return "start"
    return "end" if index == len(chart.counts) else "middle"


def _position(chart: Histogram, value: float) -> float:
    """Return where `value` lies, counted in bins from the left."""
    if value <= chart.edges[0]:
        return 0.0
    index = min(bisect_right(chart.edges, value), len(chart.counts)) - 1
    left, right = chart.edges[index], chart.edges[index + 1]
    return index + _clip((value - left) / (right - left))


def _column(chart: Histogram, index: int, width: float, top: int) -> str:
    left, right = chart.edges[index], chart.edges[index + 1]
    height = _HEIGHT * chart.counts[index] / top
    if chart.counts[index]:
        height = max(height, 1.0)
    side = "kept" if _is_kept(chart, (left + right) / 2) else "lost"
    return (
        f'<rect class="{side}" x="{index * width:.2f}" y="{_HEIGHT - height:.2f}" '
        f'width="{max(width - 0.8, 0.4):.2f}" height="{height:.2f}">'
        f"<title>{_number(left)} to {_number(right)}: {chart.counts[index]:,}</title></rect>"
    )


def _is_kept(chart: Histogram, middle: float) -> bool:
    if chart.threshold is None or not chart.kept_side:
        return True
    return middle >= chart.threshold if chart.kept_side == "above" else middle <= chart.threshold


def _threshold_line(x: float, threshold: float) -> str:
    anchor = "end" if x > _WIDTH / 2 else "start"
    return (
        f'<line class="threshold" x1="{x:.2f}" y1="-2" x2="{x:.2f}" y2="{_HEIGHT}"/>'
        f'<text class="threshold-label" x="{x:.2f}" y="-5" text-anchor="{anchor}">'
        f"{_number(threshold)}</text>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)


STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --line: #e3e7ee;
  --paper: #ffffff; --card: #f6f8fb; --kept: #2f7d6d; --lost: #e2a59b; --mark: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #2c3442; --paper: #12161d; --card: #1a2029;
    --kept: #4fb3a0; --lost: #8a4a42; --mark: #f97066; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main, header { max-width: 1080px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 36px; }
h1 { font-size: 28px; line-height: 1.25; margin: 4px 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 44px 0 10px; padding-top: 8px; border-top: 1px solid var(--line); }
h3 { font-size: 14px; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 6px 0; }
.kicker, .note, small, th, .muted { color: var(--soft); }
.kicker { font-size: 13px; }
.note { font-size: 13px; max-width: 70ch; }
.balance { display: inline-block; padding: 3px 12px; border-radius: 99px; font-size: 13px;
  border: 1px solid var(--kept); color: var(--kept); }
.balance.broken { border-color: var(--mark); color: var(--mark); font-weight: 700; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 10px;
  margin: 20px 0; }
.tile { background: var(--card); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 21px; font-variant-numeric: tabular-nums; }
.tile span { font-size: 12.5px; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; }
nav a { color: var(--kept); text-decoration: none; }
nav a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { font-weight: 500; text-align: left; font-size: 12.5px; }
th, td { padding: 4px 8px; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
td.wide { width: 34%; }
td.medium { width: 18%; }
tr.idle td { color: var(--soft); }
td.url { overflow-wrap: anywhere; }
code, pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
pre { background: var(--card); padding: 12px 14px; border-radius: 8px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: 6px 0; }
svg.bar { display: block; width: 100%; height: 13px; }
svg .kept { fill: var(--kept); }
svg .lost { fill: var(--lost); }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .threshold { stroke: var(--mark); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg text { font-size: 11px; fill: var(--soft); }
svg .threshold-label { fill: var(--mark); font-weight: 600; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 16px; }
.card { background: var(--card); border-radius: 8px; padding: 12px 14px; min-width: 0; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; }
.pair > div { min-width: 0; }
details { border-bottom: 1px solid var(--line); padding: 6px 0; }
summary { cursor: pointer; }
summary b { font-weight: 600; }
.sample { margin: 10px 0 14px 18px; }
.sample p { overflow-wrap: anywhere; font-size: 13px; }
footer { max-width: 1080px; margin: 40px auto 30px; padding: 0 24px; font-size: 12.5px;
  color: var(--soft); }
@media print { details { break-inside: avoid; } }
"""
