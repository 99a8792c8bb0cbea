import csv
import gzip
import json

import pytest

from dclm_spark.crawl.listing import list_inputs
from tests.benchmarks.extraction import (
    VIEWS,
    compare_extractors,
    gold_pages,
    quality_of,
    survival,
    word_f1,
)
from tests.benchmarks.extraction_markdown import quality_table, survival_table
from tests.udfs.documents.test_extract import warc
from tests.udfs.units.test_view_choice import PROSE
from udfs.documents.extract import extract_documents
from udfs.documents.extraction_settings import DEFAULT_SETTINGS

TEXT = PROSE
PAGES = (
    (f"<nav>Home</nav><main><p>{TEXT}</p></main>".encode(), "text/html", 200),
    (
        b"<main><p>Only strings are known of this one.</p></main><footer><p>Imprint</p></footer>",
        "text/html",
        200,
    ),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(warc(PAGES))
    (batch,) = extract_documents("C", str(tmp_path / "a.warc.gz"), "a", DEFAULT_SETTINGS)
    gold = [
        {"record_id": "0", "source": "s", "gold_kind": "main_text", "main_text": TEXT},
        {"record_id": "1", "source": "s", "gold_kind": "snippets", "with": ["strings are"],
         "without": ["Imprint"]},
    ]  # fmt: skip
    with gzip.open(tmp_path / "gold.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in gold)
    with (tmp_path / "manifest.tsv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["record_id", "warc_file", "offset"])
        for number, offset in enumerate(batch.column("warc_offset").to_pylist()):
            rows.writerow([number, "a.warc.gz", offset])
    return tmp_path


def test_words_are_compared_as_often_as_they_occur():
    assert word_f1("a b b", "a b c") == pytest.approx(2 / 3)
    assert word_f1("河水", "河流") == 0.5
    assert word_f1("", "a") == 0.0


def test_extractors_are_measured_by_the_marked_texts(folder):
    pages = list(gold_pages(folder))
    main, whole = (quality_of(name, pages) for name in ("resiliparse", "resiliparse_recall"))
    assert main.word_f1 == {"s": 1.0}
    assert 0.9 < whole.word_f1["s"] < 1.0
    assert (main.found, main.left_out, whole.left_out) == (1.0, 1.0, 0.0)
    assert "| s (1) | 1.000 |" in quality_table(compare_extractors(pages))


@pytest.mark.long
def test_what_survives_is_compared_with_the_reference(folder):
    files = list_inputs(str(folder / "a.warc.gz"))
    outcomes = [survival(files), survival(files, VIEWS)]
    assert outcomes[0].cpu_seconds > 0
    assert (outcomes[0].documents, outcomes[0].words) == (1, len(PROSE.split()))
    assert f"| {VIEWS} | 1 |" in survival_table(outcomes)
