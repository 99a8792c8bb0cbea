"""The story of a ranking: recipes -> corpora and held-out texts -> models -> leaderboard."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.engine.lease import only_driver
from dclm_spark.ranking.corpora import (
    Pool,
    build_corpus,
    check_names,
    clean_heldout,
    duplicated_corpus,
    shuffled_corpus,
)
from dclm_spark.ranking.options import (
    ModelSettings,
    check_measurable,
    check_models,
    model_options,
    option_words,
)
from dclm_spark.ranking.planted import read_facts, write_articles
from dclm_spark.ranking.prepared import (
    PREPARED,
    CleanTexts,
    Corpus,
    PreparedRanking,
    write_prepared,
)
from dclm_spark.ranking.train_models import rank_models
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import Recipe, curation_settings
from dclm_spark.sample.facts import Fact
from dclm_spark.sample.generate import SampleCrawl, generate_crawl
from dclm_spark.sample.sample_run import SEED, sample_recipe
from dclm_spark.stages.score import QualitySettings
from dclm_spark.stages.scored_table import add_to_table
from udfs import storage

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


LOGGER = logging.getLogger("dclm_spark")


@dataclass(frozen=True, kw_only=True)
class RankSettings(ModelSettings):
    """A ranking: recipes by name or file, what they work on, and the models.

    Without `inputs` the embedded sample is used. `assignments` change every recipe. `scored` is a
    scored table that rankings share (None: one below `output`). `corpora_only` stops before the
    models, which jobs/rank_models.py then trains, on another machine if need be. `overwrite` lets
    finished work on other inputs, or of a recipe that was otherwise, be removed.
    """

    recipes: tuple[str, ...]
    inputs: str | None = None
    base: str | None = None
    assignments: tuple[str, ...] = ()
    num_pages: int = SAMPLE_PAGES
    scored: str | None = None
    corpora_only: bool = False
    overwrite: bool = False

    @property
    def table(self) -> str:
        """Return where the scored table lies that all recipes are decided from."""
        return self.scored or storage.join(self.output, "scored")


@dataclass(kw_only=True)
class Source:
    """What all recipes start from, and the texts and facts that all models are measured on."""

    recipes: list[Recipe]
    inputs: str
    base: str | None
    heldout: tuple[str, ...]
    facts: tuple[Fact, ...] = ()


def rank_recipes(spark: SparkSession, settings: RankSettings) -> dict[str, Any]:
    """Compare recipes by the models trained on them; write and return the leaderboard.

    Finished stages and runs below `settings.output` are not done again. With `corpora_only` only
    `conclusions` is returned: where the corpora lie.
    """
    settings = replace(settings, output=storage.absolute(settings.output))
    check_models(settings)
    if not settings.corpora_only:
        check_measurable(settings, settings.inputs is None or bool(settings.heldout))
    prepare_ranking(spark, settings)
    if settings.corpora_only:
        path = storage.join(settings.output, PREPARED)
        return {"conclusions": [f"corpora: {path}; go on with jobs/rank_models.py"]}
    return rank_models(settings, partial(command, settings))


def prepare_ranking(spark: SparkSession, settings: RankSettings) -> PreparedRanking:
    """Write everything that models are trained and measured on below `settings.output`."""
    source = _source(settings)
    check_names(source.recipes)
    with only_driver(settings.output, settings.table):
        heldout = _clean_heldout(spark, settings, source)
        prepared = PreparedRanking(
            corpora=tuple(_corpora(spark, settings, source)),
            heldout=tuple(heldout),
            facts=source.facts,
        )
        write_prepared(prepared, settings.output)
    return prepared


def _source(settings: RankSettings) -> Source:
    if settings.inputs is not None:
        return Source(
            recipes=[load_recipe(name, settings.assignments) for name in settings.recipes],
            inputs=settings.inputs,
            base=settings.base,
            heldout=settings.heldout,
        )
    folder = Path(settings.output) / "sample"
    crawl = sample_crawl(folder, settings.num_pages)
    articles = str(write_articles(folder / "heldout" / "unseen_articles.jsonl"))
    return Source(
        recipes=sample_recipes(settings.recipes, settings.assignments, crawl, folder),
        inputs=str(crawl.listing),
        base=str(crawl.base),
        heldout=(articles, *settings.heldout),
        facts=tuple(read_facts(crawl.facts)),
    )


def _clean_heldout(
    spark: SparkSession, settings: RankSettings, source: Source
) -> Sequence[CleanTexts]:
    """Leave out what the pool holds, so that no recipe is measured on what it could remember."""
    if not source.heldout:
        return ()
    files = list_inputs(source.inputs, source.base)
    pool = {}
    for recipe in source.recipes:
        texts, _ = add_to_table(spark, files, curation_settings(recipe), settings.table)
        pool[texts.directory] = texts
    folder = Path(settings.output) / "heldout"
    return clean_heldout(spark, list(pool.values()), source.heldout, folder)


def _corpora(spark: SparkSession, settings: RankSettings, source: Source) -> list[Corpus]:
    """Return the recipes' corpora and those of the controls, made from the last filtered one."""
    pool = Pool(
        inputs=source.inputs,
        base=source.base,
        scored=settings.table,
        overwrite=settings.overwrite,
    )
    corpora: list[Corpus] = []
    controlled = None
    for recipe in source.recipes:
        corpus, run = build_corpus(spark, recipe, pool, settings.output)
        corpora.append(corpus)
        # Scores that are shuffled behind deduplication say nothing of a filter before it.
        if recipe.quality.enabled and not recipe.quality.before_deduplication:
            controlled = (corpus, recipe, run)
    if controlled is None:
        LOGGER.warning(
            "no recipe has a quality filter behind deduplication: there are no scores to shuffle"
        )
        return [*corpora, duplicated_corpus(corpora[-1])]
    filtered, recipe, run = controlled
    shuffled = shuffled_corpus(spark, recipe, run, settings.output)
    return [*corpora, shuffled, duplicated_corpus(filtered)]


def command(settings: RankSettings, row: str) -> str:
    """Return the command that does one row again."""
    options: list[tuple[str, Any]] = [
        ("--input", settings.inputs),
        ("--base", settings.base),
        ("--scored", settings.scored),
        ("--pages", settings.num_pages if settings.inputs is None else None),
        *(("--heldout", uri) for uri in settings.heldout),
        *(("--set", one) for one in settings.assignments),
    ]
    words = ["python", "jobs/rank_recipes.py", "--recipes", *settings.recipes]
    return shlex.join([*words, *option_words(options), *model_options(settings, row)])
