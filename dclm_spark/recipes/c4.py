"""The C4 baseline of DCLM (spec 2.9)."""

from dataclasses import replace

from dclm_spark.dedup.duplicate_lines import Lines
from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.stages.score import QualitySettings


def c4() -> Recipe:
    """Return C4's filters, then one page per address and one copy of each line.

    Banned words are the user's list: `banned_words.uri`; without one that step passes every page.
    """
    baseline = dclm_baseline()
    return replace(
        baseline,
        name="c4",
        heuristics=replace(baseline.heuristics, rules="c4"),
        deduplication=DeduplicationSettings(exact=("url",), method=Lines()),
        quality=QualitySettings(enabled=False),
    )
