import json
import math
from typing import Any

import pytest

from dclm_spark.evaluate.aggregate import GROUPS, centered, dclm_aggregates
from dclm_spark.evaluate.tasks import EXTENDED
from tests.shared_data import SHARED, needs_shared

# Accuracies of DCLM-7B (8k) as released, in the order of the suite, and the released aggregates.
DCLM_7B = """
0.553488 0.793268 0.525214 0.570333 0.10235 0.222727 0.106122 0.513333 0.734413 0.824916 0.612628
0.636859 0.684932 0.88 0.827021 0.799345 0.816104 0.45 0.65625 0.775862 0.653997 0.755288 0.810297
0.901099 0.739542 0.121951 0.5216 0.679612 0.349974 0.347 0.26087 0.537879 0.365333 0.5 0.53125
0.3 0.307 0.310761 0.414747 0.717 0.631693 0.701493 0.537255 0.498058 0.708995 0.82844 0.825243
0.633333 0.583333 0.809131 0.641972 0.261161 0.217172
"""
RELEASED = {
    ("v1", "Core_v1"): 0.5713606,
    ("v2", "Core_v2"): 0.5596127,
    ("v1", "Extended_v1"): 0.4538447,
    ("v2", "Extended_v2"): 0.4425600,
    ("v2", "aggregated_results"): 0.5676914,
    ("v2", "rw_small_centered"): 0.6270046,
    ("v2", "95%_CI_above_centered"): 0.5414173,
    ("v2", "99%_CI_above_centered"): 0.5775917,
}


@pytest.mark.parametrize(("version", "name"), RELEASED)
def test_the_released_aggregates_of_dclm_7b_follow_from_its_accuracies(
    version: str, name: str
) -> None:
    accuracies = dict(zip(EXTENDED, map(float, DCLM_7B.split()), strict=True))
    ours = dclm_aggregates(accuracies, version)[name]
    assert ours == pytest.approx(RELEASED[version, name], abs=1e-6)


def golden() -> dict[str, Any]:
    return json.loads((SHARED / "golden/eval_scores_toy.json").read_text())


def check(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            check(ours[key], theirs[key])
    elif theirs is None:
        assert math.isnan(ours)
    elif isinstance(theirs, str):
        assert ours == theirs
    else:
        assert ours == pytest.approx(theirs, abs=1e-12)


@needs_shared
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aggregates_of_invented_accuracies_are_those_of_the_reference(version: str) -> None:
    invented = golden()["aggregate_made_up"]
    check(dclm_aggregates(invented["icl"], version), invented[version])


@needs_shared
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_with_half_of_the_tasks_core_names_what_is_missing(version: str) -> None:
    scores = golden()
    accuracies = {label: task["accuracy"] for label, task in scores["tasks"].items()}
    check(dclm_aggregates(accuracies, version), scores["aggregate_of_these_tasks_only"][version])


def test_a_mean_over_no_task_is_not_a_number() -> None:
    assert math.isnan(
        dclm_aggregates({"copa": 0.5})["aggregated_task_categories_centered"]["safety"]
    )


def test_chance_is_zero_and_perfection_one() -> None:
    assert centered(0.25, 0.25) == 0
    assert centered(1.0, 0.62) == 1
    assert centered(0.0, 0.5) == -1


def test_two_names_in_the_groups_of_the_reference_are_no_labels() -> None:
    assert GROUPS["95%_CI_above"] - set(EXTENDED) == {"gsm8k", "svamp"}
    assert len(GROUPS["95%_CI_above"]) == 30
