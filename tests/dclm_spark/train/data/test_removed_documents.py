"""Documents that were removed from a corpus: their tokens are neither read nor learned."""

from pathlib import Path

import numpy as np
import pytest

from dclm_spark.settings import override
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.checkpoints.folder import read_facts, resolve
from dclm_spark.train.data.batches import open_reader
from dclm_spark.train.data.sources import DataSettings
from dclm_spark.train.heldout import Provenance, heldout_rows
from dclm_spark.train.logs import read_log
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.data.test_batches import loader
from tests.dclm_spark.train.shards import counting_rows, remove, write_shards

LENGTH, PADDING = 32, 249
SPANS = [(row, 8, 16) for row in range(0, 90, 2)]


def corpus(folder: Path, content: int) -> Path:
    """Write a corpus whose removed tokens are all `content`."""
    rows = counting_rows(100, LENGTH)
    for row, start, length in SPANS:
        rows[row, start : start + length] = content
    path = write_shards(folder, rows, sequences_per_shard=90)
    remove(path, "shard-00000.parquet", SPANS)
    return path


def test_removed_tokens_are_padding_and_marked_and_all_others_stay(tmp_path: Path) -> None:
    path = corpus(tmp_path, 7)
    rows = counting_rows(100, LENGTH)
    marked = 0
    for step in range(7):
        batch = loader(path).batch(step)
        assert batch.removed is not None
        for tokens, removed, row in zip(batch.tokens, batch.removed, batch.rows, strict=True):
            expected = np.zeros(LENGTH + 1, bool)
            expected[8:24] = row % 2 == 0
            assert (removed == expected).all()
            assert (tokens[removed] == PADDING).all()
            assert (tokens[~removed] == rows[row][~removed]).all()
            marked += removed.sum()
    assert marked > 300


def test_removed_documents_have_no_loss_by_domain(tmp_path: Path) -> None:
    rows, width = counting_rows(8, LENGTH), LENGTH + 1
    path = write_shards(tmp_path, rows, sequences_per_shard=8, domains=["gone", "stays"])
    remove(path, "shard-00000.parquet", [(row, 0, width // 2) for row in range(8)])
    batch = loader(path).batch(0)
    ones = np.ones((len(batch.rows), LENGTH), np.float32)
    found = Provenance([read_manifest(str(path))]).losses(batch, ones)
    count = len(batch.rows) * (width - width // 2)
    assert found == {"stays": (float(count), count)}


def losses(output: Path) -> list[float]:
    return [line["loss"] for line in read_log(output / "log.jsonl") if line["kind"] == "train"]


def test_what_removed_documents_said_changes_no_loss(tmp_path: Path) -> None:
    settings = override(scale("test"), [f"stop_tokens={5 * 128}"])
    found = []
    for content in (7, 211):
        path = corpus(tmp_path / f"corpus-{content}", content)
        train(settings, shards=path, output=tmp_path / f"out-{content}")
        found.append(losses(tmp_path / f"out-{content}"))
    assert found[0] == found[1]
    whole = write_shards(tmp_path / "whole", counting_rows(100, LENGTH), sequences_per_shard=90)
    train(settings, shards=whole, output=tmp_path / "out-whole")
    assert losses(tmp_path / "out-whole") != found[0]


def test_a_run_goes_on_after_a_removal_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_shards(tmp_path / "in", counting_rows(100, LENGTH), sequences_per_shard=90)
    half, more = (override(scale("test"), [f"stop_tokens={n * 128}"]) for n in (5, 10))
    train(half, shards=whole, output=tmp_path / "out")
    before = read_manifest(str(whole)).fingerprint
    # One of the held-out rows goes, too.
    remove(whole, "shard-00001.parquet", [(0, 0, 5)])
    assert read_manifest(str(whole)).earlier_fingerprints == (before,)
    train(more, shards=whole, output=tmp_path / "out", resume=True)
    assert "documents were removed" in caplog.text
    facts = read_facts(resolve(tmp_path / "out"))
    assert facts.fingerprints == (read_manifest(str(whole)).fingerprint,)


def test_a_heldout_row_that_lost_a_document_is_left_out(tmp_path: Path) -> None:
    rows = counting_rows(100, LENGTH)
    path = write_shards(tmp_path, rows, sequences_per_shard=90)
    remove(path, "shard-00001.parquet", [(3, 0, 5)])
    manifest, settings = read_manifest(str(path)), DataSettings()
    found = heldout_rows(settings, [manifest], [open_reader(settings, manifest)])
    assert found is not None
    assert found.tolist() == np.delete(rows[90:], 3, axis=0).tolist()
