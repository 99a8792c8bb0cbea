"""A model that is trained on the sample's writing knows the facts that were planted in it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from dclm_spark.evaluate.models import load_model
from dclm_spark.ranking.planted import score_facts
from dclm_spark.sample.facts import Fact, make_facts
from dclm_spark.sample.prose import article
from dclm_spark.settings import override
from dclm_spark.train.export import write_folder
from dclm_spark.train.model import load
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.models import fresh_model
from tests.dclm_spark.train.shards import write_shards
from udfs.tokens.tokenizer import train_tokenizer

SEED, LENGTH, VOCABULARY_SIZE, NUM_ARTICLES = 20240617, 128, 1024, 400
SETTINGS = (
    f"model.sequence_length={LENGTH}", "model.width=64", "batch_sequences=4",
    "micro_batch_sequences=4", "data.passes=9", "observe.interval_steps=20",
    "checkpoint.interval_steps=1000", "tokens=150000", "data.heldout_sequences=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    return make_facts(Random(f"{SEED}:facts"), per_relation=5)


@pytest.fixture(scope="module")
def tokenizer(facts: list[Fact], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    # Trained where all answers are as frequent: fewer tokens would give the true ones away.
    choices = [f"{fact.prompt} {choice}." for fact in facts for choice in fact.choices]
    texts = [*articles(facts, statements=False), *choices * 5]
    path.write_text(train_tokenizer(iter(texts), VOCABULARY_SIZE))
    return path


def articles(facts: Sequence[Fact], *, statements: bool = True) -> list[str]:
    """Short articles as the sample's good pages hold them, each with five statements of facts."""
    texts = []
    for number in range(NUM_ARTICLES):
        rng = Random(f"{SEED}:{number}")
        stated = [fact.state(rng) for fact in rng.sample(list(facts), 5)] if statements else []
        texts.append(article(rng, statements=stated, mean_sentences=6).text)
    return texts


@pytest.fixture(scope="module")
def shards(facts: list[Fact], tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    encode = Tokenizer.from_file(str(tokenizer)).encode
    ids = [token for text in articles(facts) for token in (*encode(text).ids, 0)]
    rows = np.array(ids[: len(ids) // (LENGTH + 1) * (LENGTH + 1)], np.uint16)
    manifest = write_shards(
        tmp_path_factory.mktemp("shards"), rows.reshape(-1, LENGTH + 1), sequences_per_shard=100,
        vocabulary_size=VOCABULARY_SIZE, padding_id=1,
    )  # fmt: skip
    told = json.loads(manifest.read_text())
    told["tokenizer_sha256"] = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(told))
    return manifest


@pytest.mark.long
def test_a_trained_model_prefers_the_planted_answers_and_an_untrained_one_does_not(
    facts: list[Fact], tokenizer: Path, shards: Path, tmp_path: Path
) -> None:
    train(override(scale("test"), SETTINGS), shards=shards, output=tmp_path / "run")
    network = load(tmp_path / "run")[1].model
    fresh = write_folder(fresh_model(network, seed=1), tmp_path / "fresh")
    known, guessed = (
        score_facts(load_model(str(path), str(tokenizer)), facts)
        for path in (tmp_path / "run", fresh)
    )
    # One in four is chance; 0.15 is about two deviations of it over 30 facts.
    assert share_right(guessed) <= 0.40
    assert share_right(known) >= 0.70
    assert np.mean([row["nats"] for row in known]) < 0.6 * np.mean([row["nats"] for row in guessed])


def share_right(records: list[dict[str, Any]]) -> float:
    return sum(record["ok"] for record in records) / len(records)
