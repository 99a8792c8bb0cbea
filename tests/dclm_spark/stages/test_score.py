import numpy as np
import pytest

from dclm_spark.stages.score import QualitySettings
from udfs.signals.buckets import bucket_edge, score_buckets


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
