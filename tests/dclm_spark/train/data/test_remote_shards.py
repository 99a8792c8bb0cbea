"""Training from shards in an object store, served by moto on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dclm_spark.settings import override
from dclm_spark.train.logs import read_log
from dclm_spark.train.scales import scale
from dclm_spark.train.trainer import train
from tests.dclm_spark.train.shards import counting_rows, write_shards
from udfs import storage
from udfs.storage import s3
from udfs.storage.stream import ReadSettings

SETTINGS = ["tokens=1280", "checkpoint.interval_steps=5"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3._clients.clear()
    s3.client(ReadSettings()).create_bucket(Bucket="corpus")
    yield "s3://corpus/shards"
    s3._clients.clear()
    server.stop()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", counting_rows(100, 32), sequences_per_shard=45)


def test_a_run_on_remote_shards_has_the_losses_of_a_local_one(
    shards: Path, bucket: str, tmp_path: Path
) -> None:
    for path in shards.parent.iterdir():
        storage.upload(path, f"{bucket}/{path.name}")
    remote = [*SETTINGS, f"data.cache_directory={tmp_path / 'cache'}"]
    train(override(scale("test"), SETTINGS), shards=shards, output=tmp_path / "local")
    train(override(scale("test"), remote), shards=f"{bucket}/manifest.json", output=tmp_path / "s3")
    local, far = (read_log(tmp_path / name / "log.jsonl") for name in ("local", "s3"))
    losses = [[line["loss"] for line in log if line["kind"] == "train"] for log in (local, far)]
    assert losses[0] == losses[1]
    assert losses[0]


def test_a_remote_output_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match=r"output = 's3://bucket/run': .* file system"):
        train(override(scale("test"), SETTINGS), shards="missing", output="s3://bucket/run")
