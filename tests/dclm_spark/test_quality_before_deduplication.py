"""A classifier that judges before copies are looked for, so that the best copy may stay."""

import hashlib
import json

import pyarrow.parquet as pq
import pytest

from dclm_spark.explain import describe, explain
from dclm_spark.exports.run_tables import run_tables
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from tests.udfs.fasttext.fasttext_training import train
from udfs.tokens.tokenizer import train_tokenizer

pytestmark = [pytest.mark.spark, pytest.mark.long]
COMMON = [f"word{number}" for number in range(60)]
# Copies that differ in two words, and so in their scores; the best one is neither first nor last.
COPIES = {
    f"http://copy.org/{name}": " ".join([*COMMON[:30], *words.split(), *COMMON[30:]])
    for name, words in (("middling", "plain fine"), ("best", "fine fine"), ("worst", "plain poor"))
}
ALONE = {f"http://alone.org/{n}": " ".join(f"fine{n} fine w{n}x{k}" for k in range(20))
         for n in range(3)}  # fmt: skip
BAD = {"http://bad.org/": " ".join(f"poor b{n}" for n in range(30))}
PAGES = {**COPIES, **ALONE, **BAD}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with three files of pages, a tokenizer and a classifier; each page's score."""
    folder = tmp_path_factory.mktemp("quality")
    rows = [{"text": text, "url": url} for url, text in PAGES.items()]
    (folder / "in").mkdir()
    for number in range(3):
        lines = map(json.dumps, rows[number::3])
        (folder / "in" / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "tokenizer.json").write_text(train_tokenizer(iter(PAGES.values()), 300))
    lines = ["__label__hq fine fine fine", "__label__cc poor poor poor", "__label__cc plain poor",
             "__label__hq plain fine"] * 50  # fmt: skip
    model, _ = train(folder, lines, dim=4, epoch=2, lr=0.3)
    scores = {}
    for url, text in PAGES.items():
        labels, chances = model.predict(text, k=2)
        scores[url] = dict(zip(labels, chances, strict=True))["__label__hq"]
    return folder, scores


def run(spark, place, name, *changes, partitions=2):
    folder, scores = place
    recipe = load_recipe(
        "raw",
        [
            f"tokens.tokenizer.uri={folder / 'tokenizer.json'}", "tokens.sequence_length=16",
            "deduplication.shards=2", "deduplication.method=minhash",
            "deduplication.minhash.signatures.bands=30", "deduplication.minhash.signatures.rows=4",
            "deduplication.minhash.signatures.ngram=3", "deduplication.minhash.threshold=0.6",
            "quality.enabled=true", f"quality.model.uri={folder / 'model.bin'}",
            f"quality.threshold={(scores['http://bad.org/'] + min(map(scores.get, COPIES))) / 2}",
            *changes,
        ],
    )  # fmt: skip
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
    try:
        output = folder / name
        found = build_baseline(spark, recipe=recipe, inputs=str(folder / "in"), output=str(output))
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")
        spark.conf.unset("spark.sql.codegen.wholeStage")
    return output, found


FIRST = (
    "quality.before_deduplication=true",
    "deduplication.minhash.survivor_order=[best_score, crawl_order]",
    "rules.not_the_worst=quality_score_rank > 0",
)


@pytest.fixture(scope="module")
def first(spark, place):
    return run(spark, place, "first", *FIRST)


def rows(output, stage, fate):
    tables = [pq.read_table(path) for path in (output / "stages" / stage / fate).glob("*.parquet")]
    return {row["url"]: row for table in tables for row in table.to_pylist()}


def bytes_of(output):
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in output.rglob("*.parquet")
    }


def test_the_best_copy_stays_and_what_the_classifier_drops_is_not_compared(place, first):
    output, scores = first[0], place[1]
    best = max(COPIES, key=scores.get)
    assert best == "http://copy.org/best"
    (bad,) = rows(output, "quality", "dropped").values()
    assert (bad["url"], bad["stage"], bad["rule"]) == (
        "http://bad.org/",
        "quality",
        "quality_score",
    )
    assert bad["value"] == pytest.approx(scores["http://bad.org/"], abs=1e-4)
    kept, gone = (rows(output, "deduplicate", fate) for fate in ("kept", "dropped"))
    assert set(kept) == {best, *ALONE}
    assert set(gone) == set(COPIES) - {best}
    assert {row["partner"] for row in gone.values()} == {kept[best]["doc_id"]}
    assert kept[best]["cluster_size"] == 3
    for url, row in {**kept, **gone}.items():
        assert row["quality_score"] == pytest.approx(scores[url], abs=1e-4)


def test_the_ledger_of_select_has_scores_and_ranks_of_all_that_were_scored(place, first):
    output, scores = first[0], place[1]
    kept = rows(output, "select", "kept")
    assert {url: row["quality_score"] for url, row in kept.items()} == {
        url: pytest.approx(scores[url], abs=1e-4) for url in ("http://copy.org/best", *ALONE)
    }
    # The worst of all was dropped before, so no other has rank 0.
    assert rows(output, "select", "dropped") == {}


def test_the_books_balance_in_the_order_of_the_stages(first):
    output, found = first
    assert [stage.stage for stage in found.judging] == [
        "documents", "quality", "deduplicate", "select"
    ]  # fmt: skip
    fates = [stage.documents() for stage in found.judging]
    assert [sum(one.values()) for one in fates] == [7, 7, 6, 4]
    report = json.loads((output / "report.json").read_text())
    funnel = {step["label"]: step["documents"] for step in report["funnel"]}
    assert funnel == {
        "records read": 7, "quality": 6, "deduplicate": 4, "not_the_worst": 4
    }  # fmt: skip
    names = [row["name"] for row in report["stages"]]
    assert names == [
        "documents", "score", "quality", "deduplicate", "dedup_evidence", "select", "tokenize",
        "shards",
    ]  # fmt: skip
    score = report["stages"][1]
    assert (score["documents_in"], score["kept"]) == (7, 7)
    assert report["kept"] + report["dropped"] == 7
    (histogram,) = (one for one in report["histograms"] if one["name"] == "quality_score")
    assert (sum(histogram["counts"]), sum(histogram["kept"])) == (7, 6)


def test_a_page_is_explained_and_the_tables_have_the_columns_of_the_page_of_tables(first):
    output, _ = first
    (history,) = explain(str(output), "http://bad.org/")
    assert [entry.stage for entry in history] == ["documents", "quality"]
    assert "quality: dropped by quality_score, value" in describe(history)
    (history,) = explain(str(output), "http://copy.org/best")
    assert [entry.stage for entry in history] == [
        "documents", "quality", "deduplicate", "select", "tokenize"
    ]  # fmt: skip
    listed = {path: table for table in run_tables() for path in output.glob(table.path)}
    for stage in ("quality", "deduplicate"):
        path = next((output / "stages" / stage / "kept").glob("*.parquet"))
        names = set(pq.read_schema(path).names)
        assert names <= set(listed[path].schema.names)
        assert set(listed[path].schema.names) - names <= listed[path].optional


def test_partitions_change_no_byte_and_a_rerun_does_nothing_again(spark, place, first):
    output, found = first
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.parquet")}
    run(spark, place, "first", *FIRST)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.parquet")} == before
    expected = bytes_of(output)
    for partitions in (1, 7):
        other, again = run(spark, place, f"first-{partitions}", *FIRST, partitions=partitions)
        assert bytes_of(other) == expected
        assert again.shards.fingerprint == found.shards.fingerprint


def test_what_a_kill_leaves_is_gone_on_with_to_the_same_bytes(spark, place, first):
    output, found = first
    expected = bytes_of(output)
    lost = sorted(output.glob("stages/*/manifests/*.json"))[::2]
    assert any("/quality/" in str(path) for path in lost)
    for path in lost:
        path.unlink()
    _, again = run(spark, place, "first", *FIRST, partitions=64)
    assert bytes_of(output) == expected
    assert again.shards.fingerprint == found.shards.fingerprint


def test_after_deduplication_the_first_copy_stays_as_before(spark, place):
    output, found = run(spark, place, "after")
    assert found.filtered is None
    assert not (output / "stages" / "quality").exists()
    kept = rows(output, "deduplicate", "kept")
    assert set(kept) & set(COPIES) == {"http://copy.org/middling"}
    assert set(kept) >= set(BAD)
    assert "quality_score" not in kept["http://bad.org/"]
