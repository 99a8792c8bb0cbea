"""Which files an --input names, and what they are called."""

import glob
import gzip
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from dclm_spark.crawl.listing import find_inputs, list_inputs
from dclm_spark.errors import InputError
from udfs.storage import StoredObject

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
        ("unknown", "x/one.jsonl.gz", "json lines"),
        ("unknown", "y/two.parquet", "parquet"),
    ]


@pytest.mark.parametrize("second", ["{}", "{}/d1", "{}/d2/../d1/x.jsonl", "file://{}/d1/x.jsonl"])
def test_a_file_that_is_named_twice_is_refused_with_its_path(tmp_path, second):
    put(tmp_path, "d1/x.jsonl", "d2/y.jsonl")
    with pytest.raises(InputError, match=rf"the file {tmp_path}/d1/x\.jsonl is named twice"):
        list_inputs(f"{tmp_path}/d1/x.jsonl,{second.format(tmp_path)}")


def paths(inputs):
    return [(file.crawl, file.path) for file in list_inputs(inputs)]


def test_files_of_one_name_are_called_as_below_the_folder_that_they_share(tmp_path):
    put(tmp_path, "d1/x.jsonl", "d2/x.jsonl", "d2/y.jsonl")
    both = [("unknown", "d1/x.jsonl"), ("unknown", "d2/x.jsonl")]
    assert paths(f"{tmp_path}/d2/x.jsonl,{tmp_path}/d1/x.jsonl") == both
    assert paths(f"{tmp_path}/d?/x.jsonl") == both
    assert paths(f"{tmp_path}/d1,{tmp_path}/d2") == paths(str(tmp_path))
    differing = [("unknown", "x.jsonl"), ("unknown", "y.jsonl")]
    assert paths(f"{tmp_path}/d1/x.jsonl,{tmp_path}/d2/y.jsonl") == differing
    buckets = [("unknown", "gs/b/x.jsonl"), ("unknown", "s3/b/x.jsonl")]
    assert paths("s3://b/x.jsonl,gs://b/x.jsonl") == buckets


def test_two_copies_of_a_file_of_a_crawl_are_refused(tmp_path):
    put(tmp_path, f"a/{PATHS[0]}", f"b/{PATHS[0]}")
    with pytest.raises(InputError, match=rf"a/{PATHS[0]} and .*b/{PATHS[0]} are both crawl-data/"):
        list_inputs(str(tmp_path))


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


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{}")


def test_hidden_files_are_left_out_and_unknown_ones_named(tmp_path, caplog):
    put(tmp_path, "part-0.jsonl", "_temporary/0/part-1.jsonl", ".ipynb_checkpoints/a.jsonl")
    put(tmp_path, "._part-0.jsonl", "_SUCCESS", "day=1/_x=2/part-2.jsonl", "notes.txt", "b.avro")
    found = find_inputs(str(tmp_path))
    assert [file.path for file in found.files] == ["day=1/_x=2/part-2.jsonl", "part-0.jsonl"]
    assert sorted(name.rpartition("/")[2] for name in found.skipped) == ["b.avro", "notes.txt"]
    list_inputs(str(tmp_path))
    assert (
        "2 files are not read, for no reader knows their suffix: b.avro, notes.txt" in caplog.text
    )


def test_a_hidden_folder_that_is_asked_for_is_read(tmp_path):
    put(tmp_path, "_staging/part-0.jsonl")
    assert len(list_inputs(str(tmp_path / "_staging"))) == 1
    assert len(list_inputs(str(tmp_path / "_staging/*.jsonl"))) == 1


@pytest.mark.parametrize(
    "name",
    ["a.JSONL", "a.json", "a.ndjson", "a.jsonl.bz2", "a.jsonl.xz", "a.PARQUET", "a.NDJSON.GZ"],
)
def test_usual_suffixes_are_known_in_any_case(tmp_path, name):
    put(tmp_path, name)
    assert [file.kind for file in list_inputs(str(tmp_path))] == [
        "parquet" if name == "a.PARQUET" else "json lines"
    ]


@pytest.mark.parametrize(
    "name", ["q?x", "data[1]", "star*", "{a,b}", "a,b", "with space", "a#b", "a%20b", "lang=en"]
)
@pytest.mark.parametrize("way", ["{}", "{}/a.jsonl", "{}/*.jsonl", "file://{}/a.jsonl"])
def test_a_name_that_exists_is_meant_as_it_stands(tmp_path, name, way):
    put(tmp_path / name, "a.jsonl")
    location = str(tmp_path / name)
    if way.startswith("file"):
        location = quote(location)
    if way.endswith("*.jsonl") and set(name) & set("?[*,"):
        location = glob.escape(location)
        if "," in name:
            pytest.skip("a comma separates patterns")
    files = list_inputs(way.format(location))
    assert [file.uri for file in files if file.path.endswith("a.jsonl")]
    assert len(files) == 1


def test_names_with_commas_stand_beside_others(tmp_path):
    put(tmp_path, "a,b/x.jsonl", "c/y.jsonl")
    files = list_inputs(f"{tmp_path}/a,b,{tmp_path}/c")
    assert [file.path for file in files] == ["x.jsonl", "y.jsonl"]


def test_a_file_uri_may_have_a_pattern(tmp_path):
    put(tmp_path, "a.jsonl", "b.jsonl")
    assert len(list_inputs(f"file://{tmp_path}/*.jsonl")) == 2


def test_a_limit_takes_the_first_files(crawl):
    listing = str(crawl / "crawl-data/CC-MAIN-2026-04/warc.paths.gz")
    assert list_inputs(listing, limit=1) == list_inputs(listing)[:1]


def test_a_folder_of_unknown_files_names_them(tmp_path):
    put(tmp_path, "a.csv", "b.csv")
    with pytest.raises(InputError, match=r"it names no file; 2 files are not read.*a\.csv"):
        list_inputs(str(tmp_path))


def test_a_listing_may_name_files_by_whole_paths_beside_others(tmp_path):
    put(tmp_path, "data/a.jsonl", "near/b\u2028.jsonl")
    lines = [
        f"{tmp_path}/data/a.jsonl",
        "  # a comment",
        "near/b\u2028.jsonl",
        "s3://b/c.jsonl",
        "",
    ]
    for charset in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "names.txt").write_bytes("\r\n".join(lines).encode(charset))
        files = list_inputs(str(tmp_path / "names.txt"))
        assert sorted(file.uri for file in files) == [
            f"{tmp_path}/data/a.jsonl", f"{tmp_path}/near/b\u2028.jsonl", "s3://b/c.jsonl",
        ]  # fmt: skip


@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_a_damaged_listing_is_named(tmp_path, harm):
    content = bytearray(gzip.compress("\n".join(PATHS).encode()))
    content[12] ^= 255
    data = content if harm == "changed" else gzip.compress(PATHS[0].encode())[:-9]
    (tmp_path / "warc.paths.gz").write_bytes(data)
    with pytest.raises(InputError, match=r"warc\.paths\.gz: a damaged listing"):
        list_inputs(str(tmp_path / "warc.paths.gz"), "s3://b")


def test_a_pattern_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no pattern of names|no such file"):
        list_inputs(f"{tmp_path}/a**b.jsonl")


def test_hidden_objects_are_left_out_of_patterns(monkeypatch):
    names = ["s3://b/x/_tmp.jsonl", "s3://b/x/.a.jsonl", "s3://b/x/a.jsonl", "s3://b/x/b.jsonl"]
    told = {name: StoredObject(size, "v") for size, name in enumerate(names)}
    monkeypatch.setattr("dclm_spark.crawl.listing.storage.list_objects", lambda uri: told)
    for given in ("s3://b/x/*.jsonl", "s3://b/x"):
        found = list_inputs(given)
        assert [file.uri for file in found] == names[2:]
        assert [file.stored.size_bytes for file in found] == [2, 3]


def test_metadata_beside_pages_is_passed_over_and_alone_it_is_read(tmp_path, caplog):
    for name in ("a.warc.gz", "a.warc.wat.gz", "b.warc.wat.gz"):
        (tmp_path / name).write_bytes(b"")
    assert [file.path for file in list_inputs(str(tmp_path))] == ["a.warc.gz"]
    assert "2 files are not read, for no reader finds texts in them: a.warc.wat.gz" in caplog.text
    (tmp_path / "a.warc.gz").unlink()
    assert {file.kind for file in list_inputs(str(tmp_path))} == {"wat"}
    assert list_inputs(str(tmp_path / "a.warc.wat.gz"))[0].kind == "wat"


def test_files_behind_links_are_read_once(tmp_path):
    for name in ("pool/a/1.jsonl", "elsewhere/2.jsonl", "pool/b/3.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    links = {"far": "../elsewhere", "again": "../elsewhere", "here": "a", "up": ".", "gone": "no"}
    for name, target in links.items():
        (tmp_path / "pool" / name).symlink_to(target)
    (tmp_path / "pool/4.jsonl").symlink_to("a/1.jsonl")
    # It is not passed over without a word: reading says that it is not there.
    (tmp_path / "pool/5.jsonl").symlink_to("no")
    found = find_inputs(str(tmp_path / "pool"))
    expected = ["4.jsonl", "5.jsonl", "a/1.jsonl", "again/2.jsonl", "b/3.jsonl"]
    assert [file.path for file in found.files] == expected
    assert [name.rpartition("/")[2] for name in found.skipped] == ["gone"]


@pytest.mark.parametrize("name", ["a.paths", "b.txt", "c.warc.gz", "d.jsonl", "e"])
def test_a_folder_may_be_called_as_a_file_is(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "1.jsonl").write_text("{}")
    (file,) = list_inputs(str(tmp_path / name))
    assert file.path == "1.jsonl"
    (file,) = list_inputs(f"{tmp_path}/*")
    assert file.uri == str(tmp_path / name / "1.jsonl")


def test_what_is_neither_file_nor_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        list_inputs(str(tmp_path / "a.jsonl"))


def test_a_name_that_is_no_utf_8_is_refused_by_name(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")).write_text("{}")
    with pytest.raises(InputError, match=r"caf\\udce9\.jsonl: its name is not UTF-8; rename"):
        list_inputs(str(tmp_path))
