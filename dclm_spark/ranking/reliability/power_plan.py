"""What a ranking will be able to find, said before it trains; what it would take, said after."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dclm_spark.ranking.bootstrap import POWER
from dclm_spark.ranking.reliability.policy import primary_metric
from dclm_spark.ranking.reliability.power import MOST_SEEDS, Design, seeds_needed

# Corpus -> for each seed (tokens, loss) at the declared steps of its training.
Curves = Mapping[str, Sequence[Sequence[tuple[int, float]]]]


def power_beforehand(design: Design, output: str) -> list[str]:
    """Say what a ranking can find, in deviations of a run and by what an earlier one here found.

    The earlier ranking is the leaderboard in `output`, such as that of two seeds or of less tokens.
    """
    if design.seeds < 2:
        return ["one seed each: there will be no verdict, whatever the difference"]
    lines = [
        f"{design.seeds} seeds of {design.corpora} corpora: a difference of "
        f"{design.detectable():.1f} standard deviations of a run is found {POWER:.0%} of the time"
    ]
    for one in _deciding(_leaderboard(output)):
        deviation = one["scores"][0]["seed_deviation"]
        if deviation:
            lines.append(
                f"by the ranking that is here, {one['cell']}: a run deviates by {deviation:.4f} in "
                f"{one['metric']}, so that is {design.detectable() * deviation:.4f}"
            )
            lines += [
                f"{pair['first']} - {pair['second']}: {pair['difference']:+.4f} there, "
                f"{_needed(design.corpora, pair['difference'] / deviation)}"
                for pair in one["verdicts"]
            ]
    return lines


def _leaderboard(output: str) -> Mapping[str, Any]:
    path = Path(output) / "leaderboard.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def _deciding(leaderboard: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield of each cell the comparison on the metric that decides."""
    comparisons = leaderboard.get("comparisons", [])
    for cell in dict.fromkeys(one.get("cell", "") for one in comparisons):
        own = [one for one in comparisons if one.get("cell", "") == cell]
        chosen = primary_metric([one["metric"] for one in own])
        yield from (one for one in own if one["metric"] == chosen)


def _needed(corpora: int, difference: float) -> str:
    seeds = seeds_needed(corpora, difference)
    return f"more than {MOST_SEEDS} seeds" if seeds is None else f"{seeds} seeds find it"


def power_table(
    leaderboard: Mapping[str, Any], curves: Mapping[str, Curves]
) -> list[dict[str, Any]]:
    """Return for each pair on the deciding metric what it takes to find a difference of its size.

    `power` is the chance that such a difference is found with the seeds at hand, `seeds_needed` the
    fewest seeds that find it (None: more than MOST_SEEDS), `tokens_needed` the fewest tokens at
    which the curves of `curves` (by cell) show a difference that these seeds would find; None where
    there is none. Differences are taken as measured.
    """
    found = []
    for one in _deciding(leaderboard):
        design = Design(corpora=len(one["scores"]), seeds=one["scores"][0]["seeds"])
        deviation = one["scores"][0]["seed_deviation"]
        for pair in one["verdicts"] if deviation else ():
            size = pair["difference"] / deviation
            found.append(
                {
                    "cell": one["cell"],
                    "metric": one["metric"],
                    "first": pair["first"],
                    "second": pair["second"],
                    "difference": pair["difference"],
                    "power": round(design.power(size), 3),
                    "seeds_needed": seeds_needed(design.corpora, size),
                    "tokens_needed": tokens_needed(
                        curves.get(one["cell"], {}), pair["first"], pair["second"]
                    ),
                }
            )
    return found


def tokens_needed(curves: Curves, first: str, second: str) -> int | None:
    """Return the fewest tokens after which the losses of two corpora differ enough to be found.

    From there on to the end of the curves they do; None where they do not at the end.
    """
    lengths = {len(points) for seeds in curves.values() for points in seeds}
    seeds = {len(of_corpus) for of_corpus in curves.values()}
    if first not in curves or second not in curves or len(lengths) != 1 or min(seeds) < 2:
        return None
    design = Design(corpora=len(curves), seeds=min(seeds))
    found = None
    for place in reversed(range(lengths.pop())):
        losses = {
            name: np.array([points[place][1] for points in of_corpus])
            for name, of_corpus in curves.items()
        }
        squares = [float(((own - own.mean()) ** 2).sum()) for own in losses.values()]
        deviation = math.sqrt(sum(squares) / sum(len(own) - 1 for own in losses.values()))
        difference = float(losses[first].mean() - losses[second].mean())
        if deviation == 0 or design.power(difference / deviation) < POWER:
            return found
        found = curves[first][0][place][0]
    return found


def power_conclusions(
    table: Sequence[Mapping[str, Any]], controls: Mapping[str, str], shuffled: str
) -> list[str]:
    """Say what it takes to tell a filtered corpus from its control of shuffled scores."""
    lines = []
    for row in table:
        names = (row["first"], row["second"])
        control = next((name for name in names if controls.get(name) == shuffled), None)
        filtered = next((name for name in names if f"{name}-shuffled" == control), None)
        if control and filtered:
            tokens = row["tokens_needed"]
            early = f", from {tokens:,} tokens on with these" if tokens else ""
            needed = row["seeds_needed"] or f"more than {MOST_SEEDS}"
            lines.append(
                f"{row['cell']}, {row['metric']}: a difference like that of {filtered} from its "
                f"shuffled control ({abs(row['difference']):.4f}) is found with probability "
                f"{row['power']:.2f}; {needed} seeds are enough{early}."
            )
    return lines
