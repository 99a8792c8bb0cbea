"""The embedded sample's recipe: DCLM-BASELINE at the size of a laptop."""

from dataclasses import replace

from dclm_spark.dedup.methods import DeduplicationSettings
from dclm_spark.dedup.sharded_ngrams import ShardedNgrams
from dclm_spark.recipes.dclm_baseline import dclm_baseline
from dclm_spark.recipes.recipe import Recipe
from dclm_spark.stages.score import QualitySettings
from dclm_spark.stages.tokenize import TokenSettings


def sample() -> Recipe:
    """Return the recipe of `make baseline`; the job points it at the models that it trains."""
    baseline = dclm_baseline()
    return replace(
        baseline,
        name="sample",
        deduplication=DeduplicationSettings(exact=("text",), method=ShardedNgrams(), shards=2),
        quality=QualitySettings(threshold=0.5),
        tokens=TokenSettings(sequence_length=256, sequences_per_shard=512, padding_id=1),
    )
