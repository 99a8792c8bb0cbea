"""The ranking of the embedded sample with its defaults proves which recipe is better."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from dclm_spark.ranking.rank import RankSettings, rank_recipes

pytestmark = [pytest.mark.spark, pytest.mark.slow]

WORSE = ("raw", "refinedweb", "dclm_baseline-shuffled", "dclm_baseline-duplicated")


@pytest.fixture(scope="module")
def comparisons(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output: Path = tmp_path_factory.mktemp("ranking")
    recipes = ("raw", "refinedweb", "dclm_baseline")
    leaderboard = rank_recipes(spark, RankSettings(recipes=recipes, output=str(output)))
    return {one["metric"].partition("/")[2]: one for one in leaderboard["comparisons"]}


@pytest.mark.parametrize("metric", ["planted_answers", "unseen_articles"])
@pytest.mark.parametrize("worse", WORSE)
def test_dclm_baseline_is_proven_better(comparisons: Any, metric: str, worse: str) -> None:
    (verdict,) = (
        one["verdict"]
        for one in comparisons[metric]["verdicts"]
        if {one["first"], one["second"]} == {"dclm_baseline", worse}
    )
    assert verdict == "dclm_baseline is better"
