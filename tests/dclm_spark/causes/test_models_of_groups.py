"""Which groups of documents carry the lead of one corpus over another, by models."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dclm_spark.causes.difference import Amount, Difference, Group
from dclm_spark.causes.effects import CAUSE
from dclm_spark.causes.models_of_groups import DocumentGroup, chosen_groups, models_of_groups
from dclm_spark.errors import InputError
from dclm_spark.ranking.options import ModelSettings
from tests.dclm_spark.causes.planted_differences import model_settings, named_causes, write_world
from tests.dclm_spark.ranking.toy_corpora import (
    documents,
    tokenizer_file,
    write_corpus_of_documents,
    write_texts,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Models of a corpus of words, and of one that has the same words backwards in addition."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = tokenizer_file(folder)
    words, backwards = documents(1, 60), [text[::-1] for text in documents(2, 60)]
    both = {bytes([0, n]) * 8: text for n, text in enumerate(words)}
    junk = {bytes([1, n]) * 8: text for n, text in enumerate(backwards)}
    manifests = [
        str(write_corpus_of_documents(folder / name, texts, tokenizer, sequences_per_shard=16))
        for name, texts in (("a", both), ("b", dict(sorted((both | junk).items(), key=str))))
    ]
    groups = [DocumentGroup(label="backwards", doc_ids=tuple(junk))]
    settings = ModelSettings(
        output=str(folder / "out"),
        scales=("test",),
        seeds=2,
        tokens=(32 * 128,),
        tokenizer=str(tokenizer),
        heldout=(str(write_texts(folder / "unseen.jsonl", documents(9, 8))),),
        training=("checkpoint.interval_steps=1000", "optimizer.peak_rate=3e-2"),
        max_passes=10.0,
    )
    return models_of_groups((manifests[0], manifests[1]), groups, settings)


@pytest.mark.long
def test_the_group_that_spoils_a_corpus_is_named(told) -> None:
    (found,) = told["effects"]
    parts = {part["group"]: part for part in found["parts"]}
    assert found["lead"] > 0
    assert parts["backwards"]["verdict"] == CAUSE
    # With all that differs exchanged, each corpus is the other but for the ends of shards.
    assert parts["backwards"]["share"] == pytest.approx(1, abs=0.3)
    assert "A's lead is carried by backwards" in " ".join(told["conclusions"])


@pytest.mark.long
def test_the_models_of_a_corpus_know_its_own_documents(told) -> None:
    losses = {(one["group"], one["corpus"]): one for one in told["losses"]}
    assert set(losses) == {("in both", "A"), ("in both", "B"), ("backwards", "B")}
    backwards = losses["backwards", "B"]
    assert backwards["first"] > backwards["second"] + 0.1
    assert losses["in both", "A"]["first"] < losses["in both", "A"]["second"]
    assert all(one["num_tokens"] > 500 for one in losses.values())


def test_groups_too_small_to_move_a_model_are_refused() -> None:
    total = Amount(documents=100, tokens=10_000)
    small = Group(name="r", kind="left", documents=1, tokens_first=99, tokens_second=0)
    found = Difference(
        outputs=("a", "b"), names=("a", "b"), manifests=("a", "b"), totals=(total, total),
        groups={"rule": (small,)},
    )  # fmt: skip
    with pytest.raises(InputError, match="no group differs by 100 tokens"):
        chosen_groups(found, "nowhere", "rule", 4)


def test_the_job_needs_two_runs_or_something_to_measure() -> None:
    for words, message in (
        (["--output", "x"], "nothing to do"),
        (["a", "--output", "x"], "expected two to compare"),
    ):
        done = subprocess.run(
            [sys.executable, "jobs/compare_corpora.py", *words],
            cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 2
        assert message in done.stderr


@pytest.mark.slow  # Trains 50 models: ten minutes of a core.
def test_both_planted_causes_of_a_world_are_named_and_no_decoy(tmp_path: Path) -> None:
    world = write_world(tmp_path / "world", 1)
    found = models_of_groups(world.manifests, world.groups, model_settings(world, tmp_path / "m"))
    assert named_causes(found) == world.causes
    assert json.dumps(found)
