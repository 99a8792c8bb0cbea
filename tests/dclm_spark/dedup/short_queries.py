"""Plans that are interpreted: for tests of many queries over a few rows."""

import pytest


@pytest.fixture(autouse=True)
def short_queries(request):  # type: ignore[no-untyped-def]
    """Compiling a plan costs more than running it over a few rows."""
    if "spark" not in request.fixturenames:
        yield
        return
    spark = request.getfixturevalue("spark")
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    yield
    spark.conf.unset("spark.sql.codegen.wholeStage")
