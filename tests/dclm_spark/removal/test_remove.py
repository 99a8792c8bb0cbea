"""What is refused before anything of a run is touched."""

from pathlib import Path

import numpy as np
import pytest

from dclm_spark.errors import InputError
from dclm_spark.removal.remove import Request, remove_documents
from tests.dclm_spark.train.shards import write_shards


def test_a_run_that_lost_nothing_is_not_compacted_and_keeps_its_report(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", np.ones((4, 9), "<u2"), sequences_per_shard=2)
    (tmp_path / "report.html").write_text("a report")
    with pytest.raises(InputError, match="--compact: nothing was removed from"):
        remove_documents(None, Request(output=str(tmp_path), compact=True))  # type: ignore[arg-type]
    assert (tmp_path / "report.html").read_text() == "a report"


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    request = Request(output=str(tmp_path), entries=(("domain", "a.example"),), reason="asked")
    with pytest.raises(InputError, match=r"--output .* no finished run is there"):
        remove_documents(None, request)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
