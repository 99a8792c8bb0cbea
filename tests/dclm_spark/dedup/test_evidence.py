import pytest

from dclm_spark.dedup.evidence.removed_pairs import (
    cluster_sizes,
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

    def find(ids):  # type: ignore[no-untyped-def]
        return documents.repartition(3).where(documents.doc_id.isin([bytearray(i) for i in ids]))

    pairs = {pair.doc_id: pair for pair in sample_pairs(verdicts, find, 10)}
    assert set(pairs) == {b"b", b"c"}
    assert (pairs[b"b"].jaccard, pairs[b"b"].containment) == (1.0, 1.0)
    assert (pairs[b"c"].jaccard, pairs[b"c"].containment) == (0.5, 1.0)
    assert pairs[b"c"].partner_text == TEXTS[b"a"]
    assert pairs[b"c"].partner_url == "https://a.example.org/x"
    one = sample_pairs(verdicts.repartition(7), find, 1)
    assert one == sample_pairs(verdicts, find, 1)
    assert len(one) == 1


@pytest.mark.spark
def test_clusters_are_counted_by_powers_of_two(spark) -> None:  # type: ignore[no-untyped-def]
    copies = [
        (bytearray(f"{n}{k}".encode()), "near_duplicate", 1.0, 0.8, bytearray([n]))
        for n, size in ((1, 2), (2, 3), (3, 4), (4, 9))
        for k in range(size - 1)
    ]
    sizes = cluster_sizes(spark.createDataFrame(copies, VERDICTS))
    assert sorted(map(tuple, sizes.collect())) == [
        ("near_duplicate", 2, 2),
        ("near_duplicate", 4, 1),
        ("near_duplicate", 8, 1),
    ]


def test_precision_counts_pairs_that_reach_the_threshold() -> None:
    found = precision([0.8] * 90 + [0.79] * 10, 0.8)
    assert (found.sampled, found.right, found.share) == (100, 90, 0.9)
    # Wilson's interval for 90 of 100.
    assert (found.low, found.high) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_an_empty_sample_proves_nothing() -> None:
    found = precision([], 0.8)
    assert (found.low, found.high) == (0.0, 1.0)
