"""A run whose input, lists and models come from signed addresses leaves no secret anywhere."""

import gzip
import logging
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.engine.manifests import unit_key
from dclm_spark.errors import InputError
from dclm_spark.explain import explain, final_text
from dclm_spark.pipeline import build_baseline
from dclm_spark.recipes import load_recipe
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.sample.sample_run import sample_recipe
from tests.fault_server import serve, status
from udfs import storage
from udfs.storage.stream import ReadSettings, StorageError, without_secrets

SECRETS = ("hunter2hunter2", "s3cr3t-token", "pa55w0rd")
SIGNATURE = f"?X-Amz-Signature={SECRETS[0]}&X-Amz-Security-Token={SECRETS[1]}&verify={SECRETS[1]}"


def signed(url, signature=SIGNATURE):
    return f"{url.replace('://', f'://user:{SECRETS[2]}@')}{signature}"


def everything_below(folder):
    """The path and the bytes of every file, of compressed and columnar ones their content too."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield str(path).encode() + data
            if data.startswith(b"\x1f\x8b"):
                yield gzip.decompress(data)
            if path.suffix == ".parquet":
                yield repr(pq.read_table(path).to_pylist()).encode()


def assert_no_secret(*contents):
    for content in contents:
        for secret in SECRETS:
            assert secret.encode() not in content
            assert quote(secret).encode() not in content


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    return generate_crawl(tmp_path_factory.mktemp("sample"), seed=7, num_pages=200)


@pytest.mark.long
@pytest.mark.spark
def test_a_run_on_signed_addresses_keeps_none_of_their_secrets(
    spark, crawl, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("DCLM_SPARK_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.DEBUG, "dclm_spark")
    small = ["tokens.sequence_length=128", "tokens.sequences_per_shard=64"]
    recipe = sample_recipe(load_recipe("sample", small), crawl, crawl.base)
    warc = sorted(crawl.base.rglob("*.warc.gz"))[0].read_bytes()
    with ExitStack() as servers:

        def served(file):
            server = servers.enter_context(serve(storage.read_bytes(file.uri)))
            return replace(file, uri=signed(server.url))

        recipe = replace(
            recipe,
            url_lists=replace(recipe.url_lists, domains=served(recipe.url_lists.domains)),
            quality=replace(recipe.quality, model=served(recipe.quality.model)),
            tokens=replace(recipe.tokens, tokenizer=served(recipe.tokens.tokenizer)),
        )
        server = servers.enter_context(serve(warc))
        output = str(tmp_path / "run")
        inputs = signed(server.url)
        build_baseline(spark, recipe=recipe, inputs=inputs, output=output)
        reads = len(server.gets)
        assert server.gets[0]["Authorization"].startswith("Basic ")
        anew = signed(server.url, "?X-Amz-Signature=other")
        build_baseline(spark, recipe=recipe, inputs=anew, output=output)
        # What is checked before a run opens the first file; no unit is read again.
        assert len(server.gets) == reads + 1
        assert_no_secret(*everything_below(tmp_path), caplog.text.encode())
        assert "some.warc.gz" in (tmp_path / "run" / "inputs.json").read_text()

        dropped = sorted((tmp_path / "run/stages/documents/dropped").glob("*.parquet"))
        rows = [row for path in dropped for row in pq.read_table(path).to_pylist()]
        page = next(row for row in rows if row["fate"] == "dropped" and row["language_score"])
        history = explain(output, page["doc_id"].hex())[0]
        with pytest.raises(InputError, match="freshly signed") as caught:
            final_text(output, history)
        assert_no_secret(str(caught.value).encode())
        assert final_text(output, history, list_inputs(anew))


def test_errors_about_signed_addresses_keep_their_secrets(tmp_path):
    quick = ReadSettings(max_attempts=2, min_wait_seconds=0.001, max_wait_seconds=0.001)
    with serve(b"x", status(500), status(500), status(403)) as server:
        for _ in range(2):
            with pytest.raises(StorageError) as caught:
                storage.read_bytes(signed(server.url), quick)
            assert_no_secret(str(caught.value).encode())
    for wrong in ("https://host/nothing", "https://host/x.pdf"):
        with pytest.raises(InputError) as error:
            list_inputs(signed(wrong))
        assert_no_secret(str(error.value).encode())


def test_a_listing_may_hold_signed_addresses(tmp_path):
    listing = tmp_path / "mine.paths"
    addresses = [f"https://host/a/{name}.warc.gz{SIGNATURE}" for name in "ba"]
    listing.write_text("\n".join(addresses))
    files = list_inputs(str(listing))
    assert [file.uri for file in files] == sorted(addresses)
    assert [file.path for file in files] == ["a.warc.gz", "b.warc.gz"]
    assert {file.kind for file in files} == {"warc"}


def test_a_signature_for_a_folder_follows_the_names_below_it():
    assert storage.join("https://host/a/?sig=x", "b/c") == "https://host/a/b/c?sig=x"
    assert storage.join("s3://bucket/what?", "b") == "s3://bucket/what?/b"


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("s3://bucket/a b?c#d", "s3://bucket/a b?c#d"),
        ("s3://me:secret@bucket/a", "s3://bucket/a"),
        ("https://h/a?versionId=7&X-Amz-Date=1", "https://h/a?versionId=7"),
        ("https://h/a?sv=1&se=2&sig=3", "https://h/a"),
        ("https://h/a?jwt=x#y", "https://h/a"),
        ("https://h/a?id=5&raw=true", "https://h/a?id=5&raw=true"),
        ("no address ? at all", "no address ? at all"),
    ],
)
def test_what_says_which_object_is_meant_stays_on_record(uri, kept):
    assert without_secrets(uri) == kept


def test_a_key_of_a_unit_does_not_depend_on_who_signed():
    recipe = load_recipe("sample", [])
    models = [replace(recipe.language_model, uri=f"https://h/m?sig={n}") for n in "ab"]
    other = replace(recipe.language_model, uri="https://h/m?versionId=2")
    assert unit_key("s", models[0], code="1") == unit_key("s", models[1], code="1")
    assert unit_key("s", models[0], code="1") != unit_key("s", other, code="1")
    assert unit_key("s", (models[0],), code="1") == unit_key("s", [models[0]], code="1")
