import pytest

from dclm_spark.ranking.budgets.cells import Cell, Reading
from dclm_spark.ranking.reliability.target import _reading_conclusions
from dclm_spark.train.scales import scale


@pytest.mark.parametrize(
    ("passes", "costly", "open_pairs"), [(0.5, None, None), (3, False, False), (4.3, True, False),
                                         (8.5, True, True)],
)  # fmt: skip
def test_a_corpus_that_a_run_reads_often_is_told_with_what_that_means(
    passes: float, costly: bool | None, open_pairs: bool | None
) -> None:
    cell = Cell(settings=scale("test"), target_tokens=16_000_000)
    readings = [(cell, Reading(corpus="small", proxy_passes=passes, target_passes=passes))]
    found = _reading_conclusions(readings)
    if costly is None:
        assert found == []
        return
    (told,) = found
    assert told.startswith(f"small would be read {passes:.3g} times by a run of 16,000,000 tokens")
    assert ("more than the 4 up to which" in told) == costly
    assert ("where small loses, take the pair as open" in told) == open_pairs
