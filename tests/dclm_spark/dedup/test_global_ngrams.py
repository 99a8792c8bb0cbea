import random
from pathlib import Path

import pytest

from dclm_spark.dedup.global_ngrams import ngram_table, remove_seen_windows, seen_windows
from dclm_spark.engine.checkpoints import Checkpoints
from tests.udfs.dedup.ngram_oracle import ngrams_of, windows_of
from udfs.dedup.global_ngrams import GlobalNgramSettings
from udfs.documents.schema import document_id

pytestmark = pytest.mark.spark
SCHEMA = "doc_id binary, crawl string, warc_path string, warc_offset bigint, text string"
FULL = GlobalNgramSettings(min_ngram=3, max_ngram=4)


@pytest.fixture(autouse=True)
def short_queries(spark):  # type: ignore[no-untyped-def]
    """Compiling a plan costs more than running it over a few rows."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")


def generated(seed: int, documents: int) -> list[str]:
    rng = random.Random(seed)
    pool = [
        " ".join(f"p{rng.randrange(999)}" for _ in range(rng.randrange(2, 12))) for _ in range(25)
    ]
    texts = []
    for _ in range(documents):
        fresh = [" ".join(f"f{rng.randrange(10**6)}" for _ in range(8)) for _ in range(3)]
        texts.append("\n".join(rng.choice(pool + fresh) for _ in range(rng.randrange(0, 6))))
    return texts


def rows_of(texts: list[str], crawl: str = "a"):  # type: ignore[no-untyped-def]
    # Two files, so that the order is not that of the offsets alone.
    places = [(f"w{n % 2}", 1000 - n) for n in range(len(texts))]
    return [
        (bytearray(document_id(crawl, path, offset)), crawl, path, offset, text)
        for (path, offset), text in zip(places, texts, strict=True)
    ]


def oracle(rows, known=()):  # type: ignore[no-untyped-def]
    """First owners in the declared order, then old-both's two thresholds; {doc_id: (...)}"""
    owner = dict.fromkeys(known, (-1, -1))
    ordered = sorted(rows, key=lambda row: row[1:4])
    cut = [[ngrams_of(w.split(), 3, 4) for w in windows_of(row[4])] for row in ordered]
    for document, windows in enumerate(cut):
        for window, ngrams in enumerate(windows):
            for ngram in ngrams:
                owner.setdefault(ngram, (document, window))
    result = {}
    for document, (row, windows) in enumerate(zip(ordered, cut, strict=True)):
        seen = [sum(owner[n] != (document, w) for n in ngrams) for w, ngrams in enumerate(windows)]
        total = sum(map(len, windows))
        kept = "".join(
            piece
            for piece, ngrams, count in zip(windows_of(row[4]), windows, seen, strict=True)
            if not ngrams or count / len(ngrams) <= 0.8
        )
        text = "" if total and sum(seen) / total > 0.8 else kept
        result[bytes(row[0])] = (text, total, sum(seen))
    return result


def run(spark, rows, directory: Path, settings=FULL, partitions=2, **more):  # type: ignore[no-untyped-def]
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    working = Checkpoints(spark=spark, directory=str(directory), key="input")
    seen = seen_windows(frame, settings, working, **more)
    batch = frame.join(seen, "doc_id", "left").toArrow().combine_chunks().to_batches()[0]
    found = remove_seen_windows(batch, settings)
    columns = {
        "text": found.text.to_pylist(),
        "num_ngrams": found.total.tolist(),
        "contained_ngrams": found.contained.tolist(),
        "partner": batch.column("partner").to_pylist(),
    }
    ids = batch.column("doc_id").to_pylist()
    return {
        doc_id: {name: values[row] for name, values in columns.items()}
        for row, doc_id in enumerate(ids)
    }


def brief(found):  # type: ignore[no-untyped-def]
    return {k: (r["text"], r["num_ngrams"], r["contained_ngrams"]) for k, r in found.items()}


@pytest.mark.long
def test_it_equals_first_owners_by_sets_for_any_partitioning(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of(generated(1, 60))
    expected = oracle(rows)
    assert sum(text == "" and total > 0 for text, total, _ in expected.values()) > 3
    for partitions in (1, 7, 64):
        random.Random(partitions).shuffle(rows)
        found = run(spark, rows, tmp_path / str(partitions), partitions=partitions)
        assert brief(found) == expected


@pytest.mark.long
def test_a_new_crawl_loses_the_ngrams_of_saved_tables(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    old, new = rows_of(generated(2, 20), "b"), rows_of(generated(2, 30), "a")
    saved = ngram_table(spark.createDataFrame(old, SCHEMA), FULL)
    known = {n for row in old for w in windows_of(row[4]) for n in ngrams_of(w.split(), 3, 4)}
    assert brief(run(spark, new, tmp_path, earlier=saved)) == oracle(new, known)


def test_the_partner_is_the_first_owner(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    rows = rows_of(["one two three four five six"] * 4)
    found = run(spark, rows, tmp_path)
    first = bytes(min(rows, key=lambda row: row[1:4])[0])
    assert {k: r["partner"] and bytes(r["partner"]) for k, r in found.items()} == {
        bytes(row[0]): None if bytes(row[0]) == first else first for row in rows
    }


def test_another_input_under_the_same_key_gets_windows_of_its_own(spark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for seed in (3, 4):
        rows = rows_of(generated(seed, 20))
        assert brief(run(spark, rows, tmp_path)) == oracle(rows)
