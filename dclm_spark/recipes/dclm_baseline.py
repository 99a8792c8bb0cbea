"""DCLM-BASELINE (paper section 4, spec 2 to 5): the reference recipe."""

from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.sharded_ngrams import ShardedNgrams
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.settings import FileReference
from dclm_spark.stages.score import QualitySettings

# Published model of the paper (spec 4.1); downloaded by the user's run, never shipped.
QUALITY_MODEL = (
    "hf://mlfoundations/fasttext-oh-eli5@cd8b714a90f2dbcd3b02cf5fc972e5d7c7f4f107/"
    "openhermes_reddit_eli5_vs_rw_v2_bigram_200k_train.bin"
)


def dclm_baseline() -> Recipe:
    """Return DCLM-BASELINE: 26 heuristic steps, BFF old-both in shards, classifier >= 0.018112.

    The URL lists are not given by default since their sources are not ours to ship: set
    `url_lists.*.uri` to your copies (docs/running.md names where to get them).
    """
    return Recipe(
        name="dclm_baseline",
        quirks="dclm-2024",
        deduplication=DeduplicationSettings(method=ShardedNgrams(), shards=100),
        quality=QualitySettings(model=FileReference(uri=QUALITY_MODEL), threshold=0.018112),
    )
