import random
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from dclm_spark.dedup.minhash import near_duplicate_verdicts
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings, signature_table
from dclm_spark.dedup.pairs.candidates import (
    BucketSettings,
    asked_pairs,
    bucket_members,
    hot_buckets,
    open_members,
    star_edges,
)
from dclm_spark.engine import shuffles
from dclm_spark.engine.checkpoints import Checkpoints
from dclm_spark.errors import SettingError
from tests.dclm_spark.dedup.short_queries import short_queries  # noqa: F401
from udfs.dedup.minhash import MinHashSettings
from udfs.documents.schema import document_id

pytestmark = pytest.mark.spark

SCHEMA = "doc_id binary, crawl string, warc_path string, warc_offset bigint, text string"
SMALL = NearDuplicateSettings(signatures=MinHashSettings(bands=30, rows=6, ngram=3))


def row(offset: int, text: str | None, crawl: str = "a"):  # type: ignore[no-untyped-def]
    return (bytearray(document_id(crawl, "w", offset)), crawl, "w", offset, text)


def clusters(seed: int, sizes: list[int], words: int = 80) -> list[list[str]]:
    """Texts of which those of one cluster differ from the first in one or two words."""
    rng = random.Random(seed)
    result = []
    for size in sizes:
        base = [f"{rng.randrange(10**9)}" for _ in range(words)]
        texts = [" ".join(base)]
        for _ in range(size - 1):
            edited = list(base)
            edited[rng.randrange(words)] = "edited" + str(rng.randrange(10**6))
            texts.append(" ".join(edited))
        result.append(texts)
    return result


def corpus(seed: int, sizes: list[int]):  # type: ignore[no-untyped-def]
    texts = [text for cluster in clusters(seed, sizes) for text in cluster]
    return [row(offset, text) for offset, text in enumerate(texts)]


def verdicts(spark, rows, directory: Path, settings=SMALL, partitions: int = 2, **more):  # type: ignore[no-untyped-def]
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    working = Checkpoints(spark=spark, directory=str(directory), key="input")
    found = near_duplicate_verdicts(frame, settings, working, **more)
    assert found.columns == ["doc_id", "rule", "value", "threshold", "partner"]
    return sorted(
        (bytes(r["doc_id"]), r["rule"], r["value"], r["threshold"], bytes(r["partner"]))
        for r in found.collect()
    )


def offsets_of(found, rows):  # type: ignore[no-untyped-def]
    names = {bytes(r[0]): r[3] for r in rows}
    return {names[v[0]]: names[v[4]] for v in found}


def test_the_first_document_of_every_cluster_stays(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = corpus(1, [1, 2, 5, 1, 20])
    found = offsets_of(verdicts(spark, rows, tmp_path), rows)
    expected = {2: 1, **dict.fromkeys(range(4, 8), 3), **dict.fromkeys(range(10, 29), 9)}
    assert found == expected


@pytest.mark.long
def test_partitions_and_arrival_order_change_nothing(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = corpus(2, [3, 4, 1])
    found = []
    for partitions in (1, 7, 64):
        random.Random(partitions).shuffle(rows)
        spark.conf.set("spark.sql.shuffle.partitions", str(min(partitions, 7)))
        found.append(verdicts(spark, rows, tmp_path / str(partitions), partitions=partitions))
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert len(found[0]) == 5
    assert found[0] == found[1] == found[2]


def test_a_hundred_thousand_copies_give_one_pair_each_and_empty_documents_none(spark) -> None:  # type: ignore[no-untyped-def]
    count = 100_000
    signed = spark.range(2 * count).select(
        F.col("id").alias("doc_id"),
        # Documents without words have the same bands too.
        F.when(F.col("id") < count, 9).otherwise(0).alias("num_shingles"),
        F.lit(False).alias("earlier"),
        F.array(F.lit(7), F.lit(8)).alias("bands"),
    )
    members, settings = bucket_members(signed), BucketSettings()
    assert hot_buckets(members, settings).count() == 2
    pairs = asked_pairs(star_edges(members, settings))
    found = pairs.agg(F.count("*"), F.countDistinct("partner"), F.max("doc_id")).collect()
    # Every copy but the first has a partner: one of its split, and that one has the first.
    assert tuple(found[0]) == (count - 1, settings.splits, count - 1)


@pytest.mark.long
@pytest.mark.long  # Two searches.
def test_clusters_of_very_many_are_spread_over_tasks_and_change_no_verdict(
    spark, tmp_path: Path, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    texts = [" ".join(f"notice{number}" for number in range(80))] * 60
    texts += [text for cluster in clusters(5, [1, 1, 3, 4]) for text in cluster]
    frame = spark.createDataFrame([row(*one) for one in enumerate(texts)], SCHEMA)

    def found(folder: str):  # type: ignore[no-untyped-def]
        working = Checkpoints(spark=spark, directory=str(tmp_path / folder), key="k")
        return sorted(map(tuple, near_duplicate_verdicts(frame, SMALL, working).collect()))

    plain = found("plain")
    assert len(plain) == 59 + 2 + 3
    monkeypatch.setattr(shuffles, "PARTITION_SIZE_BYTES", 2_000)
    assert found("hot") == plain
    hot = {path.name for path in (tmp_path / "hot").rglob("hot_*.json")}
    assert hot == {
        "hot_component.json",
        "hot_component_owners.json",
        "hot_u.json",
        "hot_u_owners.json",
    }
    assert not list((tmp_path / "plain").rglob("hot_*"))


def test_splitting_hot_buckets_changes_nothing_but_the_tasks(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = corpus(3, [40, 2])
    split = NearDuplicateSettings(
        signatures=SMALL.signatures, buckets=BucketSettings(hot_bucket_size=5, splits=4)
    )
    frame = spark.createDataFrame(rows, SCHEMA)
    members = bucket_members(signature_table(frame, split).selectExpr("*", "false AS earlier"))
    assert hot_buckets(members, split.buckets).count() > 10
    found = offsets_of(verdicts(spark, rows, tmp_path, split), rows)
    assert found == {**dict.fromkeys(range(1, 40), 0), 41: 40}


def test_a_bucket_tries_other_centres_until_every_member_met_its_like(spark) -> None:  # type: ignore[no-untyped-def]
    """Four siblings that resemble only the last one find it, whichever is the centre first."""
    rows = [(1, name, False, True) for name in "abcdz"]
    members = spark.createDataFrame(
        rows, "bucket bigint, doc_id string, earlier boolean, open boolean"
    )
    asked: list[tuple[str, str]] = []
    for turn in range(4):
        stars = star_edges(members, BucketSettings(), turn).localCheckpoint()
        asked += [(row["doc_id"], row["partner"]) for row in asked_pairs(stars).collect()]
        judged = spark.createDataFrame(
            [(a, b, 0.9 if "z" in a + b else 0.7) for a, b in asked],
            "doc_id string, partner string, similarity double",
        )
        members = open_members(stars, judged, 0.8).localCheckpoint()
    assert set(asked[:4]) == {(name, "a") for name in "bcdz"}
    assert {name for pair in asked if "z" in pair for name in pair} == set("abcdz")
    assert len(asked) == len(set(map(frozenset, asked)))


@pytest.mark.long
def test_candidates_below_the_threshold_are_not_removed(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    words = [str(n) for n in range(100)]
    other = words[:70] + [f"x{n}" for n in range(30)]
    rows = [row(0, " ".join(words)), row(1, " ".join(other))]
    loose = MinHashSettings(bands=60, rows=2, ngram=3)
    for verification, removed in (("none", 1), ("sketch", 0), ("jaccard", 0)):
        settings = NearDuplicateSettings(signatures=loose, verification=verification)
        assert len(verdicts(spark, rows, tmp_path / verification, settings)) == removed


def test_the_survivor_follows_the_declared_order(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = corpus(4, [4])
    settings = NearDuplicateSettings(
        signatures=SMALL.signatures, survivor_order=("-warc_offset", "crawl")
    )
    found = offsets_of(verdicts(spark, rows, tmp_path, settings), rows)
    assert found == {0: 3, 1: 3, 2: 3}


@pytest.mark.long
def test_a_new_crawl_loses_what_earlier_ones_hold_without_their_text(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (first, second, third) = clusters(5, [3, 2, 2])
    old = [row(n, text, "z-old") for n, text in enumerate([first[0], second[0]])]
    new = [row(n, text, "new") for n, text in enumerate([*first[1:], second[1], *third])]
    saved = tmp_path / "saved"
    signature_table(spark.createDataFrame(old, SCHEMA), SMALL).write.parquet(str(saved))
    earlier = spark.read.parquet(str(saved))
    found = verdicts(spark, new, tmp_path / "with", earlier=earlier)
    names = {bytes(r[0]): (r[1], r[3]) for r in old + new}
    assert {names[v[0]]: names[v[4]] for v in found} == {
        ("new", 0): ("z-old", 0),
        ("new", 1): ("z-old", 0),
        ("new", 2): ("z-old", 1),
        ("new", 4): ("new", 3),
    }
    # Without the earlier crawl, its documents' copies come back.
    without = verdicts(spark, new, tmp_path / "without")
    assert {names[v[0]]: names[v[4]] for v in without} == {
        ("new", 1): ("new", 0),
        ("new", 4): ("new", 3),
    }


@pytest.mark.long
def test_one_page_many_times_and_empty_texts(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = [row(n, "the same page again and again") for n in range(50)]
    rows += [row(100, ""), row(101, None), row(102, " ... "), row(103, "ab"), row(104, "ab")]
    found = offsets_of(verdicts(spark, rows, tmp_path), rows)
    assert found == {**dict.fromkeys(range(1, 50), 0), 104: 103}


def test_no_documents_give_no_verdicts(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert verdicts(spark, [], tmp_path) == []


def test_wrong_settings_fail_before_spark_starts() -> None:
    for values, message in (
        ({"verification": "maybe"}, "verification = 'maybe'"),
        ({"threshold": 0.0}, "threshold = 0.0"),
        ({"star_rounds": 0}, "star_rounds = 0"),
        ({"survivor_order": ()}, "survivor_order"),
    ):
        with pytest.raises(ValueError, match=message):
            NearDuplicateSettings(**values)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hot_bucket_size = 1"):
        BucketSettings(hot_bucket_size=1)


def test_a_missing_order_column_is_named(spark) -> None:  # type: ignore[no-untyped-def]
    frame = spark.createDataFrame([row(0, "a")], SCHEMA)
    with pytest.raises(SettingError, match="'quality'"):
        signature_table(frame, NearDuplicateSettings(survivor_order=("-quality",)))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["string", "bigint"])
def test_an_id_may_be_a_text_or_a_number(spark, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    rows = [(row[3], row[4]) for row in corpus(6, [3, 1, 2])]
    frame = spark.createDataFrame(rows, "doc_id bigint, text string")
    frame = frame.selectExpr(f"CAST(doc_id AS {kind}) AS doc_id", "text")
    settings = NearDuplicateSettings(signatures=SMALL.signatures, survivor_order=("doc_id",))
    working = Checkpoints(spark=spark, directory=str(tmp_path), key="input")
    found = near_duplicate_verdicts(frame, settings, working)
    assert found.schema["doc_id"].dataType.simpleString() == kind
    assert {int(r["doc_id"]): int(r["partner"]) for r in found.collect()} == {1: 0, 2: 0, 5: 4}


@pytest.mark.long
def test_another_input_under_the_same_key_gets_verdicts_of_its_own(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first, second = corpus(7, [4, 1]), corpus(8, [1, 1, 2])
    assert len(verdicts(spark, first, tmp_path)) == 3
    assert offsets_of(verdicts(spark, second, tmp_path), second) == {3: 2}
    longer = [*first, row(10, first[4][4])]
    assert offsets_of(verdicts(spark, longer, tmp_path), longer) == {1: 0, 2: 0, 3: 0, 10: 4}


def test_a_text_cannot_be_preferred_by_size(spark) -> None:  # type: ignore[no-untyped-def]
    frame = spark.createDataFrame([row(0, "a")], SCHEMA)
    with pytest.raises(SettingError, match="'-crawl': only numbers"):
        signature_table(frame, NearDuplicateSettings(survivor_order=("-crawl",)))
