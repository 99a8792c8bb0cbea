"""Losses by the documents that tokens come from, right to the token."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dclm_spark.causes.provenance_losses import SAME, group_keys, mean_loss, rows_of_groups
from dclm_spark.shard_format import read_manifest
from tests.dclm_spark.ranking.toy_corpora import (
    documents,
    tokenizer_file,
    write_corpus_of_documents,
)
from tests.dclm_spark.train.shards import remove

TEXTS = dict(zip((bytes([0, n]) * 8 for n in range(120)), documents(1, 120, 14), strict=True))
NAMES = list(TEXTS)
GROUP = group_keys(NAMES[:20])


class SureOfNothing(torch.nn.Module):
    """A model whose loss at a position is the number of the token that it predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.tok_embeddings = torch.nn.Embedding(1, 1)

    def forward(self, inputs: torch.Tensor, targets: torch.Tensor):
        return targets.float(), targets.float()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return write_corpus_of_documents(
        tmp_path / "a", TEXTS, tokenizer_file(tmp_path), sequences_per_shard=8
    )


def as_remainder(manifest: Path, shard: int) -> None:
    facts = json.loads(manifest.read_text())
    facts["shards"][shard]["role"] = "remainder"
    manifest.write_text(json.dumps(facts))


def tokens_of(manifest: Path, names: list[bytes]) -> list[int]:
    """Return the tokens of some documents that are predicted, from the provenance."""
    import pyarrow.parquet as pq

    found = []
    facts = read_manifest(str(manifest))
    for shard in facts.shards:
        path = manifest.parent / shard.path
        rows = [
            np.frombuffer(row, facts.dtype) for row in pq.read_table(path)["tokens"].to_pylist()
        ]
        spans = pq.read_table(str(path).replace(".parquet", ".provenance.parquet")).to_pylist()
        for span in spans:
            if span["doc_id"] in names:
                end = span["start"] + span["num_tokens"]
                found += rows[span["row"]][max(1, span["start"]) : end].tolist()
    return found


def test_a_group_has_the_mean_loss_of_its_own_tokens(corpus: Path) -> None:
    rows = rows_of_groups(read_manifest(str(corpus)), {"some": GROUP}, 1000)
    assert [(one.group, one.held_out) for one in rows] == [("some", False), (SAME, False)]
    for one, names in zip(rows, (NAMES[:20], NAMES[20:]), strict=True):
        wanted = tokens_of(corpus, names)
        assert mean_loss(SureOfNothing(), one, 32) == (
            pytest.approx(np.mean(wanted)), len(wanted)
        )  # fmt: skip
        # Of shorter sequences each token but a row's first is predicted once, too.
        assert mean_loss(SureOfNothing(), one, 16)[1] == len(wanted)


def test_rows_that_are_never_trained_on_come_first(corpus: Path) -> None:
    as_remainder(corpus, -1)
    rows = rows_of_groups(read_manifest(str(corpus)), {"some": GROUP}, 1000)
    found = {one.group: one.held_out for one in rows}
    assert found[SAME] is True
    last = len(read_manifest(str(corpus)).shards) - 1
    assert {len(one.tokens) <= 8 for one in rows if one.held_out} == {True}
    assert last > 0


def test_as_many_rows_are_read_as_asked_for_and_a_group_without_tokens_is_not_there(
    corpus: Path,
) -> None:
    keys = {"some": GROUP, "none": group_keys([b"x" * 16])}
    rows = rows_of_groups(read_manifest(str(corpus)), keys, 3)
    assert {one.group: len(one.tokens) for one in rows} == {"some": 3, SAME: 3}


def test_tokens_of_removed_documents_are_nobodys(corpus: Path) -> None:
    before = rows_of_groups(read_manifest(str(corpus)), {"some": GROUP}, 1000)
    shard = read_manifest(str(corpus)).shards[0].path
    remove(corpus, shard, [(row, 0, 33) for row in range(8)])
    after = rows_of_groups(read_manifest(str(corpus)), {"some": GROUP}, 1000)
    assert (
        sum(int(one.mask.sum()) for one in after)
        == sum(int(one.mask.sum()) for one in before) - 8 * 33
    )
