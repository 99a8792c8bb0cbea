"""Which documents lists of removals meet."""

import pyarrow.parquet as pq
import pytest

from dclm_spark.removal.lists import list_bytes
from dclm_spark.removal.tombstones import texts_met
from tests.dclm_spark.dedup.committed import committed
from udfs.documents.schema import document_id

pytestmark = pytest.mark.spark


def test_documents_that_a_later_stage_dropped_are_met_by_their_address(spark, tmp_path):
    """Stages without addresses, such as tables of signals, know them by nothing else."""
    documents = committed(tmp_path / "run/stages/documents", [f"text {n}" for n in range(6)])
    listed = tmp_path / "list.parquet"
    listed.write_bytes(list_bytes([("domain", "host3.example"), ("url", "https://host4.example")]))
    met = texts_met(spark, documents, str(tmp_path / "run/shards"), [str(listed)])
    found = {one for uri in met for one in pq.read_table(uri)["doc_id"].to_pylist()}
    assert found == {document_id("crawl", f"warc-{n % 2}", n) for n in (3, 4)}
