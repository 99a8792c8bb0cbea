"""Curves as SVG, of losses by step and chances by similarity; colours are in the style sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT, _MARGIN = 860, 420, 56
_PARTS = 4
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Frame:
    """The ranges that a drawing shows: steps from 0, losses from `low` to `high`."""

    last_step: float
    low: float
    high: float

    def place(self, step: float, loss: float) -> tuple[float, float]:
        """Return where a point lies in the drawing."""
        across = step / (self.last_step or 1.0)
        down = (self.high - loss) / ((self.high - self.low) or 1.0)
        return (
            _MARGIN + across * (_WIDTH - 2 * _MARGIN),
            _MARGIN + down * (_HEIGHT - 2 * _MARGIN),
        )


def loss_curve(training: Points, heldout: Points) -> Markup:
    """Return a drawing of (step, loss) points: training as a line, held-out ones as dots.

    Losses that are not finite are left out; without any point there is no drawing.
    """
    training, heldout = _finite(training), _finite(heldout)
    points = [*training, *heldout]
    if not points:
        return Markup()
    losses = [loss for _, loss in points]
    frame = _Frame(max(step for step, _ in points), min(losses), max(losses))
    places = [frame.place(*point) for point in training]
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    dots = "".join(
        f'<circle class="heldout" r="3" cx="{across:.1f}" cy="{down:.1f}"/>'
        for across, down in (frame.place(*point) for point in heldout)
    )
    return Markup(
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="loss by step">{_grid(frame)}'
        f'<polyline class="training" points="{line}"/>{dots}</svg>'
    )


def chance_curve(points: Points, threshold: float) -> Markup:
    """Return a drawing of (similarity, chance) points, both 0 to 1, with the threshold drawn."""
    width, height = 320, 110
    line = " ".join(f"{width * x:.1f},{height * (1 - y):.1f}" for x, y in points)
    at = width * threshold
    side = "end" if threshold > 0.5 else "start"
    ends = "".join(
        f'<text x="{width * share:.0f}" y="{height + 13}" text-anchor="{anchor}">{share:g}</text>'
        for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    return Markup(
        f'<svg class="histogram" viewBox="-2 -14 {width + 4} {height + 34}" role="img" '
        f'aria-label="chance to find a pair by its similarity">'
        f'<polyline class="training" points="{line}"/>'
        f'<line class="threshold" x1="{at:.1f}" x2="{at:.1f}" y1="-2" y2="{height}"/>'
        f'<text class="threshold-label" x="{at:.1f}" y="-5" text-anchor="{side}">{threshold:g}'
        f"</text>{ends}"
        f'<line class="axis" x1="0" y1="{height}" x2="{width}" y2="{height}"/></svg>'
    )


def _finite(points: Points) -> list[tuple[float, float]]:
    return [(step, loss) for step, loss in points if math.isfinite(loss)]


def _grid(frame: _Frame) -> str:
    right, bottom = _WIDTH - _MARGIN, _HEIGHT - _MARGIN
    drawn = []
    for part in range(_PARTS + 1):
        share = part / _PARTS
        down = _MARGIN + share * (bottom - _MARGIN)
        across = _MARGIN + share * (right - _MARGIN)
        loss = frame.high - share * (frame.high - frame.low)
        drawn.append(
            f'<line class="grid-line" x1="{_MARGIN}" x2="{right}" y1="{down}" y2="{down}"/>'
            f'<text x="8" y="{down + 4}">{loss:.3f}</text>'
            f'<text x="{across}" y="{bottom + 20}" text-anchor="middle">'
            f"{share * frame.last_step:,.0f}</text>"
        )
    return "".join(drawn)
