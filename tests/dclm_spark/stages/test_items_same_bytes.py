"""Decontamination by items writes the same bytes for any partitions and after a kill."""

import pytest

from dclm_spark.stages.decontaminate import decontaminate
from tests.dclm_spark.dedup.committed import committed
from tests.dclm_spark.stages.test_decontaminate_items import TEXTS, wanted
from udfs.units.documents import DOCUMENTS

__all__ = ["wanted"]


@pytest.mark.spark
# Four runs of the stage.
@pytest.mark.slow
def test_partitions_and_a_kill_change_no_byte(spark, tmp_path, wanted):
    documents = committed(tmp_path / "in", TEXTS, num_files=3)
    found = set()
    for partitions in (1, 7, 64):
        spark.conf.set("spark.sql.shuffle.partitions", str(partitions))
        place = tmp_path / str(partitions) / "decontaminate"
        output = decontaminate(spark, documents, DOCUMENTS, wanted, str(place))
        found.add(output.fingerprint)
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    # A unit was not committed, and of the table that weighs n-grams the marker is missing.
    (place / "manifests" / f"{output.unit_names[1]}.json").unlink()
    (tmp_path / "64" / "decontaminate-working" / "frequencies.json").unlink()
    found.add(decontaminate(spark, documents, DOCUMENTS, wanted, str(place)).fingerprint)
    assert len(found) == 1
