"""Which documents a list of removals names, and what stays of their rows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from udfs.documents.sites import site_of
from udfs.units.removals import (
    LIST,
    blanked_rows,
    blanked_tokens,
    compared_addresses,
    read_wanted,
)


def wanted(tmp_path, *entries):
    path = tmp_path / "list.parquet"
    rows = [{"kind": kind, "value": value} for kind, value in entries]
    pq.write_table(pa.Table.from_pylist(rows, LIST), path)
    return read_wanted([str(path)])


def named(lists, urls):
    ids = pa.array([bytes([place]) * 16 for place in range(len(urls))], pa.binary())
    return lists.mask(ids, pa.array(urls, pa.string())).to_pylist()


def test_a_domain_stands_for_all_hosts_below_it_and_for_no_other(tmp_path):
    lists = wanted(tmp_path, ("domain", "gone.example"))
    urls = [
        "http://gone.example/", "https://a.b.GONE.example:8080/x", "http://notgone.example/",
        "http://gone.example.org/", "http://example/", None,
    ]  # fmt: skip
    assert named(lists, urls) == [True, True, False, False, False, False]


def test_addresses_are_compared_without_scheme_and_ids_as_they_are(tmp_path):
    lists = wanted(tmp_path, ("url", "https://www.a.example/page/"), ("id", "02" * 16))
    urls = ["http://a.example/page", "http://a.example/page2", "http://b.example/"]
    assert named(lists, urls) == [True, False, True]


@pytest.mark.parametrize(("listed", "crawled"), [
    ("https://www.a.example/page/", "http://a.example/page"),
    ("https://A.Example/page", "http://a.example/page"),
    ("HTTPS://WWW.A.example", "http://a.example/"),
    ("https://a.example:443/page", "http://a.example:80/page"),
    ("https://a.example/page#top", "https://a.example/page"),
    ("https://a.example/k%c3%a4se%7e", "https://a.example/k%C3%A4se~"),
    ("https://a.example/k\u00e4se", "https://a.example/k%C3%A4se"),
    ("https://k\u00e4se.example/", "https://xn--kse-qla.example"),
    ("https://a.example/page?utm_source=x&utm_medium=y", "https://a.example/page"),
])  # fmt: skip
def test_two_ways_to_write_the_address_of_a_page_are_one(listed, crawled):
    first, second = compared_addresses(pa.array([listed, crawled])).to_pylist()
    assert first == second


@pytest.mark.parametrize(("listed", "crawled"), [
    ("https://a.example/show?ref=1", "https://a.example/show"),
    ("https://a.example/?feed=1", "https://a.example/"),
    ("https://a.example/?utm_source=x&id=5", "https://a.example/?utm_source=x&id=6"),
    ("https://a.example/Page", "https://a.example/page"),
    ("https://a.example:8080/", "https://a.example/"),
    ("https://a.example/a%2Fb", "https://a.example/a/b"),
    ("https://a.example/page?x=1", "https://a.example/page"),
])  # fmt: skip
def test_another_page_is_not_named(listed, crawled):
    first, second = compared_addresses(pa.array([listed, crawled])).to_pylist()
    assert first != second


def test_what_is_no_address_stays_and_null_is_null():
    found = compared_addresses(pa.array(["", None, "a b", "http://[::1]:80/x"], pa.string()))
    assert found.to_pylist() == ["", None, "a b", "[::1]/x"]


def test_entries_that_name_a_document_are_told_each_and_tables_are_not(tmp_path):
    given = (("domain", "a.example"), ("domain", "b.a.example"), ("domain", "gnoe.example"),
             ("id", "02" * 16), ("url", "https://www.a.example/page/"))  # fmt: skip
    lists = replace(
        wanted(tmp_path, *given),
        ids=pa.array([b"\2" * 16, b"\1" * 16], pa.binary()),
    )
    ids = pa.array([bytes([place]) * 16 for place in range(4)], pa.binary())
    urls = pa.array(["http://a.example/page", "http://c.example/", "http://b.a.example/", None])
    found = lists.entries_of(ids, urls).to_pylist()
    assert [[(one["kind"], one["value"]) for one in entries] for entries in found] == [
        [("domain", "a.example"), ("url", "a.example/page")], [],
        [("domain", "b.a.example"), ("domain", "a.example"), ("id", "02" * 16)], [],
    ]  # fmt: skip


def test_documents_met_before_are_named_without_any_list(tmp_path):
    pq.write_table(
        pa.table({"doc_id": pa.array([b"\1" * 16], pa.binary())}), tmp_path / "met.parquet"
    )
    found = read_wanted([], [str(tmp_path / "met.parquet")])
    assert named(found, ["http://a.example/", None]) == [False, True]


def test_nothing_stays_of_a_row_but_its_place_its_fate_and_the_number_of_its_tokens():
    batch = pa.RecordBatch.from_pydict(
        {
            "doc_id": [b"a", b"b"], "warc_offset": [1, 2], "url": ["http://a", "http://b"],
            "text": pa.array(["one", None], pa.large_string()), "fate": ["kept", "kept"],
            "tokens": [b"\1\0\2\0", b"\3\0"], "ratio": [0.5, 0.25], "parts": [[1], [2]],
        }
    )  # fmt: skip
    first = blanked_rows(batch, pa.array([True, False]), np.uint16(258))
    assert first.schema == batch.schema
    assert first.to_pylist() == [
        {"doc_id": b"a", "warc_offset": 1, "url": "", "text": "", "fate": "kept",
         "tokens": b"\2\1\2\1", "ratio": 0.5, "parts": None},
        batch.to_pylist()[1],
    ]  # fmt: skip


def test_ids_of_32_bits_are_blanked_as_such():
    batch = pa.RecordBatch.from_pydict({"doc_id": [b"a"], "tokens": [b"\1\0\0\0\2\0\0\0"]})
    blank = blanked_rows(batch, pa.array([True]), np.uint32(70_000))
    found = np.frombuffer(blank.column("tokens")[0].as_py(), "<u4")
    assert found.tolist() == [70_000, 70_000]


@pytest.mark.parametrize("kind", ["<u2", "<u4"])
def test_ends_of_documents_stay_among_blanked_tokens(kind):
    rows = np.array([[5, 6, 0, 7], [8, 9, 9, 9]], kind)
    column = pa.array([row.tobytes() for row in rows], pa.binary())
    removed = np.array([[True, True, True, False], [False] * 4])
    padding = np.dtype(kind).type(1)
    found = blanked_tokens(column, removed, padding, end_of_text_id=0)
    assert [np.frombuffer(row, kind).tolist() for row in found.to_pylist()] == [
        [1, 1, 0, 7], [8, 9, 9, 9],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "site"),
    [
        ("www.example.org", "example.org"), ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"), ("example.me", "example.me"), ("a.example.de", "example.de"),
        ("192.0.2.1", "192.0.2.1"), ("localhost", "localhost"), ("", ""),
    ],
)  # fmt: skip
def test_a_host_belongs_to_its_registered_domain(host, site):
    assert site_of(host) == site
