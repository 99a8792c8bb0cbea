"""The embedded default: generate a crawl, train its models, run the whole pipeline, train on it."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from pyspark.sql import SparkSession

from dclm_spark.engine.run_output import RunOutput
from dclm_spark.errors import SettingError
from dclm_spark.pipeline import build_baseline
from dclm_spark.quality_classifier import QualityTrainingSettings, train_quality
from dclm_spark.recipes.recipe import Recipe, UrlListReferences
from dclm_spark.sample.generate import SampleCrawl, generate_crawl
from dclm_spark.settings import FileReference
from dclm_spark.stages.tokenize import check_trained_here
from udfs import storage
from udfs.tokens.tokenizer import TokenizerSettings, train_tokenizer

LOGGER = logging.getLogger("dclm_spark")

SEED = 20240617
VOCABULARY_SIZE = 2048
TRAINING_SCALE = "test"
# 100 steps on sequences of the sample recipe's length, with one checkpoint in the end.
TRAINING_OVERRIDES = (
    "model.sequence_length=256",
    "model.width=64",
    "batch_sequences=8",
    "micro_batch_sequences=8",
    "tokens=204800",
    "checkpoint.interval_steps=100",
)


@dataclass(frozen=True, kw_only=True)
class PreparedSample:
    """A recipe for the generated crawl: its lists, tokenizer and classifier are made."""

    recipe: Recipe
    inputs: str
    base: str
    output: str


def check_sample(recipe: Recipe, output: str) -> None:
    """Raise SettingError where the recipe or `output` is not for the embedded sample."""
    check_trained_here(recipe.tokens)
    if not storage.is_local(storage.absolute(output)):
        raise SettingError(
            f"--output {output}: the sample is generated on this machine and needs a local folder; "
            "give --input to work on s3://"
        )


def prepare_sample(recipe: Recipe, output: str) -> PreparedSample:
    """Generate the crawl below `output`, and train its tokenizer and classifier; needs no Spark.

    All are made once; a second run finds them.
    """
    check_sample(recipe, output)
    output = storage.absolute(output)
    sample = generate_crawl(Path(output) / "sample", seed=SEED)
    return PreparedSample(
        recipe=sample_recipe(recipe, sample, Path(output) / "sample"),
        inputs=str(sample.listing),
        base=str(sample.base),
        output=output,
    )


def run_sample(spark: SparkSession, sample: PreparedSample) -> RunOutput:
    """Run everything on the generated crawl, and train a tiny model in the end."""
    run = build_baseline(
        spark,
        recipe=sample.recipe,
        inputs=sample.inputs,
        output=sample.output,
        base=sample.base,
    )
    train_sample(sample.output)
    return run


def sample_recipe(recipe: Recipe, sample: SampleCrawl, directory: Path) -> Recipe:
    """Point a recipe at the sample's lists and at a tokenizer and classifier trained from it."""
    lists = {
        "domains": "banned_domains",
        "strict_words": "strict",
        "hard_words": "hard",
        "soft_words": "soft",
        "top_level_domains": "tlds",
    }
    references = {
        name: FileReference(uri=str(sample.lists / f"{file}.txt")) for name, file in lists.items()
    }
    tokenizer = TokenizerSettings(uri=str(_tokenizer(sample, directory)))
    return replace(
        recipe,
        url_lists=UrlListReferences(**references),
        quality=replace(
            recipe.quality, model=FileReference(uri=str(_classifier(sample, directory)))
        ),
        tokens=replace(recipe.tokens, tokenizer=tokenizer),
    )


def _tokenizer(sample: SampleCrawl, directory: Path) -> Path:
    path = directory / "tokenizer.json"
    if not path.exists():
        LOGGER.info("sample: training a tokenizer of %d ids", VOCABULARY_SIZE)
        text = train_tokenizer(_texts(sample.positives, sample.negatives), VOCABULARY_SIZE)
        storage.write_bytes(str(path), text.encode())
    return path


def _classifier(sample: SampleCrawl, directory: Path) -> Path:
    path = directory / "quality.bin"
    if not path.exists():
        LOGGER.info("sample: training a quality classifier")
        train_quality(
            positives=str(sample.positives),
            negatives=str(sample.negatives),
            output=str(path),
            settings=QualityTrainingSettings(bucket=50_000, dim=16, learning_rate=1.0),
        )
    return path


def _texts(*paths: Path) -> Iterator[str]:
    for path in paths:
        with path.open() as lines:
            for line in lines:
                yield json.loads(line)["text"]


def load_trainer() -> None:
    """Import what training needs: two seconds that pass while something else is waited for."""
    if find_spec("torch"):
        from dclm_spark.train import trainer  # noqa: F401


def train_sample(output: str) -> None:
    """Train the smallest scale for some steps on the shards of the run in `output`.

    Without torch, which a corpus does not need, a line says that the model was left out.
    """
    if not find_spec("torch"):
        LOGGER.info("left out the tiny model: torch comes with pip install 'dclm-spark[train]'")
        return
    from dclm_spark.settings import override
    from dclm_spark.train.scales import scale
    from dclm_spark.train.trainer import train

    model = storage.join(output, "model")
    result = train(
        override(scale(TRAINING_SCALE), TRAINING_OVERRIDES),
        shards=[storage.join(output, "shards", "manifest.json")],
        output=model,
        resume=Path(model).exists(),
    )
    LOGGER.info("model: %s, %s", result.meaning(), model)
