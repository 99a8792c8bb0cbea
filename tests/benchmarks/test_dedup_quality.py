import numpy as np
import pytest

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from tests.benchmarks.dedup_quality import (
    candidates,
    datasketch_candidates,
    expected_recall,
    judge,
    measure_clusters,
    recall_by_similarity,
)
from tests.benchmarks.planted_pairs import EDITS, Pairs, edited, exact_jaccard, planted_pairs
from udfs.dedup.minhash import PRESETS
from udfs.dedup.shingles import jaccard


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return planted_pairs(3000, least=0.4)


def alike(pairs: Pairs, threshold: float) -> Pairs:
    rows = np.flatnonzero(pairs.exact >= threshold)
    return Pairs(left=pairs.left.take(rows), right=pairs.right.take(rows), exact=pairs.exact[rows])


@pytest.mark.parametrize("kind", EDITS)
def test_edits_leave_about_the_similarity_that_was_asked_for(kind: str) -> None:
    rng = np.random.default_rng(1)
    for wanted in (0.5, 0.7, 0.9):
        found = []
        for _ in range(60):
            words = rng.integers(10**9, size=250)
            found.append(exact_jaccard(words.tolist(), edited(words, kind, wanted, rng).tolist()))
        assert np.mean(found) == pytest.approx(wanted, abs=0.08)


def test_the_exact_similarity_is_that_of_hashed_shingles(pairs: Pairs) -> None:
    assert jaccard(pairs.left, pairs.right, 5) == pytest.approx(pairs.exact, abs=1e-12)


@pytest.mark.parametrize("preset", ["dclm", "datatrove"])
def test_recall_of_planted_pairs_is_no_more_than_a_hundredth_under_theory(
    pairs: Pairs, preset: str
) -> None:
    settings = PRESETS[preset]
    chosen = alike(pairs, 0.8)
    theory, error = expected_recall(chosen.exact, settings)
    # Few enough pairs could hide a loss of a hundredth.
    assert 3 * error < 0.01
    assert candidates(chosen, settings).mean() > theory - 0.01


def test_recall_follows_the_s_curve_from_end_to_end(pairs: Pairs) -> None:
    settings = PRESETS["datatrove"]
    found = candidates(pairs, settings)
    rows = recall_by_similarity(pairs, found, settings, [0.4, 0.6, 0.7, 0.8, 0.9, 1.0], None)
    assert [row.low for row in rows] == [0.4, 0.6, 0.7, 0.8, 0.9]
    for row in rows:
        assert row.found == pytest.approx(row.theory, abs=4 * row.error + 0.001)


def test_verified_candidates_are_right(pairs: Pairs) -> None:
    settings = PRESETS["dclm"]
    found = candidates(pairs, settings)
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        rows = {row.verification: row for row in judge(pairs, found, settings, threshold)}
        assert rows["jaccard"].precision >= 0.99
        assert rows["jaccard"].recall > rows["jaccard"].theory - 4 * rows["jaccard"].error - 0.001
    # Without verification, pairs below the threshold are taken for copies.
    assert rows["none"].precision < 0.9


def test_datasketch_finds_as_many_of_the_same_pairs(pairs: Pairs) -> None:
    settings = PRESETS["datatrove"]
    few = Pairs(left=pairs.left[:1000], right=pairs.right[:1000], exact=pairs.exact[:1000])
    theirs = datasketch_candidates(few, settings)
    assert theirs is not None
    ours = candidates(few, settings)
    _, error = expected_recall(few.exact, settings)
    assert ours.mean() == pytest.approx(theirs.mean(), abs=6 * error)


@pytest.mark.slow
@pytest.mark.spark
def test_clusters_lose_all_but_one_document(spark, tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = measure_clusters(
        spark, {2: 30, 10: 8, 100: 1}, 0.9, NearDuplicateSettings(), str(tmp_path), unlike=30
    )
    removed, rightly = (sum(getattr(row, name) for row in found) for name in ("removed", "rightly"))
    assert rightly >= 0.99 * removed
    for row in found:
        assert row.removed >= (row.theory - 0.01) * row.to_remove
