"""Buckets keep the order of numbers, and ranks are shares of documents below."""

import numpy as np

from udfs.signals.buckets import bucket_edge, ranks, score_buckets


def test_buckets_are_ordered_like_numbers_of_both_signs():
    numbers = np.concatenate([-np.logspace(8, -8, 500), [0.0], np.logspace(-8, 8, 500)])
    buckets = score_buckets(numbers)
    assert (np.diff(buckets) >= 0).all()
    edges = np.array([bucket_edge(bucket) for bucket in buckets.tolist()])
    assert (np.abs(edges) <= np.abs(numbers)).all()
    assert np.allclose(edges, numbers, rtol=5.1e-4, atol=1e-30)


def test_a_rank_is_the_share_of_documents_in_lower_buckets():
    values = np.random.default_rng(3).normal(size=5000)
    found, counts = np.unique(score_buckets(values), return_counts=True)
    got = ranks(zip(found.tolist(), counts.tolist(), strict=True)).of(values)
    exact = np.argsort(np.argsort(values)) / len(values)
    assert np.abs(got - exact).max() < 0.005
    assert (got >= 0).all()
    assert (got < 1).all()
    assert ranks([]).of(np.array([1.0])).tolist() == [0.0]
