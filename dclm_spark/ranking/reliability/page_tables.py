"""The leaderboard's tables of curves, repetition, lines over scales and cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from dclm_spark.html_pages.quantities import fixed_text
from dclm_spark.ranking.reliability.power import MOST_SEEDS

Rows = list[tuple[str, ...]]


def reliability_tables(leaderboard: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's template draws; a table without rows is None."""
    return {
        "curves": _curves(leaderboard.get("curves", ())),
        "readings": _readings(leaderboard.get("readings", ()), leaderboard.get("parts", ())),
        "power": _power(leaderboard.get("power", ())),
        "predictions": _predictions(leaderboard.get("predictions", ())),
        "cost": _cost(leaderboard.get("cost")),
    }


def _curves(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not curves:
        return None
    longest = max(len(curve["points"]) for curve in curves)
    head = ("scale and target", "corpus", *(f"{n + 1}/{longest}" for n in range(longest)))
    rows = [
        (curve["cell"], curve["recipe"], *(fixed_text(loss) for _, loss in curve["points"]))
        for curve in curves
    ]
    width = len(head)
    return {"head": head, "rows": [(*row, *[""] * (width - len(row))) for row in rows]}


def _readings(readings: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]) -> Rows:
    sizes = {(one["cell"], one["corpus"]): one for one in parts}
    return [
        (
            one["cell"],
            one["corpus"],
            f"{one['proxy_passes']:.3g}",
            "" if one["target_passes"] is None else f"{one['target_passes']:.3g}",
            *_part(sizes.get((one["cell"], one["corpus"]))),
        )
        for one in readings
    ]


def _part(size: Mapping[str, Any] | None) -> tuple[str, str]:
    return (f"{size['documents']:,}", f"{size['tokens']:,}") if size else ("", "")


def _power(power: Sequence[Mapping[str, Any]]) -> Rows:
    return [
        (
            one["metric"],
            f"{one['first']} - {one['second']}",
            one["cell"],
            f"{abs(one['difference']):.4f}",
            f"{one['power']:.2f}",
            f"more than {MOST_SEEDS}" if one["seeds_needed"] is None else str(one["seeds_needed"]),
            "" if one["tokens_needed"] is None else f"{one['tokens_needed']:,}",
        )
        for one in power
    ]


def _predictions(predictions: Sequence[Mapping[str, Any]]) -> Rows:
    return [
        (
            one["metric"],
            f"{one['first']} - {one['second']}",
            f"{one['target_scale']}, {one['target_tokens']:,} tokens",
            f"{one['difference']:+.4f}",
            f"{one['low']:+.4f} to {one['high']:+.4f}",
            f"{one['probability']:.2f}",
        )
        for one in predictions
    ]


def _cost(cost: Mapping[str, Any] | None) -> Rows:
    if not cost:
        return []
    expected = [
        (line["gpu"], f"expected, {line['rows']} models of {line['cell']}", *_money(line))
        for line in cost["expected"]["by_gpu"]
    ]
    spent = [(line["device"], f"spent on {line['part']}", *_money(line)) for line in cost["spent"]]
    return [*spent, *expected]


def _money(line: Mapping[str, Any]) -> tuple[str, str]:
    dollars = line["dollars"]
    return f"{line['hours']:.3f}", "" if dollars is None else f"{dollars:,.2f}"
