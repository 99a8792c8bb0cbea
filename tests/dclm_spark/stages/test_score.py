from collections import Counter

import numpy as np
import pytest

from dclm_spark.stages.score import QualitySettings, bucket_edge, score_buckets, top_threshold


def facts(scores):
    return {
        "score_buckets": [list(item) for item in Counter(score_buckets(scores).tolist()).items()]
    }


@pytest.mark.parametrize("top", [0.01, 0.1, 0.5, 1.0])
def test_the_threshold_keeps_the_wanted_fraction(top):
    scores = np.random.default_rng(0).beta(0.2, 5, 20_000)
    threshold = top_threshold([facts(scores[:5000]), facts(scores[5000:])], top)
    kept = (scores >= threshold).mean()
    assert top <= kept <= top * 1.01 + 1e-4


def test_the_order_of_the_units_does_not_matter():
    scores = np.random.default_rng(1).random(1000)
    parts = [facts(part) for part in np.split(scores, 10)]
    assert top_threshold(parts, 0.3) == top_threshold(parts[::-1], 0.3)


def test_a_bucket_begins_with_its_lowest_score():
    scores = np.array([0.0, 1e-5, 0.018112, 0.5, 1.0])
    edges = [bucket_edge(bucket) for bucket in score_buckets(scores).tolist()]
    assert all(
        edge <= score < edge * 1.001 + 1e-9 for edge, score in zip(edges, scores, strict=True)
    )


@pytest.mark.parametrize("top", [0.0, 10.0, float("nan")])
def test_a_fraction_outside_its_range_is_refused(top):
    with pytest.raises(ValueError, match=r"top = .*: expected a fraction above 0"):
        QualitySettings(top=top)
