"""How the embedded sample is made and trained on when recipes are ranked without an input."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import QualitySettings, Recipe
from dclm_spark.sample.crawl import SampleCrawl, generate_crawl
from dclm_spark.sample.run import SEED, sample_recipe

# The published recipes at the size of the sample, as in the recipe `sample`.
SAMPLE_ASSIGNMENTS = (
    "deduplication.shards=2",
    "tokens.sequence_length=256",
    "tokens.sequences_per_shard=128",
    "tokens.padding_id=1",
)
# The published threshold belongs to the published classifier; the sample trains its own.
SAMPLE_QUALITY_THRESHOLD = 0.5
# Most pages that pass heuristics are low-quality, as on the web; else there is little to filter.
SAMPLE_CHATTER_SHARE = 0.6
SAMPLE_PAGES = 1000


def sample_crawl(folder: Path, num_pages: int) -> SampleCrawl:
    """Generate the crawl that recipes are ranked on, or find it in `folder`."""
    return generate_crawl(
        folder, seed=SEED, num_pages=num_pages, chatter_share=SAMPLE_CHATTER_SHARE
    )


def sample_recipes(
    names: Sequence[str], assignments: Sequence[str], crawl: SampleCrawl, folder: Path
) -> list[Recipe]:
    """Load recipes at the size of the sample, with its lists, its tokenizer and classifier."""
    loaded = [load_recipe(name, (*SAMPLE_ASSIGNMENTS, *assignments)) for name in names]
    return [_with_sample_threshold(sample_recipe(one, crawl, folder)) for one in loaded]


def _with_sample_threshold(recipe: Recipe) -> Recipe:
    if not recipe.quality.enabled or recipe.quality.threshold != QualitySettings().threshold:
        return recipe
    quality = replace(recipe.quality, threshold=SAMPLE_QUALITY_THRESHOLD)
    return replace(recipe, quality=quality)
