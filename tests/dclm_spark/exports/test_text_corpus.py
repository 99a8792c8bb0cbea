"""The kept documents of a run as a data set: read by `datasets`, checked by its checksums."""

import hashlib
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from dclm_spark.errors import InputError, SettingError
from dclm_spark.exports.text_corpus import read_corpus, write_text
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from tests.udfs.tokens.vocabularies import byte_level

pytestmark = [pytest.mark.spark, pytest.mark.long]
PAGES = [
    {
        "url": f"http://host{place}.example/page",
        "text": f"page {place} of a ferry" * (1 + place % 3),
    }
    for place in range(20)
]


@pytest.fixture(scope="module")
def run(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "in").mkdir()
    for number in (0, 1):
        lines = [json.dumps(page) + "\n" for page in [*PAGES[number::2], PAGES[0]]]
        (folder / "in" / f"pages-{number}.jsonl").write_text("".join(lines))
    (folder / "tokenizer.json").write_text(byte_level(1000))
    recipe = load_recipe(
        "raw",
        [
            "deduplication.exact=[url]", "deduplication.shards=2", "quality.enabled=false",
            f"tokens.tokenizer.uri={folder}/tokenizer.json", "tokens.sequence_length=16",
        ],
    )  # fmt: skip
    build_baseline(spark, recipe=recipe, inputs=str(folder / "in"), output=str(folder / "out"))
    return str(folder / "out")


def texts_of(rows):
    return sorted(row["text"] for row in rows)


def expected(run):
    corpus = read_corpus(run)
    ids = pq.ParquetDataset([file["uri"] for file in corpus.selected.files("kept/")]).read()
    assert len(ids) == len(PAGES)
    return sorted(page["text"] for page in PAGES)


def test_datasets_reads_what_the_run_kept_by_its_card(spark, run, tmp_path):
    import datasets

    write_text(spark, run, str(tmp_path / "texts"), signals=["http_status"])
    rows = datasets.load_dataset(
        str(tmp_path / "texts"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert texts_of(rows) == expected(run)
    wanted = {"doc_id", "url", "fetch_time", "source", "language", "quality_score", "http_status"}
    assert wanted <= set(rows.column_names)
    assert len({row["doc_id"] for row in rows}) == len(PAGES)
    assert set(rows["url"]) == {page["url"] for page in PAGES}


def test_json_lines_hold_the_same(spark, run, tmp_path):
    written = write_text(spark, run, str(tmp_path), kind="jsonl")
    rows = []
    for file in written.files("data/"):
        data = Path(file["uri"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"]
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)))
        rows += [json.loads(line) for line in stream]
    assert texts_of(rows) == expected(run)


def test_the_card_says_what_became_of_the_pages(spark, run, tmp_path):
    written = write_text(spark, run, str(tmp_path))
    card = (tmp_path / "README.md").read_text()
    assert "| documents | 22 | 22 | 0 | 0 |" in card
    assert "| deduplicate | 22 | 20 | 2 | 0 |" in card
    assert "| select | 20 | 20 | 0 | 0 |" in card
    assert "path: data/*.parquet" in card
    assert (tmp_path / "recipe.yaml").read_text() == Path(run, "recipe.yaml").read_text()
    for line in (tmp_path / "SHA256SUMS").read_text().splitlines():
        digest, path = line.split("  ")
        assert hashlib.sha256((tmp_path / path).read_bytes()).hexdigest() == digest
    assert {file["path"] for file in written.files("")} <= {
        line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()
    }


def test_a_unit_is_not_written_twice_and_another_format_replaces_it(spark, run, tmp_path):
    first = write_text(spark, run, str(tmp_path))
    times = [Path(file["uri"]).stat().st_mtime_ns for file in first.files("")]
    again = write_text(spark, run, str(tmp_path))
    assert [Path(file["uri"]).stat().st_mtime_ns for file in again.files("")] == times
    write_text(spark, run, str(tmp_path), kind="jsonl")
    suffixes = {"".join(path.suffixes) for path in (tmp_path / "data").iterdir()}
    assert suffixes == {".jsonl.zst"}


def test_wrong_arguments_say_what_to_give(spark, run, tmp_path):
    with pytest.raises(InputError, match=r"there is no recipe\.yaml; give the --output of"):
        write_text(spark, str(tmp_path / "nothing"), str(tmp_path / "texts"))
    with pytest.raises(SettingError, match=r"--signals num_word: .* did you mean num_words\?"):
        write_text(spark, run, str(tmp_path / "texts"), signals=["num_word"])
