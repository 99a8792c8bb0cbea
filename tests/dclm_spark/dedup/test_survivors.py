import random
from dataclasses import replace
from pathlib import Path

import pytest

from dclm_spark.dedup.minhash import near_duplicate_verdicts
from dclm_spark.dedup.near_duplicates import NearDuplicateSettings, signature_table
from dclm_spark.engine.checkpoints import Checkpoints
from tests.dclm_spark.dedup.short_queries import short_queries  # noqa: F401
from udfs.dedup.minhash import MinHashSettings
from udfs.documents.schema import document_id

SCHEMA = "doc_id binary, crawl string, warc_path string, warc_offset bigint, text string"
COVERED = NearDuplicateSettings(
    signatures=MinHashSettings(bands=30, rows=4, ngram=3), verify="containment", min_coverage=0.8
)


def chain(length: int = 12, words: int = 120, step: int = 12) -> list[str]:
    """Texts of which each begins `step` words behind the one before: alike only to neighbours."""
    numbers = [str(n) for n in range(words + step * length)]
    return [" ".join(numbers[step * n : step * n + words]) for n in range(length)]


def removed(spark, texts, folder: Path, settings=COVERED, partitions: int = 2, **more):  # type: ignore[no-untyped-def]
    rows = [(bytearray(document_id("a", "w", n)), "a", "w", n, t) for n, t in enumerate(texts)]
    random.Random(partitions).shuffle(rows)
    names = {bytes(r[0]): r[3] for r in rows}
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    working = Checkpoints(spark=spark, directory=str(folder), key="input")
    found = near_duplicate_verdicts(frame, settings, working, **more)
    return {
        names[bytes(r["doc_id"])]: (names.get(bytes(r["partner"])), round(r["value"], 3))
        for r in found.collect()
    }


def lost_words(texts, gone) -> set[str]:  # type: ignore[no-untyped-def]
    kept = {word for n, text in enumerate(texts) if n not in gone for word in text.split()}
    return {word for text in texts for word in text.split()} - kept


@pytest.mark.spark
@pytest.mark.slow  # Four searches, each of a dozen Spark jobs.
def test_a_chain_is_removed_whole_by_its_component_and_not_by_coverage(spark, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A page of its own, the chain, and a copy of a document in the middle of it."""
    texts = chain()
    texts.append(texts[6])
    everything = removed(
        spark, texts, tmp_path / "none", replace(COVERED, verify="none", min_coverage=None)
    )
    assert sorted(everything) == list(range(1, 13))
    assert len(lost_words(texts, everything)) == 132
    expected = None
    for partitions in (1, 7, 64):
        spark.conf.set("spark.sql.shuffle.partitions", str(min(partitions, 7)))
        gone = removed(spark, texts, tmp_path / str(partitions), partitions=partitions)
        expected = expected or gone
        assert gone == expected
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    assert expected is not None
    assert sorted(expected) == [1, 3, 5, 7, 9, 11, 12]
    assert expected[12] == (6, 1.0)
    assert all(value >= 0.8 and partner not in expected for partner, value in expected.values())


@pytest.mark.long
@pytest.mark.spark
def test_the_longest_stays_and_documents_that_go_anyway_stand_for_none(spark, tmp_path) -> None:  # type: ignore[no-untyped-def]
    words = [f"w{n}" for n in range(100)]
    texts = [" ".join(words[:90]), " ".join(words), " ".join(words[:95])]
    longest = replace(COVERED, survivor_order=("longest", "crawl_order"))
    assert removed(spark, texts, tmp_path / "l", longest) == {0: (1, 1.0), 2: (1, 1.0)}
    judged = spark.createDataFrame([(bytearray(document_id("a", "w", 1)),)], "doc_id binary")
    for verify in ("containment", "none"):
        one = replace(longest, verify=verify, min_coverage=None)
        found = removed(spark, texts, tmp_path / f"j{verify}", one, judged=judged)
        assert found[0][0] == 2
        assert 2 not in found


@pytest.mark.long
@pytest.mark.spark
def test_a_document_of_an_earlier_crawl_covers_by_its_sketch(spark, tmp_path) -> None:  # type: ignore[no-untyped-def]
    words = [f"w{n}" for n in range(100)]
    old = [(bytearray(document_id("z", "w", 0)), "z", "w", 0, " ".join(words))]
    saved = str(tmp_path / "saved")
    signature_table(spark.createDataFrame(old, SCHEMA), COVERED).write.parquet(saved)
    texts = [" ".join(words[:85]), " ".join([*words[:70], *(f"x{n}" for n in range(80))])]
    found = removed(
        spark, texts, tmp_path / "w", replace(COVERED, verification="none"),
        earlier=spark.read.parquet(saved),
    )  # fmt: skip
    assert list(found) == [0]
    assert found[0][1] > 0.8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"verify": "contains"}, "verify = 'contains': expected one of none, jaccard"),
        ({"min_coverage": 0.9}, "min_coverage = 0.9: nothing is compared while verify is 'none'"),
        ({"verify": "jaccard", "min_coverage": 0.0}, "min_coverage = 0.0"),
    ],
)
def test_values_that_cannot_be_used_are_refused(values, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        NearDuplicateSettings(**values)
