"""The columnar index: what matches, and where it lies."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dclm_spark.crawl.index import IndexFilter, count_matches, offsets_by_warc
from dclm_spark.errors import InputError

CAPTURES = [
    # WARC, offset, length, languages, MIME type, status, domain
    ("w/0.warc.gz", 500, 10, "eng", "text/html", 200, "a.example"),
    ("w/1.warc.gz", 700, 20, "eng,fra", "text/html", 200, "b.example"),
    ("w/0.warc.gz", 100, 30, "fra,eng", "text/html", 200, "a.example"),
    ("w/0.warc.gz", 300, 40, "eng", "application/pdf", 200, "a.example"),
    ("w/1.warc.gz", 200, 50, "eng", "application/xhtml+xml", 200, "a.example"),
    ("w/2.warc.gz", 900, 60, "eng", "text/html", 404, "c.example"),
    ("w/2.warc.gz", 2**31 + 5, 70, None, "text/html", 200, "c.example"),
]
ENGLISH = IndexFilter(languages=("eng",))


def load_offsets(location):
    rows = pq.read_table(location).to_pylist()
    return {row["warc_path"]: np.array(row["offsets"]) for row in rows}


def table(captures, without=()):
    columns = list(zip(*captures, strict=True))
    every = {
        "url": pa.array([f"https://{row[6]}/" for row in captures]),
        "fetch_status": pa.array(columns[5], pa.int16()),
        "content_languages": pa.array(columns[3], pa.string()),
        "content_mime_detected": pa.array(columns[4]),
        "url_host_registered_domain": pa.array(columns[6]),
        "warc_filename": pa.array(columns[0]),
        "warc_record_offset": pa.array(columns[1], pa.int64()),
        "warc_record_length": pa.array(columns[2], pa.int32()),
    }
    return pa.table({name: values for name, values in every.items() if name not in without})


@pytest.fixture
def index(tmp_path):
    """A crawl's table in two files, and a file of captures that lie in no WARC of pages."""
    folder = tmp_path / "crawl=CC-MAIN-2026-04"
    for subset, part, captures in (
        ("warc", 0, CAPTURES[:3]),
        ("warc", 1, CAPTURES[3:]),
        ("robotstxt", 0, CAPTURES[:1]),
    ):
        path = folder / f"subset={subset}" / f"part-{part}.gz.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(captures), path, compression="gzip")
    return str(tmp_path)


def test_a_page_counts_when_its_first_language_status_and_type_match(index):
    counts = count_matches(index, ENGLISH)
    assert counts.matching_records == 3
    assert counts.matching_size_bytes == 10 + 20 + 50
    assert counts.num_warcs == 2


def test_a_warc_with_a_match_is_streamed_whole_and_one_without_is_not(index):
    counts = count_matches(index, ENGLISH)
    assert counts.streamed_records == 5
    assert counts.streamed_size_bytes == 10 + 20 + 30 + 40 + 50


def test_empty_filters_match_every_capture_of_the_warc_subset(index):
    everything = IndexFilter(mime_types=(), statuses=())
    assert count_matches(index, everything).matching_records == len(CAPTURES)


def test_a_domain_and_a_status_can_be_asked_for(index):
    wanted = IndexFilter(domains=("c.example",), statuses=(404,))
    assert count_matches(index, wanted).matching_records == 1


def test_a_listing_limits_the_index_to_its_warcs(index):
    counts = count_matches(index, ENGLISH, ["w/1.warc.gz"])
    assert (counts.num_warcs, counts.matching_records, counts.streamed_records) == (1, 2, 2)


def test_no_match_is_zero_and_not_an_error(index):
    counts = count_matches(index, IndexFilter(languages=("xho",)))
    assert (counts.num_warcs, counts.matching_records) == (0, 0)


def test_offsets_are_ascending_within_each_warc(index, tmp_path):
    output = str(tmp_path / "offsets.parquet")
    assert offsets_by_warc(index, ENGLISH, output) == 3
    found = load_offsets(output)
    assert {path: offsets.tolist() for path, offsets in found.items()} == {
        "w/0.warc.gz": [500],
        "w/1.warc.gz": [200, 700],
    }


def test_an_offset_beyond_two_gigabytes_survives(index, tmp_path):
    output = str(tmp_path / "offsets.parquet")
    offsets_by_warc(index, IndexFilter(domains=("c.example",)), output)
    assert load_offsets(output)["w/2.warc.gz"].tolist() == [2**31 + 5]


def test_no_match_gives_an_empty_table_of_offsets(index, tmp_path):
    output = str(tmp_path / "offsets.parquet")
    assert offsets_by_warc(index, IndexFilter(languages=("xho",)), output) == 0
    assert load_offsets(output) == {}


def test_an_old_crawl_without_languages_is_refused_only_when_they_are_asked_for(tmp_path):
    old = str(tmp_path / "old.parquet")
    pq.write_table(table(CAPTURES, without=("content_languages",)), old)
    assert count_matches(old, IndexFilter()).matching_records == 5
    with pytest.raises(InputError, match="content_languages"):
        count_matches(old, ENGLISH)


@pytest.mark.parametrize("code", ["en", "eng|.*", "English"])
def test_a_language_that_is_no_iso_code_of_three_letters_is_refused(index, code):
    with pytest.raises(InputError, match="ISO-639-3"):
        count_matches(index, IndexFilter(languages=(code,)))


def test_a_folder_without_parquet_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \*.parquet"):
        count_matches(str(tmp_path), IndexFilter())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.integers(0, 2**33),
            st.integers(1, 1000),
            st.sampled_from(["eng", "eng,deu", "deu,eng", "engx", None]),
            st.sampled_from(["text/html", "image/png"]),
            st.sampled_from([200, 404]),
            st.just("x.example"),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_counts_and_offsets_equal_a_loop_over_the_captures(tmp_path_factory, captures):
    folder = tmp_path_factory.mktemp("index")
    pq.write_table(table(captures), folder / "index.parquet", row_group_size=7)
    matching = [
        row
        for row in captures
        if (row[3] or "").split(",")[0] == "eng" and row[4] == "text/html" and row[5] == 200
    ]
    counts = count_matches(str(folder / "index.parquet"), ENGLISH)
    assert counts.matching_records == len(matching)
    assert counts.streamed_size_bytes == sum(
        row[2] for row in captures if row[0] in {match[0] for match in matching}
    )
    offsets_by_warc(str(folder / "index.parquet"), ENGLISH, str(folder / "offsets"))
    found = load_offsets(str(folder / "offsets"))
    assert set(found) == {row[0] for row in matching}
    for warc, offsets in found.items():
        assert np.array_equal(offsets, sorted(row[1] for row in matching if row[0] == warc))
