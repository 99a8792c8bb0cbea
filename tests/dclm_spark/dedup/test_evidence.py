import pytest

from dclm_spark.dedup.evidence import (
    RemovedPair,
    cluster_sizes,
    duplicates_by_domain,
    precision,
    sample_pairs,
)

WORDS = [str(n) for n in range(44)]
TEXTS = {
    b"a": " ".join(WORDS),
    b"b": " ".join(WORDS),
    b"c": " ".join(WORDS[:24]),
    b"d": "something else entirely that nobody else has written",
}
VERDICTS = "doc_id binary, rule string, value double, threshold double, partner binary"


def rows(spark):  # type: ignore[no-untyped-def]
    documents = spark.createDataFrame(
        [(bytearray(k), t, f"https://{k.decode()}.example.org/x") for k, t in TEXTS.items()],
        "doc_id binary, text string, url string",
    )
    verdicts = spark.createDataFrame(
        [
            (bytearray(b"b"), "near_duplicate", 1.0, 0.8, bytearray(b"a")),
            (bytearray(b"c"), "near_duplicate", 0.9, 0.8, bytearray(b"a")),
            (bytearray(b"d"), "near_duplicate", 0.9, 0.8, bytearray(b"of an earlier crawl")),
        ],
        VERDICTS,
    )
    return verdicts, documents


@pytest.mark.spark
def test_sampled_pairs_carry_their_real_similarity(spark) -> None:  # type: ignore[no-untyped-def]
    verdicts, documents = rows(spark)
    pairs = {pair.doc_id: pair for pair in sample_pairs(verdicts, documents, 10)}
    assert set(pairs) == {b"b", b"c"}
    assert (pairs[b"b"].jaccard, pairs[b"b"].containment) == (1.0, 1.0)
    assert (pairs[b"c"].jaccard, pairs[b"c"].containment) == (0.5, 1.0)
    assert pairs[b"c"].partner_text == TEXTS[b"a"]
    one = sample_pairs(verdicts.repartition(7), documents.repartition(3), 1)
    assert one == sample_pairs(verdicts, documents, 1)
    assert len(one) == 1


@pytest.mark.spark
def test_clusters_and_domains_are_counted(spark) -> None:  # type: ignore[no-untyped-def]
    verdicts, documents = rows(spark)
    assert sorted(map(tuple, cluster_sizes(verdicts).collect())) == [
        ("near_duplicate", 2, 1),
        ("near_duplicate", 3, 1),
    ]
    domains = [tuple(row) for row in duplicates_by_domain(verdicts, documents).collect()]
    assert domains == [(f"{name}.example.org", 1, 1) for name in "bcd"]


def pair(jaccard: float) -> RemovedPair:
    return RemovedPair(
        doc_id=b"", partner=b"", rule="", value=1.0, threshold=0.8,
        jaccard=jaccard, containment=1.0, text="", partner_text="",
    )  # fmt: skip


def test_precision_counts_pairs_that_reach_the_threshold() -> None:
    found = precision([pair(0.8)] * 90 + [pair(0.79)] * 10, 0.8)
    assert (found.sampled, found.right, found.share) == (100, 90, 0.9)
    # Wilson's interval for 90 of 100.
    assert (found.low, found.high) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_an_empty_sample_proves_nothing() -> None:
    found = precision([], 0.8)
    assert (found.low, found.high) == (0.0, 1.0)
