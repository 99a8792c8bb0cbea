"""The dedup stage by every method, on the documents of the embedded sample."""

import random
from collections import Counter
from dataclasses import replace
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.dedup.evidence.stage_evidence import dedup_evidence
from dclm_spark.dedup.global_ngrams import GlobalNgrams
from dclm_spark.dedup.methods import METHODS, DeduplicationSettings
from dclm_spark.engine.stage_output import stage_output
from dclm_spark.errors import SettingError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.stages.deduplicate import deduplicate
from dclm_spark.stages.documents import write_documents
from udfs.units.documents import DOCUMENTS
from udfs.units.statistics import documents_by_fate

pytestmark = [pytest.mark.spark, pytest.mark.slow]
GLOBAL = DeduplicationSettings(exact=("text",), method=GlobalNgrams(), shards=3)


@pytest.fixture(scope="module", autouse=True)
def short_queries(spark):
    """Compiling a plan costs more than running it over a few rows."""
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")


@pytest.fixture(scope="module")
def documents(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    crawl = generate_crawl(folder, seed=11, num_pages=200)
    files = list_inputs(str(crawl.listing), str(crawl.base))
    return write_documents(
        spark, files, curation_settings(load_recipe("raw")), str(folder / "documents")
    )


def run(spark, documents, settings, directory):
    return deduplicate(spark, documents, DOCUMENTS, settings, str(directory))


def rows_of(output, fate=""):
    return [row for f in output.files(fate) for row in pq.read_table(f["uri"]).to_pylist()]


@pytest.mark.slow
def test_global_bytes_depend_on_neither_partitions_nor_input_order(spark, documents, tmp_path):
    before = spark.conf.get("spark.sql.shuffle.partitions")
    fingerprints = set()
    for partitions in (1, 7, 64):
        order = list(range(documents.unit_files.num_rows))
        random.Random(partitions).shuffle(order)
        spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        shuffled = replace(documents, unit_files=documents.unit_files.take(order))
        output = run(spark, shuffled, GLOBAL, tmp_path / str(partitions))
        fingerprints.add(output.fingerprint)
        fates = documents_by_fate(output.totals)
        assert sum(fates.values()) == sum(f["rows"] for f in documents.files("kept/"))
        assert fates["dropped"] > 0
    spark.conf.set("spark.sql.shuffle.partitions", before)
    assert len(fingerprints) == 1


def test_every_removal_says_by_what_and_of_what(spark, documents, tmp_path):
    output = run(spark, documents, GLOBAL, tmp_path)
    texts = {row["doc_id"]: row["text"] for row in rows_of(documents, "kept/")}
    dropped = rows_of(output, "dropped/")
    assert {row["rule"] for row in dropped} >= {"duplicate_text", "contained_ngrams"}
    for row in dropped:
        if row["rule"] == "empty_text":
            continue
        assert row["partner"] in texts
        assert row["value"] >= row["threshold"]
    shortened = [row for row in rows_of(output, "kept/") if row["removed_windows"]]
    for row in shortened:
        whole = texts[row["doc_id"]].encode()
        for span in reversed(row["removed_spans"]):
            whole = whole[: span["start"]] + whole[span["end"] :]
        assert whole.decode() == row["text"]
        assert row["partner"] in texts
    assert shortened


@pytest.mark.slow
def test_more_shards_change_files_but_no_global_decision(spark, documents, tmp_path):
    def decisions(shards):
        output = run(spark, documents, replace(GLOBAL, shards=shards), tmp_path / str(shards))
        return {row["doc_id"]: (row["fate"], row["rule"], row["text"]) for row in rows_of(output)}

    assert decisions(1) == decisions(5)


def test_a_lost_unit_is_made_again_from_the_saved_windows(spark, documents, tmp_path):
    first = run(spark, documents, GLOBAL, tmp_path / "d")
    table = tmp_path / "d-working" / "seen_windows"
    written = table.stat().st_mtime_ns
    (tmp_path / "d" / "manifests" / "shard-00001.json").unlink()
    assert run(spark, documents, GLOBAL, tmp_path / "d").fingerprint == first.fingerprint
    assert table.stat().st_mtime_ns == written


@pytest.mark.parametrize("method", ["global", "minhash"])
def test_annotate_keeps_everything_and_notes_what_would_go(spark, documents, tmp_path, method):
    settings = replace(GLOBAL, method=METHODS[method]())
    removed = rows_of(run(spark, documents, settings, tmp_path / "remove"), "dropped/")
    noted = run(spark, documents, replace(settings, mode="annotate"), tmp_path / "annotate")
    assert documents_by_fate(noted.totals) == {
        "kept": sum(f["rows"] for f in documents.files("kept/"))
    }
    texts = {row["doc_id"]: row["text"] for row in rows_of(documents, "kept/")}
    rows = rows_of(noted)
    assert {row["doc_id"]: row["text"] for row in rows} == texts
    assert {
        row["doc_id"]: (row["duplicate_rule"], row["duplicate_value"], row["partner"])
        for row in rows
        if row["duplicate_rule"]
    } == {row["doc_id"]: (row["rule"], row["value"], row["partner"]) for row in removed}


def made_of(documents, texts, folder):
    """The stage's input with other texts in the place of its own, as often as they fit."""
    source = documents.files("kept/")[0]
    table = pq.read_table(source["uri"]).slice(0, len(texts))
    position = table.schema.get_field_index("text")
    kind = table.schema.field(position).type
    table = table.set_column(position, "text", pa.array(texts, kind))
    place = table.schema.get_field_index("text_hash")
    hashes = [sha256(text.encode()).digest()[:16] for text in texts]
    table = table.set_column(
        place, "text_hash", pa.array(hashes).cast(table.schema.field(place).type)
    )
    ids = [sha256(f"{folder} {row}".encode()).digest()[:16] for row in range(len(texts))]
    place = table.schema.get_field_index("doc_id")
    table = table.set_column(place, "doc_id", pa.array(ids).cast(table.schema.field(place).type))
    (folder / "kept").mkdir(parents=True)
    pq.write_table(table, folder / "kept" / "unit.parquet")
    manifest = {
        "unit": "unit",
        "key": "test",
        "files": [{"path": "kept/unit.parquet", "rows": len(texts), "sha256": str(texts)}],
        "documents": {},
        "facts": {},
        "timing": {},
    }
    return stage_output(documents.stage, str(folder), [manifest])


@pytest.mark.parametrize("method", ["sharded", "global", "minhash"])
def test_empty_and_tiny_texts_pass_through_and_one_page_repeated_stays_once(
    spark, documents, tmp_path, method
):
    page = " ".join(f"word{number}" for number in range(60))
    texts = ["", " \n ", "only three words"] + [page] * 9
    source = made_of(documents, texts, tmp_path / "in")
    settings = DeduplicationSettings(method=METHODS[method](), shards=1)
    output = run(spark, source, settings, tmp_path / "out")
    kept = Counter(row["text"] for row in rows_of(output, "kept/"))
    rules = Counter(row["rule"] for row in rows_of(output, "dropped/"))
    assert kept[page] == 1
    assert kept["only three words"] == 1
    if method == "minhash":
        assert rules == {"near_duplicate": 8}
        assert kept[""] == 1
    else:
        assert rules == {"contained_ngrams": 8, "empty_text": 2}


@pytest.mark.parametrize("method", ["global", "minhash"])
def test_a_crawl_is_compared_with_earlier_ones_until_these_are_taken_off_the_list(
    spark, documents, tmp_path, method
):
    pages = [" ".join(f"{name}{number}" for number in range(60)) for name in "abcd"]
    first = made_of(documents, pages[:2], tmp_path / "first")
    second = made_of(documents, pages[1:], tmp_path / "second")
    settings = DeduplicationSettings(method=METHODS[method](), shards=1)
    run(spark, first, settings, tmp_path / "one" / "stages" / "deduplicate")
    later = replace(settings, earlier=(str(tmp_path / "one"),))
    place = tmp_path / "two" / "stages" / "deduplicate"

    output = run(spark, second, later, place)
    assert sorted(row["text"] for row in rows_of(output, "kept/")) == pages[2:]
    assert [row["value"] for row in rows_of(output, "dropped/")] == [1.0]

    third = made_of(documents, pages, tmp_path / "third")
    both = replace(settings, earlier=(str(tmp_path / "one"), str(tmp_path / "two")))
    assert rows_of(run(spark, third, both, tmp_path / "three"), "kept/") == []

    without = run(spark, second, settings, place)
    assert sorted(row["text"] for row in rows_of(without, "kept/")) == pages[1:]


def test_an_earlier_run_without_a_fitting_table_is_refused(spark, documents, tmp_path):
    source = made_of(documents, ["a b c"], tmp_path / "in")
    settings = DeduplicationSettings(method=GlobalNgrams(), shards=1)
    run(spark, source, settings, tmp_path / "one" / "stages" / "deduplicate")
    nowhere = replace(settings, earlier=(str(tmp_path / "nowhere"),))
    with pytest.raises(SettingError, match="finished run"):
        run(spark, source, nowhere, tmp_path / "two")
    other = replace(settings, earlier=(str(tmp_path / "one"),), method=GlobalNgrams(min_ngram=5))
    with pytest.raises(SettingError, match="other n-gram"):
        run(spark, source, other, tmp_path / "two")


def test_the_evidence_shows_pairs_precision_and_clusters(spark, documents, tmp_path):
    output = run(spark, documents, GLOBAL, tmp_path / "d")
    found = dedup_evidence(spark, documents, output, GLOBAL)
    dropped = rows_of(output, "dropped/")
    copies = Counter(row["partner"] for row in dropped if row["rule"] == "duplicate_text")
    assert sum(n for rule, _, n in found["clusters"] if rule == "duplicate_text") == len(copies)
    exact = next(entry for entry in found["precision"] if entry["rule"] == "duplicate_text")
    assert exact["sampled"] == exact["right"] == min(50, copies.total())
    texts = {row["doc_id"].hex(): row["text"] for row in rows_of(documents, "kept/")}
    for pair in found["pairs"]:
        assert texts[pair["doc_id"]].startswith(pair["text"])
        assert texts[pair["partner"]].startswith(pair["partner_text"])
    assert {pair["rule"] for pair in found["pairs"]} >= {"duplicate_text", "contained_ngrams"}
    assert dedup_evidence(spark, documents, output, GLOBAL) == found


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("deduplication.method=fuzzy", "sharded, global, minhash, lines, passages, none"),
        ("deduplication.mode=delete", "remove, annotate"),
        ("deduplication.shards=0", "1 to 99999"),
        ("deduplication.exact=[title]", "text, url"),
        ("deduplication.earlier=[out/may]", "global, minhash"),
        ("deduplication.global_ngrams.min_ngram=0", "min_ngram"),
        ("deduplication.global_ngrams.sample_one_in=0", "sample_one_in"),
        ("deduplication.ngrams.threshold=1.5", "threshold"),
        ("deduplication.near_duplicates.threshold=0", "threshold"),
    ],
)
def test_values_that_cannot_be_used_are_refused_when_the_recipe_is_read(assignment, named):
    with pytest.raises(ValueError, match=named):
        load_recipe("dclm_baseline", [assignment])


def test_sampled_ngrams_find_what_all_ngrams_find_in_exact_copies(spark, documents, tmp_path):
    page = " ".join(f"word{number}" for number in range(400))
    source = made_of(documents, [page] * 3, tmp_path / "in")
    settings = DeduplicationSettings(method=GlobalNgrams(sample_one_in=8), shards=1)
    output = run(spark, source, settings, tmp_path / "out")
    assert [row["value"] for row in rows_of(output, "dropped/")] == [1.0, 1.0]
