"""Sizes of input files, which cost no request where there are many."""

from dataclasses import replace

from dclm_spark.crawl.file_sizes import MAX_ASKED_FILES, with_sizes
from dclm_spark.crawl.input_files import InputFile
from tests.fault_server import serve
from udfs.storage import StoredObject


def file(uri, stored=None):
    return InputFile(crawl="c", path=uri, uri=str(uri), kind="json lines", stored=stored)


def sizes_of(*arguments):
    return [one.stored and one.stored.size_bytes for one in with_sizes(*arguments)]


def test_few_files_are_asked_and_what_a_listing_told_is_taken(tmp_path):
    (tmp_path / "a").write_bytes(b"four")
    listed = file("s3://no-such-bucket/b", StoredObject(7, ""))
    files = [file(tmp_path / "a"), file(tmp_path / "gone"), listed]
    with serve(b"seven b") as server:
        assert sizes_of([*files, file(server.url)]) == [4, None, 7, 7]
        assert server.heads == 1


def test_of_many_files_elsewhere_only_those_that_are_needed_are_asked(tmp_path):
    (tmp_path / "a").write_bytes(b"four")
    with serve(b"seven b") as server:
        many = [file(f"{server.url}/{number}") for number in range(MAX_ASKED_FILES + 1)]
        assert sizes_of([file(tmp_path / "a"), *many]) == [4, *[None] * len(many)]
        assert server.heads == 0
        needed = [replace(many[0])]
        assert sizes_of(many, needed) == [7, *[None] * MAX_ASKED_FILES]
        assert server.heads == 1
