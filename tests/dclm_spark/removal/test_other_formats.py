"""Shards for other trainers and removal: refused, with the format and what to do."""

import json
from pathlib import Path

import pytest

from dclm_spark.errors import SettingError
from dclm_spark.removal.remove import Request, remove_documents
from dclm_spark.removal.tombstones import LIST_FILE, check_can_leave_out, removal_folder
from dclm_spark.shard_format import ShardError
from udfs.shards.shard_formats import FORMATS

OTHERS = [name for name, kind in FORMATS.items() if not kind.trained_here]


@pytest.mark.parametrize("name", OTHERS)
def test_a_corpus_that_lost_documents_is_not_written_for_another_trainer(
    name: str, tmp_path: Path
) -> None:
    shards = str(tmp_path)
    check_can_leave_out(shards, FORMATS[name]())
    folder = Path(removal_folder(shards, 1))
    folder.mkdir(parents=True)
    (folder / LIST_FILE).write_bytes(b"")
    check_can_leave_out(shards, FORMATS["dclm"]())
    with pytest.raises(SettingError, match=rf"format '{name}' would .*tokens\.format=dclm"):
        check_can_leave_out(shards, FORMATS[name]())


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_removed_from_shards_for_another_trainer(name: str, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "manifest.json").write_text(json.dumps({"format": name}))
    request = Request(output=str(tmp_path), entries=(("domain", "a.example"),), reason="asked")
    with pytest.raises(ShardError, match=rf"'{name}', .*removal .*tokens\.format=dclm"):
        remove_documents(None, request)  # type: ignore[arg-type]
    assert not (tmp_path / "shards" / "removed").exists()
