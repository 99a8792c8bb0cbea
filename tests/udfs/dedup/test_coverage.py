import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.dedup.coverage import CoverageSettings, Survivors, sketched_similarity


def judged(sets, **options):  # type: ignore[no-untyped-def]
    survivors = Survivors(CoverageSettings(**options))
    return [survivors.judge(n, np.array(sorted(s), np.uint64)) for n, s in enumerate(sets)]


def plain(sets, measure, threshold):  # type: ignore[no-untyped-def]
    """The same with Python's sets."""
    result, held = [], []
    for number, one in enumerate(sets):
        scores = []
        for other in held:
            whole = len(one) if measure == "containment" else len(one | sets[other])
            alike = len(one & sets[other]) / whole if whole else 0.0
            scores.append((1.0 if one == sets[other] else alike, -other))
        best = max(scores, default=(0.0, 0))
        if best[0] >= threshold:
            result.append((-best[1], best[0]))
        else:
            result.append(None)
            held.append(number)
    return result


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.frozensets(st.integers(1, 30), max_size=20), max_size=12),
    st.sampled_from(["jaccard", "containment"]),
    st.sampled_from([0.3, 0.8, 1.0]),
)
def test_a_document_goes_to_the_survivor_that_covers_it_best(sets, measure, threshold):  # type: ignore[no-untyped-def]
    assert judged(sets, measure=measure, threshold=threshold) == plain(sets, measure, threshold)


def test_a_chain_keeps_what_its_first_document_does_not_say() -> None:
    chain = [set(range(start, start + 100)) for start in range(0, 100, 10)]
    found = judged(chain, measure="containment", threshold=0.8)
    assert [number for number, one in enumerate(found) if one is None] == [0, 3, 6, 9]
    assert all(one[1] >= 0.8 for one in found if one)


def test_copies_are_found_beyond_the_survivors_that_are_held() -> None:
    sets = [{n, n + 100} for n in range(10)] + [{n, n + 100} for n in range(10)]
    found = judged(sets, measure="jaccard", threshold=0.8, max_survivors=2)
    assert found == [None] * 10 + [(n, 1.0) for n in range(10)]


def test_sketches_tell_containment_by_the_sizes_of_both() -> None:
    # 80 of 100 shingles are in a document of 400: 80 / 420 in common.
    found = sketched_similarity(np.array([80 / 420]), 100, np.array([400]), "containment")
    assert found == pytest.approx([0.8])
