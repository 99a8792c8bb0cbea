import dataclasses

import pytest

from dclm_spark.planning.training import plan, table
from dclm_spark.train.scales import scale

SEVEN = scale("7b-1x")


def test_state_is_shared_among_devices_and_time_too() -> None:
    few, many = (plan(SEVEN, num_devices=count) for count in (8, 64))
    assert few.state_bytes == pytest.approx(8 * many.state_bytes, rel=1e-6)
    assert few.days == pytest.approx(8 * many.days)
    assert few.accumulation == 8 * many.accumulation
    assert few.activation_bytes == many.activation_bytes


def test_pure_bf16_holds_six_bytes_a_weight_and_fp32_moments_twelve() -> None:
    pure = plan(SEVEN, num_devices=8)
    mixed = plan(dataclasses.replace(SEVEN, precision="bf16-mixed"), num_devices=8)
    assert SEVEN.precision == "bf16"
    assert mixed.state_bytes == pytest.approx(2 * pure.state_bytes, rel=1e-6)
    assert pure.state_bytes * 8 / 6 == pytest.approx(6.89e9, rel=0.01)


def test_gradients_are_whole_on_every_device_while_they_accumulate() -> None:
    assert plan(SEVEN, num_devices=8).gradient_bytes / 2**30 == pytest.approx(12.8, abs=0.05)
    assert plan(SEVEN, num_devices=512).gradient_bytes == 0


def test_replicas_share_the_state_among_fewer_devices() -> None:
    whole, twice = (
        plan(dataclasses.replace(SEVEN, replicas=count), num_devices=64) for count in (1, 2)
    )
    assert twice.state_bytes == pytest.approx(2 * whole.state_bytes, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "measured_gib"), [("7b-1x", 82.5), ("1b-1x", 61.6), ("125m", 41.2), ("80m", 36.7)]
)
def test_the_plan_meets_the_peaks_that_were_measured(name: str, measured_gib: float) -> None:
    """One H200, one micro-batch, compiled: the table of docs/training.md."""
    settings = scale(name)
    one = dataclasses.replace(settings, batch_sequences=settings.micro_batch_sequences)
    found = plan(one, num_devices=1)
    assert found.accumulation == 1
    assert found.total_bytes / 2**30 == pytest.approx(measured_gib, rel=0.05)


def test_recomputation_saves_activations_in_order() -> None:
    kept = [
        plan(dataclasses.replace(SEVEN, recompute=how), num_devices=8).activation_bytes
        for how in ("none", "selective", "full")
    ]
    assert kept == sorted(kept, reverse=True)
    assert kept[2] < kept[0] / 10


def test_time_is_work_over_speed() -> None:
    work = SEVEN.last_step * SEVEN.tokens_per_step * SEVEN.model.flops_per_token()
    found = plan(SEVEN, num_devices=1, peak_flops_per_second=1e15, utilization=0.5)
    assert found.days * 86_400 * 0.5e15 == pytest.approx(work)
    assert found.gathered_bytes == 0


def test_a_batch_that_does_not_divide_is_refused_with_its_numbers() -> None:
    with pytest.raises(ValueError, match=r"batch_sequences = \d+: must be a multiple of the 7"):
        plan(SEVEN, num_devices=7)


def test_the_table_has_a_row_for_each_number_of_devices() -> None:
    lines = table(SEVEN).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 8", "| 64", "| 256"]
    assert len({line.count("|") for line in lines}) == 1
