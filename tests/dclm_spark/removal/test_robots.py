"""Opt-outs that came after the crawl: sites' robots.txt against the documents of a run."""

import json
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from dclm_spark.errors import InputError
from dclm_spark.removal.lists import read_agents
from dclm_spark.removal.robots import (
    RobotsRequest,
    described,
    refused_documents,
    robots_files,
)
from tests.dclm_spark.dedup.committed import committed
from udfs.documents.schema import document_id

pytestmark = pytest.mark.spark
# A site for each document: host0.example to host7.example.
SITES = 8


def answer(host, date, text):
    return {"url": f"https://host{host}.example/robots.txt", "date": date, "text": text}


@pytest.fixture
def answers(tmp_path):
    path = tmp_path / "robots.jsonl"
    rows = [
        answer(0, "2026-05-01", "User-agent: GPTBot\nDisallow: /"),
        # The newest counts, in whatever order they come: here it is allowed again.
        answer(1, "2026-05-03", "User-agent: GPTBot\nAllow: /"),
        answer(1, "2026-05-01", "User-agent: GPTBot\nDisallow: /"),
        answer(2, "2026-05-02", "User-agent: *\nDisallow: /"),
        answer(3, "2026-05-01", "User-agent: *\nDisallow: /elsewhere"),
        answer(4, "2026-06-01", "User-agent: CCBot\nUser-agent: GPTBot\nDisallow: /"),
        answer(99, "2026-05-01", "User-agent: *\nDisallow: /"),
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def found(refusals):
    rows = [row for path in _parts(refusals) for row in pq.read_table(path).to_pylist()]
    return {row["doc_id"]: (row["host"], row["agents"], row["to_all"]) for row in rows}


def _parts(refusals):
    folder = refusals.table.rpartition("/robots/")[0]
    return [f"{folder}/{part}" for part in refusals.parts]


def test_the_newest_answer_of_a_host_decides_for_each_agent(spark, answers, tmp_path):
    committed(tmp_path / "run/stages/documents", [f"text {n}" for n in range(SITES)])
    request = RobotsRequest(
        files=robots_files(str(answers), None),
        until=datetime(2026, 5, 31, tzinfo=UTC),
        agents=("CCBot", "GPTBot"),
    )
    refusals = refused_documents(spark, str(tmp_path / "run"), request)
    ids = {n: document_id("crawl", f"warc-{n % 2}", n) for n in range(SITES)}
    assert found(refusals) == {
        ids[0]: ("host0.example", ["GPTBot"], False),
        ids[2]: ("host2.example", ["CCBot", "GPTBot"], True),
    }
    assert (refusals.documents, refusals.to_all) == (2, 1)
    assert refusals.by_agent == {"CCBot": 1, "GPTBot": 2}
    text = described(refusals)
    assert "2 documents are kept from AI agents by robots.txt, 1 of them from all" in text
    assert "CCBot 1, GPTBot 2" in text


def test_what_holds_no_answers_of_sites_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"--robots .*a\.parquet: expected WARC files"):
        robots_files(str(tmp_path / "a.parquet"), None)
    with pytest.raises(InputError, match=r"--robots .*none"):
        robots_files(str(tmp_path / "none.warc.gz"), None)


def test_agents_of_a_list_are_names_that_robots_txt_can_have(tmp_path):
    path = tmp_path / "agents.txt"
    path.write_text("# ours\nGPTBot\nKangaroo Bot\n")
    assert read_agents(str(path)) == ("GPTBot", "Kangaroo Bot")
    path.write_text("GPTBot\n*\n")
    with pytest.raises(InputError, match=r"line 2: '\*' is not a name"):
        read_agents(str(path))
    path.write_text("\n")
    with pytest.raises(InputError, match="it names no agent"):
        read_agents(str(path))
