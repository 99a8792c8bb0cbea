"""The session sets what correctness needs, where the platform lets it."""

import pytest

from dclm_spark import session
from dclm_spark.session import spark_session

pytestmark = pytest.mark.spark


def test_a_setting_that_the_platform_refuses_is_gone_without(spark, monkeypatch, caplog):
    # A static setting is refused by every session that runs.
    monkeypatch.setitem(session._REQUIRED, "spark.sql.warehouse.dir", "/elsewhere")
    assert spark_session("again").conf.get("spark.sql.session.timeZone") == "UTC"
    assert "spark.sql.warehouse.dir=/elsewhere could not be set" in caplog.text


def test_workers_of_a_local_session_are_forked_with_the_kernels_loaded(spark):
    def loaded(batches):
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        names = ["udfs.units.curate", "udfs.dedup.minhash", "numba"]
        yield pa.record_batch({"loaded": [name in sys.modules for name in names]})

    rows = spark.range(1).mapInArrow(loaded, "loaded boolean").collect()
    assert {row.loaded for row in rows} == {True}
