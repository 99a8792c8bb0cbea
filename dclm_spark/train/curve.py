"""The loss curve as one HTML file with an inline drawing; it loads nothing."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, MARGIN = 860, 420, 56
Points = Sequence[tuple[float, float]]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:14px sans-serif;margin:2em;color:#222}}table{{border-collapse:collapse}}
td,th{{padding:2px 12px;text-align:right;border-bottom:1px solid #ddd}}th{{text-align:left}}
.train{{fill:none;stroke:#1f5fa8;stroke-width:1.5}}.heldout{{fill:#c0392b}}
.axis{{stroke:#999}}text{{font-size:12px;fill:#555}}</style></head>
<body><h1>{title}</h1>
<svg width="{width}" height="{height}" role="img" aria-label="loss by step">{drawing}</svg>
<p><span style="color:#1f5fa8">line: training loss</span>,
<span style="color:#c0392b">dots: held-out loss</span>; nats per token by step.</p>
<table>{facts}</table></body></html>
"""


def write_curve(path: Path, lines: Sequence[dict[str, Any]], *, title: str) -> Path:
    """Draw the losses of a run log's lines into `path`."""
    train = [(line["step"], line["cross_entropy"]) for line in lines if line["kind"] == "train"]
    heldout = [(line["step"], line["loss"]) for line in lines if line["kind"] == "heldout"]
    page = _PAGE.format(
        title=html.escape(title),
        width=WIDTH,
        height=HEIGHT,
        drawing=_drawing(train, heldout),
        facts="".join(_facts(lines)),
    )
    path.write_text(page)
    return path


def _drawing(train: Points, heldout: Points) -> str:
    finite = [(x, y) for x, y in [*train, *heldout] if y == y and abs(y) != float("inf")]
    if not finite:
        return ""
    last_step = max(x for x, _ in finite)
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        across = MARGIN + x / last_step * (WIDTH - 2 * MARGIN)
        down = MARGIN + (high - y) / span * (HEIGHT - 2 * MARGIN)
        return f"{across:.1f},{down:.1f}"

    dots = "".join(
        '<circle class="heldout" r="3" cx="{}" cy="{}"/>'.format(*place(x, y).split(","))
        for x, y in heldout
        if (x, y) in finite
    )
    line = " ".join(place(x, y) for x, y in train if (x, y) in finite)
    return f'{_axes(low, high, last_step)}<polyline class="train" points="{line}"/>{dots}'


def _axes(low: float, high: float, last_step: float) -> str:
    right, bottom = WIDTH - MARGIN, HEIGHT - MARGIN
    parts = []
    for part in range(5):
        share = part / 4
        down = MARGIN + share * (bottom - MARGIN)
        across = MARGIN + share * (right - MARGIN)
        parts.append(f'<line class="axis" x1="{MARGIN}" x2="{right}" y1="{down}" y2="{down}"/>')
        parts.append(f'<text x="8" y="{down + 4}">{high - share * (high - low):.3f}</text>')
        parts.append(f'<text x="{across - 12}" y="{bottom + 20}">{share * last_step:,.0f}</text>')
    return "".join(parts)


def _facts(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return table rows with the last value of everything that was measured."""
    latest = {
        f"{line['kind']}: {name.replace('_', ' ')}": value
        for line in lines
        for name, value in line.items()
        if isinstance(value, int | float) and name != "step"
    }
    return [
        f"<tr><th>{html.escape(name)}</th><td>{value:,.6g}</td></tr>"
        for name, value in latest.items()
    ]
