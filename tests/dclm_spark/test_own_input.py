"""Input that is not Common Crawl's: own columns of extracted texts, and a crawl of one's own."""

import gzip
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.engine.manifests import file_of_unit
from dclm_spark.errors import SettingError
from dclm_spark.explain import describe, explain, final_text
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings
from dclm_spark.stages.documents import unit_name, write_documents
from udfs.documents.extract import extract_documents
from udfs.tokens.tokenizer import train_tokenizer

PROSE = "The river ferry leaves the old harbour at seven in the morning and comes back at noon. "
HTML = f"<html><body><main><p>{PROSE * 3}</p></main></body></html>"


def column(folder, pattern, name):
    files = sorted(folder.glob(pattern))
    return [value for file in files for value in pq.read_table(file).column(name).to_pylist()]


@pytest.mark.long
@pytest.mark.spark
def test_own_columns_reach_ledger_and_provenance(spark, tmp_path):
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(iter([PROSE]), 300))
    records = [
        {"body": f"{PROSE} {name}", "license": name, "id": place}
        for place, name in enumerate(("CC0", "CC-BY", "MIT"))
    ]
    records.append({"license": "none"})
    # A date that is one in Arrow and none in Python, and a text that is dropped as a copy.
    records[1] |= {"url": "http://e.org/1", "metadata": {"WARC-Date": "0001-01-01T00:00:00+14:00"}}
    records.append(records[0] | {"license": "CC0", "url": "http://e.org/copy"})
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, records)))
    changes = [
        f"tokens.tokenizer.uri={tmp_path / 'tokenizer.json'}", "tokens.sequence_length=64",
        "input.text_column=body", "input.columns=[license]", "deduplication.shards=1",
        "deduplication.exact=[text]",
    ]  # fmt: skip
    recipe = load_recipe("raw", changes)
    out = tmp_path / "out"
    build_baseline(spark, recipe=recipe, inputs=str(tmp_path / "in.jsonl"), output=str(out))
    licenses = {f'{{"license": "{name}"}}' for name in ("CC0", "CC-BY", "MIT")}
    assert set(column(out / "stages", "documents/kept/*.parquet", "own_columns")) == licenses
    lost = column(out / "stages", "documents/quarantined/*.parquet", "own_columns")
    assert lost == [None]
    for files in ("deduplicate/kept/*.parquet", "tokenize/tokens/*.parquet"):
        assert set(column(out / "stages", files, "own_columns")) == licenses
    assert set(column(out, "shards/*.provenance.parquet", "own_columns")) == licenses
    (history,) = explain(str(out), "http://e.org/1")
    assert "fetch_time = 0000-12-31" in describe(history)
    assert final_text(str(out), history).endswith("CC-BY")
    (copy,) = explain(str(out), "http://e.org/copy")
    assert "dropped by duplicate_text" in describe(copy)
    (row,) = pq.read_table(out / "stages/documents/quarantined").to_pylist()
    (lost,) = explain(str(out), row["doc_id"].hex())
    assert final_text(str(out), lost) == ""
    in_input = [replace(copy[0], text=None)]
    assert final_text(str(out), in_input) == records[0]["body"]


@pytest.mark.spark
def test_large_files_are_read_in_parts_and_damaged_ones_do_not_stop_a_run(spark, tmp_path):
    lines = [json.dumps({"content": f"{PROSE} {n}", "url": f"http://e.org/{n}"}) for n in range(40)]
    given = tmp_path / "lang=en"
    given.mkdir()
    (given / "a.jsonl").write_text("\n".join(lines) + "\n")
    table = pa.table({"content": [f"{PROSE} p{n}" for n in range(40)]})
    pq.write_table(table, given / "b.parquet", row_group_size=10, use_dictionary=False)
    (given / "c.parquet").write_bytes(b"")
    (given / "d.parquet").write_bytes((given / "b.parquet").read_bytes()[:-100])
    changes = [
        "input.text_column=content", "input.part_size_bytes=1000", "input.columns=[lang]",
        "limits.max_files_without_documents=0.6",
    ]  # fmt: skip
    settings = curation_settings(load_recipe("raw", changes))
    files = list_inputs(str(tmp_path))
    out = tmp_path / "out"
    found = write_documents(spark, files, settings, str(out))
    assert found.documents() == {"kept": 80, "dropped": 0, "quarantined": 2}
    assert len([name for name in found.unit_names if name.startswith("a-")]) == 5
    assert {file_of_unit(name) for name in found.unit_names} == set(map(unit_name, files))
    urls = column(out, "kept/a-*.parquet", "url")
    assert sorted(url for url in urls if url) == sorted(f"http://e.org/{n}" for n in range(40))
    assert set(column(out, "kept/*.parquet", "own_columns")) == {'{"lang": "en"}'}
    assert set(column(out, "quarantined/*.parquet", "rule")) == {"damaged_file"}
    again = write_documents(spark, files, settings, str(out))
    assert again.fingerprint == found.fingerprint


def record(url, head, body="", kind="response", content_type="application/http; msgtype=response"):
    block = (head + body).encode()
    fields = [
        "WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: {url}",
        "WARC-Date: 2026-01-02T03:04:05Z", f"Content-Type: {content_type}",
        f"WARC-Record-ID: <urn:uuid:{abs(hash(url)):032x}>", f"Content-Length: {len(block)}",
    ]  # fmt: skip
    return gzip.compress("\r\n".join(fields).encode() + b"\r\n\r\n" + block + b"\r\n\r\n")


def answer(status, kind):
    return f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n\r\n"


@pytest.fixture
def crawl(tmp_path):
    """What Heritrix writes: pages, and all that a browser would fetch or follow besides."""
    path = tmp_path / "own.warc.gz"
    dns = "20260102030405\nexample.org. 300 IN A 192.0.2.1\n"
    path.write_bytes(
        record("dns:example.org", dns, content_type="text/dns")
        + record("http://example.org/a", answer(200, "text/html"), HTML)
        + record("http://example.org/b", answer(200, "application/xhtml+xml"), HTML)
        + record("http://example.org/c", answer(302, "text/html"), HTML)
        + record("http://example.org/d", answer(404, "text/html"), HTML)
        + record("http://example.org/e", answer(200, "text/css"), "p { margin: 0 }")
    )
    return path


def fates(path, recipe):
    batches = extract_documents("own", str(path), path.name, recipe.extraction)
    rows = [row for batch in batches for row in batch.to_pylist()]
    return {row["url"]: row["rule"] for row in rows}


def test_the_options_for_an_own_crawl_keep_its_pages(crawl):
    recipe = load_recipe("raw", options=["own_crawl"])
    assert fates(crawl, recipe) == {
        "dns:example.org": "http_status",
        "http://example.org/a": None,
        "http://example.org/b": None,
        "http://example.org/c": "http_status",
        "http://example.org/d": "http_status",
        "http://example.org/e": "mime_type",
    }


def test_the_reference_reads_them_all(crawl):
    assert "http_status" not in fates(crawl, load_recipe("raw")).values()


def test_a_value_of_ones_own_wins_over_an_option():
    recipe = load_recipe("raw", ["extraction.http_statuses=[200, 203]"], ["own_crawl"])
    assert recipe.extraction.http_statuses == (200, 203)
    assert recipe.extraction.mime_types == ("text/html", "application/xhtml+xml")
    with pytest.raises(SettingError, match=r"--options 'owncrawl': expected one of own_crawl"):
        load_recipe("raw", options=["owncrawl"])
