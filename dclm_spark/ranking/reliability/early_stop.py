"""Which corpora still have a pair that no proof decides, so that others need no further seed."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dclm_spark.evaluate.runner import read_heldout, read_run
from dclm_spark.ranking.bootstrap import NOT_DISTINGUISHABLE, RecipeRun, compare, metrics_of
from dclm_spark.ranking.model_runs import RankedRun
from dclm_spark.ranking.reliability.policy import primary_metric


def open_corpora(runs: Sequence[RankedRun], *, looks: int) -> frozenset[str]:
    """Return the corpora of finished `runs` of a cell that have a pair not yet decided.

    Judged by the first metric alone, with intervals that hold for all `looks` at the data at once.
    """
    return _open_corpora(tuple((r.corpus.name, r.seed, r.folder) for r in runs), looks)


@lru_cache(64)
def _open_corpora(rows: tuple[tuple[str, int, Path], ...], looks: int) -> frozenset[str]:
    runs = [
        RecipeRun(
            recipe=name, seed=seed, recipe_hash="", corpus_fingerprint="", model_configuration={},
            commit="", command="", tasks=read_run(folder / "evaluation"),
            heldout=read_heldout(folder / "evaluation"),
        )
        for name, seed, folder in rows
    ]  # fmt: skip
    metrics = {metric.name: metric for metric in metrics_of(runs)}
    chosen = metrics[primary_metric(list(metrics))]
    compared = compare(chosen, [run.recipe for run in runs], looks=looks)
    pairs = [pair for pair in compared.verdicts if pair.verdict == NOT_DISTINGUISHABLE]
    return frozenset(name for pair in pairs for name in (pair.first, pair.second))
