"""The recipes that DCLM-BASELINE is compared with: RefinedWeb's filters, and no filter at all."""

from dataclasses import replace

from dclm_spark.dedup.exact import ExactOnly
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.stages.score import QualitySettings


def refinedweb() -> Recipe:
    """Return the heuristics and dedup of DCLM-BASELINE without its quality classifier."""
    return replace(dclm_baseline(), name="refinedweb", quality=QualitySettings(enabled=False))


def raw() -> Recipe:
    """Return extraction alone: nothing is filtered or deduplicated."""
    baseline = dclm_baseline()
    return replace(
        baseline,
        name="raw",
        heuristics=replace(baseline.heuristics, enabled=False),
        deduplication=replace(baseline.deduplication, method=ExactOnly(), shards=None),
        quality=QualitySettings(enabled=False),
    )
