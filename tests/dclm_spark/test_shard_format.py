import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from dclm_spark.shard_format import (
    Shard,
    ShardError,
    ShardManifest,
    group_sizes,
    read_manifest,
    write_manifest,
)
from tests.dclm_spark.train.shards import counting_rows, write_shards


def a_manifest(folder: Path) -> ShardManifest:
    shards = tuple(
        Shard(path=f"s{n}.parquet", num_sequences=count, size_bytes=9, sha256="ab", role=role)
        for n, (count, role) in enumerate([(300, "train"), (300, "train"), (7, "remainder")])
    )
    return ShardManifest(
        path=str(folder / "manifest.json"), sequence_length=32, tokens_per_row=33, dtype="uint16",
        vocabulary_size=250, tokenizer_sha256="0" * 64, end_of_text_id=0, padding_id=249,
        num_padding_tokens=5, sequences_per_shard=300, seed=3, recipe_hash="r", shards=shards,
    )  # fmt: skip


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    manifest = a_manifest(tmp_path)
    written = write_manifest(manifest)
    assert read_manifest(str(tmp_path)) == manifest
    assert written["num_sequences"] == 607
    assert written["num_tokens"] == 607 * 33
    shards = json.dumps(written["shards"], sort_keys=True).encode()
    assert written["fingerprint"] == hashlib.sha256(shards).hexdigest()


def test_a_shard_lies_beside_its_manifest_also_when_that_is_named_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest(a_manifest(tmp_path))
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest("manifest.json")
    assert manifest.uri(manifest.shards[0]) == "./s0.parquet"


def test_the_fingerprint_covers_training_shards_alone(tmp_path: Path) -> None:
    manifest = a_manifest(tmp_path)
    assert manifest.num_sequences == 600
    assert [shard.num_sequences for shard in manifest.remainder] == [7]


def test_a_missing_manifest_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"^shard manifest .*no such file; give the folder with"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "its format is 'other', and training, ranking"),
        ({"version": 9}, "version = 9, this version reads 1"),
        ({"dtype": "int64"}, "dtype = 'int64', this version reads 'uint16' and 'uint32'"),
        ({"tokens_per_row": 40}, "tokens_per_row = 40 must be"),
        ({"shards": [{"path": "x"}]}, "'num_sequences' is missing"),
        ({"shards": 3}, "of another kind"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_reason(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_shards(tmp_path, counting_rows(4, 32), sequences_per_shard=4)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ShardError, match=message):
        read_manifest(str(path))


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ShardError, match="not JSON"):
        read_manifest(str(tmp_path))


def test_row_groups_are_full_but_for_the_last() -> None:
    assert group_sizes(600) == [256, 256, 88]
    assert group_sizes(256) == [256]


def test_a_manifest_whose_ids_do_not_fit_its_type_is_refused(tmp_path: Path) -> None:
    path = write_shards(tmp_path, counting_rows(4, 32), sequences_per_shard=4)
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"vocabulary_size": 65_537}))
    with pytest.raises(ShardError, match=r"dtype = 'uint16' cannot hold the 65537 ids"):
        read_manifest(str(path))
