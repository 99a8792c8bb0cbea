"""Documents taken out of a finished run: nothing of them is read again, and nothing else moves."""

import gzip
import hashlib
import json
import random
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dclm_spark.corpus.describe import describe_corpus
from dclm_spark.errors import InputError
from dclm_spark.exports.openlm_export import export_openlm
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.removal import tombstones
from dclm_spark.removal.compaction import signal_stages
from dclm_spark.removal.lists import read_list
from dclm_spark.removal.record import verify_record
from dclm_spark.removal.remove import Request, remove_documents
from dclm_spark.removal.robots import RobotsRequest, robots_files
from dclm_spark.shard_format import Removals, ShardError, blanked, read_manifest
from udfs.documents.sites import site_of
from udfs.tokens.tokenizer import train_tokenizer

pytestmark = pytest.mark.spark
KEY = b"0123456789abcdef"
GONE, STAYS, BELOW = "gone.example", "stays.example", "www.gone.example"


def pages():
    """Return (url, text) of pages whose texts share nothing; every third of a domain that goes."""
    rng = random.Random(5)
    hosts = (GONE, STAYS, "other.example", BELOW, STAYS, "third.example")
    return [
        (
            f"https://{hosts[place % 6]}/{place}",
            " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(60)),
        )
        for place in range(90)
    ]


@pytest.fixture(scope="module")
def corpus(spark, tmp_path_factory):
    """Return the folder of a finished run, its recipe and its input."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text for _, text in pages()]
    (folder / "tokenizer.json").write_text(train_tokenizer(iter(texts), 400))
    lines = [json.dumps({"url": url, "text": text}) for url, text in pages()]
    (folder / "in.jsonl").write_text("\n".join(lines))
    changes = [
        f"tokens.tokenizer.uri={folder / 'tokenizer.json'}", "tokens.sequence_length=64",
        "tokens.sequences_per_shard=24", "deduplication.shards=2",
        "deduplication.method=sharded",
    ]  # fmt: skip
    recipe = load_recipe("raw", changes)
    run(spark, folder, recipe)
    return folder, recipe


def run(spark, folder, recipe):
    build_baseline(
        spark, recipe=recipe, inputs=str(folder / "in.jsonl"), output=str(folder / "out")
    )


def sums(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.parquet"))
        if "removed" not in path.parts
    }


def ids_of(folder, gone):
    """Return for each shard [rows, tokens] and which of them are of the domains in `gone`."""
    found = {}
    for path in sorted((folder / "out/shards").glob("shard-*[0-9].parquet")):
        rows = [np.frombuffer(row, "<u2") for row in pq.read_table(path)["tokens"].to_pylist()]
        mask = np.zeros((len(rows), len(rows[0])), bool)
        beside = path.with_suffix("").with_suffix(".provenance.parquet")
        for span in pq.read_table(beside).to_pylist():
            if span["domain"] in gone:
                mask[span["row"], span["start"] : span["start"] + span["num_tokens"]] = True
        found[path.name] = (np.stack(rows), mask)
    return found


def served(folder):
    """Return what trainers and exporters get of each shard."""
    manifest = read_manifest(str(folder / "out/shards"))
    removals, found = Removals(manifest), {}
    for shard in manifest.shards:
        rows = [
            np.frombuffer(row, "<u2")
            for row in pq.read_table(folder / "out/shards" / shard.path)["tokens"].to_pylist()
        ]
        tokens, mask = np.stack(rows), removals.mask(shard, 0, len(rows))
        if mask is not None:
            blanked(tokens, mask, manifest)
        found[shard.path] = tokens
    return manifest, found


def spans_of(folder):
    """Return (id, host) of each document that the files hold."""
    return {
        (span["doc_id"], span["domain"])
        for path in (folder / "out/shards").glob("*.provenance.parquet")
        for span in pq.read_table(path).to_pylist()
    }


@pytest.fixture(scope="module")
def removal(spark, corpus):
    folder, recipe = corpus
    before, expected = sums(folder / "out"), ids_of(folder, {GONE, BELOW})
    record = remove_documents(
        spark,
        Request(
            output=str(folder / "out"), entries=(("domain", GONE),), reason="asked to",
            signing_key=KEY,
        ),
    )  # fmt: skip
    return folder, recipe, before, expected, record


def test_removed_tokens_are_padding_and_all_others_are_what_they_were(removal):
    folder, _, before, expected, record = removal
    assert sums(folder / "out") == before
    manifest, found = served(folder)
    ends = manifest.end_of_text_id
    for path, (tokens, mask) in expected.items():
        assert (found[path][~mask] == tokens[~mask]).all()
        assert set(np.unique(found[path][mask])) <= {manifest.padding_id, ends}
    count = sum(int(mask.sum()) for _, mask in expected.values())
    assert count > 1000
    assert record["tokens"] == count
    assert record["documents"] == 30
    assert record["shards"] == [path for path, (_, mask) in expected.items() if mask.any()]


def test_the_record_is_signed_and_says_what_went_and_why(removal):
    _, _, _, _, record = removal
    assert record["reason"] == "asked to"
    assert record["entries"] == {"id": 0, "url": 0, "domain": 1}
    assert record["unmatched_entries"] == {"id": 0, "url": 0, "domain": 0}
    assert record["fingerprint"] != record["fingerprint_before"]
    assert verify_record(record, KEY)
    assert not verify_record(record | {"documents": 29}, KEY)
    assert not verify_record(record, b"another key of chance")


def test_a_second_removal_by_address_and_id_adds_to_the_first(spark, removal, caplog):
    folder, _, _, expected, record = removal
    third = [url for url, _ in pages() if "third.example" in url]
    provenance = [
        span
        for path in (folder / "out/shards").glob("*.provenance.parquet")
        for span in pq.read_table(path).to_pylist()
    ]
    other = next(span["doc_id"] for span in provenance if span["domain"] == "other.example")
    second = remove_documents(
        spark,
        Request(
            output=str(folder / "out"), reason="more",
            entries=(
                ("url", third[0].replace("https", "http")), ("id", other.hex()),
                *(("domain", f"gnoe{n}.example") for n in range(25)),
            ),
        ),
    )  # fmt: skip
    assert second["entries"] == {"id": 1, "url": 1, "domain": 25}
    assert second["unmatched_entries"] == {"id": 0, "url": 0, "domain": 25}
    (told,) = [one.message for one in caplog.records if "match no document" in one.message]
    assert told.startswith("25 of 25 entries of --domains match no document: gnoe0.example, gnoe1.")
    assert told.endswith("gnoe19.example and 5 more")
    assert second["documents"] == 2
    assert second["number"] == 2
    assert 0 < second["tokens"] < record["tokens"]
    folder_of_first = folder / "out/shards/removed/0001"
    assert second["previous_sha256"] == hashlib.sha256(
        (folder_of_first / "record.json").read_bytes()
    ).hexdigest()  # fmt: skip
    manifest, found = served(folder)
    for path, (_, mask) in expected.items():
        assert set(np.unique(found[path][mask])) <= {manifest.padding_id, manifest.end_of_text_id}


def test_a_run_that_is_given_again_keeps_what_was_removed(spark, removal):
    folder, recipe, *_ = removal
    before = read_manifest(str(folder / "out/shards"))
    run(spark, folder, recipe)
    assert read_manifest(str(folder / "out/shards")) == before


def test_an_ended_removal_is_not_looked_for_by_later_code_that_may_find_no_address(
    spark, removal, monkeypatch
):
    folder, *_ = removal
    shards, tokenized = str(folder / "out/shards"), str(folder / "out/stages/tokenize")
    before = read_manifest(shards)

    def finds_nothing(source, output, lists):
        pass

    monkeypatch.setattr(tombstones, "_meet", finds_nothing)
    spans = tombstones.write_tombstones(
        spark,
        tombstones.committed_output("tokenize", tokenized),
        tombstones.committed_output("shards", shards),
    )
    assert spans == before.removed


def test_a_description_counts_what_stays(spark, removal):
    folder, *_ = removal
    place = Path(describe_corpus(spark, str(folder / "out")))
    found = json.loads((place / "contents.json").read_text())
    hosts = Counter(site_of(host) for _, host in spans_of(folder) if host not in (GONE, BELOW))
    assert GONE not in found["sites"]
    assert sum(one["documents"] for one in found["sites"].values()) == found["total"]["documents"]
    assert found["sites"][STAYS]["documents"] == hosts[STAYS] == 30
    assert found["num_sites"] == 3
    texts = [text for url, text in pages() if STAYS in url]
    assert found["sites"][STAYS]["text_size_bytes"] == sum(len(text) for text in texts)
    summary = (place / "public_summary.md").read_text()
    assert "less than 1 billion tokens" in summary
    assert f"| {STAYS} | 30 |" in summary
    assert "30 documents" in (place / "datasheet.md").read_text()


def test_the_export_for_openlm_has_padding_too(removal, tmp_path):
    folder, *_ = removal
    manifest, found = served(folder)
    export_openlm(str(folder / "out/shards"), str(tmp_path))
    with tarfile.open(tmp_path / "shard_00000000.tar") as tar:
        rows = [json.loads(gzip.decompress(tar.extractfile(one).read())) for one in tar]
    assert rows == np.concatenate([found[shard.path] for shard in manifest.shards]).tolist()


def test_spans_that_are_not_the_promised_ones_are_refused(removal, tmp_path):
    folder, *_ = removal
    manifest = read_manifest(str(folder / "out/shards"))
    wrong = replace(manifest.removed[0], sha256="0" * 64)
    changed = replace(manifest, removed=(wrong, *manifest.removed[1:]))
    shard = next(one for one in manifest.shards if one.path == wrong.shard)
    with pytest.raises(ShardError, match="not the removed documents"):
        Removals(changed).mask(shard, 0, 1)


@pytest.mark.long
def test_compaction_leaves_nothing_of_the_removed_and_every_other_file_as_it_was(spark, removal):
    folder, recipe, before, _, _ = removal
    _, expected = served(folder)
    remove_documents(spark, Request(output=str(folder / "out"), compact=True))
    gone = [text.encode() for url, text in pages() if GONE in url]
    assert_nowhere(folder / "out", [GONE, *map(bytes.decode, gone)])
    manifest, found = served(folder)
    assert all((found[path] == rows).all() for path, rows in expected.items())
    raw = ids_of(folder, ())
    assert all((raw[path][0] == rows).all() for path, rows in expected.items())
    for shard in manifest.shards:
        content = (folder / "out/shards" / shard.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == shard.sha256
        touched = shard.path in {one.shard for one in manifest.removed}
        assert touched or before[f"shards/{shard.path}"] == shard.sha256
    after = sums(folder / "out")
    run(spark, folder, recipe)
    assert read_manifest(str(folder / "out/shards")) == manifest
    again = sums(folder / "out")
    assert {name: again[name] for name in after} == after
    assert (folder / "out/report.html").exists()


def test_what_robots_txt_refuses_now_is_removed_and_said_in_the_record(spark, removal):
    folder, *_ = removal
    path = folder / "robots.jsonl"
    rules = "User-agent: GPTBot\nDisallow: /"
    row = {"url": "https://third.example/robots.txt", "date": "2026-05-01", "text": rules}
    path.write_text(json.dumps(row))
    robots = RobotsRequest(files=robots_files(str(path), None))
    # One of 15 went by its address before, and is out of the files once these were compacted.
    count = len({one for one in spans_of(folder) if one[1] == "third.example"})
    record = remove_documents(
        spark, Request(output=str(folder / "out"), reason="opt-outs", robots=robots, compact=True)
    )
    assert count in (14, 15)
    assert record["documents"] == record["robots"]["documents"] == count
    assert record["robots"]["by_agent"] == {"GPTBot": count}
    gone = [text for url, text in pages() if "third.example" in url]
    assert_nowhere(folder / "out", ["third.example", *gone])


def test_compaction_knows_the_stages_of_signals_that_any_recipe_has_left(tmp_path):
    for place in (
        "select/kept",
        "signal-topic/signals",
        "signal-topic/units",
        "signal-edu/signals",
    ):
        (tmp_path / "stages" / place).mkdir(parents=True)
        (tmp_path / "stages" / place / "a.parquet").write_bytes(b"")
    assert signal_stages(str(tmp_path)) == ["signal-edu", "signal-topic"]
    assert signal_stages(str(tmp_path / "other")) == []


def assert_nowhere(folder, strings):
    """Look into every Parquet table, and every other file, for any of the strings."""
    for path in folder.rglob("*"):
        if path.suffix == ".parquet" and "list" not in path.name:
            content = json.dumps(pq.read_table(path).to_pylist(), default=str)
        elif path.suffix in (".json", ".html") and "statistics" not in str(path):
            content = path.read_text()
        else:
            continue
        if "removed" not in path.parts:
            assert not [one for one in strings if one in content], path


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [
        ("id", "xyz", "32 hex digits"),
        ("url", "example.org/page", "address with its scheme"),
        ("domain", "https://example.org/", "a name such as"),
    ],
)
def test_a_line_that_is_no_entry_is_named(tmp_path, kind, line, expected):
    path = tmp_path / "list.txt"
    path.write_text(f"# a list\n\n{line}\n")
    with pytest.raises(InputError, match=f"line 3: .*{expected}"):
        read_list(kind, str(path))
