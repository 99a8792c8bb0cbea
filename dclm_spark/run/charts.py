"""Inline SVG for the report: bars and histograms, coloured by the classes of its style sheet."""

from bisect import bisect_right
from html import escape

from dclm_spark.run.summary import Histogram

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
