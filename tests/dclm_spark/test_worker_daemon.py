"""A worker whose session ended first says nothing; other errors are as loud as before."""

import pytest

from dclm_spark.worker_daemon import ENDED, ending_quietly


def test_a_worker_whose_session_has_ended_is_not_used_again():
    def answer(*_):
        raise BrokenPipeError

    assert ending_quietly(answer)("socket", False) == ENDED
    assert ending_quietly(lambda *_: 0)("socket", False) == 0


def test_any_other_error_is_raised():
    def answer(*_):
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        ending_quietly(answer)("socket", False)
