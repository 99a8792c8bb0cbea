import pytest


@pytest.fixture(scope="session")
def run(spark, tmp_path_factory):
    """A run of the job on a generated crawl, for all tests of the library."""
    from tests.dclm_spark.library.sample_run import SampleRun

    return SampleRun(spark, tmp_path_factory.mktemp("library"))
