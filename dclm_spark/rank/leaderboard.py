"""The ranking of recipes as JSON and as one self-contained page."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from dclm_spark.evaluate.report import bullet_list, page, table
from dclm_spark.evaluate.runner import write_atomically
from dclm_spark.rank.bootstrap import NOT_DISTINGUISHABLE, ONE_SEED, compare
from dclm_spark.rank.results import RecipeRun, metrics_of

# Shown first; the per-task metrics follow.
_PER_TASK = ("accuracy/", "gold_bits_per_byte/", "gold_probability/")


def build_leaderboard(
    runs: Sequence[RecipeRun], data_baselines: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return rows (what was run, and how to run it again) and a comparison for each metric."""
    runs = sorted(runs, key=lambda run: (run.recipe, run.seed))
    names = [run.recipe for run in runs]
    comparisons = [asdict(compare(metric, names)) for metric in metrics_of(runs, data_baselines)]
    return {
        "rows": [
            {
                "recipe": run.recipe,
                "control": run.control,
                "seed": run.seed,
                "recipe_hash": run.recipe_hash,
                "corpus_fingerprint": run.corpus_fingerprint,
                "model_configuration": dict(run.model_configuration),
                "commit": run.commit,
                "command": run.command,
            }
            for run in runs
        ],
        "comparisons": comparisons,
        "conclusions": [_conclusion(one) for one in comparisons if _is_aggregate(one)],
    }


def write_leaderboard(leaderboard: Mapping[str, Any], folder: str | Path) -> None:
    """Write `leaderboard.json` and `leaderboard.html`."""
    folder = Path(folder)
    write_atomically(folder / "leaderboard.json", json.dumps(leaderboard, indent=1))
    write_atomically(folder / "leaderboard.html", leaderboard_page(leaderboard))


def leaderboard_page(leaderboard: Mapping[str, Any]) -> str:
    """Return the page; everything that comes from data is escaped."""
    controls = {row["recipe"]: row["control"] for row in leaderboard["rows"]}
    comparisons = leaderboard["comparisons"]
    first = [one for one in comparisons if _is_aggregate(one)]
    rest = [one for one in comparisons if not _is_aggregate(one)]
    return page(
        "Which recipe is better",
        "<h2>Conclusions</h2>",
        bullet_list(leaderboard["conclusions"]),
        *(part for one in first for part in _comparison_parts(one, controls)),
        "<details><summary>Single tasks</summary>",
        *(part for one in rest for part in _comparison_parts(one, controls)),
        "</details><h2>Runs</h2>",
        _runs_table(leaderboard["rows"]),
        *_accuracy_only_parts(leaderboard.get("accuracy_only", ())),
    )


def _conclusion(comparison: Mapping[str, Any]) -> str:
    """Say in a sentence what the metric tells and what it does not."""
    verdicts = [verdict["verdict"] for verdict in comparison["verdicts"]]
    metric = comparison["metric"]
    if not verdicts:
        return f"{metric}: only one recipe, nothing to compare."
    if all(verdict == ONE_SEED for verdict in verdicts):
        return f"{metric}: one seed each, so no difference can be told from training noise."
    best = comparison["scores"][0]["recipe"]
    beaten = verdicts.count(f"{best} is better")
    open_pairs = verdicts.count(NOT_DISTINGUISHABLE)
    smallest = min(verdict["minimum_detectable"] for verdict in comparison["verdicts"])
    return (
        f"{metric}: {best} leads and is better than {beaten} of "
        f"{len(comparison['scores']) - 1} others; {open_pairs} of {len(verdicts)} pairs are "
        f"{NOT_DISTINGUISHABLE}. Differences below {smallest:.4f} would be missed."
    )


def _is_aggregate(comparison: Mapping[str, Any]) -> bool:
    return not comparison["metric"].startswith(_PER_TASK)


def _comparison_parts(comparison: Mapping[str, Any], controls: Mapping[str, str]) -> Iterable[str]:
    direction = "higher" if comparison["higher_is_better"] else "lower"
    yield (
        f"<h2>{escape(comparison['metric'])}</h2>"
        f"<p>{direction} is better; {comparison['items']} items.</p>"
    )
    yield table(
        ("recipe", "control", "mean", "95 % interval", "seeds", "runs"),
        [
            (
                score["recipe"],
                controls[score["recipe"]],
                f"{score['mean']:.4f}",
                f"{score['low']:.4f} to {score['high']:.4f}",
                str(score["seeds"]),
                " ".join(f"{value:.4f}" for value in score["values"]),
            )
            for score in comparison["scores"]
        ],
    )
    yield table(
        ("pair", "difference", "interval for all pairs", "detectable", "verdict"),
        [
            (
                f"{verdict['first']} - {verdict['second']}",
                f"{verdict['difference']:+.4f}",
                f"{verdict['low']:+.4f} to {verdict['high']:+.4f}",
                f"{verdict['minimum_detectable']:.4f}",
                verdict["verdict"],
            )
            for verdict in comparison["verdicts"]
        ],
    )


def _runs_table(rows: Sequence[Mapping[str, Any]]) -> str:
    headings = ("recipe", "seed", "recipe hash", "corpus", "model", "commit", "run it again")
    return table(
        headings,
        [
            (
                row["recipe"],
                str(row["seed"]),
                row["recipe_hash"],
                row["corpus_fingerprint"],
                ", ".join(f"{key} {value}" for key, value in row["model_configuration"].items()),
                row["commit"],
                row["command"],
            )
            for row in rows
        ],
    )


def _accuracy_only_parts(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """List evaluations on record without their items."""
    if not rows:
        return
    names = [name for name in rows[0] if name not in ("model", "evaluation")]
    yield "<h2>On record without items</h2><p>Accuracies alone: no interval, no comparison.</p>"
    yield table(
        ("model", "evaluation", *names),
        [
            (row["model"], row["evaluation"], *(_shown(row[name]) for name in names))
            for row in rows
        ],
    )


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4f}"
