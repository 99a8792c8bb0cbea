"""Two runs of a few documents: which differ, in what, and what is told of them."""

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from dclm_spark.causes.difference import DOCUMENTS, Amount, read_difference, write_difference
from dclm_spark.causes.differing_groups import compare_corpora, corpus_difference
from dclm_spark.causes.models_of_groups import chosen_groups
from dclm_spark.errors import InputError, SettingError
from dclm_spark.stages.select import SELECTED
from dclm_spark.stages.tokenize import FOLDER, TOKENIZED
from tests.dclm_spark.report.toy_runs import PATH, toy_run
from udfs.documents.schema import EXTRACTED, document_id
from udfs.units.output import UnitOutput

# Six joins of two runs take Spark twenty seconds.
pytestmark = [pytest.mark.spark, pytest.mark.long]

KEPT, SHORT, POOR = "kept", "documents: page_length", "select: quality_score"
# What became of the pages 0 to 6, and the tokens of those that were kept.
FATES = {
    "a": [KEPT, KEPT, KEPT, SHORT, POOR, KEPT, KEPT],
    "b": [KEPT, KEPT, POOR, KEPT, KEPT, SHORT, SHORT],
}
TOKENS = {
    "a": {0: [5] * 10, 1: [6] * 20, 2: [7] * 30, 5: [9] * 50, 6: [1] * 7},
    "b": {0: [5] * 10, 1: [8] * 25, 3: [3] * 40, 4: [4] * 60},
}
SCORES = {"a": {2: 0.3, 4: 0.001}, "b": {2: 0.9, 3: 0.4, 4: 0.002}}
SITES = ["a.example", "b.example", "c.example", "a.example", "b.example", "c.example", "c.example"]
LANGUAGES = {3: "de", 4: "en", 5: "fr"}


def doc_id(place: int) -> bytes:
    return document_id("C", PATH, place)


def write_rows(folder: Path, rows: list[dict], schema: pa.Schema, into: str | None = None) -> None:
    with UnitOutput(str(folder), "unit", schema, folder=into) as output:
        output.write(pa.RecordBatch.from_pylist(rows, schema))
        output.commit("key")


def write_run(folder: Path, name: str) -> str:
    """Write a run whose texts have languages and scores, and whose tokens are those above."""
    fates = FATES[name]
    toy_run(folder, fates)
    documents = [n for n, fate in enumerate(fates) if not fate.startswith("documents")]
    common = {n: {"doc_id": doc_id(n), "url": f"https://{SITES[n]}/{n}"} for n in range(len(fates))}
    texts = pa.schema([*EXTRACTED, pa.field("language", pa.string())])
    write_rows(
        folder / "stages/deduplicate",
        [
            common[n] | {"text": f"page {n} of {name} " * 99, "fate": "kept",
                         "language": LANGUAGES.get(n)}
            for n in documents
        ],
        texts,
    )  # fmt: skip
    taken = {n: fates[n].startswith("select") for n in documents}
    selected = pa.schema([*SELECTED, pa.field("text", pa.string())])
    write_rows(
        folder / "stages/select",
        [
            common[n] | {
                "quality_score": SCORES[name].get(n),
                "fate": "dropped" if taken[n] else "kept",
                "stage": "select" if taken[n] else None,
                "rule": "quality_score" if taken[n] else None,
            }
            for n in documents
        ],
        selected,
    )  # fmt: skip
    write_rows(
        folder / "stages/tokenize",
        [
            common[n] | {
                "crawl": "C", "domain": f"www.{SITES[n]}", "num_tokens": len(ids),
                "tokens": bytes(ids),
            }
            for n, ids in TOKENS[name].items()
        ],
        TOKENIZED,
        FOLDER,
    )  # fmt: skip
    return str(folder)


@pytest.fixture(scope="module")
def compared(spark, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("compared")
    runs = [write_run(folder / name, name) for name in ("a", "b")]
    found, _ = compare_corpora(spark, *runs, str(folder / "out"))
    return found, folder / "out"


def amounts(found, dimension: str) -> Mapping[tuple[str, str], tuple[int, int, int]]:
    return {
        (one.name, one.kind): (one.documents, one.tokens_first, one.tokens_second)
        for one in found.groups[dimension]
    }


def test_documents_are_counted_by_what_took_them_in_the_run_without_them(compared) -> None:
    found, _ = compared
    assert found.totals == (Amount(documents=5, tokens=117), Amount(documents=4, tokens=135))
    assert amounts(found, "rule") == {
        ("documents: page_length", "entered"): (1, 0, 40),
        ("select: quality_score", "entered"): (1, 0, 60),
        ("select: quality_score", "left"): (1, 30, 0),
        ("documents: page_length", "left"): (2, 57, 0),
        ("kept", "changed"): (1, 20, 25),
    }
    assert "2 documents (100 tokens) are in B alone, 3 (87) in A alone, 1 differ" in found.headline


def test_and_by_domain_language_source_and_score(compared) -> None:
    found, _ = compared
    assert amounts(found, "domain") == {
        ("a.example", "entered"): (1, 0, 40),
        ("b.example", "entered"): (1, 0, 60),
        ("b.example", "changed"): (1, 20, 25),
        ("c.example", "left"): (3, 87, 0),
    }
    assert amounts(found, "language") == {
        ("de", "entered"): (1, 0, 40),
        ("en", "entered"): (1, 0, 60),
        ("fr", "left"): (1, 50, 0),
        ("", "left"): (2, 37, 0),
        ("", "changed"): (1, 20, 25),
    }
    assert amounts(found, "source") == {
        ("C", "entered"): (2, 0, 100), ("C", "left"): (3, 87, 0), ("C", "changed"): (1, 20, 25),
    }  # fmt: skip
    # Of the first run where it gave a score.
    assert amounts(found, "score") == {
        ("0.25 to 0.5", "entered"): (1, 0, 40),
        ("0.00098 to 0.002", "entered"): (1, 0, 60),
        ("0.25 to 0.5", "left"): (1, 30, 0),
        ("", "left"): (2, 57, 0),
        ("", "changed"): (1, 20, 25),
    }


def test_sample_pages_have_their_addresses_and_beginnings(compared) -> None:
    found, _ = compared
    pages = {(one.kind, page.url): page for one in found.groups["rule"] for page in one.samples}
    entered = pages["entered", "https://a.example/3"]
    assert entered.doc_id == doc_id(3).hex()
    assert entered.text.startswith("page 3 of b page 3")
    assert len(entered.text) == 400
    # A text that both have is shown as the first has it.
    assert pages["changed", "https://b.example/1"].text.startswith("page 1 of a")


def test_what_is_written_is_read_again_and_shown(compared) -> None:
    found, folder = compared
    page = write_difference(found, str(folder))
    assert read_difference(str(folder)) == found
    html = Path(page).read_text()
    for shown in (f"{POOR}, entered", "https://c.example/2", "page 3 of b", "By score"):
        assert shown in html
    assert json.loads((folder / "corpora.json").read_text())["schema_version"] == 1


def test_the_groups_for_models_have_all_of_their_documents(compared) -> None:
    found, folder = compared
    table = str(folder / DOCUMENTS)
    groups = {one.label: set(one.doc_ids) for one in chosen_groups(found, table, "rule", 2)}
    assert groups == {
        "select: quality_score, entered": {doc_id(4)},
        "documents: page_length, left": {doc_id(5), doc_id(6)},
    }
    (largest,) = chosen_groups(found, table, "domain", 1)
    assert (largest.label, set(largest.doc_ids)) == ("b.example", {doc_id(1), doc_id(4)})
    with pytest.raises(SettingError, match="--by topic: expected one of rule, domain"):
        chosen_groups(found, table, "topic", 2)


def test_what_is_no_finished_run_or_comparison_is_refused(spark, compared, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run is here \(run\.json is missing\)"):
        corpus_difference(spark, str(tmp_path), str(tmp_path), str(tmp_path / "out"))
    toy_run(tmp_path / "c", FATES["a"])
    with pytest.raises(InputError, match="has no finished stage 'tokenize'"):
        corpus_difference(spark, str(tmp_path / "c"), str(tmp_path / "c"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="compare two runs first"):
        read_difference(str(tmp_path))
