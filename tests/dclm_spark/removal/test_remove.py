"""What is refused before anything of a run is touched."""

from pathlib import Path

import numpy as np
import pytest

from dclm_spark.errors import InputError
from dclm_spark.removal.lists import list_bytes
from dclm_spark.removal.remove import Request, remove_documents
from dclm_spark.removal.tombstones import check_removals_ended
from tests.dclm_spark.train.shards import write_shards


def test_a_run_that_lost_nothing_is_not_compacted_and_keeps_its_report(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", np.ones((4, 9), "<u2"), sequences_per_shard=2)
    (tmp_path / "report.html").write_text("a report")
    with pytest.raises(InputError, match="--compact: nothing was removed from"):
        remove_documents(None, Request(output=str(tmp_path), compact=True))  # type: ignore[arg-type]
    assert (tmp_path / "report.html").read_text() == "a report"


def test_nothing_is_compacted_or_described_while_a_removal_did_not_end(tmp_path: Path) -> None:
    """Its documents may not be found yet: without their addresses nothing would find them."""
    write_shards(tmp_path / "shards", np.ones((4, 9), "<u2"), sequences_per_shard=2)
    listed = tmp_path / "shards/removed/0001/list.parquet"
    listed.parent.mkdir(parents=True)
    listed.write_bytes(list_bytes([("domain", "a.example")]))
    with pytest.raises(InputError, match="0001: this removal did not end; run its command again"):
        remove_documents(None, Request(output=str(tmp_path), compact=True))  # type: ignore[arg-type]
    (listed.parent / "record.json").write_text("{}")
    check_removals_ended(str(tmp_path / "shards"))


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    request = Request(output=str(tmp_path), entries=(("domain", "a.example"),), reason="asked")
    with pytest.raises(InputError, match=r"--output .* no finished run is there"):
        remove_documents(None, request)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
