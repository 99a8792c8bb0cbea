from dataclasses import replace

import pytest

from dclm_spark.dedup.near_duplicates import NearDuplicateSettings
from dclm_spark.errors import SettingError
from dclm_spark.planning.dedup import DedupRates, plan_minhash, render
from udfs.dedup.minhash import PRESETS

TEN_BILLION = 10**10


def test_work_is_linear_and_memory_per_task_constant() -> None:
    small, large = (plan_minhash(n, 3000, NearDuplicateSettings()) for n in (10**7, 10**9))
    assert large.core_hours == pytest.approx(100 * small.core_hours)
    assert large.shuffle_size_bytes == pytest.approx(100 * small.shuffle_size_bytes, rel=1e-6)
    assert large.memory_per_task_bytes == small.memory_per_task_bytes
    assert large.tasks == pytest.approx(100 * small.tasks, rel=0.02)


@pytest.mark.parametrize(
    ("preset", "core_seconds", "shuffle_size_bytes"),
    [("datatrove", 103.4, 2_220_566_957), ("dclm", 249.88, 7_533_969_839)],
)
def test_the_plan_of_the_largest_measured_runs_is_what_they_took(
    preset: str, core_seconds: float, shuffle_size_bytes: int
) -> None:
    settings = NearDuplicateSettings(signatures=PRESETS[preset])
    # Random letters do not compress.
    rates = DedupRates(shuffled_text_ratio=1.0)
    plan = plan_minhash(10**6, 560, settings, duplicate_share=0.1, rates=rates)
    # The stage, which the benchmark leaves out, shuffles the texts once more, by shard.
    by_shard = 10**6 * 560
    by_shard_seconds = by_shard / rates.shuffled_text_size_bytes_per_second
    # The fixed cost of the plans, 13 to 18 s, is no part of a plan for more documents.
    expected_seconds = core_seconds - 15 + by_shard_seconds
    assert plan.core_hours * 3600 == pytest.approx(expected_seconds, rel=0.05)
    assert plan.shuffle_size_bytes == pytest.approx(shuffle_size_bytes + by_shard, rel=0.02)


def test_a_plan_names_bytes_tasks_memory_hours_and_dollars() -> None:
    text = render(plan_minhash(TEN_BILLION, 3000, NearDuplicateSettings()))
    for word in ("10,000,000,000 documents", "TB in", "tasks", "TB for shuffle files", "MiB",
                 "core-hours", "dollars"):  # fmt: skip
        assert word in text


def test_fewer_bands_and_no_texts_cost_less() -> None:
    default = NearDuplicateSettings()
    cheap = replace(default, signatures=PRESETS["datatrove"], verification="sketch")
    assert (
        plan_minhash(TEN_BILLION, 3000, cheap).dollars
        < 0.5 * plan_minhash(TEN_BILLION, 3000, default).dollars
    )


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match="num_documents = -1"):
        plan_minhash(-1, 3000, NearDuplicateSettings())
    with pytest.raises(SettingError, match="duplicate_share"):
        plan_minhash(1, 3000, NearDuplicateSettings(), duplicate_share=2.0)
