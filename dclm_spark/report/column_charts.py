"""A recipe's own columns and rules in the report: histograms, counts of texts, the funnel."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dclm_spark.engine.manifests import StageOutput
from dclm_spark.html_pages.charts import Histogram
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.report.rule_facts import describe_rule
from dclm_spark.report.summary import FunnelStep, ValueCounts
from dclm_spark.signals.decision import REPEAT
from dclm_spark.signals.scored_documents import QUALITY
from udfs.signals.buckets import bucket_edge

_BINS = 20
_VALUES = 20


def column_histograms(signals: Mapping[str, StageOutput]) -> list[Histogram]:
    """Return a histogram for each column of numbers: 20 bins from the least to the greatest.

    Numbers are known by their buckets, 0.05 % wide.
    """
    found = []
    for stage in signals.values():
        for name, counts in stage.totals["columns"].items():
            if counts["buckets"]:
                found.append(_histogram(name, counts["buckets"]))
    return found


def _histogram(name: str, buckets: list[list[int]]) -> Histogram:
    numbers = np.array([bucket_edge(bucket) for bucket, _ in buckets])
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    counts, _ = np.histogram(numbers, edges, weights=[count for _, count in buckets])
    return Histogram(
        name=name,
        edges=tuple(float(edge) for edge in edges),
        counts=tuple(int(count) for count in counts),
    )


def value_counts(signals: Mapping[str, StageOutput]) -> tuple[ValueCounts, ...]:
    """Return the most frequent values of each column of texts."""
    return tuple(
        ValueCounts(
            name=name,
            values=tuple(sorted(map(tuple, counts["values"]), key=lambda one: -one[1])[:_VALUES]),
            distinct=len(counts["values"]),
            nulls=counts["nulls"],
        )
        for stage in signals.values()
        for name, counts in stage.totals["columns"].items()
        if counts["values"]
    )


def rule_steps(counts: Sequence[Mapping[str, Any]], recipe: Recipe) -> list[FunnelStep]:
    """Return what is left after each condition of a recipe, from the counts of select."""
    quality = recipe.quality
    classifier = [QUALITY.name] if quality.enabled and not quality.before_deduplication else []
    copies = [REPEAT] if recipe.repeat is not None else []
    left = sum(entry["documents"] for entry in counts)
    size = sum(entry["text_bytes"] for entry in counts)
    steps = []
    for rule in (*classifier, *recipe.rules, *copies):
        for entry in counts:
            if entry["rule"] == rule:
                left, size = left - entry["documents"], size - entry["text_bytes"]
        told = describe_rule(recipe, "select", rule)
        steps.append(FunnelStep(label=rule, documents=left, text_bytes=size, description=told))
    return steps
