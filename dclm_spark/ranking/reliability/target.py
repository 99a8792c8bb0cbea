"""What a leaderboard says of the run that it is made for: P(order holds), lines over scales."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from dclm_spark.ranking.budgets.cells import Cell, Reading
from dclm_spark.ranking.options import ModelSettings
from dclm_spark.ranking.reliability.part_sizes import TOO_SMALL
from dclm_spark.ranking.reliability.policy import primary_metric
from dclm_spark.ranking.reliability.published import IN_DEVIATIONS, order_models
from dclm_spark.ranking.reliability.scale_fit import Point, predict
from dclm_spark.train.scales import scale

# A standard deviation of the corpora's means this many times that of a run carries signal.
SIGNAL = 2.0
_MANY_PASSES = 4.0
# At 24 passes matched proxies of ten planted worlds said the same of each, right or wrong; between
# it and 4 nothing was measured (docs/ranking.md).
_TOO_MANY_PASSES = 8.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """The run that proxies stand for; `flops_per_token` is None where its model is not named."""

    scale: str | None
    flops_per_token: int | None

    @classmethod
    def of(cls, settings: ModelSettings) -> "Target":
        """Return the target that the settings name."""
        if settings.target_scale is None:
            return cls(scale=None, flops_per_token=None)
        model = scale(settings.target_scale).model
        return cls(scale=settings.target_scale, flops_per_token=model.flops_per_token())


def with_reliability(
    leaderboard: dict[str, Any],
    cells: Sequence[Cell],
    readings: Sequence[tuple[Cell, Reading]],
    target: Target,
    flops: Mapping[str, float],
) -> None:
    """Add to a leaderboard what is known of the target, and what its conclusions owe to it.

    `holds` of each pair of corpora: the probability that the order is the same at a larger scale,
    and by what it is known. `signal_to_noise` of each metric. `readings`: how often corpora are
    read. `predictions`: lines over scales at each target; `flops` are those of a cell's models.
    """
    for comparison in leaderboard["comparisons"]:
        comparison["signal_to_noise"] = _signal_to_noise(comparison)
        for pair in comparison["verdicts"]:
            pair["holds"] = _holds(comparison, pair)
    leaderboard["readings"] = [
        {"cell": cell.label, "target_tokens": cell.target_tokens} | asdict(how)
        for cell, how in readings
    ]
    leaderboard["predictions"] = _predictions(leaderboard["comparisons"], cells, target, flops)
    leaderboard["conclusions"] += [
        *_order_conclusions(leaderboard),
        *_reading_conclusions(readings),
        *_budget_conclusions(leaderboard, cells),
    ]


def _holds(comparison: Mapping[str, Any], pair: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return P(order is the same at a larger scale) and its basis; None: unknown."""
    if pair["verdict"] == TOO_SMALL:
        return None
    models = order_models()
    metric, distance = comparison["metric"], abs(pair["difference"])
    if metric in models:
        model = models[metric]
        basis = "distance" if model.is_calibrated else "share"
        return {"probability": round(model.probability(distance), 3), "basis": basis}
    deviation = comparison["scores"][0]["seed_deviation"]
    if not deviation:
        return None
    chance = models[IN_DEVIATIONS].probability(distance / deviation)
    return {"probability": round(chance, 3), "basis": "deviations"}


def _signal_to_noise(comparison: Mapping[str, Any]) -> float | None:
    """Return the spread of the corpora's means in standard deviations of a run; None: unknown."""
    means = [score["mean"] for score in comparison["scores"]]
    deviation = comparison["scores"][0]["seed_deviation"]
    if len(means) < 2 or not deviation:
        return None
    middle = sum(means) / len(means)
    spread = (sum((mean - middle) ** 2 for mean in means) / (len(means) - 1)) ** 0.5
    return round(float(spread / deviation), 3)


def _predictions(
    comparisons: Sequence[Mapping[str, Any]],
    cells: Sequence[Cell],
    target: Target,
    flops: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Return for each target, metric and pair the line over scales, where there are two scales."""
    if target.flops_per_token is None:
        return []
    targets = {cell.label: cell.target_tokens for cell in cells}
    points: dict[tuple[int, str, str, str], list[Point]] = {}
    for one in comparisons:
        tokens = targets[one["cell"]]
        for pair in one["verdicts"] if tokens else ():
            if pair["verdict"] == TOO_SMALL:
                continue
            key = (tokens or 0, one["metric"], pair["first"], pair["second"])
            place = Point(
                flops=flops[one["cell"]],
                difference=pair["difference"],
                standard_error=pair["standard_error"],
            )
            points.setdefault(key, []).append(place)
    return [
        {
            "metric": metric,
            "first": first,
            "second": second,
            "target_tokens": tokens,
            "target_scale": target.scale,
            "points": [asdict(place) for place in places],
            **asdict(predict(places, tokens * target.flops_per_token)),
        }
        for (tokens, metric, first, second), places in points.items()
        if len(places) > 1
    ]


def _order_conclusions(leaderboard: Mapping[str, Any]) -> list[str]:
    """Say of the leading pair of the deciding metric how likely its order holds, and the signal."""
    found = []
    for label, comparisons in _by_cell(leaderboard["comparisons"]):
        chosen = primary_metric([one["metric"] for one in comparisons])
        (one,) = (each for each in comparisons if each["metric"] == chosen)
        names = [score["recipe"] for score in one["scores"][:2]]
        for pair in one["verdicts"]:
            if {pair["first"], pair["second"]} == set(names) and pair["holds"]:
                found.append(
                    f"{label}, {chosen} (the metric that decides): {names[0]} before {names[1]}; "
                    f"P(this order holds at a larger scale) = {pair['holds']['probability']:.2f}, "
                    f"{_BASES[pair['holds']['basis']]}."
                )
        silent = [
            each["metric"]
            for each in comparisons
            if each["signal_to_noise"] is not None and each["signal_to_noise"] < SIGNAL
        ]
        if silent:
            found.append(
                f"{label}: without signal (the corpora differ by less than {SIGNAL:g} standard "
                f"deviations of a run): {', '.join(silent)}."
            )
    return found


_BASES = {
    "distance": "by the distance of the scores in DCLM's published models",
    "share": "the share in DCLM's published models, of which the distance tells no more",
    "deviations": (
        "by the distance in deviations of a run in DCLM's published tasks; this metric itself is "
        "not among them"
    ),
}


def _by_cell(
    comparisons: Sequence[dict[str, Any]],
) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(key, list(rows)) for key, rows in groupby(comparisons, lambda one: str(one["cell"]))]


def _reading_conclusions(readings: Sequence[tuple[Cell, Reading]]) -> list[str]:
    """Say which corpora cannot give a target's budget once."""
    found = {}
    for cell, how in readings:
        passes = how.target_passes
        if passes is not None and passes > 1:
            costly = (
                f", more than the {_MANY_PASSES:g} up to which repetition costs little"
                if passes > _MANY_PASSES
                else ""
            )
            found[how.corpus, cell.target_tokens] = (
                f"{how.corpus} would be read {passes:.3g} times by a run of "
                f"{cell.target_tokens:,} tokens{costly}; its proxies repeat as often."
                f"{_by_heart(how.corpus, passes)}"
            )
    return list(found.values())


def _by_heart(corpus: str, passes: float) -> str:
    if passes <= _TOO_MANY_PASSES:
        return ""
    return (
        f" They learn their part by heart, which the run need not: where {corpus} loses, take the "
        "pair as open."
    )


def _budget_conclusions(leaderboard: Mapping[str, Any], cells: Sequence[Cell]) -> list[str]:
    """Say for several budgets which corpus leads at each: the curve over budgets."""
    budgets = list(dict.fromkeys(cell.target_tokens for cell in cells))
    if len(budgets) < 2:
        return []
    leaders: dict[tuple[str, str], list[str]] = {}
    by_label = {cell.label: cell for cell in cells}
    for label, comparisons in _by_cell(leaderboard["comparisons"]):
        cell = by_label[label]
        chosen = primary_metric([one["metric"] for one in comparisons])
        (one,) = (each for each in comparisons if each["metric"] == chosen)
        best = one["scores"][0]["recipe"]
        if any(pair["verdict"] == TOO_SMALL for pair in one["verdicts"]):
            best = f"not all judged, {best}"
        leaders.setdefault((cell.scale, chosen), []).append(f"{best} at {cell.target_tokens:,}")
    return [
        f"by budget ({name}, {metric}): {', '.join(parts)} tokens."
        for (name, metric), parts in leaders.items()
    ]
