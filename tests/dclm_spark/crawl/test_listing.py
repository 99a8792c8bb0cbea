"""Which files an --input names, and what they are called."""

import gzip

import pytest

from dclm_spark.crawl.listing import list_inputs
from dclm_spark.errors import InputError

PATHS = [
    "crawl-data/CC-MAIN-2026-04/segments/2/warc/b.warc.gz",
    "crawl-data/CC-MAIN-2026-04/segments/1/warc/a.warc.gz",
]


@pytest.fixture
def crawl(tmp_path):
    """A mirror of two WARCs with its listing."""
    for path in PATHS:
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(b"")
    listing = tmp_path / "crawl-data" / "CC-MAIN-2026-04" / "warc.paths.gz"
    listing.write_bytes(gzip.compress("\n".join([*PATHS, ""]).encode()))
    return tmp_path


def test_a_listing_is_sorted_and_finds_the_folder_that_its_lines_are_below(crawl):
    files = list_inputs(str(crawl / "crawl-data/CC-MAIN-2026-04/warc.paths.gz"))
    assert [file.path for file in files] == sorted(PATHS)
    assert [file.uri for file in files] == [str(crawl / path) for path in sorted(PATHS)]
    assert {file.crawl for file in files} == {"CC-MAIN-2026-04"}
    assert {file.kind for file in files} == {"warc"}


def test_a_base_moves_the_uris_and_not_the_names(crawl):
    listing = str(crawl / "crawl-data/CC-MAIN-2026-04/warc.paths.gz")
    files = list_inputs(listing, "s3://commoncrawl/")
    assert files[0].uri == f"s3://commoncrawl/{sorted(PATHS)[0]}"
    assert files[0].path == sorted(PATHS)[0]


@pytest.mark.parametrize(
    "way",
    ["{}/crawl-data", "{}/crawl-data/**/*.warc.gz", "{0}/" + PATHS[0] + ", {0}/" + PATHS[1]],
    ids=["folder", "glob", "files"],
)
def test_every_way_to_name_files_gives_the_same_identities(crawl, way):
    named = list_inputs(way.format(crawl))
    listed = list_inputs(str(crawl / "crawl-data/CC-MAIN-2026-04/warc.paths.gz"))
    assert [(file.crawl, file.path) for file in named] == [(f.crawl, f.path) for f in listed]


def test_a_listing_far_from_its_files_needs_a_base(tmp_path):
    listing = tmp_path / "warc.paths"
    listing.write_text(PATHS[0])
    with pytest.raises(InputError, match="--base"):
        list_inputs(str(listing))


def test_an_empty_listing_is_refused(tmp_path):
    (tmp_path / "warc.paths").write_text("\n")
    with pytest.raises(InputError, match=r"warc\.paths: it names no file"):
        list_inputs(str(tmp_path / "warc.paths"))


def test_files_outside_of_a_crawl_have_names_below_their_common_folder(tmp_path):
    for name in ("x/one.jsonl.gz", "y/two.parquet", "y/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    files = list_inputs(str(tmp_path))
    assert [(file.crawl, file.path, file.kind) for file in files] == [
        ("unknown", "x/one.jsonl.gz", "preextracted"),
        ("unknown", "y/two.parquet", "preextracted"),
    ]


def test_a_file_that_is_named_twice_is_refused(crawl):
    with pytest.raises(InputError, match="named twice"):
        list_inputs(f"{crawl / PATHS[0]},{crawl / PATHS[0]}")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list_inputs(str(tmp_path / "none.warc.gz"))


def test_a_line_with_an_unknown_suffix_is_refused(tmp_path):
    (tmp_path / "warc.paths").write_text("crawl-data/CC-MAIN-2026-04/a.zip")
    with pytest.raises(InputError, match="unknown kind"):
        list_inputs(str(tmp_path / "warc.paths"), "s3://b")


def test_a_line_that_leaves_the_base_is_refused(tmp_path):
    (tmp_path / "warc.paths").write_text("../secrets.warc.gz")
    with pytest.raises(ValueError, match=r"\.\."):
        list_inputs(str(tmp_path / "warc.paths"), "s3://b")
