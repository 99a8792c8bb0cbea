"""Bars and histograms as SVG; colours come from the style sheet."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markupsafe import Markup

from dclm_spark.html_pages.quantities import value_text

_WIDTH, _HEIGHT, _AXIS = 320, 110, 18
_LINE_HEIGHT, _NAMES_WIDTH, _PLOT_WIDTH = 22, 200, 500


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A value that a signal is compared with; `side` is "minimum", "maximum" or "below"."""

    side: str
    value: float


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of one signal at one stage: `edges` has one entry more than `counts`.

    `kept` are those of `counts` that the stage kept, by their fate; None where fates were not
    counted. All `limits` are drawn.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    stage: str = ""
    kept: tuple[int, ...] | None = None
    limits: tuple[Limit, ...] = ()


def bar(share: float, lost_share: float = 0.0) -> Markup:
    """Return a bar of `share` of the full width, followed by what was lost (both 0 to 1)."""
    kept, lost = 100 * _clip(share), 100 * _clip(lost_share)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="kept" x="0" y="0" width="{kept:.3f}" height="10"/>'
        f'<rect class="lost" x="{kept:.3f}" y="0" width="{lost:.3f}" height="10"/></svg>'
    )


def histogram(chart: Histogram) -> Markup:
    """Return the histogram with its limits drawn; what was not kept stands red on what was.

    All bins are drawn equally wide, whatever their edges; some edges are written below.
    """
    top = max(chart.counts, default=0) or 1
    width = _WIDTH / max(len(chart.counts), 1)
    parts = [_column(chart, index, width, top) for index in range(len(chart.counts))]
    parts += [
        f'<text x="{index * width:.2f}" y="{_HEIGHT + 13}" text-anchor="{_anchor(index, chart)}">'
        f"{value_text(chart.edges[index])}</text>"
        for index in _labelled(len(chart.counts))
    ]
    parts += [_limit_line(chart, limit, width) for limit in chart.limits]
    return Markup(
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
    """Return a bin's bar: the kept below, what else there was above it."""
    left, right = chart.edges[index], chart.edges[index + 1]
    counted = chart.counts[index]
    kept = counted if chart.kept is None else chart.kept[index]
    told = f"{value_text(left)} to {value_text(right)}: {counted:,}"
    if chart.kept is not None:
        told += f", {kept:,} kept, {counted - kept:,} not"
    sizes = [
        (side, _height(count, top)) for side, count in (("kept", kept), ("lost", counted - kept))
    ]
    bottom, parts = float(_HEIGHT), []
    for side, height in sizes:
        if height:
            bottom -= height
            parts.append(
                f'<rect class="{side}" x="{index * width:.2f}" y="{bottom:.2f}" '
                f'width="{max(width - 0.8, 0.4):.2f}" height="{height:.2f}"/>'
            )
    return f"<g>{''.join(parts)}<title>{told}</title></g>"


def _height(count: int, top: int) -> float:
    """Return the height of a bar; a count that is not 0 can be seen."""
    return max(_HEIGHT * count / top, 1.0) if count else 0.0


def _limit_line(chart: Histogram, limit: Limit, width: float) -> str:
    x = _position(chart, limit.value) * width
    anchor = "end" if x > _WIDTH / 2 else "start"
    return (
        f'<line class="threshold" x1="{x:.2f}" y1="-2" x2="{x:.2f}" y2="{_HEIGHT}"/>'
        f'<text class="threshold-label" x="{x:.2f}" y="-5" text-anchor="{anchor}">'
        f"{escape(limit.side)} {value_text(limit.value)}</text>"
    )


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def differences(pairs: Sequence[Mapping[str, Any]]) -> Markup:
    """Return an interval plot of the `difference` of `first` and `second`, with zero drawn."""
    scores = [
        {"recipe": f"{one['first']} - {one['second']}", "mean": one["difference"],
         "low": one["low"], "high": one["high"]}
        for one in pairs
        if math.isfinite(one["low"]) and math.isfinite(one["high"])
    ]  # fmt: skip
    return intervals(scores, zero=True) if scores else Markup()


def intervals(scores: Sequence[Mapping[str, Any]], zero: bool = False) -> Markup:
    """Return an interval plot: for each score its name (`recipe`), `mean`, `low` and `high`.

    With `zero` a line is drawn there, and the plot reaches to it.
    """
    reached = [0.0] if zero else []
    low = min([one["low"] for one in scores] + reached)
    high = max([one["high"] for one in scores] + reached)
    span = (high - low) or 1.0
    height = _LINE_HEIGHT * len(scores)
    rows = []
    for place, one in enumerate(scores):
        middle = place * _LINE_HEIGHT + _LINE_HEIGHT / 2
        left, mean, right = (
            _NAMES_WIDTH + _PLOT_WIDTH * (one[key] - low) / span for key in ("low", "mean", "high")
        )
        rows.append(
            f'<text x="{_NAMES_WIDTH - 10}" y="{middle + 4:.1f}" text-anchor="end">'
            f'{escape(one["recipe"])}</text><line class="interval" x1="{left:.1f}" '
            f'x2="{right:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
            f'<circle class="point" cx="{mean:.1f}" cy="{middle:.1f}" r="3.5"/>'
        )
    if zero:
        at = _NAMES_WIDTH + _PLOT_WIDTH * (0.0 - low) / span
        rows.append(f'<line class="zero" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>')
    ends = (
        f'<text x="{_NAMES_WIDTH}" y="{height + 12}">{value_text(low)}</text>'
        f'<text x="{_NAMES_WIDTH + _PLOT_WIDTH}" y="{height + 12}" text-anchor="end">'
        f"{value_text(high)}</text>"
    )
    return Markup(
        f'<svg class="curve" viewBox="0 0 {_NAMES_WIDTH + _PLOT_WIDTH + 10} {height + 18}" '
        f'role="img" aria-label="means and intervals">{"".join(rows)}{ends}</svg>'
    )
