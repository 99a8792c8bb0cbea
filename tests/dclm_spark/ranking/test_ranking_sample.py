"""The ranking of the embedded sample with its defaults proves which recipe is better."""

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from dclm_spark.ranking.rank import RankSettings, rank_recipes

pytestmark = [pytest.mark.spark, pytest.mark.slow]

WORSE = ("raw", "refinedweb", "dclm_baseline-shuffled")


@pytest.fixture(scope="module")
def comparisons(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Any:
    output: Path = tmp_path_factory.mktemp("ranking")
    recipes = ("raw", "refinedweb", "dclm_baseline")
    leaderboard = rank_recipes(spark, RankSettings(recipes=recipes, output=str(output)))
    return {one["metric"].partition("/")[2]: one for one in leaderboard["comparisons"]}


@pytest.mark.parametrize("metric", ["planted_answers", "unseen_articles"])
@pytest.mark.parametrize("worse", WORSE)
def test_dclm_baseline_is_proven_better(comparisons: Any, metric: str, worse: str) -> None:
    assert verdict_on(comparisons[metric], worse) == "dclm_baseline is better"


def test_data_that_are_read_again_are_noticed(comparisons: Any) -> None:
    verdict = verdict_on(comparisons["unseen_articles"], "dclm_baseline-duplicated")
    assert verdict == "dclm_baseline is better"


def verdict_on(comparison: Any, other: str) -> str:
    (verdict,) = (
        one["verdict"]
        for one in comparison["verdicts"]
        if {one["first"], one["second"]} == {"dclm_baseline", other}
    )
    return str(verdict)
