"""The documents stage: addresses with secrets, and settings that change no document."""

import json
import time
from dataclasses import dataclass, field, replace

import pytest

from dclm_spark.crawl.listing import InputFile
from dclm_spark.engine.run_record import run_identity, write_run_record
from dclm_spark.errors import SettingError, StageError
from dclm_spark.recipes import load_recipe
from dclm_spark.recipes.recipe import curation_settings, recipe_hash
from dclm_spark.sample.generate import generate_crawl
from dclm_spark.settings import from_dict, to_dict
from dclm_spark.stages.documents import HTTP_READERS, max_readers, write_documents
from tests.fault_server import serve, status
from udfs.storage.stream import ReadSettings

pytestmark = pytest.mark.spark

SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def warc(tmp_path_factory):
    crawl = generate_crawl(tmp_path_factory.mktemp("sample"), seed=3, num_pages=200)
    return sorted(crawl.base.rglob("*.warc.gz"))[0].read_bytes()


def signed(url: str, signature: str) -> InputFile:
    uri = f"{url}?X-Amz-Expires=60&X-Amz-Signature={signature}&versionId=7"
    return InputFile(crawl="c", path="some.warc.gz", uri=uri, kind="warc")


def contents(folder) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_signature_is_never_written_and_signing_anew_repeats_nothing(spark, warc, tmp_path):
    recipe = load_recipe("raw", [])
    settings, stage = curation_settings(recipe), str(tmp_path / "stages" / "documents")
    with serve(warc) as server:
        files = [signed(server.url, SECRET)]
        write_documents(spark, files, settings, stage)
        write_run_record(
            str(tmp_path), recipe, files, run_identity(recipe.name, recipe_hash(recipe), files)
        )
        first = len(server.gets)
        write_documents(
            spark,
            [signed(server.url, "new")],
            curation_settings(recipe),
            str(tmp_path / "stages" / "documents"),
        )
        assert len(server.gets) == first
    written = contents(tmp_path)
    assert SECRET.encode() not in written
    assert b"versionId=7" in written


def test_more_patience_repeats_no_unit(spark, warc, tmp_path):
    recipe = load_recipe("raw", [])
    patient = load_recipe("raw", ["extraction.reading.max_attempts=200"])
    with serve(warc) as server:
        for given in (recipe, patient):
            settings = curation_settings(given)
            write_documents(spark, [signed(server.url, "a")], settings, str(tmp_path))
        assert len(server.gets) == 1
        smaller = curation_settings(load_recipe("raw", ["extraction.batch_rows=7"]))
        write_documents(spark, [signed(server.url, "a")], smaller, str(tmp_path))
        assert len(server.gets) == 2
    assert recipe_hash(recipe) == recipe_hash(patient)


def test_a_recipe_on_record_names_its_files_without_what_signs_them():
    recipe = load_recipe("raw", [])
    model = replace(recipe.language_model, uri=f"https://me:{SECRET}@host/lid.ftz?token={SECRET}")
    record = to_dict(replace(recipe, language_model=model))
    assert SECRET not in json.dumps(record)
    assert record["language_model"]["uri"] == "https://host/lid.ftz"
    assert from_dict(type(recipe), to_dict(recipe)) == recipe


@dataclass
class Readers:
    """How many requests were open at a time, and when each began."""

    began: list[float] = field(default_factory=list)
    open: int = 0
    most: int = 0

    def fault(self, handler, body, start):
        self.began.append(time.monotonic())
        self.open += 1
        self.most = max(self.most, self.open)
        time.sleep(0.2)
        handler.begin(body, start)
        self.open -= 1
        handler.wfile.write(body)


def test_no_more_files_are_read_at_a_time_and_a_second_than_allowed(spark, warc, tmp_path):
    limits = ("max_concurrent_reads=1", "max_requests_per_second=2")
    recipe = load_recipe("raw", [f"extraction.reading.{limit}" for limit in limits])
    readers = Readers()
    with serve(warc, *[readers.fault] * 4) as server:
        files = [replace(signed(server.url, "a"), path=f"{number}.warc.gz") for number in range(4)]
        write_documents(spark, files, curation_settings(recipe), str(tmp_path))
    assert readers.most == 1
    # Three gaps of half a second; the server's own delays shift one against another.
    assert max(readers.began) - min(readers.began) > 1.2


def test_the_next_run_reads_again_only_what_could_not_be_read(spark, warc, tmp_path):
    recipe = load_recipe("raw", ["extraction.reading.max_concurrent_reads=1"])

    def whole(handler, body, start):
        handler.begin(body, start)
        handler.wfile.write(body)

    with serve(warc, whole, status(403)) as server:
        files = [replace(signed(server.url, "a"), path=f"{number}.warc.gz") for number in range(2)]
        with pytest.raises(StageError, match="1 inputs could not be read; all others are comm"):
            write_documents(spark, files, curation_settings(recipe), str(tmp_path))
        write_documents(spark, files, curation_settings(recipe), str(tmp_path))
        assert len(server.gets) == 3


def test_a_rate_without_a_number_of_readers_is_refused():
    reading = ReadSettings(max_requests_per_second=3)
    local = InputFile(crawl="c", path="a", uri="s3://bucket/a", kind="warc")
    with pytest.raises(SettingError, match=r"set extraction\.reading\.max_concurrent_reads too"):
        max_readers([local], reading)
    assert max_readers([replace(local, uri="https://host/a")], reading) == HTTP_READERS
    with pytest.raises(ValueError, match="max_concurrent_reads = -1"):
        ReadSettings(max_concurrent_reads=-1)
