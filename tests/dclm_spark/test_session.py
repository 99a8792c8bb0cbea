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
