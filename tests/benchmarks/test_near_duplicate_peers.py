"""What a tool left is judged by exact similarities; planted families are as similar as said."""

import pytest

from tests.benchmarks.near_duplicate_peers import Corpus, as_table, judged, planted


def test_a_removal_is_right_where_one_that_stays_is_alike() -> None:
    words = [f"w{n}" for n in range(200)]
    first, near = " ".join(words[:100]), " ".join([*words[:98], "x", "y"])
    far = " ".join(words[60:160])
    corpus = Corpus(texts=[first, near, first, far], families=[0, 0, 0, 0])
    right = judged(corpus, "right", {0, 3}, 1.0)
    assert (right.precision, right.recall, right.copies) == (1.0, 1.0, 1.0)
    wrong = judged(corpus, "wrong", {0, 2}, 1.0)
    assert (wrong.precision, wrong.recall, wrong.copies) == (0.5, pytest.approx(2 / 3), 0.0)
    assert wrong.lost > right.lost > 0
    assert "| wrong | 2 | 0.5000 | 0.6667 | 0.0000 |" in as_table([wrong])


def test_families_of_all_kinds_are_planted() -> None:
    corpus = planted(200)
    assert len(corpus.texts) == len(corpus.families) >= 200
    all_kept = judged(corpus, "none", set(range(len(corpus.texts))), 0.0)
    assert (all_kept.recall, all_kept.copies, all_kept.lost) == (0.0, 0.0, 0.0)
    assert len(set(corpus.texts)) < len(corpus.texts)
