"""What the trainer's log says of the sources of a recipe of several."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.settings import override
from dclm_spark.shard_format import read_manifest
from dclm_spark.train.logs import read_log
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.shards import counting_rows, write_shards

LENGTH, BATCH = 32, 4


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of rows of two documents each: the first of `web`, the second of `wiki`."""
    folder = tmp_path_factory.mktemp("shards")
    manifest = write_shards(
        folder, counting_rows(100, LENGTH), sequences_per_shard=90, domains=["a.org", "b.org"]
    )
    for path in folder.glob("*.provenance.parquet"):
        table = pq.read_table(path)
        names = {"a.org": "web", "b.org": "wiki"}
        sources = [names[domain] for domain in table["domain"].to_pylist()]
        pq.write_table(table.append_column("source", pa.array(sources)), path)
    facts = json.loads(manifest.read_text())
    facts["sources"] = [{"name": "web", "tokens": 1}, {"name": "wiki", "tokens": 1}]
    manifest.write_text(json.dumps(facts))
    return manifest


def log_of(shards: Path, output: Path, *changes: str) -> list[dict]:
    settings = override(
        scale("test"),
        [
            f"model.sequence_length={LENGTH}", f"batch_sequences={BATCH}",
            f"micro_batch_sequences={BATCH}", f"tokens={5 * BATCH * LENGTH}",
            "observe.interval_steps=2", "observe.tensorboard=false", *changes,
        ],
    )  # fmt: skip
    train(settings, shards=shards, output=output)
    return read_log(output / "log.jsonl")


def test_each_line_has_the_tokens_share_and_loss_of_each_source(
    shards: Path, tmp_path: Path
) -> None:
    assert [one["name"] for one in read_manifest(str(shards)).sources] == ["web", "wiki"]
    lines = log_of(shards, tmp_path)
    found = {line["step"]: line["sources"] for line in lines if line["kind"] == "sources"}
    assert list(found) == [2, 4, 5]
    trained = {line["step"]: line for line in lines if line["kind"] == "train"}
    for sources in found.values():
        assert list(sources) == ["web", "wiki"]
        # A row has 33 tokens, of which the first, of web, is no target.
        assert [one["num_tokens"] for one in sources.values()] == [BATCH * 15, BATCH * 17]
        assert sum(one["share"] for one in sources.values()) == pytest.approx(1)
        assert sources["web"]["share"] == pytest.approx(15 / 32)
    # The last line is of the fifth step alone.
    mean = sum(one["loss"] * one["share"] for one in found[5].values())
    assert mean == pytest.approx(trained[5]["cross_entropy"], abs=1e-5)


def test_the_losses_can_be_left_out(shards: Path, tmp_path: Path) -> None:
    lines = log_of(shards, tmp_path, "observe.source_losses=false")
    kinds = {line["kind"] for line in lines}
    assert "train" in kinds
    assert "sources" not in kinds
