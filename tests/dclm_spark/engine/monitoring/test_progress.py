"""Lines of progress where there is no terminal."""

import logging
import time

import pytest

from dclm_spark.engine.monitoring import progress as module
from dclm_spark.engine.monitoring.progress import (
    SEEN,
    UnitProgress,
    progress,
    progress_line,
    time_left,
)


def test_a_line_says_share_rate_and_time_left():
    # 300 of this driver's units in 600 s: 30 a minute, and 500 more take 1000 s.
    seen = UnitProgress(done=500, total=1000, before=200)
    assert progress_line("documents", seen, 600.0) == (
        "documents: 500 of 1,000 units (50.0 %), 30 a minute, about 17 min left"
    )


def test_without_a_unit_of_its_own_a_driver_tells_no_rate():
    seen = UnitProgress(done=200, total=1000, before=200)
    assert progress_line("score", seen, 60.0) == (
        "score: 200 of 1,000 units (20.0 %), none of them in 60 s"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(40, "40 s"), (700, "12 min"), (12_600, "3.5 h"), (181_440, "2.1 days")],
)
def test_time_left_is_rough(seconds, text):
    assert time_left(seconds) == text


def test_lines_come_while_the_block_runs_and_a_store_that_fails_does_not_end_it(
    monkeypatch, caplog
):
    monkeypatch.setattr(module, "LINE_SECONDS", 0.01)
    counts = iter([OSError("no answer"), UnitProgress(done=1, total=4, before=0)])

    def count():
        one = next(counts, UnitProgress(done=2, total=4, before=0))
        if isinstance(one, Exception):
            raise one
        return one

    with caplog.at_level(logging.INFO, "dclm_spark"), progress(object(), "shards", count):
        time.sleep(0.3)
    told = [record.message for record in caplog.records if record.levelno == logging.INFO]
    assert told[0].startswith("shards: 1 of 4 units (25.0 %)")
    assert told[-1].startswith("shards: 2 of 4 units (50.0 %)")
    assert SEEN["shards"].done == 2
